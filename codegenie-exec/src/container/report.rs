//! What a container enforces, layer by layer, and what a daemon cannot.

use super::confinement::{Confinement, Settings};
use super::daemon::{Engine, Facts};
use super::seccomp;
use crate::sandbox::{
    EnforcementReport, Layer, LayerStatus, Network, Requirement, SandboxError, SandboxPolicy,
};
use std::io;

pub(super) const NAME: &str = "container";

/// The report for a container under this confinement, or why there can be none.
pub(super) fn report(
    confinement: &Confinement,
    facts: &Facts,
    settings: &Settings,
) -> Result<EnforcementReport, SandboxError> {
    let policy = &confinement.policy;
    let launcher = match &settings.runtime {
        Some(runtime) => format!("{}, runtime {runtime}", facts.launcher),
        None => facts.launcher.clone(),
    };
    let mut report = EnforcementReport::new(NAME, launcher);
    for layer in Layer::ALL {
        let requirement = policy.requirement(layer);
        let status = match requirement {
            Requirement::Off => LayerStatus::Off,
            _ => status(layer, confinement, facts),
        };
        if let (Requirement::Required, LayerStatus::Unavailable { stage, hint, .. }) = (requirement, &status)
        {
            let error = io::Error::from(io::ErrorKind::Unsupported);
            return Err(SandboxError::layer_unavailable(layer, stage, &error, hint));
        }
        report = report.layer(layer, requirement, status, detail(layer, confinement, facts));
    }
    Ok(report)
}

fn unavailable(stage: &str, hint: &str) -> LayerStatus {
    LayerStatus::Unavailable { stage: stage.to_owned(), errno: 0, hint: hint.to_owned() }
}

fn full_or(missing: Vec<String>) -> LayerStatus {
    if missing.is_empty() { LayerStatus::Full } else { LayerStatus::Partial { missing } }
}

fn status(layer: Layer, confinement: &Confinement, facts: &Facts) -> LayerStatus {
    let policy = &confinement.policy;
    match layer {
        Layer::UserNamespace if facts.maps_users => LayerStatus::Full,
        Layer::UserNamespace => LayerStatus::Partial {
            missing: vec![format!("a user namespace of its own (uid {} is the host's)", confinement.user.0)],
        },
        Layer::NetworkNamespace => match policy.network {
            Network::DangerousFull => LayerStatus::Off,
            _ if !policy.loopback => {
                LayerStatus::Partial { missing: vec!["keeping its own loopback down".to_owned()] }
            }
            _ => LayerStatus::Full,
        },
        Layer::Landlock => unavailable(
            "ask the daemon for Landlock rules",
            "container daemons set none: relax the layer by dangerous_relax(Layer::Landlock, …), or use the native sandbox",
        ),
        Layer::Seccomp if !facts.seccomp => {
            unavailable("ask the daemon for seccomp", "use a daemon and a kernel with seccomp")
        }
        Layer::Seccomp if confinement.profile.is_none() => LayerStatus::Partial {
            missing: vec![
                "what the daemon's default profile allows of our list, such as set-user-id modes".to_owned(),
            ],
        },
        Layer::ResourceLimits => {
            let in_groups = policy.requirement(Layer::ControlGroups) != Requirement::Off;
            let mut missing = Vec::new();
            if !(in_groups && facts.limits_processes) {
                missing.push("a limit on processes".to_owned());
            }
            if !(in_groups && facts.limits_memory) {
                missing.push("a limit on memory".to_owned());
            }
            if policy.limits.cpu.is_some() && !facts.has_groups() {
                missing.push("the processor time of all processes together".to_owned());
            }
            if facts.engine == Engine::Podman {
                missing.push("a limit on the number of files in /tmp, which Podman does not take".to_owned());
            }
            full_or(missing)
        }
        Layer::ControlGroups => groups(policy, facts),
        Layer::Environment => {
            let mut missing = Vec::new();
            if !names(policy, "HOME") {
                missing.push("HOME, which the runtime sets where nobody does".to_owned());
            }
            if facts.engine == Engine::Podman && !names(policy, "HOSTNAME") {
                missing.push("HOSTNAME, which Podman sets where nobody does".to_owned());
            }
            full_or(missing)
        }
        _ => LayerStatus::Full,
    }
}

fn names(policy: &SandboxPolicy, variable: &str) -> bool {
    policy.environment.contains_key(variable)
}

fn groups(policy: &SandboxPolicy, facts: &Facts) -> LayerStatus {
    if !facts.has_groups() {
        return unavailable(
            "ask the daemon for control groups",
            "give the daemon control groups: as root, or rootless with version 2 and delegated controllers",
        );
    }
    let limits = &policy.limits;
    let lacks = [
        (!facts.limits_memory, "memory"),
        (facts.limits_memory && !facts.limits_swap, "swap"),
        (!facts.limits_processes, "processes"),
        (limits.cpu_percent.is_some() && !facts.limits_processors, "the share of processors"),
        (limits.io_bytes_per_second.is_some(), "the rate of transfers, which daemons limit by device"),
    ];
    full_or(lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, what)| what.to_owned()).collect())
}

fn detail(layer: Layer, confinement: &Confinement, facts: &Facts) -> String {
    let policy = &confinement.policy;
    let limits = &policy.limits;
    match layer {
        Layer::UserNamespace => {
            let nested = if confinement.profile.is_some() { "; no nested namespaces" } else { "" };
            format!("uid {}, gid {}{nested}", confinement.user.0, confinement.user.1)
        }
        Layer::PidNamespace => "own /proc; the tree ends with the container's init".to_owned(),
        Layer::MountNamespace => format!(
            "{} readable, {} writable, {} hidden; the image read-only",
            policy.read.len(),
            policy.write.len(),
            policy.hide.len()
        ),
        Layer::NetworkNamespace => match policy.network {
            Network::DangerousFull => "the policy grants the host's network".to_owned(),
            _ => "own loopback; Unix sockets in granted paths".to_owned(),
        },
        Layer::IpcNamespace => "with own host name".to_owned(),
        Layer::Landlock => "no daemon sets it".to_owned(),
        Layer::Seccomp if confinement.profile.is_some() => format!(
            "{} calls refused, set-user-id modes too; other architectures killed",
            seccomp::denied_count()
        ),
        Layer::Seccomp => "the daemon's default profile".to_owned(),
        Layer::NoNewPrivileges => String::new(),
        Layer::Capabilities => "all dropped, bounding set included".to_owned(),
        Layer::ResourceLimits => format!(
            "{} s, {} MiB of output, files of {} MiB, {} descriptors",
            limits.timeout.as_secs(),
            limits.output_bytes >> 20,
            limits.file_bytes >> 20,
            limits.open_files
        ),
        Layer::ControlGroups => {
            let mut text = format!(
                "version {}; {} MiB and {} processes in all",
                facts.cgroup_version,
                limits.memory_bytes >> 20,
                limits.processes
            );
            if let Some(percent) = limits.cpu_percent {
                text.push_str(&format!(", {percent} % of a processor"));
            }
            text
        }
        Layer::Environment => "named variables and standard descriptors only".to_owned(),
        #[allow(unreachable_patterns, reason = "a layer that is added later has no detail until it has one")]
        _ => String::new(),
    }
}
