//! A proof that needs nothing but keys to be checked, as one text.

use std::fmt;

use base64ct::{Base64, Encoding};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::decimal;
use super::hash::Hash;
use super::note::Note;
use super::note_error::NoteError;
use super::note_key::NoteVerifier;
use super::proof::{InclusionProof, ProofRefused};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Hashes of a path in a tree of `u64::MAX` leaves.
const MAX_PATH: usize = 64;

/// Why a proof was not read, or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoggedProofError {
    /// A line that no proof has.
    #[error("line {line} of the proof {what}; get it again from its source")]
    #[non_exhaustive]
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More bytes than a proof may have.
    #[error("the proof has {len} bytes, more than {max}; get it again without extra data")]
    #[non_exhaustive]
    TooLong {
        /// Its bytes.
        len: usize,
        /// How many it may have.
        max: usize,
    },
    /// The note below it, whose lines are counted from its own first.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The checkpoint in the note.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The path to the root.
    #[error(transparent)]
    Path(#[from] ProofRefused),
}

/// A proof that something was logged, with the checkpoint that it leads to (`c2sp.org/tlog-proof`).
/// Shown as it is stored, in files that end in `.tlog-proof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedProof {
    /// Empty when there is none.
    extra: Vec<u8>,
    index: u64,
    path: InclusionProof,
    checkpoint: Note,
}

impl LoggedProof {
    /// Bytes that a proof may have.
    pub const MAX_LEN: usize = 2 * Note::MAX_LEN;

    /// The proof that leaf `index` is in the tree of a checkpoint.
    #[must_use]
    pub fn new(index: u64, path: InclusionProof, checkpoint: Note) -> Self {
        Self { extra: Vec::new(), index, path, checkpoint }
    }

    /// Adds data of the application's own. Nothing vouches for it. Empty data is none.
    #[must_use]
    pub fn extra_data(mut self, extra: impl Into<Vec<u8>>) -> Self {
        self.extra = extra.into();
        self
    }

    /// The data of the application's own, which nothing vouches for. Empty when there is none.
    #[must_use]
    pub fn unverified_extra_data(&self) -> &[u8] {
        &self.extra
    }

    /// The index of the leaf.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The path from the leaf to the root.
    #[must_use]
    pub fn path(&self) -> &InclusionProof {
        &self.path
    }

    /// The checkpoint, as it came.
    #[must_use]
    pub fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// Reads a proof. Nothing is verified yet: [`verify`](Self::verify) does that.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoggedProofError> {
        let (len, max) = (bytes.len(), Self::MAX_LEN);
        if len > max {
            return Err(LoggedProofError::TooLong { len, max });
        }
        let malformed = |line, what| LoggedProofError::Malformed { line, what };
        let empty_line = bytes.windows(2).position(|pair| pair == b"\n\n");
        let (front, note) = empty_line
            .and_then(|at| bytes.split_at_checked(at))
            .ok_or(malformed(1, "is not followed by an empty line and a checkpoint"))?;
        let note = note.strip_prefix(b"\n\n").unwrap_or(note);
        let front =
            std::str::from_utf8(front).map_err(|_| malformed(1, "or one that follows is not UTF-8"))?;

        let mut lines = front.split('\n').zip(1..).peekable();
        if lines.next_if(|(line, _)| *line == FIRST_LINE).is_none() {
            return Err(malformed(1, "is not `c2sp.org/tlog-proof@v1`"));
        }
        let mut extra = Vec::new();
        if let Some((line, at)) = lines.next_if(|(line, _)| line.starts_with("extra ")) {
            let decoded = line.strip_prefix("extra ").and_then(|text| Base64::decode_vec(text).ok());
            let decoded = decoded.filter(|data| !data.is_empty());
            extra = decoded.ok_or(malformed(at, "is not extra data in padded base64"))?;
        }
        let (line, at) = lines.next().unwrap_or(("", 2));
        let index = line.strip_prefix("index ").and_then(decimal);
        let index = index.ok_or(malformed(at, "is not an index in decimal digits without leading zeros"))?;
        let mut path = Vec::new();
        for (line, at) in lines {
            if path.len() == MAX_PATH {
                return Err(malformed(at, "is one more hash than any path has"));
            }
            path.push(line.parse::<Hash>().map_err(|_| malformed(at, "is not a hash in padded base64"))?);
        }
        let path = InclusionProof::from_hashes(path);
        Ok(Self { extra, index, path, checkpoint: Note::parse(note)? })
    }

    /// The checkpoint, if it is of the log `origin`, signed by its key, and the leaf with this hash is
    /// in its tree at the [index](Self::index).
    pub fn verify(
        &self,
        leaf: &Hash,
        origin: &str,
        log: &NoteVerifier,
    ) -> Result<Checkpoint, LoggedProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, origin, log)?;
        self.path.verify(self.index, leaf, &checkpoint.head())?;
        Ok(checkpoint)
    }
}

impl fmt::Display for LoggedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", Base64::encode_string(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.hashes().iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
