//! Reading a log from the start, and the judgement at its end. Opening, verifying and reading share it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{AuditLogError, Fault, FaultKind, FaultyFile};
use super::format::{
    self, Chain, FrameFailure, HEADER_LEN, Hash, Header, LogKeys, MAX_BODY, PREFIX_LEN, Prefix,
};
use super::head::{self, Head};
use crate::crypto::SealingKey;
use crate::files;

/// How a log ended that was not tampered with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending {
    /// Bytes of a record that a crash cut off.
    pub(super) torn_bytes: u64,
    /// Records that are whole, but that the head does not count yet: 0 or 1.
    pub(super) uncounted: u64,
    /// A crash tore the write of the head.
    pub(super) torn_head: bool,
}

/// Why no record comes any more.
enum Stop {
    End,
    Cut,
    BadFrame,
    OutOfPlace,
}

pub(super) struct Record {
    pub(super) sequence: u64,
    pub(super) event: Vec<u8>,
}

pub(super) struct Scan {
    log: BufReader<File>,
    path: PathBuf,
    /// Is nobody else writing? Otherwise a record may arrive between two looks.
    exclusive: bool,
    pub(super) keys: LogKeys,
    head: Head,
    pub(super) chain: Chain,
    before: Hash,
    pub(super) offset: u64,
    end: u64,
    pub(super) ending: Option<Ending>,
}

/// The head file that belongs to a log.
pub(super) fn head_path(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".head");
    PathBuf::from(path)
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuditLogError {
    let path = path.to_owned();
    move |source| AuditLogError::Io { action, path, source }
}

/// The error of an open, which names a symbolic link as such.
pub(super) fn open_error(path: &Path) -> impl FnOnce(io::Error) -> AuditLogError {
    let with_path = io_error("open", path);
    |error| match files::is_symlink_refusal(&error) {
        true => with_path(io::Error::other("it is a symbolic link, which is refused")),
        false => with_path(error),
    }
}

pub(super) fn tampered(path: &Path, fault: Fault) -> AuditLogError {
    AuditLogError::Tampered { path: path.to_owned(), fault }
}

/// The bytes of the head file; `None` when there is none.
pub(super) fn read_head_file(log: &Path) -> Result<Option<Vec<u8>>, AuditLogError> {
    let path = head_path(log);
    let file = match files::open_to_read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(open_error(&path))?,
    };
    let mut bytes = Vec::new();
    // One byte more than a head has is enough to see that it is none.
    file.take(head::HEAD_LEN as u64 + 1).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
    Ok(Some(bytes))
}

impl Scan {
    /// Begins to read a log that is at least as long as a header.
    pub(super) fn start(
        file: File,
        path: &Path,
        key: &SealingKey,
        exclusive: bool,
    ) -> Result<Self, AuditLogError> {
        let io = || io_error("read", path);
        let end = file.metadata().map_err(io())?.len();
        let mut log = BufReader::with_capacity(1 << 16, file);
        log.rewind().map_err(io())?;
        let fault = |kind, file, offset| tampered(path, Fault { kind, file, sequence: 0, offset });

        let mut header = [0; HEADER_LEN];
        log.read_exact(&mut header).map_err(io())?;
        let keys = match format::read_header(&header, key) {
            Header::Good(keys) => keys,
            Header::Altered(offset) => return Err(fault(FaultKind::HeaderAltered, FaultyFile::Log, offset)),
            Header::UnknownVersion(version) => {
                let what = format!("file format {version}");
                return Err(AuditLogError::UnknownVersion { path: path.to_owned(), what });
            }
            Header::WrongKey(found) => {
                return Err(AuditLogError::WrongKey { path: path.to_owned(), found, given: key.id() });
            }
        };
        let chain = Chain::start(&header);
        let head = load_head(path, &keys, exclusive)?;
        Ok(Self {
            log,
            path: path.to_owned(),
            exclusive,
            keys,
            head,
            chain,
            before: chain.hash,
            offset: HEADER_LEN as u64,
            end,
            ending: None,
        })
    }

