//! Sessions in a file, sealed.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::{PersistenceError, SessionPersistence, SessionRecord};
use crate::access::session::SessionId;
use crate::crypto::SealingKey;
use crate::files;

const PUT: u8 = 1;
const REMOVE: u8 = 2;
/// No entry is longer.
const MAX_ENTRY: usize = 1 << 20;
/// No file is longer.
const MAX_FILE: u64 = 1 << 30;
/// The file is written anew when it has this many entries more than twice the sessions in it.
const SLACK: usize = 256;

/// Keeps sessions in a file, readable by its owner only: each change is appended, sealed under a key, and
/// synced before it counts. Of tokens it has hashes only.
///
/// A crash in the middle of a change leaves it undone. An entry that is altered, moved, repeated from elsewhere
/// or missing before others is refused at loading. An older file that is put back whole is not noticed, and
/// brings back what had ended since.
///
/// One process has the file at a time.
///
/// # Format, version 1
///
/// Entries, each a length in 4 bytes, little-endian, and that many bytes, [sealed](SealingKey::seal) with the
/// additional data `codegenie sessions v1`, a zero byte, and the number of the entry in 8 bytes, little-endian.
/// What is sealed is a byte, 1 and a [record](SessionRecord::to_bytes), or 2 and the id of a session that
/// ended.
pub struct FileSessions {
    path: PathBuf,
    key: SealingKey,
    state: Mutex<State>,
}

struct State {
    /// `None` once a write has failed: what is on disk is unknown then.
    file: Option<files::Locked>,
    entries: u64,
    kept: Kept,
}

type Kept = BTreeMap<SessionId, SessionRecord>;

impl FileSessions {
    /// Opens the file, or makes it. The key that is used is derived from `key`.
    pub fn open(path: impl AsRef<Path>, key: &SealingKey) -> Result<Self, PersistenceError> {
        let path = path.as_ref().to_owned();
        let failed = |error: io::Error| io_error("open", &path, &error);
        let key = key.derive("codegenie sessions v1");
        let file =
            files::lock(files::open_to_append(&path, true).map_err(failed)?).map_err(|error| match error
                .kind()
            {
                io::ErrorKind::WouldBlock => PersistenceError::new(format!(
                    "session file {path:?} is in use by another process; end that one"
                )),
                _ => io_error("lock", &path, &error),
            })?;
        let mut bytes = Vec::new();
        (&*file).take(MAX_FILE).read_to_end(&mut bytes).map_err(|error| io_error("read", &path, &error))?;
        let (kept, entries, good) = replay(&bytes, &key, &path)?;
        if good < bytes.len() as u64 {
            // The last change was not finished, so nobody was told that it counts.
            let cut = file.set_len(good).and_then(|()| file.sync_all());
            cut.map_err(|error| io_error("repair", &path, &error))?;
        }
        files::sync_parent(&path).map_err(|error| io_error("sync the directory of", &path, &error))?;
        let state = State { file: Some(file), entries, kept };
        Ok(Self { path, key, state: Mutex::new(state) })
    }

    /// Appends what `entry` makes of the sessions that are kept, and then lets `apply` change them. `None` is nothing
    /// to do.
    fn change(
        &self,
        entry: impl FnOnce(&Kept) -> Option<Vec<u8>>,
        apply: impl FnOnce(&mut Kept),
    ) -> Result<(), PersistenceError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entry(&state.kept) else { return Ok(()) };
        let sealed = seal(&self.key, state.entries, &entry)?;
        // Until it is written: after a failure it is not known what is on disk.
        let Some(file) = state.file.take() else {
            let message = format!("session file {:?} failed before; open it anew", self.path);
            return Err(PersistenceError::new(message));
        };
        let written = (&*file).write_all(&sealed).and_then(|()| file.sync_data());
        written.map_err(|error| io_error("write", &self.path, &error))?;
        state.entries += 1;
        state.file = Some(file);
        apply(&mut state.kept);
        if state.entries as usize > 2 * state.kept.len() + SLACK {
            self.rewrite(&mut state)?;
        }
        Ok(())
    }

    /// Writes only what is kept, under another name first.
    fn rewrite(&self, state: &mut State) -> Result<(), PersistenceError> {
        let mut bytes = Vec::new();
        for (number, record) in state.kept.values().enumerate() {
            bytes.extend(seal(&self.key, number as u64, &put_entry(record))?);
        }
        let failed = |error: io::Error| io_error("rewrite", &self.path, &error);
        state.file = None;
        files::replace(&self.path, &bytes).map_err(failed)?;
        state.file =
            Some(files::lock(files::open_to_append(&self.path, false).map_err(failed)?).map_err(failed)?);
        state.entries = state.kept.len() as u64;
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

fn aad(number: u64) -> Vec<u8> {
    [b"codegenie sessions v1\0".as_slice(), &number.to_le_bytes()].concat()
}

fn seal(key: &SealingKey, number: u64, entry: &[u8]) -> Result<Vec<u8>, PersistenceError> {
    let sealed = key.seal(&aad(number), entry).map_err(|error| PersistenceError::new(error.to_string()))?;
    let len = u32::try_from(sealed.len()).ok().filter(|len| *len as usize <= MAX_ENTRY);
    let len = len.ok_or_else(|| {
        PersistenceError::new("session is too large to be kept; give it fewer roles and tags")
    })?;
    Ok([len.to_le_bytes().as_slice(), &sealed].concat())
}

type Replayed = (Kept, u64, u64);

/// What is kept, how many entries there are, and how many bytes they take. An entry at the end that is not whole
/// is left out; anything else that is wrong is an error.
fn replay(bytes: &[u8], key: &SealingKey, path: &Path) -> Result<Replayed, PersistenceError> {
    let (mut kept, mut entries, mut rest) = (BTreeMap::new(), 0, bytes);
    let bad = |entries: u64| {
        let message = format!(
            "session file {path:?} is altered, or sealed under another key, at entry {entries}; restore it, or remove it to end all sessions"
        );
        PersistenceError::new(message)
    };
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        // A crash can leave a file that was made longer and not filled.
        if rest.iter().all(|byte| *byte == 0) {
            break;
        }
        let len = u32::from_le_bytes(*len) as usize;
        if len > MAX_ENTRY {
            return Err(bad(entries));
        }
        let Some((sealed, after)) = after.split_at_checked(len) else { break };
        let entry = key.open(&aad(entries), sealed).map_err(|_| bad(entries))?;
        match entry.split_first() {
            Some((&PUT, record)) => {
                let record = SessionRecord::from_bytes(record).ok_or_else(|| bad(entries))?;
                kept.insert(record.id, record);
            }
            Some((&REMOVE, id)) => {
                kept.remove(&SessionId(id.try_into().map_err(|_| bad(entries))?));
            }
            _ => return Err(bad(entries)),
        }
        entries += 1;
        rest = after;
    }
    Ok((kept, entries, (bytes.len() - rest.len()) as u64))
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
