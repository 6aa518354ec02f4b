//! What Podman is asked for: a policy and a request as its own API takes them.

use crate::container::confinement::{
    Confinement, HOST_NAME, Mounted, Settings, command, has_input, is_terminal,
};
use crate::container::daemon::{Daemon, Image};
use crate::sandbox::{Layer, Network, Requirement, SandboxError, SandboxRequest};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Where Podman puts its init program into a container.
pub(super) const INIT: &str = "/run/podman-init";
pub(super) const UMASK: u32 = 0o022;
/// Options of temporary file systems that are Podman's: the owner is the command's user, and nothing is copied into them.
pub(super) const OWNED: &str = "U";
pub(super) const EMPTY: &str = "notmpcopyup";
/// Microseconds in which a share of processors is used up.
const PERIOD: i64 = 100_000;

/// The container for a request under a confinement, but for its seccomp profile.
pub(in crate::container) fn spec(
    confinement: &Confinement,
    request: &SandboxRequest,
    daemon: &Daemon,
    image: &Image,
    settings: &Settings,
    name: &str,
    labels: HashMap<String, String>,
) -> Result<Value, SandboxError> {
    if confinement.policy.network == Network::DangerousFull && daemon.facts.user.is_some() {
        return Err(SandboxError::invalid_policy(
            "the policy grants the host's network, with which a rootless Podman shows all of the host's /sys: grant none, or \
             use a service of root's; nothing was run",
        ));
    }
    let parts = [
        run(confinement, request, image, name, labels)?,
        namespaces(confinement, daemon),
        protection(confinement, daemon, settings)?,
    ];
    let fields = parts.into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Ok(Value::Object(fields.flatten().collect()))
}

/// What runs, and how it is told from others.
fn run(
    confinement: &Confinement,
    request: &SandboxRequest,
    image: &Image,
    name: &str,
    labels: HashMap<String, String>,
) -> Result<Value, SandboxError> {
    let (uid, gid) = confinement.user;
    Ok(json!({
        "name": name,
        "image": image.id.strip_prefix("sha256:").unwrap_or(&image.id),
        "labels": labels,
        // The first init is Podman's, reaps and ends the tree; the second passes signals on to the command's whole group.
        "init": true,
        "entrypoint": [INIT, "-g", "--"],
        "command": command(request)?,
        "env": confinement.environment(request)?,
        "unsetenvall": true,
        "env_host": false,
        "httpproxy": false,
        "work_dir": confinement.cwd(request)?,
        "user": format!("{uid}:{gid}"),
        "umask": format!("{UMASK:04o}"),
        "terminal": is_terminal(request),
        "stdin": has_input(request),
        // It is killed at once where it is removed.
        "stop_timeout": 0,
        "restart_policy": "no",
        "systemd": "false",
        "sdnotifyMode": "ignore",
        "healthconfig": { "Test": ["NONE"] },
        // Output goes to the host alone: the daemon's disk is not the command's to fill.
        "log_configuration": { "driver": "none" },
    }))
}

fn namespaces(confinement: &Confinement, daemon: &Daemon) -> Value {
    let full_network = confinement.policy.network == Network::DangerousFull;
    let private = json!({ "nsmode": "private" });
    let (uid, gid) = confinement.user;
    let userns = if daemon.facts.user == Some(uid) {
        // A rootless service's own user keeps its number, and what it owns; everybody else is nobody of the machine's.
        json!({ "nsmode": "keep-id", "value": format!("uid={uid},gid={gid}") })
    } else {
        json!({ "nsmode": "host" })
    };
    json!({
        "pidns": private,
        "utsns": private,
        "ipcns": private,
        "cgroupns": private,
        "netns": { "nsmode": if full_network { "host" } else { "none" } },
        "userns": userns,
        "hostname": HOST_NAME,
        // Without a network there is nobody to resolve.
        "use_image_hosts": !full_network,
        "use_image_resolve_conf": !full_network,
    })
}

