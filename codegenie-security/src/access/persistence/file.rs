//! Sessions in a file, sealed.

mod format;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use self::format::{BadHeader, NoEntry, Place};
use super::{PersistenceError, SessionPersistence, SessionRecord};
use crate::access::session::SessionId;
use crate::crypto::SealingKey;
use crate::files;

const PUT: u8 = 1;
const REMOVE: u8 = 2;
/// To this size a file grows by sessions that are kept. What ends them is shorter, and written anew before it is twice
/// as long.
const MAX_BY_PUTS: u64 = 1 << 30;
const MAX_FILE: u64 = 2 * MAX_BY_PUTS;
/// The file is written anew when it has this many entries more than twice the sessions in it.
const SLACK: usize = 256;

/// Keeps sessions in a file, readable by its owner only: each change is appended, sealed under a key, and
/// synced before it counts. Of tokens it has hashes only.
///
/// One process has the file at a time: a file beside it, by the same name and `.lock`, is locked, and never replaced;
/// leave it there. A file that others have access to is refused. Platforms other than unix are not supported.
///
/// # What is noticed
///
/// An entry that is altered, moved, repeated, missing before others, or from before the file was written anew; and a
/// file of which anything but the beginning of one more entry follows the last good one. Such a file is refused, and
/// left as it is.
///
/// A crash in the middle of a change leaves it undone: the beginning of an entry at the end, and zeros where the file
/// system had made room and not written, are cut off. So the end of the file cut off by somebody, or made zeros, is
/// not told from a crash, nor is an older file that is put back whole: both bring back what had ended since. Keep others
/// from writing to the directory.
///
/// # Format, version 2
///
/// K is the key [derived](SealingKey::derive) for `codegenie sessions v2`. M is 64 bytes of HKDF-SHA256 of K with the
/// file id as salt and the info `codegenie session file mac v2`. Lengths are little-endian.
///
/// | bytes | header |
/// |---|---|
/// | 7 | `CGSESSN` |
/// | 1 | version, `2` |
/// | 32 | file id, random, another one each time that the file is written anew |
/// | 32 | HMAC-SHA256 under M of all before |
///
/// | bytes | each entry |
/// |---|---|
/// | 4 | length of what is sealed, at most 1 MiB |
/// | 32 | HMAC-SHA256 under M of the chain and the length |
/// | n | what is [sealed](SealingKey::seal) under K, with `codegenie sessions v2`, a zero byte and the chain as additional data |
///
/// The chain is the header's HMAC for the first entry, and for each further one the SHA-256 of the chain and the bytes
/// of the entry before. What is sealed is a byte, 1 and a [record](SessionRecord::to_bytes), or 2 and the id of a
/// session that ended.
pub struct FileSessions {
    path: PathBuf,
    key: SealingKey,
    state: Mutex<State>,
    _lock: files::Locked,
}

struct State {
    /// `None` once a write has failed: what is on disk is unknown then.
    file: Option<File>,
    /// Where the next entry goes.
    place: Place,
    length: u64,
    entries: usize,
    kept: Kept,
}

type Kept = BTreeMap<SessionId, SessionRecord>;

impl FileSessions {
    /// Opens the file, or makes it. The key that is used is derived from `key`.
    pub fn open(path: impl AsRef<Path>, key: &SealingKey) -> Result<Self, PersistenceError> {
        let path = path.as_ref().to_owned();
        let lock = lock_beside(&path)?;
        let key = key.derive("codegenie sessions v2");
        let opened = match files::open_to_append(&path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(|error| io_error("open", &path, &error))?),
        };
        let bytes = opened.as_ref().map(|file| read(file, &path)).transpose()?.unwrap_or_default();
        let state = match opened {
            Some(file) if !bytes.is_empty() => {
                let (state, whole) = replay(&bytes, &key, file, &path)?;
                if let Some(file) = state.file.as_ref().filter(|_| !whole) {
                    // The last change was not finished, so nobody was told that it counts.
                    let cut = file.set_len(state.length).and_then(|()| file.sync_all());
                    cut.map_err(|error| io_error("repair", &path, &error))?;
                }
                state
            }
            _ => write_anew(&path, &key, Kept::new())?,
        };
        files::sync_parent(&path).map_err(|error| io_error("sync the directory of", &path, &error))?;
        Ok(Self { path, key, state: Mutex::new(state), _lock: lock })
    }

    /// Appends what `entry` makes of the sessions that are kept, and then lets `apply` change them. `None` is nothing
    /// to do.
    fn change(
        &self,
        entry: impl FnOnce(&Kept) -> Option<Vec<u8>>,
        apply: impl FnOnce(&mut Kept),
    ) -> Result<(), PersistenceError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(content) = entry(&state.kept) else { return Ok(()) };
        let sealed = state.place.seal(&self.key, &content);
        let (entry, after) = sealed.map_err(|error| PersistenceError::new(error.to_string()))?;
        let length = state.length + entry.len() as u64;
        if content.first() == Some(&PUT) && length > MAX_BY_PUTS {
            let message = format!("session file {:?} is full: 1 GiB; end some sessions", self.path);
            return Err(PersistenceError::new(message));
        }
        // Until it is written: after a failure it is not known what is on disk.
        let Some(file) = state.file.take() else {
            let message = format!("session file {:?} failed before; open it anew", self.path);
            return Err(PersistenceError::new(message));
        };
        let written = (&file).write_all(&entry).and_then(|()| file.sync_data());
        written.map_err(|error| io_error("write", &self.path, &error))?;
        state.file = Some(file);
        state.place = after;
        state.length = length;
        state.entries += 1;
        apply(&mut state.kept);
        if state.entries > 2 * state.kept.len() + SLACK {
            state.file = None;
            *state = write_anew(&self.path, &self.key, std::mem::take(&mut state.kept))?;
        }
        Ok(())
    }
}

