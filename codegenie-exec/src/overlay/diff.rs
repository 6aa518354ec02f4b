//! What a transaction would change, for a person to look at.

use super::changes::{self, Difference};
use super::error::CowError;
use super::layer::Written;
use super::tree::{CowLimits, FileKind, Stat};
use crate::quoted::quoted;
use std::fmt;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// After this long a file's differences are shown coarser than they could be.
const DIFF_TIME: Duration = Duration::from_millis(500);

/// What becomes of a path. A rename is a deletion and a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ChangeKind {
    /// A file or link that was not there.
    Created,
    /// The content of a file, or the target of a link.
    Modified,
    /// A file or link that is gone.
    Deleted,
    /// A file or directory whose permissions alone changed.
    ModeChanged,
    /// A file whose times or extended attributes alone changed.
    Touched,
    /// A directory that was not there.
    DirectoryCreated,
    /// A directory that is gone.
    DirectoryDeleted,
    /// Something of another kind: a file in a directory's place, and the like.
    Replaced,
}

impl ChangeKind {
    /// The name in messages and lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::ModeChanged => "mode changed",
            Self::Touched => "touched",
            Self::DirectoryCreated => "directory created",
            Self::DirectoryDeleted => "directory deleted",
            Self::Replaced => "replaced",
        }
    }
}

/// A path before or after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FileState {
    /// What it is.
    pub kind: FileKind,
    /// Bytes; of a link those of its target.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

impl From<&Stat> for FileState {
    fn from(stat: &Stat) -> Self {
        Self { kind: stat.kind, size: stat.size, mode: stat.mode }
    }
}

/// One path that a commit would change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Change {
    /// The path, relative to the workspace. Empty: the workspace's own directory.
    pub path: PathBuf,
    /// What becomes of it.
    pub kind: ChangeKind,
    /// As it was when the transaction began.
    pub before: Option<FileState>,
    /// As it is to be.
    pub after: Option<FileState>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.as_os_str().is_empty() { Path::new(".") } else { &self.path };
        write!(f, "{} {}", self.kind.as_str(), quoted("", path))?;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if before.mode != after.mode => {
                write!(f, " ({:04o} to {:04o})", before.mode, after.mode)
            }
            (Some(before), Some(after)) => write!(f, " ({} to {} bytes)", before.size, after.size),
            (None, Some(state)) | (Some(state), None) if state.kind == FileKind::File => {
                write!(f, " ({} bytes)", state.size)
            }
            _ => Ok(()),
        }
    }
}

/// What a transaction would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CowDiff {
    /// Every path, sorted, parents before children.
    pub changes: Vec<Change>,
    /// The changes as a unified diff, in git's form. Binary and large files are named only. Names are quoted
    /// as git does; the lines of files are as they are, so escape them before they go to a terminal.
    pub unified: String,
    /// Whether `unified` was cut at its limit.
    pub truncated: bool,
    /// Paths that somebody else has changed in the workspace and a commit would overwrite: it would refuse.
    pub conflicts: Vec<PathBuf>,
}

pub(super) fn change_of(difference: &Difference) -> Option<Change> {
    let before = difference.before.as_ref().map(FileState::from);
    let after = match &difference.after {
        Written::Gone => None,
        Written::File { stat, .. } | Written::Symlink { stat, .. } | Written::Directory { stat, .. } => {
            Some(FileState::from(stat))
        }
    };
    let directory = |state: &FileState| state.kind == FileKind::Directory;
    let kind = match (&before, &after) {
        (None, None) => return None,
        (None, Some(after)) if directory(after) => ChangeKind::DirectoryCreated,
        (None, Some(_)) => ChangeKind::Created,
        (Some(before), None) if directory(before) => ChangeKind::DirectoryDeleted,
        (Some(_), None) => ChangeKind::Deleted,
        (Some(before), Some(after)) if before.kind != after.kind => ChangeKind::Replaced,
        (Some(before), Some(after)) if directory(after) => {
            if before.mode == after.mode {
                return None;
            }
            ChangeKind::ModeChanged
        }
        (Some(before), Some(after)) => match (difference.same_content, before.mode == after.mode) {
            (false, _) => ChangeKind::Modified,
            (true, false) => ChangeKind::ModeChanged,
            (true, true) => ChangeKind::Touched,
        },
    };
    Some(Change { path: difference.path.clone(), kind, before, after })
}

