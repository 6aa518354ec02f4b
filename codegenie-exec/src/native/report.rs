//! What a start under a policy enforces, layer by layer, and what can be done about a refusal.

use super::confine::{Setting, has_loopback};
use super::landlock::{self, Tcp};
use super::launch::{StartError, Started};
use super::mounts::OVERLAY_STAGE;
use super::plan::{Plan, Purpose};
use super::seccomp;
use crate::sandbox::{
    DomainRule, EnforcementReport, Layer, LayerStatus, Network, Requirement, SandboxError, SandboxErrorKind,
    SandboxPolicy,
};
use std::io;

pub(super) const NAME: &str = "native";

/// The report of a start that succeeded: every step of a required layer did.
pub(super) fn of_start(
    policy: &SandboxPolicy,
    setting: &Setting<'_>,
    plan: &Plan,
    started: &Started,
    groups: &LayerStatus,
    version: Option<u8>,
) -> EnforcementReport {
    let failed = |layer| degraded(Purpose::Layer(layer), plan, started);
    let unrecorded = degraded(Purpose::Records, plan, started);
    let mut report = EnforcementReport::new(NAME, "direct");
    for layer in Layer::ALL {
        let requirement = policy.requirement(layer);
        let status = if requirement == Requirement::Off {
            LayerStatus::Off
        } else if let Some((stage, errno)) = failed(layer) {
            let hint = hint(layer, errno).to_owned();
            LayerStatus::Unavailable { stage, errno, hint }
        } else {
            full_or_partial(policy, setting, layer, groups)
        };
        let detail = match (layer, version) {
            (Layer::ControlGroups, Some(version)) => format!("version {version}; {}", tree_limits(policy)),
            (Layer::Seccomp, _) => {
                let detail = detail(policy, setting, layer);
                match &unrecorded {
                    None => detail,
                    Some((stage, errno)) => {
                        let error = io::Error::from_raw_os_error(*errno);
                        format!("{detail}; no record of refused calls: cannot {stage} ({error})")
                    }
                }
            }
            _ => detail(policy, setting, layer),
        };
        report = report.layer(layer, requirement, status, detail);
    }
    report
}

/// The first step of a purpose that failed and was allowed to.
pub(super) fn degraded(purpose: Purpose, plan: &Plan, started: &Started) -> Option<(String, i32)> {
    started.degraded.iter().find_map(|(op, errno)| {
        plan.stage(*op).filter(|stage| stage.purpose == purpose).map(|stage| (stage.what.to_string(), *errno))
    })
}

fn full_or_partial(
    policy: &SandboxPolicy,
    setting: &Setting<'_>,
    layer: Layer,
    groups: &LayerStatus,
) -> LayerStatus {
    match layer {
        Layer::ControlGroups => groups.clone(),
        Layer::Landlock => match setting.landlock_abi {
            None => LayerStatus::Unavailable {
                stage: "ask for the kernel's Landlock version".to_owned(),
                errno: libc::ENOSYS,
                hint: hint(layer, libc::ENOSYS).to_owned(),
            },
            Some(abi) => match landlock::missing(abi, Tcp::of(policy)) {
                missing if missing.is_empty() => LayerStatus::Full,
                missing => LayerStatus::Partial { missing },
            },
        },
        Layer::NetworkNamespace if policy.network == Network::DangerousFull => LayerStatus::Off,
        Layer::ResourceLimits if matches!(groups, LayerStatus::Unavailable { .. } | LayerStatus::Off) => {
            LayerStatus::Partial {
                missing: vec!["a limit on shared memory and on the tree's memory as a whole".to_owned()],
            }
        }
        _ => LayerStatus::Full,
    }
}