fn protection(
    confinement: &Confinement,
    daemon: &Daemon,
    settings: &Settings,
) -> Result<Value, SandboxError> {
    let seccomp = match confinement.policy.requirement(Layer::Seccomp) {
        Requirement::Off => "unconfined",
        // The daemon's own, or ours in its place.
        _ => "",
    };
    Ok(json!({
        "passwd": false,
        "image_volume_mode": "ignore",
        "privileged": false,
        "cap_drop": ["ALL"],
        "no_new_privileges": true,
        "seccomp_profile_path": seccomp,
        "read_only_filesystem": true,
        "read_write_tmpfs": false,
        "mounts": mounts(confinement)?,
        "shm_size": confinement.temporary_bytes(),
        "cgroups_mode": "enabled",
        "resource_limits": resources(confinement, daemon),
        "r_limits": process_limits(confinement),
        "oci_runtime": settings.runtime.clone().unwrap_or_default(),
    }))
}

fn mounts(confinement: &Confinement) -> Result<Vec<Value>, SandboxError> {
    let size = confinement.temporary_bytes();
    let temporary = |place: &str, options: &[&str], mode: &str, size: u64| {
        let of_size = [format!("mode={mode}"), format!("size={size}")];
        // With the image's content would come its directory's mode.
        let fixed = ["nosuid", "nodev", EMPTY];
        let options = options.iter().chain(&fixed).map(|option| (*option).to_owned());
        let options: Vec<String> = options.chain(of_size).collect();
        json!({ "destination": place, "type": "tmpfs", "source": "tmpfs", "options": options })
    };
    let bind = |source: &str, place: &str, options: &[&str]| {
        let options = [&["bind", "rprivate"], options].concat();
        json!({ "destination": place, "type": "bind", "source": source, "options": options })
    };
    let own = |(place, mode)| temporary(place, &["rw", "exec", OWNED], mode, size);
    let writable = confinement.temporary().into_iter().map(own);
    let of_policy = confinement.mounts()?.into_iter().map(|(place, mounted)| match mounted {
        Mounted::Host { writable: true } => bind(&place, &place, &["rw", "nosuid", "nodev"]),
        Mounted::Host { writable: false } => bind(&place, &place, &["ro", "nosuid", "nodev"]),
        Mounted::NoFile => bind("/dev/null", &place, &["ro"]),
        Mounted::NoDirectory => temporary(&place, &["ro", "noexec"], "0555", 4096),
    });
    Ok(writable.chain(of_policy).collect())
}

/// As the OCI runtime takes them; nothing where there is nothing to ask for.
fn resources(confinement: &Confinement, daemon: &Daemon) -> Value {
    let groups = confinement.group_limits(&daemon.facts);
    let mut resources = serde_json::Map::new();
    if let Some(memory) = groups.memory {
        let mut limits = serde_json::Map::from_iter([("limit".to_owned(), json!(memory))]);
        limits.extend(groups.memory_and_swap.map(|both| ("swap".to_owned(), json!(both))));
        resources.insert("memory".to_owned(), limits.into());
    }
    if let Some(processes) = groups.processes {
        resources.insert("pids".to_owned(), json!({ "limit": processes }));
    }
    if let Some(percent) = groups.processor_percent {
        let quota = percent.saturating_mul(PERIOD / 100);
        resources.insert("cpu".to_owned(), json!({ "quota": quota, "period": PERIOD }));
    }
    resources.into()
}

fn process_limits(confinement: &Confinement) -> Vec<Value> {
    let limits =
        confinement.process_limits().into_iter().chain(most_processes().map(|most| ("nproc", most, most)));
    limits.map(|(name, soft, hard)| json!({ "type": name, "soft": soft, "hard": hard })).collect()
}

/// How many processes a user may have. Podman would ask for a number of its own, which it may not set where it lacks
/// the capability: what this process has, or the machine, it has too.
fn most_processes() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max processes"))?;
    let own = line.split_whitespace().nth(1)?.parse().unwrap_or(u64::MAX);
    let machine: u64 = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok()?.trim().parse().ok()?;
    Some(own.min(machine))
}