    /// The next record. `None` once the end was reached and believed; see [`ending`](Self::ending).
    pub(super) fn next(&mut self) -> Result<Option<Record>, AuditLogError> {
        while self.ending.is_none() {
            let stop = match self.read_frame()? {
                Ok(record) => return Ok(Some(record)),
                Err(stop) => stop,
            };
            // What is whole and wrong, where the head says that a record is, does not get better.
            let settled =
                matches!(stop, Stop::BadFrame | Stop::OutOfPlace) && self.chain.count < self.head.count;
            match self.judge(&stop) {
                Ok(ending) => self.ending = Some(ending),
                Err(fault) if settled || !self.look_again()? => return Err(tampered(&self.path, fault)),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    fn read_frame(&mut self) -> Result<Result<Record, Stop>, AuditLogError> {
        let remaining = self.end.saturating_sub(self.offset);
        if remaining == 0 {
            return Ok(Err(Stop::End));
        }
        if remaining < PREFIX_LEN as u64 {
            return Ok(Err(Stop::Cut));
        }
        let mut prefix = [0; PREFIX_LEN];
        self.log.read_exact(&mut prefix).map_err(io_error("read", &self.path))?;
        let prefix = Prefix::new(prefix);
        let Some(body_len) = prefix.body_len() else {
            return Ok(Err(Stop::BadFrame));
        };
        if body_len as u64 > remaining - PREFIX_LEN as u64 {
            return Ok(Err(Stop::Cut));
        }
        let mut body = vec![0; body_len];
        self.log.read_exact(&mut body).map_err(io_error("read", &self.path))?;
        match format::open_frame(&self.keys, &self.chain, &prefix, &body) {
            Ok((event, next)) => {
                let sequence = self.chain.count;
                self.before = self.chain.hash;
                self.chain = next;
                self.offset += (PREFIX_LEN + body_len) as u64;
                Ok(Ok(Record { sequence, event }))
            }
            Err(FrameFailure::Checksum) => Ok(Err(Stop::BadFrame)),
            Err(FrameFailure::NotAuthentic) => Ok(Err(Stop::OutOfPlace)),
        }
    }

    /// Is this end what an orderly stop or a crash leaves?
    ///
    /// The writer syncs record `c` before it writes head `c + 1`, and syncs that before the next record.
    /// So a crash leaves the head exact, or one record behind; a torn record only after the last
    /// one that the head counts; and a torn head only with that one record more.
    fn judge(&self, stop: &Stop) -> Result<Ending, Fault> {
        let Head { count: counted, hash, offset: slot, damaged } = self.head;
        let found = self.chain.count;
        let in_log = |kind| Fault { kind, file: FaultyFile::Log, sequence: found, offset: self.offset };
        let in_head =
            |kind, offset| Fault { kind, file: FaultyFile::Head, sequence: counted.min(found), offset };

        let broken = match stop {
            Stop::End => None,
            Stop::Cut => Some(FaultKind::RecordCut),
            Stop::BadFrame => Some(FaultKind::RecordAltered),
            Stop::OutOfPlace => Some(FaultKind::RecordOutOfPlace),
        };
        if found < counted {
            return Err(in_log(broken.unwrap_or(FaultKind::RecordsMissing)));
        }
        let uncounted = found - counted;
        if uncounted > 1 {
            return Err(in_head(FaultKind::HeadBehind, slot));
        }
        let believed = if uncounted == 0 { self.chain.hash } else { self.before };
        if believed != hash {
            return Err(in_head(FaultKind::HeadDisagrees, slot));
        }
        let remaining = self.end.saturating_sub(self.offset);
        if let Some(kind) = broken {
            let torn = !matches!(stop, Stop::OutOfPlace)
                && uncounted == 0
                && remaining <= (PREFIX_LEN + MAX_BODY) as u64;
            if !torn {
                return Err(in_log(kind));
            }
        }
        match damaged {
            Some(offset) if uncounted == 0 => Err(in_head(FaultKind::HeadAltered, offset)),
            _ => Ok(Ending { torn_bytes: remaining, uncounted, torn_head: damaged.is_some() }),
        }
    }

    /// Before a fault of a log that may be in use is believed: has it grown since? If so, goes on.
    fn look_again(&mut self) -> Result<bool, AuditLogError> {
        if self.exclusive {
            return Ok(false);
        }
        let head = load_head(&self.path, &self.keys, false)?;
        let end = self.log.get_ref().metadata().map_err(io_error("read", &self.path))?.len();
        let grown = head.count > self.head.count || end > self.end;
        self.head = head;
        self.end = self.end.max(end);
        self.log.seek(SeekFrom::Start(self.offset)).map_err(io_error("read", &self.path))?;
        Ok(grown)
    }
}

fn load_head(path: &Path, keys: &LogKeys, exclusive: bool) -> Result<Head, AuditLogError> {
    let mut attempts = if exclusive { 1 } else { 3 };
    loop {
        attempts -= 1;
        let in_head = |kind, offset| Fault { kind, file: FaultyFile::Head, sequence: 0, offset };
        let file = read_head_file(path)?.ok_or_else(|| tampered(path, in_head(FaultKind::HeadMissing, 0)))?;
        let head = head::read(&file, keys);
        if attempts > 0 && !matches!(&head, Ok(Head { damaged: None, .. })) {
            // Perhaps it was read in the middle of a write.
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        return head.map_err(|head::BadHead(offset)| tampered(path, in_head(FaultKind::HeadAltered, offset)));
    }
}
