//! Docker's containers: made by the client library, and shown by the daemon as they are.

mod body;
mod verify;

pub(super) use self::body::body;
use super::daemon::{Daemon, of_daemon, status};
use super::owned::NotMade;
use crate::sandbox::SandboxError;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, InspectContainerOptions};

pub(super) async fn create(daemon: Daemon, name: String, body: ContainerCreateBody) -> Result<(), NotMade> {
    let options = CreateContainerOptions { name: Some(name), ..Default::default() };
    let made = daemon.docker.create_container(Some(options), body).await;
    made.map(|_| ()).map_err(|error| {
        let status = status(&error);
        NotMade::answered(of_daemon("the daemon did not make the container; nothing was run", error), status)
    })
}

/// Fails where the container that was made is not the one that was asked for.
pub(super) async fn check(
    daemon: &Daemon,
    name: &str,
    asked: &ContainerCreateBody,
) -> Result<(), SandboxError> {
    let made = daemon
        .docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await
        .map_err(|error| of_daemon("the daemon does not show the container; nothing was run", error))?;
    verify::verify(asked, &made)
}
