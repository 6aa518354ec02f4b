//! Where the kit works, and how it asks.

use super::{ConformanceError, ensure};
use crate::sandbox::{RunOutput, Sandbox, SandboxPolicy, SandboxRequest};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Long enough for any machine, short enough to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A workspace, and a place beside it which no policy grants.
pub(super) struct Place {
    root: PathBuf,
    pub(super) workspace: PathBuf,
    pub(super) outside: PathBuf,
}

impl Place {
    pub(super) fn new(directory: &Path) -> Result<Self, ConformanceError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let setup = |error: std::io::Error| {
            ConformanceError::new("setup", format!("cannot work in {}: {error}", directory.display()))
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = directory.canonicalize().map_err(setup)?;
        let root = root.join(format!("codegenie-conformance-{}-{number}", std::process::id()));
        fs::create_dir(&root).map_err(setup)?;
        let (workspace, outside) = (root.join("workspace"), root.join("outside"));
        let place = Self { root, workspace, outside };
        fs::create_dir(&place.workspace).map_err(setup)?;
        fs::create_dir(&place.outside).map_err(setup)?;
        Ok(place)
    }

    pub(super) fn policy(&self) -> SandboxPolicy {
        SandboxPolicy::workspace_write(&self.workspace).timeout(PATIENCE)
    }

    /// A file that the host makes.
    pub(super) fn file(&self, path: &Path, content: &str) -> Result<(), ConformanceError> {
        fs::write(path, content).map_err(|error| {
            ConformanceError::new("setup", format!("cannot write {}: {error}", path.display()))
        })
    }

    pub(super) fn script(&self, script: &str) -> SandboxRequest {
        SandboxRequest::new("sh", self.policy()).args(["-c", script])
    }

    /// The size of a file of the workspace; 0 where it is not there.
    pub(super) fn size(&self, name: &str) -> u64 {
        fs::metadata(self.workspace.join(name)).map_or(0, |file| file.len())
    }

    /// Waits about as long as `sleep` is told to. The kit has no timer: a command is one.
    pub(super) async fn pause(&self, sandbox: &impl Sandbox, seconds: &str) -> Result<(), ConformanceError> {
        let request = SandboxRequest::new("sleep", self.policy()).arg(seconds);
        let output = run("exit", sandbox, &request).await?;
        ensure("exit", output.status.reason.is_success(), || {
            format!("`sleep {seconds}` ended by {}: {}", output.status.reason, text(&output.stderr))
        })
    }

    /// Waits until a file of the workspace has something in it.
    pub(super) async fn appears(&self, sandbox: &impl Sandbox, name: &str) -> Result<(), ConformanceError> {
        for _ in 0..50 {
            if self.size(name) > 0 {
                return Ok(());
            }
            self.pause(sandbox, "0.1").await?;
        }
        Err(ConformanceError::new("setup", format!("a command did not write {name} in the workspace")))
    }

    /// Whether a file that is written several times a second stops growing.
    pub(super) async fn stops_growing(
        &self,
        sandbox: &impl Sandbox,
        name: &str,
    ) -> Result<bool, ConformanceError> {
        for _ in 0..5 {
            let before = self.size(name);
            self.pause(sandbox, "1").await?;
            if self.size(name) == before {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is left to the host, whose directory it is.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Runs to the end, which must be told.
pub(super) async fn run(
    law: &'static str,
    sandbox: &impl Sandbox,
    request: &SandboxRequest,
) -> Result<RunOutput, ConformanceError> {
    sandbox
        .run(request)
        .await
        .map_err(|error| ConformanceError::new(law, format!("a command was not run: {error}")))
}

/// The start of what was printed, for messages.
pub(super) fn text(bytes: &[u8]) -> String {
    let start = bytes.get(..200).unwrap_or(bytes);
    format!("{:?} ({} bytes)", String::from_utf8_lossy(start), bytes.len())
}
