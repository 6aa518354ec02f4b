//! What a command may see, change and use: a value.

use super::defaults;
use super::{DomainRule, Layer, Overlay, Requirement};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a command may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Network {
    /// Nothing outside; its own loopback where [`SandboxPolicy::loopback`] says so, which reaches nothing
    /// but the command itself.
    #[default]
    None,
    /// The hosts that these rules name, over HTTP, CONNECT and SOCKS5, through a proxy of the sandbox's
    /// that resolves names, checks addresses, and tells of every connection.
    Domains(Vec<DomainRule>),
    /// Everything that the host reaches, the host's own services on loopback included.
    DangerousFull,
}

/// Bounds on what a command may use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
#[non_exhaustive]
pub struct Limits {
    /// Wall-clock time, after which the tree is killed.
    pub timeout: Duration,
    /// Bytes of standard output and error together, after which the tree is killed.
    pub output_bytes: u64,
    /// Processes and threads at one time.
    pub processes: u64,
    /// Memory of the whole tree where control groups can be made, what it keeps in `/tmp` included;
    /// elsewhere the private writable memory of each process, reserved or used. In bytes.
    pub memory_bytes: u64,
    /// The size of one file, in bytes.
    pub file_bytes: u64,
    /// What fits in the private `/tmp` and in `/dev/shm`, in bytes each.
    pub tmp_bytes: u64,
    /// Open descriptors of one process.
    pub open_files: u64,
    /// CPU time of the whole tree where control groups can be made, else of each process; `None`: bounded
    /// by the timeout alone.
    pub cpu: Option<Duration>,
    /// The longest time without output, after which the tree is killed.
    pub idle: Option<Duration>,
    /// The share of the processors, in percent of one: 150 is one and a half. Needs control groups.
    pub cpu_percent: Option<u32>,
    /// The rate of reading from and writing to disks, in bytes a second each. Needs control groups.
    pub io_bytes_per_second: Option<u64>,
}

impl Default for Limits {
    /// Two minutes, 8 MiB of output, 512 processes, 4 GiB of memory, files of 4 GiB,
    /// 512 MiB of `/tmp`, 1,024 descriptors.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            output_bytes: 8 << 20,
            processes: 512,
            memory_bytes: 4 << 30,
            file_bytes: 4 << 30,
            tmp_bytes: 512 << 20,
            open_files: 1024,
            cpu: None,
            idle: None,
            cpu_percent: None,
            io_bytes_per_second: None,
        }
    }
}

impl Limits {
    /// The default without a limit on time and on output, for a command that the host keeps: see
    /// `Background`, with the feature `native`.
    #[must_use]
    pub fn for_background() -> Self {
        Self { timeout: Duration::MAX, output_bytes: u64::MAX, ..Self::default() }
    }
}

/// The confinement of a command, as a value that can be stored, compared and shown.
///
/// Paths are the host's and appear at the same place inside. Keys and credentials in home directories
/// (`.ssh`, `.aws`, `.netrc`, …) and other users' home directories are hidden even where a wider path
/// is granted, unless the policy names them or something in them.
///
/// The deepest entry decides: a path in
/// `read` below one in `write` is read-only, a path in `hide` is not there. Beside them a sandbox
/// gives a read-only system (`/usr` and what of `/etc` programs need), a private `/tmp`, `/proc`
/// and a minimal `/dev`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
#[non_exhaustive]
pub struct SandboxPolicy {
    /// Readable paths.
    pub read: Vec<PathBuf>,
    /// Writable paths.
    pub write: Vec<PathBuf>,
    /// Directories that are writable copy-on-write: what is written goes to a layer of its own.
    pub overlays: Vec<Overlay>,
    /// Paths that are masked, wherever a wider entry would show them.
    pub hide: Vec<PathBuf>,
    /// What the command may reach.
    pub network: Network,
    /// Whether the command may have servers of its own on its own loopback, as many tests do, and connect to
    /// them. Off unless it is named or the profile is [`workspace_write`](Self::workspace_write). Without
    /// effect on [`Network::DangerousFull`], which has the host's loopback.
    pub loopback: bool,
    /// What the command may use.
    pub limits: Limits,
    /// The command's environment. Nothing is inherited from the host.
    pub environment: BTreeMap<String, String>,
    /// Layers of which something else is asked than by default: that is [`Requirement::Required`] of all
    /// but the control groups, which few hosts may make: they are [`Requirement::BestEffort`].
    pub relaxed: BTreeMap<Layer, Requirement>,
    /// Links were resolved once and are not followed again: see [`resolve`](Self::resolve).
    #[cfg_attr(feature = "serde", serde(skip))]
    resolved: bool,
}

