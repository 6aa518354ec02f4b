//! What a daemon is asked for: a policy and a request as a container.

use super::daemon::{Daemon, Image};
use super::seccomp;
use crate::sandbox::{Layer, Network, Requirement, SandboxError, SandboxPolicy, SandboxRequest, Stdio};
use crate::view::{Kind, System, View};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType, ResourcesUlimits,
};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Who owns nothing on most machines.
pub(super) const NOBODY: u32 = 65_534;
/// Where Docker puts its init program into a container.
const DOCKER_INIT: &str = "/sbin/docker-init";
const HOST_NAME: &str = "sandbox";
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

    /// The container for a request under it.
    pub(super) fn container(
        &self,
        request: &SandboxRequest,
        daemon: &Daemon,
        image: &Image,
        settings: &Settings,
        labels: HashMap<String, String>,
    ) -> Result<ContainerCreateBody, SandboxError> {
        let is_terminal = matches!(request.stdio, Stdio::Terminal(_));
        let has_input = request.stdio != Stdio::Captured || !request.stdin.is_empty();
        let mut cmd = vec![text(&request.program, "the program")?];
        for arg in &request.args {
            cmd.push(text(arg, "an argument")?);
        }
        // The first init reaps and ends the tree; the second passes signals on to the command's whole group.
        let entrypoint = [DOCKER_INIT, "-s", "-g", "--"].map(str::to_owned).into();
        let body = ContainerCreateBody {
            image: Some(image.id.clone()),
            entrypoint: Some(entrypoint),
            cmd: Some(cmd),
            env: Some(environment(&self.policy, request, image)?),
            working_dir: Some(text(self.cwd(request)?.as_os_str(), "the working directory")?),
            user: Some(format!("{}:{}", self.user.0, self.user.1)),
            hostname: (self.policy.network != Network::DangerousFull).then(|| HOST_NAME.to_owned()),
            tty: Some(is_terminal),
            open_stdin: Some(has_input),
            stdin_once: Some(has_input),
            attach_stdin: Some(has_input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            // What an image wants to run beside the command.
            healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
            labels: Some(labels),
            host_config: Some(self.host_config(daemon, settings)?),
            ..Default::default()
        };
        Ok(body)
    }

    /// The request's working directory, where it really is. It must be there: the runtime would make it, as root.
    fn cwd(&self, request: &SandboxRequest) -> Result<PathBuf, SandboxError> {
        let shown = request.cwd.display();
        if !request.cwd.is_absolute() {
            return Err(SandboxError::invalid_request(format!(
                "the working directory {shown} is not absolute: name the full path"
            )));
        }
        if request.cwd == Path::new("/tmp") {
            return Ok(request.cwd.clone());
        }
        let real = request.cwd.canonicalize().ok().filter(|path| path.is_dir());
        real.filter(|path| self.view.grants(path)).ok_or_else(|| {
            SandboxError::invalid_request(format!(
                "the working directory {shown} is not in the sandbox: the policy must make it readable, and it must exist"
            ))
        })
    }

    fn host_config(&self, daemon: &Daemon, settings: &Settings) -> Result<HostConfig, SandboxError> {
        let (limits, facts) = (&self.policy.limits, &daemon.facts);
        let in_groups = self.policy.requirement(Layer::ControlGroups) != Requirement::Off;
        let mut security = vec!["no-new-privileges".to_owned()];
        match (&self.profile, self.policy.requirement(Layer::Seccomp)) {
            (Some(profile), _) => security.push(format!("seccomp={profile}")),
            (None, Requirement::Off) => security.push("seccomp=unconfined".to_owned()),
            (None, _) => {}
        }
        // Some runtimes give a tmpfs the mode that the image's directory has: then it is the owner who may write.
        let of_mode = |mode: &str| {
            let ((uid, gid), size) = (self.user, limits.tmp_bytes.max(4096));
            format!("rw,exec,nosuid,nodev,mode={mode},uid={uid},gid={gid},size={size},nr_inodes=262144")
        };
        let mut tmpfs = HashMap::from([("/tmp".to_owned(), of_mode("1777"))]);
        if self.policy.environment.get("HOME").is_some_and(|home| home == "/tmp/home") {
            tmpfs.insert("/tmp/home".to_owned(), of_mode("0700"));
        }
        let memory = signed(limits.memory_bytes.max(SMALLEST_MEMORY));
        let processes = limits.processes.saturating_add(INIT_PROCESSES);
        Ok(HostConfig {
            network_mode: Some(match self.policy.network {
                Network::DangerousFull => "host".to_owned(),
                _ => "none".to_owned(),
            }),
            privileged: Some(false),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(security),
            readonly_rootfs: Some(true),
            init: Some(true),
            ipc_mode: Some("private".to_owned()),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            mounts: Some(self.mounts()?),
            tmpfs: Some(tmpfs),
            shm_size: Some(signed(limits.tmp_bytes.max(4096))),
            memory: (in_groups && facts.limits_memory).then_some(memory),
            // Of memory and swap together: no swap.
            memory_swap: (in_groups && facts.limits_memory && facts.limits_swap).then_some(memory),
            pids_limit: (in_groups && facts.limits_processes).then_some(signed(processes)),
            nano_cpus: limits
                .cpu_percent
                .filter(|_| in_groups && facts.limits_processors)
                .map(|percent| i64::from(percent.max(1)) * 10_000_000),
            ulimits: Some(self.ulimits()),
            // Output goes to the host alone: the daemon's disk is not the command's to fill.
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            runtime: settings.runtime.clone(),
            ..Default::default()
        })
    }

    fn ulimits(&self) -> Vec<ResourcesUlimits> {
        let limits = &self.policy.limits;
        let cpu = limits.cpu.map(|cpu| cpu.as_secs().max(1));
        let limit = |name: &str, soft: u64, hard: u64| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(signed(soft)),
            hard: Some(signed(hard)),
        };
        let same = |name, value| limit(name, value, value);
        let mut ulimits = vec![
            same("nofile", limits.open_files),
            same("fsize", limits.file_bytes),
            same("core", 0),
            same("memlock", 8 << 20),
            same("rtprio", 0),
            same("msgqueue", 819_200),
        ];
        // At the soft limit comes a signal that tells why, at the hard one the end.
        ulimits.extend(cpu.map(|cpu| limit("cpu", cpu, cpu.saturating_add(1))));
        ulimits
    }

    /// The view as mounts, from the root downwards.
    fn mounts(&self) -> Result<Vec<Mount>, SandboxError> {
        let mut mounts = Vec::new();
        for entry in &self.view.entries {
            let target = text(entry.path.as_os_str(), "a path of the policy")?;
            let bind = |source: &str, writable: bool| Mount {
                typ: Some(MountType::BIND),
                source: Some(source.to_owned()),
                target: Some(target.clone()),
                read_only: Some(!writable),
                bind_options: Some(MountBindOptions {
                    propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
                    // What is mounted below a granted path would come without its protection.
                    non_recursive: Some(true),
                    ..Default::default()
                }),
                ..Default::default()
            };
            mounts.push(match entry.kind {
                Kind::Bind { writable, .. } => bind(&target, writable),
                Kind::Mask { dir: false } => bind("/dev/null", false),
                Kind::Mask { dir: true } => Mount {
                    typ: Some(MountType::TMPFS),
                    target: Some(target.clone()),
                    read_only: Some(true),
                    tmpfs_options: Some(MountTmpfsOptions {
                        size_bytes: Some(4096),
                        mode: Some(0o555),
                        ..Default::default()
                    }),
                    ..Default::default()
                },
                // Of the system, or of an overlay: neither is in a container's view.
                Kind::Copy(_) | Kind::Link(_) | Kind::Overlay { .. } | Kind::Pin => continue,
            });
        }
        Ok(mounts)
    }
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

