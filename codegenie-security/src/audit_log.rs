//! The tamper-evident encrypted log behind [`AuditSink`].

mod codec;
mod error;
mod format;
mod head;
mod open;
mod read;
mod scan;
mod storage;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use crate::audit::{AuditError, AuditErrorKind, AuditEvent, AuditSink, EventClass, Retention};
use crate::crypto::SealingKey;
pub use error::{AuditLogError, Fault, FaultKind, FaultyFile};
use format::{Chain, LogKeys, SealFailure};
pub use open::Recovery;
use open::{Mode, Opened};
pub use read::{Records, StoredEvent, Verdict, Verification};
use storage::Storage;

/// An append-only file of audit events: encrypted, chained, and durable before
/// [`record`](AuditSink::record) returns.
///
/// ```
/// use codegenie_security::{AuditEvent, AuditLog, AuditSink, EventClass, SealingKey};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("audit.log");
/// let key = SealingKey::generate()?;
///
/// let log = AuditLog::open(&path, &key)?;
/// log.record(&AuditEvent::new(EventClass::Command, "execute", "git status").actor("alice"))?;
/// drop(log);
///
/// assert!(AuditLog::verify(&path, &key)?.is_intact());
/// for stored in AuditLog::read(&path, &key)? {
///     assert_eq!(stored?.event.actor, "alice");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is kept
///
/// Each record is sealed with XChaCha20-Poly1305 under a key that is derived for this log. The
/// additional data binds the log's random id, the record's sequence number, and the SHA-256 over
/// all that stands before it. Beside `audit.log` lies `audit.log.head`, sealed as well: the count of the
/// records and the hash over them. A record is written and synced, then the head is written and synced,
/// then `record` returns. Both files have mode 0600; an exclusive lock keeps a second writer out.
///
/// # What is detected
///
/// Any change of what was acknowledged: an altered byte, a record deleted, moved, repeated or brought
/// in from another log, the tail cut inside or between records, one of the files put back from a
/// backup or gone. [`verify`](Self::verify) names the first record that cannot be believed and the byte where
/// it begins. A log that was tampered with is not opened for writing.
///
/// After a crash, the log may end in a part of a record that was not acknowledged, or the head may
/// lag by that one record. That is [`Verdict::Interrupted`](crate::Verdict::Interrupted), neither
/// intact nor tampered with: [`open`](Self::open) repairs it and [says so](Self::recovery). Foreign
/// bytes after the last record and a damaged newest slot of the head look the same, and lose nothing.
///
/// # What is not
///
/// - Both files put back to an older pair that once matched, or both deleted. This needs an anchor
///   elsewhere, such as a second disk or a witness, which a later version adds.
/// - Whatever somebody does who holds the key, which includes this process once it is taken over: he can
///   write a whole new log.
/// - The record that was being written in a crash: whether the crash or a hand removed it cannot be
///   told. Bytes after the last record that are no frame pass for the rest of such a record, and
///   are removed.
/// - The number of records and their sizes are visible without the key.
///
/// # When writing fails
///
/// The first error of a write or a sync ends the log: every later `record` fails with the same
/// [kind](AuditError::kind), since after a failed sync nobody knows what the disk holds. Open the log
/// again to recover. An event of more than 1 MiB is rejected, and harms nothing.
///
/// Other platforms than unix are not supported yet: opening fails with an error of kind `Unsupported`.
pub struct AuditLog {
    path: PathBuf,
    recovery: Recovery,
    writer: Mutex<Writer>,
}

struct Writer {
    storage: Box<dyn Storage>,
    keys: LogKeys,
    chain: Chain,
    length: u64,
    stopped: Option<AuditErrorKind>,
    /// A forked child shares the lock with its parent, and would fork the chain.
    process: u32,
}

impl AuditLog {
    /// Opens the log to append to it. It is created if neither the log nor its head file is there.
    ///
    /// The whole log is read and checked first.
    pub fn open(path: impl AsRef<Path>, key: &SealingKey) -> Result<Self, AuditLogError> {
        Self::open_as(path.as_ref(), key, Mode::OpenOrCreate)
    }

    /// As [`open`](Self::open), but a log that is not there is an error: for hosts that know that
    /// there must be one, so that its deletion is seen.
    pub fn open_existing(path: impl AsRef<Path>, key: &SealingKey) -> Result<Self, AuditLogError> {
        Self::open_as(path.as_ref(), key, Mode::MustExist)
    }