impl Default for SandboxPolicy {
    /// The system and a private `/tmp`, nothing else.
    fn default() -> Self {
        let environment = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/tmp/home"),
            ("TMPDIR", "/tmp"),
            ("LANG", "C.UTF-8"),
            ("TERM", "dumb"),
            ("USER", "agent"),
            ("LOGNAME", "agent"),
            // A folder that looks like a bare repository could bring configuration that runs programs: git takes it for
            // one only where it is named. Any repository's could name one that watches its files.
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "safe.bareRepository"),
            ("GIT_CONFIG_VALUE_0", "explicit"),
            ("GIT_CONFIG_KEY_1", "core.fsmonitor"),
            ("GIT_CONFIG_VALUE_1", "false"),
        ];
        Self {
            read: Vec::new(),
            write: Vec::new(),
            overlays: Vec::new(),
            hide: Vec::new(),
            network: Network::None,
            loopback: false,
            limits: Limits::default(),
            environment: environment.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            relaxed: BTreeMap::new(),
            resolved: false,
        }
    }
}

impl SandboxPolicy {
    /// The profile for looking: `workspace` is readable, nothing of the host is writable, and there is no
    /// loopback.
    pub fn read_only(workspace: impl Into<PathBuf>) -> Self {
        Self { read: vec![workspace.into()], ..Self::default() }
    }

    /// The profile for working: the command has a loopback of its own, and `workspace` is writable, but for what a host executes on its own
    /// behalf when it works there: `.git` with its hooks and configuration, that of nested repositories four
    /// levels deep, start-up files, settings of editors and agents. Those
    /// of them that exist when this is called are read-only; [`write`](Self::write) names one that
    /// shall be writable all the same.
    ///
    /// Two limits. What does not exist yet can be made by the command. And protection is bound to the
    /// file that is there: when the *host* replaces a protected file by renaming another over it, as
    /// editors do, a command that is running loses the protection of that file; a protected
    /// directory keeps it for what is inside.
    pub fn workspace_write(workspace: impl Into<PathBuf>) -> Self {
        let workspace = workspace.into();
        let mut read = defaults::host_executed_in(&workspace);
        read.extend(defaults::nested_repositories(&workspace));
        Self { read, write: vec![workspace], loopback: true, ..Self::default() }
    }

    /// Makes a path readable.
    #[must_use]
    pub fn read(mut self, path: impl Into<PathBuf>) -> Self {
        self.read.push(path.into());
        self
    }

    /// Makes a path writable, also where a profile has made it read-only.
    #[must_use]
    pub fn write(mut self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        self.read.retain(|readable| *readable != path);
        self.write.push(path);
        self
    }

    /// Makes a directory writable copy-on-write, also where a profile has made it writable, and in the
    /// place of an earlier overlay of the same directory. What a
    /// profile keeps read-only below it stays so.
    #[must_use]
    pub fn overlay(mut self, overlay: impl Into<Overlay>) -> Self {
        let overlay = overlay.into();
        let same = |path: &Path| {
            path == overlay.workspace || path.canonicalize().is_ok_and(|real| real == overlay.workspace)
        };
        self.write.retain(|path| !same(path));
        self.read.retain(|path| !same(path));
        self.overlays.retain(|known| known.workspace != overlay.workspace);
        self.overlays.push(overlay);
        self
    }

    /// A resolved policy with one more folder to work in, protected as a workspace is; where nothing is writable, to read.
    /// `None`: the folder cannot be given.
    #[cfg(feature = "executor")]
    pub(crate) fn with_folder(&self, folder: &Path) -> Option<Self> {
        let folder = canonical(folder, true).ok()?;
        if self.hide.iter().any(|hidden| folder.starts_with(hidden)) {
            return None;
        }
        let mut policy = self.clone();
        if self.writable().next().is_none() {
            policy.read.push(folder);
            return Some(policy);
        }
        if !self.write.iter().any(|writable| folder.starts_with(writable)) {
            policy.read.extend(defaults::host_executed_in(&folder));
            policy.read.extend(defaults::nested_repositories(&folder));
            policy.write.push(folder);
            policy.check_overlays().ok()?;
            policy.check_protected_links().ok()?;
        }
        Some(policy)
    }

    /// What a command can write to: on the host or in a layer.
    pub(crate) fn writable(&self) -> impl Iterator<Item = &PathBuf> {
        let overlays = self.overlays.iter().filter(|overlay| !overlay.read_only);
        self.write.iter().chain(overlays.map(|overlay| &overlay.workspace))
    }

