//! What git takes for a repository whatever its name is, so that its settings and hooks would run.

use super::error::{EditError, Refusal};
use super::name;
use crate::beneath;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const HEAD: &str = "HEAD";

/// Beside a `HEAD`: both of them make a repository.
const TOGETHER: [&str; 2] = ["objects", "refs"];

/// Beside a `HEAD`: each of them leads git elsewhere for the rest.
const EACH: [&str; 3] = ["commondir", "gitdir", "config.worktree"];

/// The parts of repositories that are, or were to be, in the directories on the way of the edits. Nothing is
/// taken out again: what a transaction takes away it may put back under a path that has been checked.
#[derive(Debug, Default)]
pub(super) struct Repositories {
    parts: BTreeMap<PathBuf, BTreeSet<&'static str>>,
}

impl Repositories {
    /// Whether the parts of `directory` have been looked up.
    pub(super) fn knows(&self, directory: &Path) -> bool {
        self.parts.contains_key(directory)
    }

    /// Looks up which parts are in `directory`; `opened` is `None` where it is not there.
    pub(super) fn learn(&mut self, directory: &Path, opened: Option<&OwnedFd>) -> io::Result<()> {
        let mut found = BTreeSet::new();
        for part in all() {
            if let Some(opened) = opened
                && beneath::stat_at(opened, OsStr::new(part))?.is_some()
            {
                found.insert(part);
            }
        }
        self.parts.insert(directory.to_path_buf(), found);
        Ok(())
    }

    /// Adds that something is to be at `path`, and refuses it where that lies in a repository or completes one.
    pub(super) fn add(&mut self, path: &Path) -> Result<(), EditError> {
        let mut child = path;
        while let Some(directory) = child.parent() {
            let name = name::folded_for_protection(child.file_name().unwrap_or_default());
            let parts = self.parts.entry(directory.to_path_buf()).or_default();
            parts.extend(all().filter(|part| part.to_lowercase() == name));
            let together = TOGETHER.iter().all(|part| parts.contains(part));
            if parts.contains(HEAD) && (together || EACH.iter().any(|part| parts.contains(part))) {
                return Err(refused(
                    path,
                    "it lies in a repository of git's, or would make one, whose settings and hooks git runs",
                ));
            }
            child = directory;
        }
        Ok(())
    }
}

fn all() -> impl Iterator<Item = &'static str> {
    [HEAD].into_iter().chain(TOGETHER).chain(EACH)
}

/// Refuses a file that git takes for the head of a repository. What else makes one may lie anywhere.
pub(super) fn check_head(path: &Path, content: &[u8]) -> Result<(), EditError> {
    let name = path.file_name().map(name::folded_for_protection).unwrap_or_default();
    // A commit's number: of its 40 or 64 digits git reads the first 40.
    let number = content.get(..40).is_some_and(|start| start.iter().all(u8::is_ascii_hexdigit));
    if name == HEAD.to_lowercase() && (number || content.starts_with(b"ref:")) {
        return Err(refused(
            path,
            "git takes it for the head of a repository, whose settings and hooks it runs",
        ));
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> EditError {
    let why = format!("{why}: the host must name it by dangerously_allow_protected");
    EditError::refused(path, Refusal::Protected, why)
}
