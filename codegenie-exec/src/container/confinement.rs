//! What a policy means in a container, whichever engine makes it.

use super::daemon::{Daemon, Facts};
use super::seccomp;
use crate::sandbox::{Layer, Network, Requirement, SandboxError, SandboxPolicy, SandboxRequest, Stdio};
use crate::view::{Kind, System, View};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Who owns nothing on most machines.
pub(super) const NOBODY: u32 = 65_534;
/// The containers' host name.
pub(super) const HOST_NAME: &str = "sandbox";
/// What the daemon's init needs beside the command.
const INIT_PROCESSES: u64 = 2;
const SMALLEST_MEMORY: u64 = 6 << 20;

/// What a sandbox is configured to do, whatever the policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) runtime: Option<String>,
    pub(super) user: Option<(u32, u32)>,
    pub(super) daemon_seccomp: bool,
}

/// A policy as it stands now.
#[derive(Clone, Debug)]
pub(super) struct Confinement {
    pub(super) policy: SandboxPolicy,
    pub(super) view: View,
    /// The command's user and group.
    pub(super) user: (u32, u32),
    /// The profile that replaces the daemon's own.
    pub(super) profile: Option<String>,
}

impl Confinement {
    /// Looks at a policy, and refuses what a container cannot do.
    pub(super) fn of(
        policy: &SandboxPolicy,
        daemon: &Daemon,
        settings: &Settings,
    ) -> Result<Self, SandboxError> {
        let policy = policy.resolve().map_err(|error| SandboxError::invalid_policy(error.to_string()))?;
        if let Some(overlay) = policy.overlays.first() {
            return Err(SandboxError::invalid_policy(format!(
                "{} is copy-on-write in the policy, which containers are not here: use the native sandbox; nothing was run",
                overlay.workspace.display()
            )));
        }
        if let Network::Domains(_) = policy.network {
            return Err(SandboxError::invalid_policy(
                "the policy names domains, and there is no way from a container's network to the proxy: use the native \
                 sandbox, or no network; nothing was run",
            ));
        }
        check_requirements(&policy)?;
        let view = View::of(&policy, &System::default())?;
        check_links(&view)?;
        check_sockets(&view, &daemon.sockets())?;
        let user = settings.user.unwrap_or_else(|| owner(&policy));
        let profile = match policy.requirement(Layer::Seccomp) {
            Requirement::Off => None,
            _ if settings.daemon_seccomp => None,
            _ => seccomp::profile(&daemon.facts.machine),
        };
        Ok(Self { policy, view, user, profile })
    }

    /// The variables of policy and request, and nobody else's.
    pub(super) fn environment(
        &self,
        request: &SandboxRequest,
    ) -> Result<BTreeMap<String, String>, SandboxError> {
        let of_policy = self.policy.environment.iter();
        let mut variables: BTreeMap<OsString, OsString> =
            of_policy.map(|(name, value)| (name.into(), value.into())).collect();
        variables.extend(request.env.clone());
        let pair = |(name, value): (&OsString, &OsString)| {
            Ok((text(name, "a variable's name")?, text(value, "a variable's value")?))
        };
        variables.iter().map(pair).collect()
    }

    /// The request's working directory, where it really is. It must be there: the runtime would make it, as root.
    pub(super) fn cwd(&self, request: &SandboxRequest) -> Result<String, SandboxError> {
        let shown = request.cwd.display();
        if !request.cwd.is_absolute() {
            return Err(SandboxError::invalid_request(format!(
                "the working directory {shown} is not absolute: name the full path"
            )));
        }
        if request.cwd == Path::new("/tmp") {
            return Ok("/tmp".to_owned());
        }
        let real = request.cwd.canonicalize().ok().filter(|path| path.is_dir());
        let real = real.filter(|path| self.view.grants(path)).ok_or_else(|| {
            SandboxError::invalid_request(format!(
                "the working directory {shown} is not in the sandbox: the policy must make it readable, and it must exist"
            ))
        })?;
        text(real.as_os_str(), "the working directory")
    }

