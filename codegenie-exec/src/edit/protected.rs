//! Files that a host runs or trusts on its own behalf.

use super::error::{EditError, Refusal};
use super::name;
use crate::sandbox::defaults;
use std::path::{Path, PathBuf};

/// What is protected below a root, and what of it a host has given free.
#[derive(Clone, Debug, Default)]
pub(super) struct Protected {
    patterns: Vec<Vec<String>>,
    /// The root's own names, for patterns that begin in it.
    above: Vec<String>,
    pub(super) allowed: Vec<PathBuf>,
}

impl Protected {
    pub(super) fn below(root: &Path) -> Self {
        let patterns = defaults::protected().map(|path| parts(Path::new(path))).collect();
        Self { patterns, above: parts(root), allowed: Vec::new() }
    }

    /// Whether the host has given `path` free, by its name or by a directory above it.
    pub(super) fn is_allowed(&self, path: &Path) -> bool {
        self.allowed.iter().any(|allowed| path.starts_with(allowed))
    }

    /// Refuses what is protected, at any depth: it may lie in a repository below the root, or in a
    /// directory that a host opens by itself.
    pub(super) fn check(&self, path: &Path) -> Result<(), EditError> {
        if self.is_allowed(path) {
            return Ok(());
        }
        let all: Vec<String> = self.above.iter().cloned().chain(parts(path)).collect();
        let hit = self.patterns.iter().find(|pattern| {
            // One that lies in the root's own name is the host's choice.
            all.windows(pattern.len())
                .enumerate()
                .any(|(at, window)| at + pattern.len() > self.above.len() && window == pattern.as_slice())
        });
        // Below the root, a name is its own whatever lies above.
        let obeyed = || all.iter().skip(self.above.len()).find(|name| defaults::is_obeyed(name)).cloned();
        match hit.map(|pattern| pattern.join("/")).or_else(obeyed) {
            Some(name) => Err(EditError::refused(
                path,
                Refusal::Protected,
                format!(
                    "{} is run or trusted by programs of the host: the host must name it by dangerously_allow_protected",
                    name.escape_debug()
                ),
            )),
            None => Ok(()),
        }
    }
}

fn parts(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name::folded_for_protection(name)),
            _ => None,
        })
        .collect()
}
