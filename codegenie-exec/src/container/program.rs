//! Whether the program is there: the container's init would only end with a number that a program may end with too.

use super::confinement::Confinement;
use super::daemon::{Daemon, status};
use crate::sandbox::{SandboxError, SandboxErrorKind, SandboxRequest};
use bollard::query_parameters::ContainerArchiveInfoOptions;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What C libraries look through where there is no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// How many answers about the image's files are kept.
const KEPT: usize = 1024;
/// Of a mode as Go writes it.
const GO_DIRECTORY: u32 = 1 << 31;
const GO_LINK: u32 = 1 << 27;

/// What is known of the image's files, which do not change.
#[derive(Debug, Default)]
pub(super) struct Programs(Mutex<HashMap<String, bool>>);

impl Programs {
    /// Fails where the request's program surely cannot be executed in the container, which has been made.
    pub(super) async fn check(
        &self,
        daemon: &Daemon,
        name: &str,
        confinement: &Confinement,
        request: &SandboxRequest,
    ) -> Result<(), SandboxError> {
        for candidate in candidates(confinement, request) {
            if self.is_executable(daemon, name, confinement, &candidate).await? {
                return Ok(());
            }
        }
        let shown = request.program.to_string_lossy();
        Err(SandboxError::new(
            SandboxErrorKind::ProgramNotRun,
            format!(
                "{shown} was not run: not there or not executable in the container; name a program that is in the image, in \
                 the PATH, or in a granted path"
            ),
        ))
    }

    async fn is_executable(
        &self,
        daemon: &Daemon,
        name: &str,
        confinement: &Confinement,
        path: &Path,
    ) -> Result<bool, SandboxError> {
        if confinement.view.grants(path) {
            let Ok(real) = path.canonicalize() else {
                // A link may lead into the image.
                return Ok(path.is_symlink());
            };
            if !confinement.view.grants(&real) {
                return Ok(true);
            }
            return Ok(real
                .metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0));
        }
        let Some(path) = path.to_str() else { return Ok(false) };
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(*known);
        }
        let found = in_image(daemon, name, path).await?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Below a granted path the answer depends on the policy.
        let of_image = !confinement.view.entries.iter().any(|entry| entry.path.starts_with(path));
        if known.len() < KEPT && of_image {
            known.insert(path.to_owned(), found);
        }
        Ok(found)
    }
}

async fn in_image(daemon: &Daemon, name: &str, path: &str) -> Result<bool, SandboxError> {
    let look = async |path: &str| {
        let options = ContainerArchiveInfoOptions { path: path.to_owned() };
        match daemon.docker.get_container_archive_info(name, Some(options)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(super::daemon::of_daemon("cannot look for the program in the image", error)),
        }
    };
    let Some(mut found) = look(path).await? else { return Ok(false) };
    if found.file_mode & GO_LINK != 0 {
        // Resolved by the daemon to its end.
        let Some(target) = look(&found.link_target).await? else { return Ok(false) };
        found = target;
    }
    Ok(found.file_mode & GO_DIRECTORY == 0 && found.file_mode & 0o111 != 0)
}

fn candidates(confinement: &Confinement, request: &SandboxRequest) -> Vec<PathBuf> {
    let program = Path::new(&request.program);
    if request.program.as_encoded_bytes().contains(&b'/') {
        return vec![request.cwd.join(program)];
    }
    let of_policy = confinement.policy.environment.get("PATH").map(OsStr::new);
    let search = request.env.get(OsStr::new("PATH")).map(OsStr::new).or(of_policy);
    std::env::split_paths(search.unwrap_or(OsStr::new(DEFAULT_PATH)))
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .collect()
}