    fn open_as(path: &Path, key: &SealingKey, mode: Mode) -> Result<Self, AuditLogError> {
        let Opened { storage, keys, chain, length, recovery } = open::open(path, key, mode)?;
        Ok(Self::with_storage(path, Box::new(storage), keys, chain, length, recovery))
    }

    fn with_storage(
        path: &Path,
        storage: Box<dyn Storage>,
        keys: LogKeys,
        chain: Chain,
        length: u64,
        recovery: Recovery,
    ) -> Self {
        let writer = Writer { storage, keys, chain, length, stopped: None, process: std::process::id() };
        Self { path: path.to_owned(), recovery, writer: Mutex::new(writer) }
    }

    /// Checks a whole log, also one that is being written, and says what is wrong with it and where.
    ///
    /// An error means that no verdict was reached, as with the wrong key or a missing file.
    pub fn verify(path: impl AsRef<Path>, key: &SealingKey) -> Result<Verification, AuditLogError> {
        read::verify(path.as_ref(), key)
    }

    /// Reads the events of a log in order, also of one that is being written.
    pub fn read(path: impl AsRef<Path>, key: &SealingKey) -> Result<Records, AuditLogError> {
        Records::start(path.as_ref(), key)
    }

    /// What opening had to repair.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The file of the log.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the head, which belongs to the log: keep, move and back up the two together.
    #[must_use]
    pub fn head_path(&self) -> PathBuf {
        scan::head_path(&self.path)
    }

    /// How many records the log holds.
    #[must_use]
    pub fn records(&self) -> u64 {
        match self.writer.lock() {
            Ok(writer) => writer.chain.count,
            Err(poisoned) => poisoned.get_ref().chain.count,
        }
    }

    /// The writer, if it may still write.
    fn writer(&self) -> Result<MutexGuard<'_, Writer>, AuditError> {
        let path = &self.path;
        let writer = self.writer.lock().map_err(|_| {
            AuditError::unavailable(format!(
                "audit log {path:?} stopped when a writer panicked; open it again"
            ))
        })?;
        if let Some(kind) = writer.stopped {
            let message = format!("audit log {path:?} stopped after an earlier write error; open it again");
            return Err(AuditError::new(kind, message));
        }
        if writer.process != std::process::id() {
            let message =
                format!("audit log {path:?} was opened by process {}; open a log in each", writer.process);
            return Err(AuditError::unavailable(message));
        }
        Ok(writer)
    }

    fn rejected(&self, why: &str) -> AuditError {
        AuditError::new(
            AuditErrorKind::Rejected,
            format!("audit log {:?} cannot hold the event: {why}", self.path),
        )
    }
}

impl Writer {
    fn append(&mut self, frame: &[u8], next: Chain) -> io::Result<()> {
        self.storage.append(frame)?;
        self.storage.sync_log()?;
        let length = self.length + frame.len() as u64;
        let (offset, slot) = head::seal_slot(&self.keys, &next, length).map_err(io::Error::other)?;
        self.storage.write_head(&slot, offset)?;
        self.storage.sync_head()?;
        self.chain = next;
        self.length = length;
        Ok(())
    }
}

impl AuditSink for AuditLog {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        let encoded = codec::encode(event)
            .ok_or_else(|| self.rejected("a time or a length is out of range; correct the event"))?;
        let mut writer = self.writer()?;
        let sealed = format::seal_frame(&writer.keys, &writer.chain, &encoded);
        let (frame, next) = sealed.map_err(|failure| match failure {
            SealFailure::TooLarge => self
                .rejected(&format!("{} bytes, where 1 MiB is the most; shorten its details", encoded.len())),
            SealFailure::NoRandomness(error) => AuditError::unavailable(error.to_string()),
        })?;
        writer.append(&frame, next).map_err(|error| {
            let kind = kind_of(&error);
            writer.stopped = Some(kind);
            let message = format!(
                "cannot write audit log {:?}: {error}; see to the disk, then open the log again",
                self.path
            );
            AuditError::new(kind, message).with_source(error)
        })
    }

    fn retention(&self) -> Retention {
        Retention::Durable
    }

    fn enabled(&self, _class: EventClass) -> bool {
        true
    }

    fn flush(&self) -> Result<(), AuditError> {
        // Every record was synced before it was acknowledged.
        self.writer().map(drop)
    }
}

fn kind_of(error: &io::Error) -> AuditErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            AuditErrorKind::Full
        }
        _ => AuditErrorKind::Unavailable,
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
