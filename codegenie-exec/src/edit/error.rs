//! Why files were not edited.

use super::patch::PatchError;
use super::request::ContentHash;
use crate::gate::GateFinding;
use std::io;
use std::path::{Path, PathBuf};

/// Why a transaction was not made. Unless it is [`Interrupted`](Self::Interrupted), nothing is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The path may not be edited, or what it leads to.
    #[error("{} is not edited: {why}", show(path))]
    #[non_exhaustive]
    Refused {
        /// As it was given.
        path: PathBuf,
        /// The kind of reason.
        refusal: Refusal,
        /// The reason, and what to do.
        why: String,
    },
    /// The edit does not fit the file's content.
    #[error("{}: {why}", show(path))]
    #[non_exhaustive]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// A diff does not fit the file's content.
    #[error("{}: {error}", show(path))]
    #[non_exhaustive]
    Patch {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        error: PatchError,
    },
    /// The file has not the content that the edit expects.
    #[error("{} has changed: expected content {expected}, found {}; read it again", show(path), found.map_or_else(|| "no file".to_owned(), |hash| hash.to_string()))]
    #[non_exhaustive]
    Stale {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: ContentHash,
        /// What is there; `None`: no file.
        found: Option<ContentHash>,
    },
    /// The gate found something in the new content.
    #[error("{} is not edited, for what it would contain: {}", show(path), list(findings))]
    #[non_exhaustive]
    Gate {
        /// The file.
        path: PathBuf,
        /// What reached the threshold.
        findings: Vec<GateFinding>,
    },
    /// Somebody else has changed these paths meanwhile, or since the transaction that is to be undone.
    #[error("changed by somebody else meanwhile: {}; nothing was changed", paths.iter().map(|path| show(path)).collect::<Vec<_>>().join(", "))]
    #[non_exhaustive]
    Drift {
        /// The paths, relative to the root.
        paths: Vec<PathBuf>,
    },
    /// More than the limits allow.
    #[error("{0}")]
    TooLarge(String),
    /// Another transaction is under way in the workspace.
    #[error("another transaction is under way in {}: try again after it", show(.0))]
    Busy(PathBuf),
    /// Somebody would have to agree to the transaction and could not be shown all of it.
    #[error("nobody can agree to what they are not shown: {0}")]
    Unseen(String),
    /// Whoever wanted the edit gave it up before it began.
    #[error("the edit was given up before it began; nothing was changed")]
    GivenUp,
    /// There is no such transaction to undo: it never was, was undone, or was dropped for room.
    #[error("there is no transaction {0} to undo: it was undone, dropped for room, or never made")]
    NothingToUndo(String),
    /// The root or the state directory cannot be used.
    #[error("{0}")]
    Unsuitable(String),
    /// A transaction ended in the middle and cannot be rolled back as things are: paths may have either content.
    #[error("{0}")]
    Interrupted(String),
    /// There is no secure editing on this system.
    #[error("files are edited securely on Linux only; nothing was changed")]
    Unsupported,
    /// The system failed at it.
    #[error("cannot {what} {}: {error}", show(path))]
    #[non_exhaustive]
    System {
        /// What was tried.
        what: String,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
}

/// The kinds of reasons for which a path is not edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It leads out of the root, by `..`, from another root, or across a mount.
    Outside,
    /// It is no path of a file: empty, with NUL, ending in a slash, too long.
    BadPath,
    /// A symbolic link is on the way.
    Symlink,
    /// The file has other names.
    Hardlink,
    /// It is no regular file, or its way leads through something that is no directory.
    NotAFile,
    /// The file runs as another user, or has attributes that an edit would lose.
    Privileged,
    /// The file is larger than the limit.
    TooLarge,
    /// The edit is one of text and the file is binary.
    Binary,
    /// The name holds what cannot be seen, or reorders what is seen.
    InvisibleName,
    /// The name looks like one that is there, but for case or Unicode form.
    LookAlike,
    /// A host runs or trusts the file on its own behalf.
    Protected,
    /// The sandbox policy that the editor is confined to makes it read-only, hides it, or does not grant it.
    Confined,
    /// It is there already.
    Exists,
    /// It is not there.
    Missing,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "edits are made on Linux only"))]
impl EditError {
    pub(super) fn refused(path: &Path, refusal: Refusal, why: impl Into<String>) -> Self {
        Self::Refused { path: path.to_path_buf(), refusal, why: why.into() }
    }

    pub(super) fn mismatch(path: &Path, why: impl Into<String>) -> Self {
        Self::Mismatch { path: path.to_path_buf(), why: why.into() }
    }

    pub(super) fn system(what: impl Into<String>, path: &Path, error: impl Into<io::Error>) -> Self {
        Self::System { what: what.into(), path: path.to_path_buf(), error: error.into() }
    }

    /// The kind of reason, where a path was refused.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }
}

/// A path in a message: one line, whatever its name is.
pub(super) fn show(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

fn list(findings: &[GateFinding]) -> String {
    const SHOWN: usize = 8;
    let mut list: Vec<String> = findings.iter().take(SHOWN).map(ToString::to_string).collect();
    if findings.len() > SHOWN {
        list.push(format!("and {} more", findings.len() - SHOWN));
    }
    list.join("; ")
}