    /// The temporary file systems that a command writes to, and the modes of their roots.
    pub(super) fn temporary(&self) -> Vec<(&'static str, &'static str)> {
        let mut places = vec![("/tmp", "1777")];
        if self.policy.environment.get("HOME").is_some_and(|home| home == "/tmp/home") {
            places.push(("/tmp/home", "0700"));
        }
        places
    }

    /// The size of each.
    pub(super) fn temporary_bytes(&self) -> u64 {
        self.policy.limits.tmp_bytes.max(4096)
    }

    /// What each process is limited to: the name, the soft limit, the hard limit.
    pub(super) fn process_limits(&self) -> Vec<(&'static str, u64, u64)> {
        let limits = &self.policy.limits;
        let same = |name, value| (name, value, value);
        let mut all = vec![
            same("nofile", limits.open_files),
            same("fsize", limits.file_bytes),
            same("core", 0),
            same("memlock", 8 << 20),
            same("rtprio", 0),
            same("msgqueue", 819_200),
        ];
        // At the soft limit comes a signal that tells why, at the hard one the end.
        let cpu = limits.cpu.map(|cpu| cpu.as_secs().max(1));
        all.extend(cpu.map(|cpu| ("cpu", cpu, cpu.saturating_add(1))));
        all
    }

    /// What the container's control groups are asked to limit: what the daemon has of them.
    pub(super) fn group_limits(&self, facts: &Facts) -> GroupLimits {
        let limits = &self.policy.limits;
        let in_groups = self.policy.requirement(Layer::ControlGroups) != Requirement::Off;
        let memory = signed(limits.memory_bytes.max(SMALLEST_MEMORY));
        GroupLimits {
            memory: (in_groups && facts.limits_memory).then_some(memory),
            memory_and_swap: (in_groups && facts.limits_memory && facts.limits_swap).then_some(memory),
            processes: (in_groups && facts.limits_processes)
                .then(|| signed(limits.processes.saturating_add(INIT_PROCESSES))),
            processor_percent: limits
                .cpu_percent
                .filter(|_| in_groups && facts.limits_processors)
                .map(|percent| i64::from(percent.max(1))),
        }
    }

    /// The view as mounts, from the root downwards.
    pub(super) fn mounts(&self) -> Result<Vec<(String, Mounted)>, SandboxError> {
        let mut mounts = Vec::new();
        for entry in &self.view.entries {
            let mounted = match entry.kind {
                Kind::Bind { writable, .. } => Mounted::Host { writable },
                Kind::Mask { dir: false } => Mounted::NoFile,
                Kind::Mask { dir: true } => Mounted::NoDirectory,
                // Of the system, or of an overlay: neither is in a container's view.
                Kind::Copy(_) | Kind::Link(_) | Kind::Overlay { .. } | Kind::Pin => continue,
            };
            mounts.push((text(entry.path.as_os_str(), "a path of the policy")?, mounted));
        }
        Ok(mounts)
    }
}

/// What control groups limit. Swap is none: its limit is that of the memory alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupLimits {
    pub(super) memory: Option<i64>,
    pub(super) memory_and_swap: Option<i64>,
    pub(super) processes: Option<i64>,
    pub(super) processor_percent: Option<i64>,
}

/// What a container has at a path of the policy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mounted {
    /// The host's file or directory of the same path. What is mounted below it would come without its protection,
    /// and stays away.
    Host { writable: bool },
    /// Nothing of the host's file.
    NoFile,
    /// Nothing of the host's directory.
    NoDirectory,
}

/// The command: its program and arguments.
pub(super) fn command(request: &SandboxRequest) -> Result<Vec<String>, SandboxError> {
    let mut command = vec![text(&request.program, "the program")?];
    for arg in &request.args {
        command.push(text(arg, "an argument")?);
    }
    Ok(command)
}

