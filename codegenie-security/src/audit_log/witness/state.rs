//! The file that says how far a witness has signed a log, and what it has said against it.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use super::super::anchor::{AnchorError, AnchorObjection, AnchoredCheckpoint};
use crate::crypto;
use crate::files;
use crate::tlog::{CosignatureVerifier, Note, decimal};

const FIRST_WORD: &str = "codegenie-audit-witness-v1";

/// A checkpoint that a witness has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    pub(super) anchored: AnchoredCheckpoint,
    pub(super) note: Note,
    pub(super) time: SystemTime,
}

impl Cosigned {
    /// The checkpoint as its epoch signed it, which a verification compares with the log.
    #[must_use]
    pub fn checkpoint(&self) -> &AnchoredCheckpoint {
        &self.anchored
    }

    /// The same checkpoint, signed by the log's key for witnesses and by the witness: for whoever trusts the witness.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// When the witness signed, by its clock.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.time
    }

    pub(super) fn size(&self) -> u64 {
        self.anchored.claim().map_or(0, |checkpoint| checkpoint.head().size)
    }
}

/// All that is kept.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) cosigned: Option<Cosigned>,
    pub(super) objection: Option<AnchorObjection>,
}

impl State {
    pub(super) fn load(path: &Path, witness: &CosignatureVerifier) -> Result<Self, AnchorError> {
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(AnchorError::new(format!(
                "cannot read what witness {} signed, {path:?}: {error}; check the directory and its disk",
                witness.name()
            ))),
            Ok(text) => Self::parse(&text, witness).ok_or_else(|| {
                AnchorError::new(format!(
                    "{path:?} is not what witness {} signed; put it back, or remove it to ask the witness anew",
                    witness.name()
                ))
            }),
        }
    }

    /// The signature of the witness is verified each time: the file may lie where others write.
    fn parse(text: &str, witness: &CosignatureVerifier) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let mut words = first.split(' ');
        let is_ours = words.next()? == FIRST_WORD;
        let (kind, size, len) = (words.next()?, decimal(words.next()?)?, decimal(words.next()?)?);
        let objection = match kind {
            "none" => None,
            "rolled-back" => Some(AnchorObjection::rolled_back(size)),
            "forked" => Some(AnchorObjection::forked(size)),
            _ => return None,
        };
        let cosigned = match rest.is_empty() {
            true => None,
            false => {
                let (anchored, note) = rest.split_at_checked(usize::try_from(len).ok()?)?;
                let anchored = AnchoredCheckpoint::parse(anchored).ok()?;
                let note = Note::parse(note.as_bytes()).ok()?;
                let same = note.unverified_text() == anchored.checkpoint().unverified_text();
                let time = witness.open(&note).ok().filter(|_| same)?;
                Some(Cosigned { anchored, note, time })
            }
        };
        let state = Self { cosigned, objection };
        (is_ours && state.to_string() == text).then_some(state)
    }

    pub(super) fn store(&self, path: &Path) -> Result<(), AnchorError> {
        let failed = |error: &dyn fmt::Display| {
            AnchorError::new(format!(
                "cannot write what the witness said, {path:?}: {error}; check the directory and its disk"
            ))
        };
        let name = crypto::random::<8>().map_err(|error| failed(&error))?;
        files::replace_shared(path, u64::from_le_bytes(name), self.to_string().as_bytes())
            .map_err(|error| failed(&error))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, size) = match self.objection {
            None => ("none", 0),
            Some(AnchorObjection::RolledBack { anchored }) => ("rolled-back", anchored),
            Some(AnchorObjection::Forked { anchored }) => ("forked", anchored),
        };
        let anchored = self.cosigned.as_ref().map(|cosigned| cosigned.anchored.to_string());
        let anchored = anchored.unwrap_or_default();
        write!(f, "{FIRST_WORD} {kind} {size} {}\n{anchored}", anchored.len())?;
        self.cosigned.as_ref().map_or(Ok(()), |cosigned| cosigned.note.fmt(f))
    }
}