fn detail(policy: &SandboxPolicy, setting: &Setting<'_>, layer: Layer) -> String {
    let limits = &policy.limits;
    let mib = |bytes: u64| bytes >> 20;
    match layer {
        Layer::UserNamespace if setting.identity.dropped => {
            format!(
                "host is root; runs as uid {} outside; no nested namespaces",
                setting.identity.uid_outside
            )
        }
        Layer::UserNamespace => format!("uid {}; no nested namespaces", setting.identity.uid_outside),
        Layer::PidNamespace => "own /proc; the tree ends with its init".to_owned(),
        Layer::MountNamespace => format!(
            "{} readable, {} writable, {} copy-on-write ({} of them read-only), {} hidden; system read-only",
            policy.read.len(),
            policy.write.len(),
            policy.overlays.len(),
            policy.overlays.iter().filter(|overlay| overlay.read_only).count(),
            policy.hide.len()
        ),
        Layer::NetworkNamespace => match &policy.network {
            Network::None if has_loopback(policy) => "own loopback; Unix sockets in granted paths".to_owned(),
            Network::None => "no loopback; Unix sockets in granted paths".to_owned(),
            Network::Domains(rules) => {
                let rules: Vec<&str> = rules.iter().map(DomainRule::as_str).collect();
                format!("domains only, through a proxy: {}", rules.join(", "))
            }
            Network::DangerousFull => "the policy grants the host's network".to_owned(),
        },
        Layer::IpcNamespace => "with own host name".to_owned(),
        Layer::Landlock => setting.landlock_abi.map_or_else(
            || "not in this kernel".to_owned(),
            |abi| {
                let tcp = match Tcp::of(policy) {
                    Tcp::Free if policy.network == Network::DangerousFull => {
                        "TCP not restricted: the policy grants the host's network"
                    }
                    Tcp::Free => "TCP not restricted: the policy grants the sandbox's own loopback",
                    Tcp::Refused => "TCP refused",
                    Tcp::Connect(_) => "TCP refused but for connecting to the proxy's port",
                };
                format!("ABI {abi}: files, devices, signals, abstract sockets; {tcp}")
            },
        ),
        Layer::Seccomp => format!(
            "{} calls refused, set-user-id modes too; other architectures killed",
            seccomp::denied().count()
        ),
        Layer::NoNewPrivileges => String::new(),
        Layer::Capabilities => "all dropped, bounding set included".to_owned(),
        Layer::ResourceLimits => format!(
            "{} processes, {}, {} s, {} MiB of output",
            limits.processes,
            match setting.grouped {
                true => "memory by the control group alone".to_owned(),
                false => format!("{} MiB private to each", mib(limits.memory_bytes)),
            },
            limits.timeout.as_secs(),
            mib(limits.output_bytes)
        ),
        Layer::Environment => "named variables and standard descriptors only".to_owned(),
        #[allow(unreachable_patterns, reason = "a layer that is added later has no detail until it has one")]
        _ => String::new(),
    }
}

fn tree_limits(policy: &SandboxPolicy) -> String {
    let limits = &policy.limits;
    let mut text = format!("{} MiB and {} processes in all", limits.memory_bytes >> 20, limits.processes);
    if let Some(percent) = limits.cpu_percent {
        text.push_str(&format!(", {percent} % of a processor"));
    }
    if let Some(rate) = limits.io_bytes_per_second {
        text.push_str(&format!(", {rate} B/s of transfers"));
    }
    text
}

/// The status where the command is in no control group.
pub(super) fn no_groups(stage: &str, errno: i32) -> LayerStatus {
    let hint = hint(Layer::ControlGroups, errno).to_owned();
    LayerStatus::Unavailable { stage: stage.to_owned(), errno, hint }
}

/// The error where the policy requires them all the same.
pub(super) fn groups_missing(status: &LayerStatus) -> SandboxError {
    let (stage, errno) = match status {
        LayerStatus::Unavailable { stage, errno, .. } => (stage.as_str(), *errno),
        _ => ("make a group", 0),
    };
    let error = io::Error::from_raw_os_error(errno);
    SandboxError::layer_unavailable(Layer::ControlGroups, stage, &error, hint(Layer::ControlGroups, errno))
}

