//! The daemon: where it listens, what it can do, and the image that containers are made of.
//!
//! Docker's API is asked, of which Podman has these parts too.

use super::http::ANSWER_TIME;
use super::owner::{LABEL, Owner};
use super::podman;
use super::removal::Remover;
use crate::sandbox::SandboxError;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    CreateImageOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions,
};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// Of a daemon's message, what is passed on.
const SAID_CHARACTERS: usize = 400;
/// Whose access is as good as root's. None of them is ever shown to a command.
const KNOWN_SOCKETS: [&str; 8] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/dbus/system_bus_socket",
];

/// A connection to a daemon, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Daemon {
    pub(super) docker: Docker,
    pub(super) socket: PathBuf,
    /// As request paths start: `/v1.41`.
    pub(super) version: String,
    pub(super) facts: Facts,
}

/// Whose daemon it is: in which form settings are asked for and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Docker,
    Podman,
}

/// What a daemon says of itself.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) engine: Engine,
    /// `Docker 20.10.24`, for reports.
    pub(super) launcher: String,
    /// Containers' users are not the machine's.
    pub(super) maps_users: bool,
    /// Of a rootless Podman service: the user that it runs as.
    pub(super) user: Option<u32>,
    pub(super) seccomp: bool,
    /// As `uname -m` names it.
    pub(super) machine: String,
    pub(super) limits_memory: bool,
    pub(super) limits_swap: bool,
    pub(super) limits_processes: bool,
    pub(super) limits_processors: bool,
    pub(super) cgroup_version: String,
}

/// How a container ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) code: Option<i64>,
    pub(super) out_of_memory: bool,
}

/// The image, as it was when the sandbox was made.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// Its content's digest: what the name stands for later does not matter.
    pub(super) id: String,
    /// Names of variables that it would set.
    pub(super) variables: Vec<String>,
}

/// Where the daemon listens: `DOCKER_HOST` or `CONTAINER_HOST`, then Docker's places, then Podman's: the machine's, the user's.
pub(super) fn default_socket() -> Result<PathBuf, SandboxError> {
    for variable in ["DOCKER_HOST", "CONTAINER_HOST"] {
        let Some(host) = std::env::var_os(variable).filter(|host| !host.is_empty()) else { continue };
        let host = host.to_string_lossy().into_owned();
        return match host.strip_prefix("unix://") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Err(SandboxError::invalid_request(format!(
                "{variable} is {host:?}: only a Unix socket of this machine is used (unix:///path), since granted paths \
                 are mounted from here; nothing was run"
            ))),
        };
    }
    let mut places = vec![PathBuf::from("/var/run/docker.sock")];
    places.extend(of_user("docker.sock"));
    places.push(PathBuf::from("/run/podman/podman.sock"));
    places.extend(of_user("podman/podman.sock"));
    places.into_iter().find(|path| path.exists()).ok_or_else(|| {
        SandboxError::system(
            "no daemon's socket at /var/run/docker.sock, at /run/podman/podman.sock or in XDG_RUNTIME_DIR; start one, or \
             name its socket",
            io::Error::from(io::ErrorKind::NotFound),
        )
    })
}

/// Where a daemon of this user's listens.
fn of_user(name: &str) -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join(name))
}

impl Daemon {
    pub(super) async fn connect(socket: &Path) -> Result<Self, SandboxError> {
        let socket = socket.canonicalize().map_err(|error| {
            SandboxError::system(&format!("cannot find the daemon's socket {}", socket.display()), error)
        })?;
        let name = socket.to_str().ok_or_else(|| {
            SandboxError::invalid_request(format!("the socket's path {} is not UTF-8", socket.display()))
        })?;
        let docker = Docker::connect_with_unix(name, ANSWER_TIME.as_secs(), bollard::API_DEFAULT_VERSION)
            .map_err(|error| of_daemon("cannot use the daemon's socket", error))?
            .negotiate_version()
            .await
            .map_err(|error| {
                of_daemon("the daemon does not answer; is it running, and may this user use it?", error)
            })?;
        let version = format!("/v{}", docker.client_version());
        let facts = Facts::ask(&docker, &socket).await?;
        Ok(Self { docker, socket, version, facts })
    }

