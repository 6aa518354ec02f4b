//! Several keys of which one seals and all open, and their safekeeping.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::file::{FileOpener, FileSealer};
use super::key::{KeyId, NoRandomness, SealingKey, random};
use super::sealed::{OpenError, SealError};
use super::wrap::{KeyWrapper, UnwrapError, WrapError, WrappedKeys, key_of};
use crate::files;

const MAGIC: [u8; 4] = *b"CGKS";
const VERSION: u8 = 1;
const WRAP_AAD: &[u8] = b"codegenie keyset v1";
const MAX_KEYS: usize = 1024;
/// No stored key set is longer: 64 wrapped copies, and 1,024 keys with what is known of them.
const MAX_STORED: u64 = 1 << 20;
/// The key, and when it was made.
const ENTRY_LEN: usize = SealingKey::LEN + 8;

/// Keys of one purpose: the newest, called primary, seals; all open.
///
/// *Rotation* adds a primary, and what older keys sealed still opens. *Storing* seals the set under a
/// random key that is wrapped for each of the [`KeyWrapper`]s given: another passphrase or key file means
/// storing once more, and nothing that the keys sealed is touched.
///
/// ```
/// use codegenie_security::{Keyset, SealingKey};
/// use std::time::SystemTime;
///
/// let mut keys = Keyset::generate(SystemTime::now())?;
/// let sealed = keys.seal(b"note", b"of last year")?;
/// keys.rotate(SystemTime::now())?;
/// assert_eq!(keys.open(b"note", &sealed)?, b"of last year");
///
/// let master = SealingKey::generate()?; // a key file, a passphrase, a recipient, …
/// let stored = keys.to_stored(&[&master])?;
/// assert_eq!(Keyset::from_stored(&stored, &[&master])?.primary_id(), keys.primary_id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Format, version 1
///
/// `CGKS`; the version, one byte, `1`; how many wrapped copies of the set's key follow, one byte, and for each
/// the id of its wrapper (16 bytes), its length (2 bytes, big-endian) and the wrapped key, with the additional
/// data `codegenie keyset v1`; then the keys, [sealed](SealingKey::seal) under the set's key with all bytes
/// before as additional data: for each, oldest first and the primary last, the key (32 bytes) and when it was
/// made, in seconds since 1970 (8 bytes, big-endian).
///
/// Who can write where the set is stored can put an older one back: what newer keys sealed then no longer opens.
pub struct Keyset {
    primary: Entry,
    /// Oldest first.
    older: Vec<Entry>,
}

struct Entry {
    key: SealingKey,
    /// Seconds since 1970.
    made: u64,
}