impl SessionPersistence for FileSessions {
    fn load(&self) -> Result<Vec<SessionRecord>, PersistenceError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(state.kept.values().cloned().collect())
    }

    fn put(&self, record: &SessionRecord) -> Result<(), PersistenceError> {
        let insert = |kept: &mut Kept| {
            kept.insert(record.id, record.clone());
        };
        self.change(|_| Some(put_entry(record)), insert)
    }

    fn remove(&self, id: SessionId) -> Result<(), PersistenceError> {
        let entry =
            |kept: &Kept| kept.contains_key(&id).then(|| [&[REMOVE], id.as_bytes().as_slice()].concat());
        self.change(entry, |kept| drop(kept.remove(&id)))
    }

    fn touch(&self, id: SessionId, now: SystemTime, at_least: Duration) -> Result<(), PersistenceError> {
        let touched = |kept: &Kept| {
            let mut record = kept.get(&id)?.clone();
            record.touch(now, at_least).then_some(record)
        };
        let apply = |kept: &mut Kept| {
            if let Some(record) = kept.get_mut(&id) {
                record.touch(now, at_least);
            }
        };
        self.change(|kept| touched(kept).map(|record| put_entry(&record)), apply)
    }
}

fn put_entry(record: &SessionRecord) -> Vec<u8> {
    [&[PUT], record.to_bytes().as_slice()].concat()
}

/// Locks the file of that name and `.lock`. The file itself is replaced now and then, and a lock would go with it.
fn lock_beside(path: &Path) -> Result<files::Locked, PersistenceError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = PathBuf::from(name);
    let file = files::open_to_append(&lock, true).and_then(|file| files::check_private(&file).map(|()| file));
    let file = file.map_err(|error| io_error("open the lock of", &lock, &error))?;
    files::lock(file).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            PersistenceError::new(format!("session file {path:?} is in use by another process; end that one"))
        }
        _ => io_error("lock", &lock, &error),
    })
}

/// All that is in a file, if nobody else has access to it.
fn read(file: &File, path: &Path) -> Result<Vec<u8>, PersistenceError> {
    files::check_private(file).map_err(|error| io_error("open", path, &error))?;
    let mut bytes = Vec::new();
    // One byte more than a file has tells that it is none: what is not read would be cut off as not finished.
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| io_error("read", path, &error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(PersistenceError::new(format!(
            "session file {path:?} is larger than 2 GiB, so it is none; restore it, or remove it to end all sessions"
        )));
    }
    Ok(bytes)
}

/// Makes a file with only what is kept, under another name first.
fn write_anew(path: &Path, key: &SealingKey, kept: Kept) -> Result<State, PersistenceError> {
    let bad = |error: &dyn std::fmt::Display| PersistenceError::new(error.to_string());
    let (header, mut place) = format::new_header(key).map_err(|error| bad(&error))?;
    let mut bytes = header.to_vec();
    for record in kept.values() {
        let (entry, after) = place.seal(key, &put_entry(record)).map_err(|error| bad(&error))?;
        bytes.extend(entry);
        place = after;
    }
    let failed = |error: io::Error| io_error("write", path, &error);
    files::replace(path, &bytes).map_err(failed)?;
    let file = files::open_to_append(path, false).map_err(failed)?;
    Ok(State { file: Some(file), place, length: bytes.len() as u64, entries: kept.len(), kept })
}

/// What is kept, and whether the file ends with a whole entry. An entry at the end that a crash left unfinished is not
/// counted; anything else that is wrong is an error.
fn replay(
    bytes: &[u8],
    key: &SealingKey,
    file: File,
    path: &Path,
) -> Result<(State, bool), PersistenceError> {
    let refused = |what: &str| {
        PersistenceError::new(format!(
            "session file {path:?} is altered, or sealed under another key, {what}; restore it, or remove it to end all sessions"
        ))
    };
    // Written all at once, so that a crash leaves no part of it.
    let (header, mut rest) = bytes.split_first_chunk().ok_or_else(|| refused("in its header"))?;
    let mut place = format::read_header(key, header).map_err(|error| match error {
        BadHeader::UnknownVersion(version) => PersistenceError::new(format!(
            "session file {path:?} is of version {version}, this library reads version {}; update the library",
            format::VERSION
        )),
        BadHeader::Altered => refused("in its header"),
    })?;
    let (mut kept, mut entries) = (BTreeMap::new(), 0);
    let whole = loop {
        let bad = || refused(&format!("at entry {entries}"));
        let (content, len, after) = match place.open(key, rest) {
            Ok(entry) => entry,
            Err(NoEntry::End) => break true,
            Err(NoEntry::Torn) => break false,
            Err(NoEntry::Altered) => return Err(bad()),
        };
        match content.split_first() {
            Some((&PUT, record)) => {
                let record = SessionRecord::from_bytes(record).ok_or_else(bad)?;
                kept.insert(record.id, record);
            }
            Some((&REMOVE, id)) => {
                kept.remove(&SessionId(id.try_into().map_err(|_| bad())?));
            }
            _ => return Err(bad()),
        }
        place = after;
        entries += 1;
        rest = rest.get(len..).unwrap_or_default();
    };
    let length = (bytes.len() - rest.len()) as u64;
    Ok((State { file: Some(file), place, length, entries, kept }, whole))
}

fn io_error(action: &str, path: &Path, error: &io::Error) -> PersistenceError {
    PersistenceError::new(format!(
        "cannot {action} session file {path:?}: {error}; check the path and its permissions"
    ))
}

impl std::fmt::Debug for FileSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSessions").field("path", &self.path).finish_non_exhaustive()
    }
}
