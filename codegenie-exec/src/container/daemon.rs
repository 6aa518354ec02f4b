//! The daemon: a connection to it, and what it knows of containers.
//!
//! Docker's API is asked, of which Podman has these parts too.

mod facts;
mod image;
mod sockets;

pub(super) use self::facts::{Engine, Facts};
pub(super) use self::image::Image;
pub(super) use self::sockets::default_socket;

use super::http::ANSWER_TIME;
use super::owner::{LABEL, Owner};
use super::podman;
use super::removal::Remover;
use crate::sandbox::SandboxError;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions, RemoveContainerOptions};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// Of a daemon's message, what is passed on.
const SAID_CHARACTERS: usize = 400;
/// A connection to a daemon, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Daemon {
    pub(super) docker: Docker,
    pub(super) socket: PathBuf,
    /// As request paths start: `/v1.41`.
    pub(super) version: String,
    pub(super) facts: Facts,
}

/// How a container ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) code: Option<i64>,
    pub(super) out_of_memory: bool,
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

    /// Removes the containers of hosts that are gone, and tells how many.
    pub(super) async fn sweep(&self, owner: &Owner) -> Result<usize, SandboxError> {
        let listed = match self.facts.engine {
            Engine::Docker => self.labelled().await?,
            Engine::Podman => podman::labelled(&self.socket, LABEL)
                .await
                .map_err(|error| SandboxError::system("cannot list the daemon's containers", error))?,
        };
        if self.facts.engine == Engine::Podman {
            podman::sweep_profiles(owner)?;
        }
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

    pub(super) fn remover(&self, name: &str) -> Remover {
        Remover { socket: self.socket.clone(), version: self.version.clone(), name: name.to_owned() }
    }
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
