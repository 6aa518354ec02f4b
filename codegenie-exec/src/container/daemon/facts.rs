//! What a daemon can do.

use super::of_daemon;
use crate::container::podman;
use crate::sandbox::SandboxError;
use bollard::Docker;
use std::path::Path;

/// Whose daemon it is: in which form settings are asked for and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::container) enum Engine {
    Docker,
    Podman,
}

/// What a daemon says of itself.
#[derive(Clone, Debug)]
pub(in crate::container) struct Facts {
    pub(in crate::container) engine: Engine,
    /// `Docker 20.10.24`, for reports.
    pub(in crate::container) launcher: String,
    /// Containers' users are not the machine's.
    pub(in crate::container) maps_users: bool,
    /// Of a rootless Podman service: the user that it runs as.
    pub(in crate::container) user: Option<u32>,
    pub(in crate::container) seccomp: bool,
    /// As `uname -m` names it.
    pub(in crate::container) machine: String,
    pub(in crate::container) limits_memory: bool,
    pub(in crate::container) limits_swap: bool,
    pub(in crate::container) limits_processes: bool,
    pub(in crate::container) limits_processors: bool,
    pub(in crate::container) cgroup_version: String,
}

impl Facts {
    /// Whether containers have control groups, by which they are limited, stopped and counted.
    pub(in crate::container) fn has_groups(&self) -> bool {
        self.limits_memory || self.limits_processes
    }

    pub(super) async fn ask(docker: &Docker, socket: &Path) -> Result<Self, SandboxError> {
        let asked = |error| of_daemon("the daemon does not tell what it can do", error);
        let (info, version) = (docker.info().await.map_err(asked)?, docker.version().await.map_err(asked)?);
        if info.os_type.as_deref().is_some_and(|system| system != "linux") {
            return Err(SandboxError::invalid_request("the daemon's containers are not Linux"));
        }
        let is_podman = version
            .components
            .iter()
            .flatten()
            .any(|component| component.name.to_lowercase().contains("podman"));
        let number = version.version.unwrap_or_default();
        if is_podman {
            return podman::facts(socket, &number, &info).await;
        }
        let options = info.security_options.unwrap_or_default();
        let has = |name: &str| {
            options
                .iter()
                .any(|option| option.split(',').any(|part| part.strip_prefix("name=") == Some(name)))
        };
        Ok(Self {
            engine: Engine::Docker,
            launcher: format!("Docker {number}"),
            user: None,
            maps_users: has("userns") || has("rootless"),
            seccomp: has("seccomp"),
            machine: info.architecture.unwrap_or_default(),
            limits_memory: info.memory_limit == Some(true),
            limits_swap: info.swap_limit == Some(true),
            limits_processes: info.pids_limit == Some(true),
            limits_processors: info.cpu_cfs_quota == Some(true),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
        })
    }
}