/// Whoever reaches a daemon's socket is root of the machine.
fn check_sockets(view: &View, sockets: &[PathBuf]) -> Result<(), SandboxError> {
    match sockets.iter().find(|socket| view.grants(socket)) {
        None => Ok(()),
        Some(socket) => Err(SandboxError::invalid_policy(format!(
            "the policy shows {}, by which a command becomes root of this machine: hide it, or grant less; nothing was run",
            socket.display()
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

/// The variables of policy and request, and for each that somebody else would set its bare name, by which daemons
/// take it away.
fn environment(
    policy: &SandboxPolicy,
    request: &SandboxRequest,
    image: &Image,
) -> Result<Vec<String>, SandboxError> {
    let mut variables: BTreeMap<OsString, OsString> =
        policy.environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    variables.extend(request.env.clone());
    let mut names = BTreeMap::new();
    for (name, value) in &variables {
        let (name, value) = (text(name, "a variable's name")?, text(value, "a variable's value")?);
        names.insert(name, Some(value));
    }
    for unwanted in
        image.variables.iter().map(String::as_str).chain(["HOSTNAME", "PATH", "TERM", "container"])
    {
        names.entry(unwanted.to_owned()).or_insert(None);
    }
    let entry = |(name, value): (String, Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name,
    };
    Ok(names.into_iter().map(entry).collect())
}

/// As a daemon's API takes it: text, without NUL.
fn text(value: &OsStr, what: &str) -> Result<String, SandboxError> {
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

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
