//! Why something did not work inside: which layer, which path or call, which rule would allow it.

use super::{EndReason, Layer, Network, RunOutput, SandboxPolicy};
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// How a path is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Reading, listing, executing.
    Read,
    /// Writing, making, removing.
    Write,
}

/// Something that the confinement did not let happen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Denial {
    /// The layer that stopped it.
    pub layer: Layer,
    /// The path, the call or the limit.
    pub subject: String,
    /// Why, in a few words.
    pub why: String,
    /// What in the policy would allow it.
    pub rule: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}); to allow it: {}", self.subject, self.why, self.layer, self.rule)
    }
}

impl Denial {
    /// A denial, for sandboxes that are told of one.
    pub fn new(
        layer: Layer,
        subject: impl Into<String>,
        why: impl Into<String>,
        rule: impl Into<String>,
    ) -> Self {
        Self { layer, subject: subject.into(), why: why.into(), rule: rule.into() }
    }
}

/// What every sandbox has of its own, writable.
const PRIVATE: [&str; 2] = ["/tmp", "/dev/shm"];
/// What every sandbox has of its own or of the system's, readable.
const SYSTEM: [&str; 11] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/dev", "/etc", "/nix/store"];

impl SandboxPolicy {
    /// Why a use of `path` is denied under this policy; `None` where the policy allows it, whatever the
    /// file's own mode says. Paths are compared as they are written: resolve the policy first.
    #[must_use]
    pub fn explain(&self, access: Access, path: &Path) -> Option<Denial> {
        let path = normal(path);
        let shown = path.display().to_string();
        let deepest = |paths: &[PathBuf]| {
            paths.iter().filter(|root| path.starts_with(root)).map(|root| root.components().count()).max()
        };
        let hidden: Vec<PathBuf> = self.hide.iter().cloned().chain(self.hidden_by_default()).collect();
        let read = deepest(&self.readable().cloned().collect::<Vec<_>>());
        let hide = deepest(&hidden);
        let write = deepest(&self.writable().cloned().collect::<Vec<_>>());
        let layer = Layer::MountNamespace;
        if hide.is_some() && hide >= read.max(write) {
            let rule = format!("name it: .read({shown:?})");
            return Some(Denial::new(
                layer,
                shown,
                "hidden: keys and credentials are, or the policy says so",
                rule,
            ));
        }
        if write.is_some() && write > read {
            return None;
        }
        let is_private = PRIVATE.iter().any(|root| path.starts_with(root));
        if is_private && read.is_none() {
            return None;
        }
        let is_seen = read.is_some() || write.is_some() || SYSTEM.iter().any(|root| path.starts_with(root));
        match access {
            Access::Read if is_seen => None,
            Access::Read => {
                Some(Denial::new(layer, &shown, "not in the sandbox's view", format!(".read({shown:?})")))
            }
            Access::Write if is_seen => Some(Denial::new(
                layer,
                &shown,
                "read-only in the sandbox",
                format!(".write({:?}), or a directory above it", shown),
            )),
            Access::Write => Some(Denial::new(
                layer,
                &shown,
                "not in the sandbox's view",
                format!(".write() of the directory above {shown:?}"),
            )),
        }
    }
}

/// Without `.` and `..`, by the text alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// What the C library says of an error, and what it may mean inside.
const MESSAGES: [(&str, Cause); 15] = [
    ("Permission denied", Cause::Path(Access::Write)),
    ("Read-only file system", Cause::Path(Access::Write)),
    ("No such file or directory", Cause::Path(Access::Read)),
    ("Operation not permitted", Cause::Call),
    ("Function not implemented", Cause::Call),
    ("Protocol not supported", Cause::Call),
    ("Network is unreachable", Cause::Network),
    ("Temporary failure in name resolution", Cause::Network),
    ("Could not resolve host", Cause::Network),
    ("Name or service not known", Cause::Network),
    ("Cannot allocate memory", Cause::Limit("memory_bytes")),
    ("Resource temporarily unavailable", Cause::Limit("processes")),
    ("No space left on device", Cause::Limit("tmp_bytes")),
    ("Too many open files", Cause::Limit("open_files")),
    ("File too large", Cause::Limit("file_bytes")),
];