/// Whether the command reads what the host writes.
pub(super) fn has_input(request: &SandboxRequest) -> bool {
    request.stdio != Stdio::Captured || !request.stdin.is_empty()
}

pub(super) fn is_terminal(request: &SandboxRequest) -> bool {
    matches!(request.stdio, Stdio::Terminal(_))
}

impl View {
    /// Whether `path` is the host's, granted, and not masked.
    pub(super) fn grants(&self, path: &Path) -> bool {
        let deepest = self.entries.iter().rfind(|entry| path.starts_with(&entry.path));
        deepest.is_some_and(|entry| matches!(entry.kind, Kind::Bind { .. }))
    }
}

/// Layers that no container is without, or that a daemon gives whole or not at all.
fn check_requirements(policy: &SandboxPolicy) -> Result<(), SandboxError> {
    for (layer, requirement) in &policy.relaxed {
        let relaxable = matches!(
            layer,
            Layer::UserNamespace
                | Layer::Landlock
                | Layer::Seccomp
                | Layer::ResourceLimits
                | Layer::ControlGroups
        );
        let possible = relaxable
            && !(*requirement == Requirement::Off
                && matches!(layer, Layer::ResourceLimits | Layer::UserNamespace));
        if !possible && *requirement != Requirement::Required {
            return Err(SandboxError::invalid_policy(format!(
                "containers are not made without their {layer} layer: require it; nothing was run"
            )));
        }
    }
    Ok(())
}

/// A link that came into a granted path since the policy was resolved would be followed by the daemon, as root.
fn check_links(view: &View) -> Result<(), SandboxError> {
    let moved = view
        .entries
        .iter()
        .find(|entry| entry.granted && !entry.path.canonicalize().is_ok_and(|real| real == entry.path));
    match moved {
        None => Ok(()),
        Some(entry) => Err(SandboxError::invalid_policy(format!(
            "{}: a symbolic link has come into the path, which would be followed as root: resolve the policy again; \
             nothing was run",
            entry.path.display()
        ))),
    }
}

/// Whoever reaches a daemon's socket is root of the machine. One that is not there yet comes into what is granted while a
/// command runs.
fn check_sockets(view: &View, sockets: &[PathBuf]) -> Result<(), SandboxError> {
    match sockets.iter().find(|socket| view.grants(socket)) {
        None => Ok(()),
        Some(socket) => Err(SandboxError::invalid_policy(format!(
            "the policy shows {}{}, by which a command becomes who runs that daemon, mostly root of this machine: {}; nothing \
             was run",
            socket.display(),
            if socket.exists() { "" } else { " when it comes there" },
            if socket.exists() { "hide it, or grant less" } else { "grant less, or hide its directory" },
        ))),
    }
}

/// The owner of the workspace, but never root.
fn owner(policy: &SandboxPolicy) -> (u32, u32) {
    let owner = |path: &PathBuf| std::fs::metadata(path).ok().map(|meta| (meta.uid(), meta.gid()));
    let of_people = |(uid, gid): &(u32, u32)| *uid != 0 && *gid != 0;
    let first = match policy.write.first() {
        Some(path) => owner(path),
        None => policy.read.iter().filter(|path| path.is_dir()).find_map(owner),
    };
    first.filter(of_people).unwrap_or((NOBODY, NOBODY))
}

/// As a daemon's API takes it: text, without NUL.
pub(super) fn text(value: &OsStr, what: &str) -> Result<String, SandboxError> {
    match value.to_str() {
        Some(text) if !text.contains('\0') => Ok(text.to_owned()),
        Some(_) => {
            Err(SandboxError::invalid_request(format!("{what} holds a NUL byte: {value:?}; nothing was run")))
        }
        None => Err(SandboxError::invalid_request(format!(
            "{what} is not UTF-8, and a daemon takes nothing else: {value:?}; nothing was run"
        ))),
    }
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
