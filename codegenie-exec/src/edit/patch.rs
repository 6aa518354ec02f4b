//! Unified diffs, plain and in git's form: what is read from one.

mod header;
mod place;

pub use self::place::{HunkPlace, PatchLimits, Patched};

use super::request::Edit;
use std::path::{Path, PathBuf};

/// A unified diff over any number of files.
///
/// Text around the diffs of files is skipped, as mails and commits have it. Diffs of binary files, links, sub-modules,
/// copies and changes of mode are errors, not skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    files: Vec<FilePatch>,
}

/// What a diff does to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePatch {
    /// The names as the diff has them; `None`: there is no such file before or after.
    old: Option<PathBuf>,
    new: Option<PathBuf>,
    /// The names are said by `rename from` and `rename to`: nothing is to be stripped from them.
    renames: bool,
    executable: bool,
    hunks: Vec<Hunk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk {
    old_start: usize,
    old_len: usize,
    new_len: usize,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    side: Side,
    /// With its line feed, unless the diff says that there is none.
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

/// Why a diff cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// It is no diff, or not whole.
    #[error("line {line} of the diff: {why}")]
    #[non_exhaustive]
    Malformed {
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// It wants what is no edit of text.
    #[error("line {line} of the diff: {why}, which is not done by patches here")]
    #[non_exhaustive]
    NotText {
        /// Where, from 1.
        line: usize,
        /// What it wants.
        why: String,
    },
    /// A name in it cannot be used.
    #[error("the diff names {name:?}: {why}")]
    #[non_exhaustive]
    BadName {
        /// The name.
        name: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A hunk does not fit the file.
    #[error("hunk {hunk} (old line {line}) does not apply: {why}")]
    #[non_exhaustive]
    DoesNotApply {
        /// Which hunk of the file, from 1.
        hunk: usize,
        /// The line that it names.
        line: usize,
        /// Why.
        why: String,
    },
}

impl Patch {
    /// Reads a diff.
    pub fn parse(diff: impl AsRef<[u8]>) -> Result<Self, PatchError> {
        let files = header::read(diff.as_ref())?;
        if files.is_empty() {
            return Err(PatchError::Malformed {
                line: 1,
                why: "there is no diff of a file in it: it takes --- and +++ lines with @@ hunks".to_owned(),
            });
        }
        Ok(Self { files })
    }

    /// What it does to each file.
    #[must_use]
    pub fn files(&self) -> &[FilePatch] {
        &self.files
    }

    /// The edits that it amounts to. `strip`: how many leading directories names lose, as `patch -p` has it; 1 for git's
    /// `a/` and `b/`.
    pub fn edits(&self, strip: usize) -> Result<Vec<Edit>, PatchError> {
        let mut edits = Vec::new();
        for file in &self.files {
            file.edits(strip, &mut edits)?;
        }
        Ok(edits)
    }
}

impl FilePatch {
    /// The name that it has for the file as it was; `None`: it creates it.
    #[must_use]
    pub fn old_name(&self) -> Option<&Path> {
        self.old.as_deref()
    }

    /// The name that it has for the file as it is to be; `None`: it deletes it.
    #[must_use]
    pub fn new_name(&self) -> Option<&Path> {
        self.new.as_deref()
    }

    /// Applies its hunks to `before`. Where a hunk does not fit at its line, it is looked for near it; where it fits in
    /// more than one place, that is an error.
    pub fn apply(&self, before: &[u8], limits: &PatchLimits) -> Result<Patched, PatchError> {
        place::apply(self, before, limits)
    }

    fn edits(&self, strip: usize, edits: &mut Vec<Edit>) -> Result<(), PatchError> {
        let strip = if self.renames { 0 } else { strip };
        match (&self.old, &self.new) {
            (None, None) => {}
            (None, Some(new)) => {
                let content = self.apply(b"", &PatchLimits::exact())?.content;
                let edit = Edit::create(stripped(new, strip)?, content);
                edits.push(if self.executable { edit.executable() } else { edit });
            }
            (Some(old), None) => {
                let path = stripped(old, strip)?;
                // It says what must be gone: all of the file.
                edits.push(Edit::patch(path.clone(), self.clone()));
                edits.push(Edit::delete(path));
            }
            (Some(old), Some(new)) => {
                let (old, new) = (stripped(old, strip)?, stripped(new, strip)?);
                // Plain diffs name a copy (`file.orig`) as the old file; only git says that it renames.
                if self.renames && old != new {
                    edits.push(Edit::rename(old, new.clone()));
                }
                if !self.hunks.is_empty() {
                    edits.push(Edit::patch(new, self.clone()));
                }
            }
        }
        Ok(())
    }
}

fn stripped(name: &Path, strip: usize) -> Result<PathBuf, PatchError> {
    let mut parts = name.components();
    for _ in 0..strip {
        parts.next();
    }
    let rest = parts.as_path();
    if rest.as_os_str().is_empty() {
        let why = format!("nothing is left of it without its first {strip} directories");
        return Err(PatchError::BadName { name: name.to_path_buf(), why });
    }
    Ok(rest.to_path_buf())
}
