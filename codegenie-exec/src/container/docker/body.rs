//! What Docker is asked for: a policy and a request as the body of its call.

use crate::container::confinement::{
    Confinement, HOST_NAME, Mounted, Settings, command, has_input, is_terminal, signed,
};
use crate::container::daemon::{Daemon, Facts, Image};
use crate::sandbox::{Layer, Network, Requirement, SandboxError, SandboxRequest};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType, ResourcesUlimits,
};
use std::collections::{BTreeMap, HashMap};

/// Where Docker puts its init program into a container.
const INIT: &str = "/sbin/docker-init";

/// The container for a request under a confinement.
pub(in crate::container) fn body(
    confinement: &Confinement,
    request: &SandboxRequest,
    daemon: &Daemon,
    image: &Image,
    settings: &Settings,
    labels: HashMap<String, String>,
) -> Result<ContainerCreateBody, SandboxError> {
    let has_input = has_input(request);
    // The first init reaps and ends the tree; the second passes signals on to the command's whole group.
    let entrypoint = [INIT, "-s", "-g", "--"].map(str::to_owned).into();
    Ok(ContainerCreateBody {
        image: Some(image.id.clone()),
        entrypoint: Some(entrypoint),
        cmd: Some(command(request)?),
        env: Some(environment(confinement.environment(request)?, image)),
        working_dir: Some(confinement.cwd(request)?),
        user: Some(format!("{}:{}", confinement.user.0, confinement.user.1)),
        hostname: (confinement.policy.network != Network::DangerousFull).then(|| HOST_NAME.to_owned()),
        tty: Some(is_terminal(request)),
        open_stdin: Some(has_input),
        stdin_once: Some(has_input),
        attach_stdin: Some(has_input),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        // What an image wants to run beside the command.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        labels: Some(labels),
        host_config: Some(host_config(confinement, &daemon.facts, settings)?),
        ..Default::default()
    })
}

fn host_config(
    confinement: &Confinement,
    facts: &Facts,
    settings: &Settings,
) -> Result<HostConfig, SandboxError> {
    let mut security = vec!["no-new-privileges".to_owned()];
    match (&confinement.profile, confinement.policy.requirement(Layer::Seccomp)) {
        (Some(profile), _) => security.push(format!("seccomp={profile}")),
        (None, Requirement::Off) => security.push("seccomp=unconfined".to_owned()),
        (None, _) => {}
    }
    let (uid, gid) = confinement.user;
    let size = confinement.temporary_bytes();
    // Some runtimes give a tmpfs the mode that the image's directory has: then it is the owner who may write.
    let of_mode = |(place, mode): (&str, &str)| {
        let options =
            format!("rw,exec,nosuid,nodev,mode={mode},uid={uid},gid={gid},size={size},nr_inodes=262144");
        (place.to_owned(), options)
    };
    let groups = confinement.group_limits(facts);
    Ok(HostConfig {
        network_mode: Some(match confinement.policy.network {
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
        mounts: Some(mounts(confinement)?),
        tmpfs: Some(confinement.temporary().into_iter().map(of_mode).collect()),
        shm_size: Some(signed(size)),
        memory: groups.memory,
        memory_swap: groups.memory_and_swap,
        pids_limit: groups.processes,
        nano_cpus: groups.processor_percent.map(|percent| percent * 10_000_000),
        ulimits: Some(ulimits(confinement)),
        // Output goes to the host alone: the daemon's disk is not the command's to fill.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        runtime: settings.runtime.clone(),
        ..Default::default()
    })
}

fn ulimits(confinement: &Confinement) -> Vec<ResourcesUlimits> {
    let ulimit = |(name, soft, hard): (&str, u64, u64)| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(signed(soft)),
        hard: Some(signed(hard)),
    };
    confinement.process_limits().into_iter().map(ulimit).collect()
}

fn mounts(confinement: &Confinement) -> Result<Vec<Mount>, SandboxError> {
    let bind = |source: &str, target: &str, writable: bool| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(target.to_owned()),
        read_only: Some(!writable),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            non_recursive: Some(true),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mount = |(target, mounted): (String, Mounted)| match mounted {
        Mounted::Host { writable } => bind(&target, &target, writable),
        Mounted::NoFile => bind("/dev/null", &target, false),
        Mounted::NoDirectory => Mount {
            typ: Some(MountType::TMPFS),
            target: Some(target),
            read_only: Some(true),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: Some(4096),
                mode: Some(0o555),
                ..Default::default()
            }),
            ..Default::default()
        },
    };
    Ok(confinement.mounts()?.into_iter().map(mount).collect())
}

/// The variables, and for each that somebody else would set its bare name, by which the daemon takes it away.
fn environment(variables: BTreeMap<String, String>, image: &Image) -> Vec<String> {
    let mut names: BTreeMap<String, Option<String>> =
        variables.into_iter().map(|(name, value)| (name, Some(value))).collect();
    for unwanted in
        image.variables.iter().map(String::as_str).chain(["HOSTNAME", "PATH", "TERM", "container"])
    {
        names.entry(unwanted.to_owned()).or_insert(None);
    }
    let entry = |(name, value): (String, Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name,
    };
    names.into_iter().map(entry).collect()
}
