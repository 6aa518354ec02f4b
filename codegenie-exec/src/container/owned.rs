//! A container as something that is owned: it is removed with the value, and may be owned before it is made.

use super::daemon::{Daemon, status};
use super::removal::Remover;
use crate::sandbox::SandboxError;
use bollard::query_parameters::RemoveContainerOptions;

/// A container that is removed when the value is dropped, on a thread of its own.
#[derive(Debug)]
pub(super) struct Owned {
    remover: Remover,
    left: Left,
}

/// What there may be of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Perhaps,
    Container,
}

/// Why a container was not made.
#[derive(Debug)]
pub(super) struct NotMade {
    pub(super) error: SandboxError,
    /// The daemon said so. Else it may have made one, or be about to.
    pub(super) is_certain: bool,
}

impl NotMade {
    /// By the status of the daemon's answer, where there was one: it refuses what it does not begin.
    pub(super) fn answered(error: SandboxError, status: Option<u16>) -> Self {
        Self { error, is_certain: matches!(status, Some(400..=499)) }
    }
}

impl Owned {
    /// From before the daemon is asked to make it.
    pub(super) fn coming(remover: Remover) -> Self {
        Self { remover, left: Left::Perhaps }
    }

    /// The daemon answered.
    pub(super) fn made(mut self, made: Result<(), NotMade>) -> Result<Self, SandboxError> {
        match made {
            Ok(()) => {
                self.left = Left::Container;
                Ok(self)
            }
            Err(NotMade { error, is_certain }) => {
                if is_certain {
                    self.left = Left::Nothing;
                }
                Err(error)
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.remover.name
    }

    pub(super) fn remover(&self) -> &Remover {
        &self.remover
    }

    /// Removes it by the client.
    pub(super) async fn remove(mut self, daemon: &Daemon) {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let removed = daemon.docker.remove_container(self.name(), Some(options)).await;
        // Otherwise the drop tries, and after that the next host's sweep.
        if removed.is_ok() || removed.is_err_and(|error| status(&error) == Some(404)) {
            self.left = Left::Nothing;
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        match self.left {
            Left::Nothing => {}
            Left::Perhaps => self.remover.remove_whenever_made(),
            Left::Container => self.remover.remove_made(),
        }
    }
}
