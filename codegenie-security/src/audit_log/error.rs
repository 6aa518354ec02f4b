//! What can be wrong with a log, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::crypto::{KeyId, NoRandomness, WrapError};

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
    /// Its keys were sealed with another key.
    #[error("{path:?} is sealed with key {found}, not with key {given}; use the key that it names")]
    #[non_exhaustive]
    WrongKey {
        /// What is sealed.
        path: PathBuf,
        /// The key that it names.
        found: KeyId,
        /// The key that was given.
        given: KeyId,
    },
    /// A file of keys is not what was written.
    #[error(
        "{path:?} was altered or cut; put the directory of keys back from a backup of the same time as the log"
    )]
    #[non_exhaustive]
    BadKeys {
        /// The file.
        path: PathBuf,
    },
    /// There are no keys for the log.
    #[error("no keys for the log in {path:?}; give the directory that was made with the log")]
    #[non_exhaustive]
    NoKeys {
        /// Where they were looked for.
        path: PathBuf,
    },
    /// The log was not sealed for this reader.
    #[error(
        "segment {segment} of audit log {path:?} was not sealed for this reader; use a key of one of its auditors"
    )]
    #[non_exhaustive]
    NotAReader {
        /// The log.
        path: PathBuf,
        /// The first segment that cannot be read.
        segment: u64,
    },
    /// A name that no log may have.
    #[error("a log cannot be named {origin:?}: 1 to 150 bytes without spaces, control characters and `+`")]
    #[non_exhaustive]
    BadOrigin {
        /// The name.
        origin: String,
    },
    /// More than 255 readers, or a reader's key that cannot be used.
    #[error("the key of an epoch cannot be wrapped for a reader: {reason}; correct the list of auditors")]
    #[non_exhaustive]
    BadReader {
        /// Why.
        reason: String,
    },
    /// A file, or a record, was written by a version that this one does not know.
    #[error("audit log {path:?} was written by another version ({what}); use the library that wrote it")]
    #[non_exhaustive]
    UnknownVersion {
        /// The log.
        path: PathBuf,
        /// What is unknown.
        what: String,
    },
    /// It is not what was written.
    #[error("audit log {path:?} was tampered with: {fault}; keep it as evidence, and start another log")]
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
    /// An anchor did not answer.
    #[error("anchor of audit log {path:?}: {reason}; make it reachable, or open the log without it")]
    #[non_exhaustive]
    Anchor {
        /// The log.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// There is no record of this number.
    #[error("audit log {path:?} has no record {sequence}; it has {records}")]
    #[non_exhaustive]
    NoSuchRecord {
        /// The log.
        path: PathBuf,
        /// The number that was asked for.
        sequence: u64,
        /// How many there are.
        records: u64,
    },
    /// Retention has removed a part that is needed.
    #[error(
        "audit log {path:?} has lost what was before record {kept_from} to its retention, and this needs it; keep more, or ask earlier"
    )]
    #[non_exhaustive]
    Pruned {
        /// The log.
        path: PathBuf,
        /// The first record that is there.
        kept_from: u64,
    },
    /// No random bytes could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<WrapError> for AuditLogError {
    fn from(error: WrapError) -> Self {
        Self::BadReader { reason: error.to_string() }
    }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuditLogError {
    let path = path.to_owned();
    move |source| match crate::files::is_symlink_refusal(&source) {
        true => {
            let source = io::Error::other("it is a symbolic link, which is refused");
            AuditLogError::Io { action, path, source }
        }
        false => AuditLogError::Io { action, path, source },
    }
}

/// Something in a log that is not what was written, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) kind: FaultKind,
    pub(super) file: String,
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

impl Fault {
    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The file that shows it, by its path in the directory of the log.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The first record that cannot be believed, counted from 0. All records before it are intact.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The byte in the [file](Self::file) where that begins, of a frame or a slot; 0 for a whole file.
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
    /// The note that says who the log is.
    LogAltered,
    /// The log is of another identity than expected.
    AnotherLog,
    /// A segment is not there.
    SegmentMissing,
    /// The header of a segment is not what was written, or does not follow from the segment before.
    HeaderAltered,
    /// The certificate of an epoch is not by the identity, or of another epoch.
    CertificateRefused,
    /// A frame whose bytes do not fit their checksum or cannot be a frame.
    FrameAltered,
    /// A whole frame that is not the next one of this log: moved, repeated, forged, or after a deleted one.
    FrameOutOfPlace,
    /// The segment ends where it must not: its end was cut, or a length altered.
    RecordsMissing,
    /// The hash over the segment is not the one that was signed.
    RootDiffers,
    /// A record is not what it was committed to.
    RecordAltered,
    /// The key of a subject is not what was written, or not there and not shredded by the log, or there though shredded by it.
    SubjectAltered,
    /// The last checkpoint is not there.
    CheckpointMissing,
    /// The last checkpoint is not what was signed.
    CheckpointAltered,
    /// A tile or an index, which are derived, is not what it is derived from.
    DerivedAltered,
    /// A file that no log has.
    StrangeFile,
    /// Where a file or a directory of the log was there is a link, a pipe, or another such thing.
    FileReplaced,
    /// An anchor has a later checkpoint: the log was put back to an earlier state.
    RolledBack,
    /// An anchor has another checkpoint of the same log: there are two histories.
    Forked,
    /// The keys are of another time than the log: one of them was put back or removed.
    KeysDisagree,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogAltered => "the note of the log was altered or removed",
            Self::AnotherLog => "the log is another one",
            Self::SegmentMissing => "a segment is missing",
            Self::HeaderAltered => "the header of a segment was altered or replaced",
            Self::CertificateRefused => "the key of an epoch is not certified",
            Self::FrameAltered => "a frame was altered",
            Self::FrameOutOfPlace => "a frame was moved, repeated, forged, or one before it deleted",
            Self::RecordsMissing => "records at the end are missing",
            Self::RootDiffers => "the records are not those that were signed",
            Self::RecordAltered => "a record was altered",
            Self::SubjectAltered => {
                "the key of a subject was altered, removed, or put back after it was destroyed"
            }
            Self::CheckpointMissing => "the checkpoint is missing",
            Self::CheckpointAltered => "the checkpoint was altered",
            Self::DerivedAltered => "a tile or index was altered",
            Self::FileReplaced => "a file was replaced by something that is none",
            Self::StrangeFile => "there is a file that no log has",
            Self::RolledBack => "the log was put back to an earlier state",
            Self::Forked => "the log has another history than its anchor",
            Self::KeysDisagree => "log and keys are of different times, or a file of the keys is missing",
        })
    }
}