    /// The image of that name, pulled where it is missing and that is allowed.
    pub(super) async fn image(&self, name: &str, may_pull: bool) -> Result<Image, SandboxError> {
        check_image_name(name)?;
        let mut found = self.docker.inspect_image(name).await;
        if may_pull && found.as_ref().is_err_and(|error| status(error) == Some(404)) {
            let options = CreateImageOptions { from_image: Some(name.to_owned()), ..Default::default() };
            let mut progress = self.docker.create_image(Some(options), None, None);
            while let Some(step) = progress.next().await {
                step.map_err(|error| of_daemon(&format!("cannot pull the image {name}"), error))?;
            }
            found = self.docker.inspect_image(name).await;
        }
        let image = found.map_err(|error| match status(&error) {
            Some(404) => SandboxError::invalid_request(format!(
                "the daemon has no image {name}, and it is not pulled unless that is allowed: load it, or allow it"
            )),
            _ => of_daemon(&format!("cannot look at the image {name}"), error),
        })?;
        let config = image.config.unwrap_or_default();
        if config.volumes.is_some_and(|volumes| !volumes.is_empty()) {
            return Err(SandboxError::invalid_request(format!(
                "the image {name} declares volumes, which would be writable: use one without"
            )));
        }
        let id = image.id.filter(|id| !id.is_empty()).ok_or_else(|| {
            SandboxError::system("the daemon told no id of the image", io::Error::other(name.to_owned()))
        })?;
        let name = |pair: String| pair.split('=').next().map(str::to_owned);
        let variables = config.env.unwrap_or_default().into_iter().filter_map(name).collect();
        Ok(Image { id, variables })
    }

    /// Removes the containers of hosts that are gone, and tells how many.
    pub(super) async fn sweep(&self, owner: &Owner) -> Result<usize, SandboxError> {
        let listed = match self.facts.engine {
            Engine::Docker => self.labelled().await?,
            Engine::Podman => podman::labelled(&self.socket, LABEL)
                .await
                .map_err(|error| SandboxError::system("cannot list the daemon's containers", error))?,
        };
        let mut removed = 0;
        for (id, label) in &listed {
            if !owner.knows_gone(label) {
                continue;
            }
            let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
            match self.docker.remove_container(id, Some(options)).await {
                Ok(()) => removed += 1,
                // Another host sweeps too.
                Err(error) if matches!(status(&error), Some(404 | 409)) => {}
                Err(error) => {
                    return Err(of_daemon("cannot remove a container of a host that is gone", error));
                }
            }
        }
        Ok(removed)
    }

    /// The containers that have an owner: their numbers, and the owner's label.
    async fn labelled(&self) -> Result<Vec<(String, String)>, SandboxError> {
        let filters = HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = self
            .docker
            .list_containers(Some(options))
            .await
            .map_err(|error| of_daemon("cannot list the daemon's containers", error))?;
        let labelled = |container: ContainerSummary| Some((container.id?, container.labels?.remove(LABEL)?));
        Ok(listed.into_iter().filter_map(labelled).collect())
    }

    /// How a container ended.
    pub(super) async fn end(&self, name: &str) -> Result<End, SandboxError> {
        let what = "the daemon does not tell how the command ended";
        match self.facts.engine {
            Engine::Docker => {
                let told = self.docker.inspect_container(name, None::<InspectContainerOptions>).await;
                let state = told.map_err(|error| of_daemon(what, error))?.state.unwrap_or_default();
                Ok(End { code: state.exit_code, out_of_memory: state.oom_killed == Some(true) })
            }
            // Its states are not all Docker's.
            Engine::Podman => {
                podman::end(&self.socket, name).await.map_err(|error| SandboxError::system(what, error))
            }
        }
    }

    /// Sockets that make whoever reaches them root of this machine, where they are now.
    pub(super) fn sockets(&self) -> Vec<PathBuf> {
        let of_user = ["docker.sock", "podman/podman.sock"].into_iter().filter_map(of_user);
        let known = KNOWN_SOCKETS.iter().map(PathBuf::from).chain(of_user);
        let known = known.filter_map(|path| path.canonicalize().ok());
        let mut sockets: Vec<PathBuf> = known.chain([self.socket.clone()]).collect();
        sockets.sort();
        sockets.dedup();
        sockets
    }

    pub(super) fn remover(&self, name: &str) -> Remover {
        Remover { socket: self.socket.clone(), version: self.version.clone(), name: name.to_owned() }
    }
}

impl Facts {
    /// Whether containers have control groups, by which they are limited, stopped and counted.
    pub(super) fn has_groups(&self) -> bool {
        self.limits_memory || self.limits_processes
    }

    async fn ask(docker: &Docker, socket: &Path) -> Result<Self, SandboxError> {
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

/// A reference: lower-case names, a registry's port, a tag, a digest. It becomes a part of a request's path.
fn check_image_name(name: &str) -> Result<(), SandboxError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let has_empty_part = name.split('/').any(|part| part.is_empty() || part == "." || part == "..");
    if starts_well && name.len() <= 512 && name.bytes().all(known) && !has_empty_part {
        return Ok(());
    }
    Err(SandboxError::invalid_request(format!(
        "{name:?} is no image name: write registry/name:tag or name@sha256:…"
    )))
}

/// The HTTP status of a refusal.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The daemon failed at `what`.
pub(super) fn of_daemon(what: &str, error: Error) -> SandboxError {
    // Some repeat the whole request.
    let said: String = error.to_string().lines().collect::<Vec<_>>().join(" ");
    let short: String = said.chars().take(SAID_CHARACTERS).collect();
    let dots = if short.len() < said.len() { "…" } else { "" };
    SandboxError::system(what, io::Error::other(format!("{short}{dots}")))
}
