//! What an edit is.

use super::patch::FilePatch;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The SHA-256 of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The hash of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(content).into())
    }

    /// A hash from its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// A text that is not a [`ContentHash`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256: it takes 64 hexadecimal digits")]
pub struct BadHash;

impl FromStr for ContentHash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BadHash);
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(index * 2..index * 2 + 2).ok_or(BadHash)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BadHash)?;
        }
        Ok(Self(bytes))
    }
}

/// One change of one file. Several, in order, are a transaction: [`Editor::apply`](super::Editor::apply).
///
/// Paths are relative to the editor's root, or absolute below it. Content is bytes; text edits
/// work on files of any encoding in which a line ends with the byte `\n`, but not on files that hold NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub(crate) path: PathBuf,
    pub(crate) kind: EditKind,
    pub(crate) expect: Option<ContentHash>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EditKind {
    Create { content: Vec<u8>, executable: bool },
    Overwrite { content: Vec<u8> },
    Replace { old: Vec<u8>, new: Vec<u8>, occurrences: usize },
    Lines { first: usize, last: usize, text: Vec<u8> },
    Patch { patch: FilePatch },
    Delete,
    Rename { to: PathBuf },
}

impl Edit {
    fn new(path: impl Into<PathBuf>, kind: EditKind) -> Self {
        Self { path: path.into(), kind, expect: None }
    }

    /// A file that is not there yet, with the missing directories above it.
    pub fn create(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        Self::new(path, EditKind::Create { content: content.into(), executable: false })
    }

    /// The whole content of a file that is there. What else it has (mode, owner, attributes) stays. Line endings are
    /// taken as given.
    pub fn overwrite(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        Self::new(path, EditKind::Overwrite { content: content.into() })
    }

    /// `new` in the place of `old`, which must stand exactly once in the file; see [`occurrences`](Self::occurrences).
    /// In a file whose lines all end with CRLF, line feeds in both texts mean CRLF.
    pub fn replace(path: impl Into<PathBuf>, old: impl Into<Vec<u8>>, new: impl Into<Vec<u8>>) -> Self {
        Self::new(path, EditKind::Replace { old: old.into(), new: new.into(), occurrences: 1 })
    }

    /// For a replacement: how often the old text must stand in the file; all are replaced. On other edits it
    /// changes nothing.
    #[must_use]
    pub fn occurrences(mut self, count: usize) -> Self {
        if let EditKind::Replace { occurrences, .. } = &mut self.kind {
            *occurrences = count;
        }
        self
    }

    /// `text` in the place of the lines from `first` to `last`, both counted from 1 and included. With
    /// `last` one before `first`, the text is inserted before `first`. Whether the file's last line ends
    /// with a line feed stays as it was, and lines get the file's endings.
    pub fn replace_lines(
        path: impl Into<PathBuf>,
        first: usize,
        last: usize,
        text: impl Into<Vec<u8>>,
    ) -> Self {
        Self::new(path, EditKind::Lines { first, last, text: text.into() })
    }

    /// The hunks of `patch`, whatever names stand in it. [`Patch::edits`](super::Patch::edits) makes edits of all
    /// the files that a diff names.
    pub fn patch(path: impl Into<PathBuf>, patch: FilePatch) -> Self {
        Self::new(path, EditKind::Patch { patch })
    }

    /// The file goes. Its directory stays.
    pub fn delete(path: impl Into<PathBuf>) -> Self {
        Self::new(path, EditKind::Delete)
    }

    /// The file gets another name, which must be free.
    pub fn rename(path: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        Self::new(path, EditKind::Rename { to: to.into() })
    }

    /// For a new file: its owner may execute it (and others, as the process's umask has it). On other
    /// edits it changes nothing.
    #[must_use]
    pub fn executable(mut self) -> Self {
        if let EditKind::Create { executable, .. } = &mut self.kind {
            *executable = true;
        }
        self
    }

    /// Guards the edit: the file must have this content just before it, else the whole transaction is refused as stale.
    #[must_use]
    pub fn expect(mut self, hash: ContentHash) -> Self {
        self.expect = Some(hash);
        self
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a rename leads, as it was given.
    #[must_use]
    pub fn target(&self) -> Option<&Path> {
        match &self.kind {
            EditKind::Rename { to } => Some(to),
            _ => None,
        }
    }
}