/// The text of the differences; whether it was cut.
pub(super) fn unified(
    workspace: &OwnedFd,
    upper: &OwnedFd,
    differences: &[Difference],
    limits: &CowLimits,
) -> Result<(String, bool), CowError> {
    let mut text = String::new();
    for difference in differences {
        let one = unified_one(workspace, upper, difference, limits)?;
        if text.len().saturating_add(one.len()) > limits.diff_bytes {
            return Ok((text, true));
        }
        text.push_str(&one);
    }
    Ok((text, false))
}

/// What stands on one side of a diff.
enum Content {
    Nothing,
    Text(String),
    Binary,
    Large,
}

fn unified_one(
    workspace: &OwnedFd,
    upper: &OwnedFd,
    difference: &Difference,
    limits: &CowLimits,
) -> Result<String, CowError> {
    let path = difference.path.as_path();
    let failed = |error| CowError::system("read", path, error);
    let (mut old, mut old_mode) = (Content::Nothing, None);
    if let Some(before) = difference.before {
        // Gone or replaced since: then it is a conflict, and named as one.
        let content = match before.kind {
            FileKind::File => read(workspace, path, limits).unwrap_or(Content::Nothing),
            FileKind::Symlink => changes::link_target(workspace, path)
                .map_or(Content::Nothing, |target| text_of(target.as_os_str().as_bytes())),
            _ => Content::Nothing,
        };
        (old, old_mode) = (content, git_mode(&before));
    }
    let (new, new_mode) = match &difference.after {
        Written::File { stat, .. } => (read(upper, path, limits).map_err(failed)?, git_mode(stat)),
        Written::Symlink { stat, target } => (text_of(target.as_os_str().as_bytes()), git_mode(stat)),
        _ => (Content::Nothing, None),
    };
    if old_mode.is_none() && new_mode.is_none() {
        return Ok(String::new());
    }
    let (a, b) = (quoted("a/", path), quoted("b/", path));
    let mut text = format!("diff --git {a} {b}\n");
    match (old_mode, new_mode) {
        (None, Some(mode)) => text.push_str(&format!("new file mode {mode}\n")),
        (Some(mode), None) => text.push_str(&format!("deleted file mode {mode}\n")),
        (Some(old), Some(new)) if old != new => text.push_str(&format!("old mode {old}\nnew mode {new}\n")),
        _ => {}
    }
    let null = "/dev/null".to_owned();
    let (a, b) =
        (if old_mode.is_none() { null.clone() } else { a }, if new_mode.is_none() { null } else { b });
    if difference.same_content {
        return Ok(text);
    }
    match (old, new) {
        (Content::Binary, _) | (_, Content::Binary) => {
            text.push_str(&format!("Binary files {a} and {b} differ\n"));
        }
        (Content::Large, _) | (_, Content::Large) => {
            text.push_str(&format!("Files {a} and {b} differ and are too large to be shown\n"));
        }
        (old, new) => {
            let side = |content| if let Content::Text(text) = content { text } else { String::new() };
            let (old, new) = (side(old), side(new));
            let diff = similar::TextDiff::configure().timeout(DIFF_TIME).diff_lines(&old, &new);
            text.push_str(&diff.unified_diff().header(&a, &b).to_string());
        }
    }
    Ok(text)
}

fn git_mode(stat: &Stat) -> Option<&'static str> {
    match stat.kind {
        FileKind::File if stat.mode & 0o100 != 0 => Some("100755"),
        FileKind::File => Some("100644"),
        FileKind::Symlink => Some("120000"),
        _ => None,
    }
}

fn read(root: &OwnedFd, path: &Path, limits: &CowLimits) -> std::io::Result<Content> {
    let mut bytes = Vec::new();
    let file = changes::open(root, path)?;
    if file.metadata()?.len() > limits.text_bytes {
        return Ok(Content::Large);
    }
    file.take(limits.text_bytes).read_to_end(&mut bytes)?;
    Ok(text_of(&bytes))
}

fn text_of(bytes: &[u8]) -> Content {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Content::Text(text.to_owned()),
        _ => Content::Binary,
    }
}
