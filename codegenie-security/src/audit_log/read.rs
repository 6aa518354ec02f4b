//! Reading and verifying a log, also while it is being written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::codec;
use super::error::{AuditLogError, Fault};
use super::format::HEADER_LEN;
use super::open::{Recovery, check_unborn};
use super::scan::{Record, Scan, io_error, open_error};
use crate::audit::AuditEvent;
use crate::crypto::SealingKey;
use crate::files;

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its place in the log, from 0.
    pub sequence: u64,
    /// What was recorded.
    pub event: AuditEvent,
}

impl StoredEvent {
    /// An event that is kept elsewhere, or is yet to be.
    #[must_use]
    pub fn new(sequence: u64, event: AuditEvent) -> Self {
        Self { sequence, event }
    }
}

/// The events of a log from the first to the last, each checked before it is given out. Made by
/// [`AuditLog::read`](crate::AuditLog::read).
///
/// A fault ends the events with an error. Only the end of the iteration without one says that
/// nothing is missing.
pub struct Records {
    /// `None` for a log whose creation a crash interrupted.
    scan: Option<Scan>,
    path: PathBuf,
    ended: bool,
}

impl Records {
    pub(super) fn start(path: &Path, key: &SealingKey) -> Result<Self, AuditLogError> {
        let file = files::open_to_read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => AuditLogError::Missing { path: path.to_owned() },
            _ => open_error(path)(error),
        })?;
        let metadata = file.metadata().map_err(io_error("read", path))?;
        if !metadata.is_file() {
            return Err(io_error("use", path)(io::Error::other("it is not a regular file")));
        }
        let scan = if metadata.len() < HEADER_LEN as u64 {
            check_unborn(path, key, metadata.len())?;
            None
        } else {
            Some(Scan::start(file, path, key, false)?)
        };
        Ok(Self { scan, path: path.to_owned(), ended: false })
    }

    fn next_record(&mut self) -> Result<Option<Record>, AuditLogError> {
        self.scan.as_mut().map_or(Ok(None), Scan::next)
    }
}

impl Iterator for Records {
    type Item = Result<StoredEvent, AuditLogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.next_record().and_then(|record| match record {
            None => Ok(None),
            Some(record) => match codec::decode(&record.event) {
                Some(event) => Ok(Some(StoredEvent { sequence: record.sequence, event })),
                // It is authentic, so it was this library that wrote it.
                None => Err(AuditLogError::UnknownVersion {
                    path: self.path.clone(),
                    what: format!("record {}", record.sequence),
                }),
            },
        });
        self.ended = !matches!(item, Ok(Some(_)));
        item.transpose()
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What verifying a log found. Made by [`AuditLog::verify`](crate::AuditLog::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a log is verified to learn its verdict"]
pub struct Verification {
    records: u64,
    verdict: Verdict,
}

impl Verification {
    /// How many records are intact, from the first on without a gap.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The judgement.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Is everything as it was written, to the last byte? False also for [`Verdict::Interrupted`], which
    /// a log that is being written, or that a crash cut short, gives until it is opened again.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.verdict == Verdict::Intact
    }

    /// What is wrong, and where.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self.verdict {
            Verdict::Tampered(fault) => Some(fault),
            Verdict::Intact | Verdict::Interrupted(_) => None,
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records intact", self.records)?;
        match self.verdict {
            Verdict::Intact => Ok(()),
            Verdict::Interrupted(_) => f.write_str(
                ", then something that was not acknowledged: a record that is being written, what a crash left, or what \
                 somebody put there; opening the log removes or repairs it",
            ),
            Verdict::Tampered(fault) => write!(f, ", then {fault}"),
        }
    }
}

/// The judgement over a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Every record is as it was written, and none is missing.
    Intact,
    /// Every acknowledged record is as it was written, and at the end stands what was not
    /// acknowledged: a record that is being written at this moment, or was when a crash came. A damaged
    /// newest slot of the head looks the same, and so do foreign bytes after the last record.
    /// Opening the log to write would repair this much.
    Interrupted(Recovery),
    /// Something is not what was written.
    Tampered(Fault),
}

pub(super) fn verify(path: &Path, key: &SealingKey) -> Result<Verification, AuditLogError> {
    let mut count = 0;
    let outcome = Records::start(path, key).and_then(|mut records| {
        while records.next_record()?.is_some() {
            count += 1;
        }
        let Some(scan) = records.scan else {
            return Ok(Verdict::Interrupted(Recovery::default()));
        };
        let left = Recovery::from(scan.ending.unwrap_or_default());
        Ok(if left.is_clean() { Verdict::Intact } else { Verdict::Interrupted(left) })
    });
    let verdict = match outcome {
        Err(AuditLogError::Tampered { fault, .. }) => Verdict::Tampered(fault),
        other => other?,
    };
    Ok(Verification { records: count, verdict })
}