#[derive(Clone, Copy)]
enum Cause {
    Path(Access),
    Call,
    Network,
    Limit(&'static str),
}

/// Calls that programs name in their messages when they are refused.
const CALLS: [&str; 16] = [
    "ptrace",
    "mount",
    "umount",
    "unshare",
    "setns",
    "chroot",
    "pivot_root",
    "io_uring",
    "bpf",
    "keyctl",
    "userfaultfd",
    "perf_event",
    "sethostname",
    "settimeofday",
    "clone",
    "chmod",
];

impl RunOutput {
    /// What the sandbox itself [`refused`](Self::refused), and what the command's own messages and its end
    /// tell of denials, explained by the policy that it ran
    /// under; `cwd` is where it ran, for relative paths. Nothing is taken from the host but whether a
    /// path exists there.
    ///
    /// Programs say as much as they like of what went wrong, and a hostile one says what it likes:
    /// this is for people, and for agents that want to know what to ask for. It is no record of attempts.
    #[must_use]
    pub fn denials(&self, policy: &SandboxPolicy, cwd: &Path) -> Vec<Denial> {
        let mut denials: Vec<Denial> = self.refused.clone();
        denials.extend(of_end(self.status.reason, policy));
        for bytes in [&self.stderr, &self.stdout] {
            // Messages are at the end of what is long.
            let tail = bytes.get(bytes.len().saturating_sub(64 << 10)..).unwrap_or_default();
            for line in String::from_utf8_lossy(tail).lines() {
                for denial in of_line(line, policy, cwd) {
                    let is_known = denials.iter().any(|known| {
                        // Of a call the record and a message may both tell, in other words.
                        *known == denial || (known.layer, &known.subject) == (Layer::Seccomp, &denial.subject)
                    });
                    if !is_known && denials.len() < self.refused.len() + 32 {
                        denials.push(denial);
                    }
                }
            }
        }
        denials
    }
}

fn of_end(reason: EndReason, policy: &SandboxPolicy) -> Option<Denial> {
    let limits = &policy.limits;
    let limit = |layer, name: &str, value: String| {
        Some(Denial::new(
            layer,
            format!("limit {name}"),
            reason.to_string(),
            format!("more than {name} = {value}"),
        ))
    };
    match reason {
        EndReason::TimedOut => limit(Layer::ResourceLimits, "timeout", format!("{:?}", limits.timeout)),
        EndReason::IdleTimedOut => {
            limit(Layer::ResourceLimits, "idle", format!("{:?}", limits.idle.unwrap_or_default()))
        }
        EndReason::CpuLimit => {
            limit(Layer::ResourceLimits, "cpu", format!("{:?}", limits.cpu.unwrap_or_default()))
        }
        EndReason::OutputLimit => {
            limit(Layer::ResourceLimits, "output_bytes", limits.output_bytes.to_string())
        }
        EndReason::OutOfMemory => {
            limit(Layer::ControlGroups, "memory_bytes", limits.memory_bytes.to_string())
        }
        // SIGXFSZ, SIGSYS
        EndReason::Signaled(25) => limit(Layer::ResourceLimits, "file_bytes", limits.file_bytes.to_string()),
        EndReason::Signaled(31) => Some(Denial::new(
            Layer::Seccomp,
            "a system call of another architecture",
            "the command was killed for it",
            "none: run a program of this machine's architecture",
        )),
        _ => None,
    }
}

fn of_line(line: &str, policy: &SandboxPolicy, cwd: &Path) -> Vec<Denial> {
    let Some((text, cause)) = MESSAGES.iter().find(|(text, _)| line.contains(text)) else {
        return Vec::new();
    };
    if let Some(denial) = of_loopback(line, text, policy) {
        return vec![denial];
    }
    match *cause {
        Cause::Path(access) => paths(line)
            .filter_map(|path| {
                let path = cwd.join(path);
                // What is not on the host either is simply missing.
                if access == Access::Read && std::fs::symlink_metadata(&path).is_err() {
                    return None;
                }
                policy
                    .explain(Access::Read, &path)
                    .or_else(|| policy.explain(access, &path))
                    .or_else(|| (access == Access::Read).then(|| in_private(policy, &path)).flatten())
            })
            .collect(),
        Cause::Call => {
            let call = CALLS.iter().find(|call| line.contains(*call));
            let rule = "none: agents' commands do without; see the list in the crate's documentation";
            call.map(|call| Denial::new(Layer::Seccomp, *call, "refused by the filter", rule))
                .into_iter()
                .collect()
        }
        Cause::Network if policy.network != Network::DangerousFull => {
            let why = "the command reaches nothing outside, or only named domains";
            vec![Denial::new(Layer::NetworkNamespace, *text, why, "name the domain in the policy's network")]
        }
        Cause::Network => Vec::new(),
        Cause::Limit(name) => {
            let rule = format!("a larger {name} in the policy's limits");
            vec![Denial::new(Layer::ResourceLimits, format!("limit {name}"), *text, rule)]
        }
    }
}

/// What Landlock says of a TCP socket is what it says of a file.
fn of_loopback(line: &str, text: &str, policy: &SandboxPolicy) -> Option<Denial> {
    let is_denied = !policy.loopback && policy.network != Network::DangerousFull;
    let is_about = ["127.0.0.1", "localhost", "::1"].iter().any(|name| line.contains(name));
    (text == "Permission denied" && is_denied && is_about).then(|| {
        let why = "the policy grants no loopback of the command's own";
        Denial::new(Layer::Landlock, "a TCP socket on the loopback", why, ".loopback(true)")
    })
}

/// The host has the path, but the sandbox has a directory of its own there.
fn in_private(policy: &SandboxPolicy, path: &Path) -> Option<Denial> {
    let is_private = PRIVATE.iter().any(|root| path.starts_with(root));
    let is_granted = policy.readable().chain(policy.writable()).any(|root| path.starts_with(root));
    let shown = path.display().to_string();
    let rule = format!(".read({shown:?})");
    (is_private && !is_granted).then(|| {
        Denial::new(Layer::MountNamespace, shown, "the sandbox has a directory of its own there", rule)
    })
}

/// What may be a path in a message: what is quoted, and words with a slash.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split(['\'', '"', '`', '\u{2018}', '\u{2019}']).skip(1).step_by(2);
    let words = line.split_whitespace().map(|word| {
        word.trim_matches(|c: char| {
            matches!(c, ':' | ',' | ';' | '(' | ')' | '\'' | '"' | '\u{2018}' | '\u{2019}')
        })
    });
    let mut seen = Vec::new();
    quoted.chain(words).filter(move |path| {
        let is_new = path.contains('/') && path.len() < 4096 && !seen.contains(path);
        if is_new {
            seen.push(*path);
        }
        is_new
    })
}
