//! What verifying a log found, and how it is told.

use std::fmt;

use super::error::Fault;
use crate::tlog::{NoteVerifier, TreeHead};

/// What verifying a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a log is verified to learn its verdict"]
pub struct Verification {
    pub(super) records: u64,
    pub(super) first_record: u64,
    pub(super) shredded: u64,
    pub(super) unsigned: u64,
    pub(super) torn: u64,
    pub(super) decrypted: bool,
    pub(super) identity: Option<NoteVerifier>,
    pub(super) head: Option<TreeHead>,
    pub(super) clock_regressions: u64,
    pub(super) boots: u64,
    pub(super) verdict: Verdict,
    pub(super) anchor_errors: Vec<String>,
}

impl Verification {
    /// How many records are intact, counted from the very first, also where retention has removed some.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The first record that retention has kept.
    #[must_use]
    pub fn first_record(&self) -> u64 {
        self.first_record
    }

    /// How many records were shredded. Known with a key only.
    #[must_use]
    pub fn shredded_records(&self) -> u64 {
        self.shredded
    }

    /// How many whole records at the end no checkpoint tells of: a commit that is being made at this moment, or
    /// what a crash left. Opening the log signs them, if they are its own.
    #[must_use]
    pub fn unsigned_records(&self) -> u64 {
        self.unsigned
    }

    /// Bytes at the end of a commit that was half written. Opening the log cuts them off.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        self.torn
    }

    /// Was every record decrypted and compared with its commitment, or only the public part verified?
    #[must_use]
    pub fn was_decrypted(&self) -> bool {
        self.decrypted
    }

    /// The identity that the log was verified against.
    #[must_use]
    pub fn identity(&self) -> Option<&NoteVerifier> {
        self.identity.as_ref()
    }

    /// Size and root of the tree of what is there.
    #[must_use]
    pub fn head(&self) -> Option<TreeHead> {
        self.head
    }

    /// How often the clock went back by more than a second between commits. Known with a key only.
    #[must_use]
    pub fn clock_regressions(&self) -> u64 {
        self.clock_regressions
    }

    /// In how many starts of the machine the segments were begun, as the machine told.
    #[must_use]
    pub fn boots(&self) -> u64 {
        self.boots
    }

    /// The judgement.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Why anchors said nothing that were asked by [`verify_against`](crate::AuditReader::verify_against), one line for each.
    #[must_use]
    pub fn anchor_errors(&self) -> &[String] {
        &self.anchor_errors
    }

    /// Is everything as it was written, to the last byte? Up to 256 KiB of zeros at the end of the last segment are what its writer
    /// writes ahead, or somebody else did: they say nothing. False also where a commit was cut short, or is just being
    /// made: [`unsigned_records`](Self::unsigned_records), [`torn_bytes`](Self::torn_bytes).
    #[must_use]
    pub fn is_intact(&self) -> bool {
        matches!(self.verdict, Verdict::Anchored | Verdict::Unanchored)
            && self.unsigned == 0
            && self.torn == 0
    }

    /// What is wrong, and where.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match &self.verdict {
            Verdict::Corrupt(fault) => Some(fault),
            _ => None,
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} records", self.verdict.name(), self.records)?;
        if self.first_record > 0 {
            write!(f, ", kept from {} on", self.first_record)?;
        }
        if self.shredded > 0 {
            write!(f, ", {} of them shredded", self.shredded)?;
        }
        if self.unsigned > 0 || self.torn > 0 {
            let (unsigned, torn) = (self.unsigned, self.torn);
            write!(f, ", then {unsigned} records and {torn} bytes that were not acknowledged, or just are")?;
        }
        if !self.decrypted {
            f.write_str(", verified without a key")?;
        }
        match &self.verdict {
            Verdict::Corrupt(fault) => write!(f, "; {fault}"),
            Verdict::RolledBack { anchored } => write!(f, "; an anchor knows of {anchored} leaves"),
            Verdict::Forked { anchored: 0 } => f.write_str(
                "; the anchor is of another log: give that of this one, or find out who replaced the log",
            ),
            Verdict::Forked { anchored } => write!(f, "; an anchor has another root at {anchored} leaves"),
            Verdict::Anchored | Verdict::Unanchored => Ok(()),
        }?;
        self.anchor_errors.iter().try_for_each(|error| write!(f, "; no word of an anchor: {error}"))
    }
}

/// The judgement over a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Whole, and the beginning of it is what an anchor holds: it was not put back behind that.
    Anchored,
    /// Whole as far as can be told from itself. Whether all of it was put back to an earlier state, only an
    /// anchor could tell.
    Unanchored,
    /// An anchor holds a later checkpoint of this log, or the log is gone.
    #[non_exhaustive]
    RolledBack {
        /// Leaves of the tree that the anchor knows.
        anchored: u64,
    },
    /// An anchor holds a checkpoint of this log that is of another history, or one of another log.
    #[non_exhaustive]
    Forked {
        /// Leaves of the tree that the anchor knows; 0 where that is of another log.
        anchored: u64,
    },
    /// Something is not what was written.
    Corrupt(Fault),
}

impl Verdict {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Anchored => "Anchored",
            Self::Unanchored => "Unanchored",
            Self::RolledBack { .. } => "RolledBack",
            Self::Forked { .. } => "Forked",
            Self::Corrupt(_) => "Corrupt",
        }
    }
}
