//! Opening a log to write: locking, creation, recovery.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::error::{AuditLogError, Fault, FaultKind, FaultyFile};
use super::format::{Chain, HEADER_LEN, LogKeys};
use super::head;
use super::scan::{Ending, Scan, head_path, io_error, open_error, read_head_file, tampered};
use super::storage::Files;
use crate::crypto::{self, SealingKey};
use crate::files::{self, Locked};

/// What opening a log had to repair after a crash. All of it concerns one record whose `record` had not
/// returned; nothing that was acknowledged is ever dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Bytes of a half-written record that were cut off.
    pub truncated_bytes: u64,
    /// Whole records that the head did not count yet, and now does: 0 or 1.
    pub adopted_records: u64,
    /// The write of the head was torn, and was done again.
    pub repaired_head: bool,
}

impl Recovery {
    /// Was there nothing to repair?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Ending> for Recovery {
    fn from(ending: Ending) -> Self {
        Self {
            truncated_bytes: ending.torn_bytes,
            adopted_records: ending.uncounted,
            repaired_head: ending.torn_head,
        }
    }
}

/// A log that is ready to be appended to.
pub(super) struct Opened {
    pub(super) storage: Files,
    pub(super) keys: LogKeys,
    pub(super) chain: Chain,
    pub(super) length: u64,
    pub(super) recovery: Recovery,
}

/// What to do about a log that is or is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    OpenOrCreate,
    MustExist,
}

pub(super) fn open(path: &Path, key: &SealingKey, mode: Mode) -> Result<Opened, AuditLogError> {
    let file = files::open_to_append(path, mode == Mode::OpenOrCreate).map_err(|error| {
        match (error.kind(), mode) {
            (io::ErrorKind::NotFound, Mode::MustExist) => AuditLogError::Missing { path: path.to_owned() },
            _ => open_error(path)(error),
        }
    })?;
    let metadata = file.metadata().map_err(io_error("read", path))?;
    if !metadata.is_file() {
        return Err(io_error("use", path)(io::Error::other("it is not a regular file")));
    }
    let log = files::lock(file).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => AuditLogError::Locked { path: path.to_owned() },
        _ => io_error("lock", path)(error),
    })?;
    // Only now does the length hold still.
    let length = log.metadata().map_err(io_error("read", path))?.len();
    if length < HEADER_LEN as u64 {
        check_unborn(path, key, length)?;
        return create(path, key, log);
    }

    let mut scan = Scan::start(log.try_clone().map_err(io_error("read", path))?, path, key, true)?;
    while scan.next()?.is_some() {}
    let recovery = Recovery::from(scan.ending.unwrap_or_default());
    let Scan { keys, chain, offset: length, .. } = scan;

    if recovery.truncated_bytes > 0 {
        log.set_len(length).and_then(|()| log.sync_all()).map_err(io_error("repair", path))?;
    }
    let head_path = head_path(path);
    let head = files::open_to_write(&head_path).map_err(io_error("open", &head_path))?;
    if recovery.adopted_records > 0 {
        // The record may have been written but not synced when the crash came.
        log.sync_all().map_err(io_error("sync", path))?;
        let (offset, slot) = head::seal_slot(&keys, &chain, length)?;
        files::write_at(&head, &slot, offset)
            .and_then(|()| head.sync_all())
            .map_err(io_error("repair", &head_path))?;
    }
    Ok(Opened { storage: Files { log, head }, keys, chain, length, recovery })
}

/// A log without a header: was it never finished, or was it emptied?
pub(super) fn check_unborn(path: &Path, key: &SealingKey, length: u64) -> Result<(), AuditLogError> {
    let Some(file) = read_head_file(path)? else {
        // The head is written before the first byte of the log.
        return match length {
            0 => Ok(()),
            _ => {
                let fault =
                    Fault { kind: FaultKind::HeadMissing, file: FaultyFile::Head, sequence: 0, offset: 0 };
                Err(tampered(path, fault))
            }
        };
    };
    let emptied =
        Fault { kind: FaultKind::RecordsMissing, file: FaultyFile::Log, sequence: 0, offset: length };
    let believed = head::claimed_log_id(&file).map(|log_id| LogKeys::derive(key, log_id));
    match believed.map(|keys| head::read(&file, &keys)) {
        Some(Ok(head)) if head.count == 0 => Ok(()),
        _ => Err(tampered(path, emptied)),
    }
}

fn create(path: &Path, key: &SealingKey, log: Locked) -> Result<Opened, AuditLogError> {
    let keys = LogKeys::derive(key, crypto::random()?);
    let header = keys.header(key.id());
    let chain = Chain::start(&header);
    let length = HEADER_LEN as u64;
    let head_path = head_path(path);
    files::replace(&head_path, &head::initial(&keys, &chain, length)?)
        .map_err(io_error("create", &head_path))?;
    let write = |log: &File| {
        log.set_len(0)?;
        (&*log).write_all(&header)?;
        log.sync_all()?;
        files::sync_parent(path)
    };
    write(&log).map_err(io_error("create", path))?;
    let head = files::open_to_write(&head_path).map_err(io_error("open", &head_path))?;
    Ok(Opened { storage: Files { log, head }, keys, chain, length, recovery: Recovery::default() })
}
