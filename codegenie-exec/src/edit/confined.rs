//! What a sandbox policy lets be written, as a rule for edits.

use super::error::{EditError, Refusal};
use crate::sandbox::SandboxPolicy;
use std::path::{Path, PathBuf};

/// One policy's entries, as they are when a transaction is planned: what is hidden by default depends on what is there.
pub(super) struct Confined {
    write: Vec<PathBuf>,
    kept: Vec<(PathBuf, &'static str)>,
}

impl Confined {
    /// Of a policy that is resolved.
    pub(super) fn to(policy: &SandboxPolicy) -> Self {
        let kinds = [
            (
                policy.read.clone(),
                "the sandbox policy makes it read-only: the host must grant it by .write(path)",
            ),
            (policy.hide.clone(), "the sandbox policy hides it"),
            (
                policy.hidden_by_default(),
                "it holds keys or credentials, or is another user's, and the sandbox policy does not name it",
            ),
            (
                policy.overlays.iter().map(|overlay| overlay.workspace.clone()).collect(),
                "commands have it copy-on-write, and an edit would pass by their layer: let a command write it",
            ),
        ];
        let kept = kinds.into_iter().flat_map(|(paths, why)| paths.into_iter().map(move |path| (path, why)));
        Self { write: policy.write.clone(), kept: kept.collect() }
    }

    /// Refuses a path below `root` that commands under the policy could not write. The deepest entry decides, and of two
    /// for one path the stricter.
    pub(super) fn check(&self, root: &Path, path: &Path) -> Result<(), EditError> {
        let full = root.join(path);
        let depth = |entry: &Path| full.starts_with(entry).then(|| entry.components().count());
        let write = self.write.iter().filter_map(|entry| depth(entry)).max();
        let kept = self
            .kept
            .iter()
            .filter_map(|(entry, why)| Some((depth(entry)?, *why)))
            .max_by_key(|(depth, _)| *depth);
        let why = match (write, kept) {
            (None, None) => "the sandbox policy does not grant it",
            (Some(write), Some((kept, _))) if write > kept => return Ok(()),
            (Some(_), None) => return Ok(()),
            (_, Some((_, why))) => why,
        };
        Err(EditError::refused(path, Refusal::Confined, why))
    }
}