    /// What a command can read and not write.
    pub(super) fn readable(&self) -> impl Iterator<Item = &PathBuf> {
        let overlays = self.overlays.iter().filter(|overlay| overlay.read_only);
        self.read.iter().chain(overlays.map(|overlay| &overlay.workspace))
    }

    /// Whether a command could write to a path, or put something else in its place, as a host should know of its own
    /// policies, approvals and keys. By the text of paths: compare real paths with a policy that is
    /// [resolved](Self::resolve).
    ///
    /// What lies in a directory that is read-only right below a writable one stays where it is. Deeper ones do not: the
    /// directories between are the command's to rename; and a read-only file is one until the host replaces it.
    #[must_use]
    pub fn lets_replace(&self, path: &Path) -> bool {
        let holds = |root: &&PathBuf| path.starts_with(root);
        let deepest = |entries: &mut dyn Iterator<Item = &PathBuf>| {
            entries.filter(holds).max_by_key(|root| root.components().count()).cloned()
        };
        let Some(writable) = deepest(&mut self.writable()) else { return false };
        let kept = deepest(&mut self.read.iter().chain(&self.hide));
        kept.is_none_or(|kept| kept == path || kept.parent() != Some(writable.as_path()))
    }

    /// The same policy with nothing writable: what was, can be read. Of copy-on-write directories that is what
    /// earlier commands made of them.
    #[must_use]
    pub fn without_writing(&self) -> Self {
        let mut policy = self.clone();
        policy.read.append(&mut policy.write);
        policy.overlays.iter_mut().for_each(|overlay| overlay.read_only = true);
        policy
    }

    /// The same policy with nothing to reach.
    #[must_use]
    pub fn without_network(&self) -> Self {
        Self { network: Network::None, ..self.clone() }
    }

    /// Masks a path.
    #[must_use]
    pub fn hide(mut self, path: impl Into<PathBuf>) -> Self {
        self.hide.push(path.into());
        self
    }

    /// Lets the command have servers on its own loopback and connect to them, or forbids it: then binding and
    /// connecting a TCP socket is refused (by Landlock, of ABI 4 or later), but for the way to the proxy
    /// where the policy names domains; without a proxy the loopback is not even up.
    #[must_use]
    pub fn loopback(mut self, allowed: bool) -> Self {
        self.loopback = allowed;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the wall-clock limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// Sets one variable of the command's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Lets the command reach the hosts of these rules, beside those of earlier calls:
    /// `.domains(["crates.io", "*.pypi.org", "git.example.org:8443"])`.
    #[must_use]
    pub fn domains<I>(mut self, rules: I) -> Self
    where
        I: IntoIterator<Item: Into<DomainRule>>,
    {
        let rules = rules.into_iter().map(Into::into);
        match &mut self.network {
            Network::Domains(known) => known.extend(rules),
            network => *network = Network::Domains(rules.collect()),
        }
        self
    }

    /// Lets the command reach whatever the host reaches.
    #[must_use]
    pub fn dangerous_full_network(mut self) -> Self {
        self.network = Network::DangerousFull;
        self
    }

    /// Asks less of a layer than [`Requirement::Required`]. What is then missing is reported.
    #[must_use]
    pub fn dangerous_relax(mut self, layer: Layer, requirement: Requirement) -> Self {
        self.relaxed.insert(layer, requirement);
        self
    }

    /// Requires a layer that is not required by default: without it nothing runs.
    #[must_use]
    pub fn require(mut self, layer: Layer) -> Self {
        self.relaxed.insert(layer, Requirement::Required);
        self
    }

    /// What the policy asks of a layer.
    #[must_use]
    pub fn requirement(&self, layer: Layer) -> Requirement {
        let default = match layer {
            Layer::ControlGroups => Requirement::BestEffort,
            _ => Requirement::Required,
        };
        self.relaxed.get(&layer).copied().unwrap_or(default)
    }

    /// For implementors: what is hidden beside the policy's own [`hide`](Self::hide), because it holds keys
    /// or credentials or is somebody else's. Of a resolved policy, at this moment: ask at every start.
    #[must_use]
    pub fn hidden_by_default(&self) -> Vec<PathBuf> {
        defaults::hidden(self)
    }

    /// Checks what can be checked without a sandbox, and resolves symbolic links in the named
    /// paths, so that what is granted is what is there now.
    ///
    /// A resolved policy is not resolved again: a link that a command puts into a granted path later is
    /// an error at the next start, not a way to grant what it points to. Resolve once, before the
    /// first command; an executor does so when it is built.
    pub fn resolve(&self) -> Result<Self, SandboxPolicyError> {
        if self.resolved {
            return Ok(self.clone());
        }
        let mut resolved = self.clone();
        resolved.resolved = true;
        self.check_protected_links()?;
        for (list, writable) in [(&mut resolved.read, false), (&mut resolved.write, true)] {
            for path in list {
                *path = canonical(path, writable)?;
            }
        }
        for overlay in &mut resolved.overlays {
            overlay.workspace = canonical(&overlay.workspace, true)?;
        }
        resolved.check_overlays()?;
        for path in &mut resolved.hide {
            if !path.is_absolute() {
                return Err(SandboxPolicyError::new(path, "is not absolute: name the full path to hide"));
            }
            // What is not there needs no mask, but its place may be reached by another name.
            if let Ok(real) = path.canonicalize() {
                *path = real;
            }
        }
        for (name, value) in &self.environment {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(SandboxPolicyError {
                    message: format!(
                        "environment variable {name:?}: names hold neither '=' nor NUL, values no NUL"
                    ),
                });
            }
        }
        if let Network::Domains(rules) = &self.network {
            for rule in rules {
                rule.parse().map_err(|message| SandboxPolicyError { message })?;
            }
        }
        Ok(resolved)
    }
}

