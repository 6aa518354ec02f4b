//! Checkpoints: what a log signs about its tree.

use std::fmt;
use std::str::FromStr;

use super::decimal;
use super::hash::Hash;
use super::note::Note;
use super::note_error::NoteError;
use super::note_key::{NoteSigner, NoteVerifier};
use super::tree::TreeHead;

/// Why a checkpoint was not made, or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A line that no checkpoint has.
    #[error("line {line} of the checkpoint {what}; make it again, or get it again from the log")]
    #[non_exhaustive]
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is of another log.
    #[error("the checkpoint is of log {found:?}, not of {expected:?}; get the one of this log")]
    #[non_exhaustive]
    Origin {
        /// The log that it names.
        found: String,
        /// The log that was asked for.
        expected: String,
    },
    /// The note that it is.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// What a log says about its tree (`c2sp.org/tlog-checkpoint`): which log, how many leaves, which
/// root. Shown as the text of a note, to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    head: TreeHead,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The checkpoint of a log, named by its origin: usually a URL without its scheme, and the name of
    /// the key that signs.
    pub fn new(origin: impl Into<String>, head: TreeHead) -> Result<Self, CheckpointError> {
        let origin = origin.into();
        check_line(1, &origin)?;
        check_empty(&head)?;
        Ok(Self { origin, head, extensions: Vec::new() })
    }

    /// Adds an extension line. No monitor can audit it, so C2SP advises against it.
    pub fn extension(mut self, line: impl Into<String>) -> Result<Self, CheckpointError> {
        let line = line.into();
        check_line(4 + self.extensions.len(), &line)?;
        self.extensions.push(line);
        Ok(self)
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Size and root of its tree.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// The extension lines.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Signs it. A log signs only what has all that it signed before at its beginning.
    pub fn sign(&self, signer: &NoteSigner) -> Result<Note, CheckpointError> {
        Ok(Note::sign(self.to_string(), signer)?)
    }

    /// The checkpoint in a note, if it is of the log `origin` and the key of the log signed it.
    ///
    /// Signatures of others, such as witnesses, are for [`Note::open`].
    pub fn open(note: &Note, origin: &str, log: &NoteVerifier) -> Result<Self, CheckpointError> {
        let checkpoint: Self = note.open(std::slice::from_ref(log))?.text().parse()?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Origin { found: checkpoint.origin, expected: origin.to_owned() });
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TreeHead { size, root } = self.head;
        write!(f, "{}\n{size}\n{root}\n", self.origin)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Of the text of a note. Who signed it is not asked: [`Checkpoint::open`] does.
impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let malformed = |line, what| CheckpointError::Malformed { line, what };
        let lines = text.split('\n').count();
        let text = text.strip_suffix('\n').ok_or(malformed(lines, "lacks its newline"))?;
        let mut lines = text.split('\n');
        let origin = lines.next().unwrap_or_default();
        check_line(1, origin)?;
        let size = lines.next().and_then(decimal);
        let size = size.ok_or(malformed(2, "is not a size in decimal digits without leading zeros"))?;
        let root = lines.next().and_then(|line| line.parse::<Hash>().ok());
        let root = root.ok_or(malformed(3, "is not a root hash of 32 bytes in padded base64"))?;
        let checkpoint = Self::new(origin, TreeHead { size, root })?;
        lines.try_fold(checkpoint, Self::extension)
    }
}

fn check_line(line: usize, text: &str) -> Result<(), CheckpointError> {
    let what = match text.is_empty() {
        true => "is empty",
        false if text.bytes().any(|byte| byte < b' ') => "has a control character",
        false => return Ok(()),
    };
    Err(CheckpointError::Malformed { line, what })
}

/// Of a tree without leaves there is one root.
fn check_empty(head: &TreeHead) -> Result<(), CheckpointError> {
    let empty = head.size > 0 || head.root == Hash::EMPTY;
    let what = "is not the root of a tree without leaves";
    if empty { Ok(()) } else { Err(CheckpointError::Malformed { line: 3, what }) }
}