/// What a person can do about a refusal.
fn hint(layer: Layer, errno: i32) -> &'static str {
    match (layer, errno) {
        (Layer::Landlock, _) => "boot a kernel of 5.13 or later with landlock in the lsm= list",
        (Layer::ControlGroups, _) => {
            "run the host in a control group of its own that it may divide: as a systemd service or scope with \
             Delegate=yes (systemd-run --user --scope -p Delegate=yes), or in a container with a writable /sys/fs/cgroup"
        }
        (Layer::Seccomp, _) => "use a kernel with CONFIG_SECCOMP_FILTER",
        (Layer::UserNamespace, libc::ENOSPC) => {
            "user namespaces are used up or forbidden here (user.max_user_namespaces); this is also so inside \
             another sandbox"
        }
        (Layer::UserNamespace, libc::EPERM | libc::EACCES) => {
            "unprivileged user namespaces are restricted: see kernel.unprivileged_userns_clone, or AppArmor's \
             kernel.apparmor_restrict_unprivileged_userns and give the host program a profile with userns; in a \
             container, allow clone with CLONE_NEWUSER in its seccomp profile"
        }
        (Layer::PidNamespace, libc::EPERM) => {
            "the kernel mounts a fresh /proc only where the outer one is fully visible: run the container with an \
             unmasked /proc"
        }
        (Layer::MountNamespace, libc::ENOSYS) => "use Linux 5.12 or later",
        (Layer::MountNamespace, libc::ELOOP) => {
            "a symbolic link has come into the path: resolve the policy again"
        }
        _ => "see the error, or relax the layer in the policy",
    }
}

const OVERLAY_HINT: &str = "overlays in user namespaces need Linux 5.12 (as root 5.19) with overlayfs, a workspace \
    without mounts below it, and a state directory on a file system with user extended attributes that is no overlay \
    itself (ext4, xfs, btrfs, tmpfs since Linux 6.6); the workspace is not written to instead";

/// The error where the kernel has no Landlock and the policy requires it.
pub(super) fn landlock_missing() -> SandboxError {
    let error = io::Error::from_raw_os_error(libc::ENOSYS);
    let hint = hint(Layer::Landlock, libc::ENOSYS);
    SandboxError::layer_unavailable(Layer::Landlock, "ask for the kernel's Landlock version", &error, hint)
}

/// The error of a start that failed.
pub(super) fn of_failure(error: StartError, plan: &Plan, request_program: &str) -> SandboxError {
    let unavailable = |layer: Layer, stage: &str, error: &io::Error| {
        let hint = match stage.starts_with(OVERLAY_STAGE) {
            true => OVERLAY_HINT,
            false => hint(layer, error.raw_os_error().unwrap_or(0)),
        };
        SandboxError::layer_unavailable(layer, stage, error, hint)
    };
    match error {
        StartError::Namespaces(error) => {
            unavailable(Layer::UserNamespace, "make a process in new namespaces", &error)
        }
        StartError::Map(error) => unavailable(Layer::UserNamespace, "map the user and group", &error),
        StartError::Init(error) => SandboxError::new(
            SandboxErrorKind::System,
            format!(
                "the sandbox's init program was not executed from memory: {error}; allow it by vm.memfd_noexec=0; \
                 nothing was run"
            ),
        ),
        StartError::System(what, error) => SandboxError::system(what, error),
        StartError::Plan { op, error } => {
            let Some(stage) = plan.stage(op) else {
                return SandboxError::system("init failed at a step that is not in its plan", error);
            };
            match stage.purpose {
                Purpose::Layer(layer) => unavailable(layer, &stage.what, &error),
                Purpose::WorkingDirectory => SandboxError::invalid_request(format!(
                    "the working directory {} cannot be entered in the sandbox: {error}; nothing was run",
                    stage.what
                )),
                Purpose::Program => SandboxError::new(
                    SandboxErrorKind::ProgramNotRun,
                    format!(
                        "{request_program} was not run: {error} in the sandbox; name a program that is in the sandbox's \
                         PATH or in a granted path"
                    ),
                ),
                Purpose::Records | Purpose::Machinery => SandboxError::system("init failed", error),
            }
        }
    }
}