impl SandboxPolicy {
    /// Who could write an overlay's layers, or below the overlay, would have no copy-on-write workspace.
    fn check_overlays(&self) -> Result<(), SandboxPolicyError> {
        for overlay in &self.overlays {
            let state = &overlay.state;
            if !state.canonicalize().is_ok_and(|real| real == *state && real.is_dir()) {
                return Err(SandboxPolicyError::new(
                    state,
                    "is not the directory of a copy-on-write workspace: begin one, and name it by its full path \
                     without links",
                ));
            }
            let workspace = &overlay.workspace;
            let overlaps = |path: &PathBuf| {
                state.starts_with(path) || path.starts_with(state) || path.starts_with(workspace)
            };
            let others = self.overlays.iter().map(|other| &other.workspace);
            let others = others.filter(|other| *other != workspace);
            if let Some(path) = self.write.iter().chain(others).find(|path| overlaps(path)) {
                return Err(SandboxPolicyError::new(
                    path,
                    &format!(
                        "cannot be writable beside the copy-on-write workspace {}: it would give a way past it; leave \
                         it out or make it readable",
                        workspace.display()
                    ),
                ));
            }
            if state.starts_with(workspace) || workspace.starts_with(state) {
                return Err(SandboxPolicyError::new(
                    state,
                    "holds the layers and lies in the workspace itself: choose a directory elsewhere",
                ));
            }
        }
        Ok(())
    }

    /// A link in a writable directory can be replaced, and what it pointed to is then protected in vain.
    fn check_protected_links(&self) -> Result<(), SandboxPolicyError> {
        let writable: Vec<PathBuf> = self.writable().filter_map(|path| path.canonicalize().ok()).collect();
        for path in self.read.iter().chain(&self.hide) {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let Ok(place) = parent.canonicalize().map(|parent| parent.join(name)) else { continue };
            if place.is_symlink() && writable.iter().any(|root| place.starts_with(root)) {
                return Err(SandboxPolicyError::new(
                    path,
                    "is a symbolic link in a writable directory, where it cannot be protected: replace it by what it \
                     points to, or make its directory read-only",
                ));
            }
        }
        Ok(())
    }
}

fn canonical(path: &Path, writable: bool) -> Result<PathBuf, SandboxPolicyError> {
    if !path.is_absolute() {
        return Err(SandboxPolicyError::new(path, "is not absolute: name the full path"));
    }
    let real = path.canonicalize().map_err(|error| {
        SandboxPolicyError::new(path, &format!("cannot be granted: {error}; create it or leave it out"))
    })?;
    if writable && !real.is_dir() {
        return Err(SandboxPolicyError::new(path, "is not a directory: a workspace must be one"));
    }
    let shadows = ["/", "/proc", "/dev", "/sys", "/tmp"].iter().any(|system| real == Path::new(system));
    if shadows || real.starts_with("/proc") || real.starts_with("/sys") || real.starts_with("/dev") {
        return Err(SandboxPolicyError::new(
            path,
            "cannot be granted: the sandbox has its own /, /tmp, /proc, /dev and no /sys; name something below",
        ));
    }
    Ok(real)
}

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxPolicyError {
    message: String,
}

impl SandboxPolicyError {
    fn new(path: &Path, problem: &str) -> Self {
        Self { message: format!("{} {problem}", path.display()) }
    }
}

impl fmt::Display for SandboxPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SandboxPolicyError {}