/// Why a key set was not changed, stored or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysetError {
    /// It does not begin as a key set does, or is malformed within.
    #[error("not a stored key set: wrong beginning or malformed; restore it from a backup")]
    NotAKeyset,
    /// It was made by a version that this one does not know.
    #[error("key set of version {version}, this library reads version {VERSION}; update the library")]
    #[non_exhaustive]
    UnknownVersion {
        /// The version that it claims.
        version: u8,
    },
    /// None of the wrappers given is among those that it was stored for.
    #[error("key set is stored for other keys than those given; it opens with {}", list(ids))]
    #[non_exhaustive]
    NoKey {
        /// The ids of those that would open it.
        ids: Vec<KeyId>,
    },
    /// The set's key was not unwrapped.
    #[error("the key of the key set: {0}")]
    Unwrap(#[from] UnwrapError),
    /// The set's key was not wrapped.
    #[error("the key of the key set: {0}")]
    Wrap(#[from] WrapError),
    /// Altered.
    #[error("key set refused: altered; restore it from a backup")]
    Refused,
    /// No such key, or it is the primary.
    #[error("key {id} cannot be removed: it is not in the set, or it is the primary; rotate first")]
    #[non_exhaustive]
    NotRemovable {
        /// Which.
        id: KeyId,
    },
    /// A set holds at most 1,024 keys.
    #[error("a key set holds at most {MAX_KEYS} keys; remove some that nothing is sealed with any more")]
    Full,
    /// No random key could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The operating system refused.
    #[error("cannot {action} key set {path:?}: {source}; check the path and its permissions")]
    #[non_exhaustive]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl KeysetError {
    /// What the operating system said, where it refused: `NotFound`, `AlreadyExists`.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}

fn list(ids: &[KeyId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Keyset {
    /// A set of one new key, made `now`.
    pub fn generate(now: SystemTime) -> Result<Self, NoRandomness> {
        Ok(Self::from_key(SealingKey::generate()?, now))
    }

    /// A set of one key that was there before.
    #[must_use]
    pub fn from_key(key: SealingKey, made: SystemTime) -> Self {
        Self { primary: Entry { key, made: seconds(made) }, older: Vec::new() }
    }

    /// Makes a new primary, and returns its id.
    pub fn rotate(&mut self, now: SystemTime) -> Result<KeyId, KeysetError> {
        if self.older.len() + 1 >= MAX_KEYS {
            return Err(KeysetError::Full);
        }
        let primary = Entry { key: SealingKey::generate()?, made: seconds(now) };
        self.older.push(std::mem::replace(&mut self.primary, primary));
        Ok(self.primary_id())
    }

    /// Forgets a key. What it sealed is lost for this set.
    pub fn remove(&mut self, id: KeyId) -> Result<(), KeysetError> {
        let place = self.older.iter().position(|entry| entry.key.id() == id);
        self.older.remove(place.ok_or(KeysetError::NotRemovable { id })?);
        Ok(())
    }

    /// The key that seals.
    #[must_use]
    pub fn primary(&self) -> &SealingKey {
        &self.primary.key
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn primary_id(&self) -> KeyId {
        self.primary().id()
    }

    /// When the primary was made, as was said then: a reason to rotate.
    #[must_use]
    pub fn primary_made(&self) -> SystemTime {
        let made = Duration::from_secs(self.primary.made);
        SystemTime::UNIX_EPOCH.checked_add(made).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The key of this id.
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<&SealingKey> {
        self.entries().map(|entry| &entry.key).find(|key| key.id() == id)
    }

    /// All ids, oldest first; the last is the primary's.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.entries().map(|entry| entry.key.id())
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.older.iter().chain([&self.primary])
    }

    /// [Seals](SealingKey::seal) with the primary.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        self.primary().seal(aad, plaintext)
    }

    /// [Opens](SealingKey::open) with the key that the blob names.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let key = SealingKey::named_by(sealed).and_then(|id| self.get(id));
        key.unwrap_or_else(|| self.primary()).open(aad, sealed)
    }

    /// A sealer of files, for the primary.
    pub fn file_sealer(&self) -> FileSealer<'_> {
        FileSealer::new(self.primary())
    }

    /// An opener of files that were sealed for any key of the set.
    pub fn file_opener(&self) -> FileOpener<'_> {
        self.older
            .iter()
            .rev()
            .fold(FileOpener::new(self.primary()), |opener, entry| opener.or_with(&entry.key))
    }

    /// The set as bytes, which any of the wrappers opens. They differ each time.
    pub fn to_stored(&self, wrappers: &[&dyn KeyWrapper]) -> Result<Vec<u8>, KeysetError> {
        let set_key = SealingKey::generate()?;
        let mut stored = MAGIC.to_vec();
        stored.push(VERSION);
        WrappedKeys::wrap(&set_key, wrappers, WRAP_AAD)?.encode(&mut stored);
        // Room for all, so that no part of it is left behind by a reallocation.
        let mut keys = Zeroizing::new(Vec::with_capacity((self.older.len() + 1) * ENTRY_LEN));
        for entry in self.entries() {
            keys.extend_from_slice(entry.key.expose());
            keys.extend_from_slice(&entry.made.to_be_bytes());
        }
        let sealed = set_key.seal(&stored, &keys).map_err(|error| match error {
            SealError::NoRandomness(error) => KeysetError::NoRandomness(error),
            SealError::TooLarge { .. } => KeysetError::Full,
        })?;
        stored.extend_from_slice(&sealed);
        Ok(stored)
    }

    /// Reads what [`to_stored`](Self::to_stored) wrote, by any of the wrappers.
    pub fn from_stored(stored: &[u8], wrappers: &[&dyn KeyWrapper]) -> Result<Self, KeysetError> {
        let (magic, rest) = stored.split_first_chunk::<4>().ok_or(KeysetError::NotAKeyset)?;
        let (version, list) = rest.split_first().ok_or(KeysetError::NotAKeyset)?;
        match (*magic == MAGIC, *version) {
            (true, VERSION) => {}
            (true, version) => return Err(KeysetError::UnknownVersion { version }),
            (false, _) => return Err(KeysetError::NotAKeyset),
        }
        let (wrapped, sealed) = WrappedKeys::decode(list).map_err(|_| KeysetError::NotAKeyset)?;
        let before = stored.get(..stored.len() - sealed.len()).ok_or(KeysetError::NotAKeyset)?;
        let set_key = wrapped
            .unwrap(wrappers, WRAP_AAD)?
            .ok_or_else(|| KeysetError::NoKey { ids: wrapped.key_ids() })?;
        let keys = Zeroizing::new(set_key.open(before, sealed).map_err(|_| KeysetError::Refused)?);
        let (entries, rest) = keys.as_chunks::<ENTRY_LEN>();
        if entries.len() > MAX_KEYS || !rest.is_empty() {
            return Err(KeysetError::NotAKeyset);
        }
        let entry = |bytes: &[u8; ENTRY_LEN]| {
            let (key, made) = bytes.split_last_chunk::<8>().ok_or(KeysetError::NotAKeyset)?;
            Ok::<_, KeysetError>(Entry { key: key_of(key)?, made: u64::from_be_bytes(*made) })
        };
        let (primary, older) = entries.split_last().ok_or(KeysetError::NotAKeyset)?;
        Ok(Self { primary: entry(primary)?, older: older.iter().map(entry).collect::<Result<_, _>>()? })
    }

    /// Stores the set in a file, readable by its owner only: durably, and all at once. One that is there is
    /// replaced.
    pub fn save(&self, path: impl AsRef<Path>, wrappers: &[&dyn KeyWrapper]) -> Result<(), KeysetError> {
        let path = path.as_ref();
        let stored = self.to_stored(wrappers)?;
        let name = u64::from_le_bytes(random()?);
        files::replace_shared(path, name, &stored).map_err(|source| io_error("write", path, source))
    }

    /// [Stores](Self::save) the set in a file that is not there yet. One that is there stays, and the error is of
    /// kind `AlreadyExists`.
    pub fn save_new(&self, path: impl AsRef<Path>, wrappers: &[&dyn KeyWrapper]) -> Result<(), KeysetError> {
        let path = path.as_ref();
        let stored = self.to_stored(wrappers)?;
        let name = u64::from_le_bytes(random()?);
        files::create_whole(path, name, &stored).map_err(|source| io_error("create", path, source))
    }

    /// Loads a set that [`save`](Self::save) stored.
    pub fn load(path: impl AsRef<Path>, wrappers: &[&dyn KeyWrapper]) -> Result<Self, KeysetError> {
        let path = path.as_ref();
        let file = files::open_to_read(path).map_err(|source| io_error("open", path, source))?;
        let mut stored = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MAX_STORED), &mut stored)
            .map_err(|source| io_error("read", path, source))?;
        Self::from_stored(&stored, wrappers)
    }
}

impl fmt::Debug for Keyset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyset")
            .field("primary", &self.primary_id())
            .field("older", &self.older.len())
            .finish()
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> KeysetError {
    KeysetError::Io { action, path: path.to_owned(), source }
}
