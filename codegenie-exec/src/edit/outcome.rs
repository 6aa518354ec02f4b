//! What a transaction did, or would do.

use super::patch::HunkPlace;
use super::request::ContentHash;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Names a transaction that can be undone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UndoId(pub(super) String);

impl UndoId {
    pub(super) fn is_id(text: &str) -> bool {
        text.len() == 33 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    }
}

impl fmt::Display for UndoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not an [`UndoId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a transaction: take it as it was given")]
pub struct BadUndoId;

impl FromStr for UndoId {
    type Err = BadUndoId;

    fn from_str(text: &str) -> Result<Self, BadUndoId> {
        if Self::is_id(text) { Ok(Self(text.to_owned())) } else { Err(BadUndoId) }
    }
}

/// A transaction that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Takes it back: [`Editor::undo`](super::Editor::undo).
    pub undo: UndoId,
    /// What it changed, sorted by path.
    pub files: Vec<FileChange>,
}

/// A transaction that would be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// What it would change, sorted by path.
    pub files: Vec<FileChange>,
}

/// What becomes of one file by all the edits of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileChange {
    /// The file, relative to the root; of a renamed one its new name.
    pub path: PathBuf,
    /// The name that the content had before, where it was renamed.
    pub from: Option<PathBuf>,
    /// The hash of the content that was there; `None`: the file is new.
    pub before: Option<ContentHash>,
    /// The hash of the content that is there now; `None`: the file is gone.
    pub after: Option<ContentHash>,
    /// Permission bits before and after, where they change on a file that is there before and after. Of a file that comes
    /// with those of another version, as by an undo, before is 0.
    pub mode: Option<(u32, u32)>,
    /// Owner and group before and after, where they change. Of a file that comes with those of another version, before is
    /// what a new file would have.
    pub owner: Option<((u32, u32), (u32, u32))>,
    /// Names of extended attributes that change, or come with a file.
    pub attributes: Vec<String>,
    /// The change as a unified diff in git's form, in the bytes of the file. Names are quoted as git
    /// does; lines are as they are, so escape them before they go to a terminal. Of a binary file, one that holds
    /// NUL, size and hash are told. Of two diffs that mean the same one may be coarser, see
    /// [`is_same_change`](Self::is_same_change).
    pub diff: Vec<u8>,
    /// Lines that came.
    pub added: usize,
    /// Lines that went.
    pub removed: usize,
    /// Where hunks of diffs were applied, and how exactly, in their order.
    pub hunks: Vec<HunkPlace>,
    /// Line feeds in what was given have become the file's CRLF.
    pub line_endings_adapted: bool,
    /// The diff does not show the content, which is binary: it tells size and hash.
    pub is_binary: bool,
}

impl FileChange {
    /// Whether both lead from the same state of a file to the same one, however their diffs put it.
    #[must_use]
    pub fn is_same_change(&self, other: &Self) -> bool {
        let state = |change: &Self| (change.before, change.after, change.mode, change.owner);
        (&self.path, &self.from, &self.attributes) == (&other.path, &other.from, &other.attributes)
            && state(self) == state(other)
    }
}

impl Applied {
    /// The diffs of all files.
    #[must_use]
    pub fn diff(&self) -> Vec<u8> {
        joined(&self.files)
    }
}

impl Preview {
    /// The diffs of all files.
    #[must_use]
    pub fn diff(&self) -> Vec<u8> {
        joined(&self.files)
    }
}

fn joined(files: &[FileChange]) -> Vec<u8> {
    files.iter().flat_map(|file| file.diff.iter().copied()).collect()
}
