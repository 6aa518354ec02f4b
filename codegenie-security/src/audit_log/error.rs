//! What can be wrong with a log, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::crypto::{KeyId, NoRandomness};

/// Why a log was not opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditLogError {
    /// There is no such log.
    #[error("audit log {path:?} does not exist; correct the path, or let `AuditLog::open` create it")]
    #[non_exhaustive]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another process, or this one, is writing to it.
    #[error("audit log {path:?} is open for writing elsewhere; end that process, or share its `AuditLog`")]
    #[non_exhaustive]
    Locked {
        /// The log.
        path: PathBuf,
    },
    /// It was sealed with another key.
    #[error("audit log {path:?} is sealed with key {found}, not with key {given}; use the key that it names")]
    #[non_exhaustive]
    WrongKey {
        /// The log.
        path: PathBuf,
        /// The key that the log names.
        found: KeyId,
        /// The key that was given.
        given: KeyId,
    },
    /// The file, or a record of it, was written by a version that this one does not know.
    #[error("audit log {path:?} was written by a newer version ({what}); update the library")]
    #[non_exhaustive]
    UnknownVersion {
        /// The log.
        path: PathBuf,
        /// What is unknown.
        what: String,
    },
    /// It is not what was written.
    #[error(
        "audit log {path:?} was tampered with: {fault}; keep it and its head file as evidence, and start another log"
    )]
    #[non_exhaustive]
    Tampered {
        /// The log.
        path: PathBuf,
        /// What is wrong, and where.
        fault: Fault,
    },
    /// The operating system refused.
    #[error("cannot {action} {path:?}: {source}; check the directory, its permissions and its free space")]
    #[non_exhaustive]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// No random bytes could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Something in a log that is not what was written, and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) kind: FaultKind,
    pub(super) file: FaultyFile,
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

impl Fault {
    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Which of the two files shows it.
    #[must_use]
    pub fn file(&self) -> FaultyFile {
        self.file
    }

    /// The first record that cannot be believed, counted from 0. All records before it are intact.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The byte in the [file](Self::file) where that begins: of a frame, a header field or a slot.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, file, sequence, offset } = self;
        write!(f, "{kind} at record {sequence} ({file}, byte {offset})")
    }
}

/// What kind of thing is wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The header of the log.
    HeaderAltered,
    /// A frame whose bytes do not fit their checksum or cannot be a frame.
    RecordAltered,
    /// A whole frame that is not the next record of this log: moved, repeated, forged, or standing
    /// after a deleted one.
    RecordOutOfPlace,
    /// A frame that ends after the end of the file: the tail was cut inside a record, or the length
    /// was altered.
    RecordCut,
    /// Records that the head counts are not there: the tail was cut between two records.
    RecordsMissing,
    /// The log goes on where it cannot: an older head was put back, or something was appended.
    HeadBehind,
    /// Log and head each are whole, but tell of different records: one was put back from elsewhere.
    HeadDisagrees,
    /// The head file is not there.
    HeadMissing,
    /// The head file is not what was written.
    HeadAltered,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeaderAltered => "the header was altered",
            Self::RecordAltered => "a record was altered",
            Self::RecordOutOfPlace => "a record was moved, repeated, forged, or one before it deleted",
            Self::RecordCut => "a record was cut, or its length altered",
            Self::RecordsMissing => "records at the end are missing",
            Self::HeadBehind => "there is more than the head counts",
            Self::HeadDisagrees => "log and head tell of different records",
            Self::HeadMissing => "the head file is missing",
            Self::HeadAltered => "the head file was altered",
        })
    }
}

/// One of the two files of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultyFile {
    /// The log itself.
    Log,
    /// The head file beside it.
    Head,
}

impl fmt::Display for FaultyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log file",
            Self::Head => "head file",
        })
    }
}
