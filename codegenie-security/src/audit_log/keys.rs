//! The directory of the keys of a log: the identity, the reader of the host, and the epoch that is being written.
//!
//! Each file is sealed under the host's key. `epoch` is replaced at each change of the epoch, before the first
//! byte of the next segment: the key of the epoch before is then gone.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zeroize::{Zeroize, Zeroizing};

use super::codec::Input;
use super::disk::{Directory, Disk};
use super::epoch::Epoch;
use super::error::{AuditLogError, io_error};
use super::layout;
use crate::crypto::{self, Identity, KeyId, OpenError, RecipientKind, SealingKey, SigningKey};
use crate::tlog::{NoteSigner, NoteVerifier};

/// Beside `audit` lies `audit.keys`.
pub(super) fn default_dir(log: &Path) -> PathBuf {
    let named = |log: &Path| {
        let mut name = log.file_name()?.to_owned();
        name.push(".keys");
        Some(log.with_file_name(name))
    };
    // `.` has no name of its own, and what is put behind it would lie in the log.
    let found = || named(&log.canonicalize().ok()?);
    named(log).or_else(found).unwrap_or_else(|| log.join(".keys"))
}

/// What is kept in the file `identity`: who the log is.
pub(super) struct LogIdentity {
    pub(super) log_id: [u8; 32],
    pub(super) origin: String,
    seed: Zeroizing<[u8; 32]>,
}

impl LogIdentity {
    /// A new one. Without an origin it is named by its id.
    pub(super) fn generate(origin: Option<&str>) -> Result<Self, AuditLogError> {
        let log_id: [u8; 32] = crypto::random()?;
        let named = || {
            let hex: String = log_id.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            format!("codegenie-audit/{hex}")
        };
        let origin = origin.map_or_else(named, str::to_owned);
        if !may_be_origin(&origin) {
            return Err(AuditLogError::BadOrigin { origin });
        }
        Ok(Self { log_id, origin, seed: Zeroizing::new(crypto::random()?) })
    }

    /// The key that certifies epochs.
    pub(super) fn signer(&self) -> Result<NoteSigner, AuditLogError> {
        let key = SigningKey::from_seed(*self.seed);
        NoteSigner::new(identity_name(&self.origin), key)
            .map_err(|_| AuditLogError::BadOrigin { origin: self.origin.clone() })
    }

    pub(super) fn verifier(&self) -> Result<NoteVerifier, AuditLogError> {
        Ok(self.signer()?.verifier())
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([self.log_id.as_slice(), self.seed.as_slice(), self.origin.as_bytes()].concat())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        let (log_id, seed) = (input.array()?, Zeroizing::new(input.array()?));
        let origin = std::str::from_utf8(bytes.get(64..)?).ok()?.to_owned();
        Some(Self { log_id, origin, seed })
    }
}

/// As keys for notes are named, and so short that a checkpoint fits a sector of a disk.
fn may_be_origin(origin: &str) -> bool {
    let bad = |char: char| char.is_whitespace() || char.is_control() || char == '+';
    (1..=MAX_ORIGIN).contains(&origin.len()) && !origin.contains(bad)
}

const MAX_ORIGIN: usize = 150;

/// The name of the key of the identity of a log.
pub(super) fn identity_name(origin: &str) -> String {
    format!("{origin}/identity")
}

/// What is kept in the file `epoch`.
pub(super) struct EpochState {
    /// The epoch that is written, or is about to be begun.
    pub(super) epoch: Epoch,
    /// Has a checkpoint been signed in it? Before that, nothing of it was acknowledged.
    pub(super) signed: bool,
    /// The last checkpoint of the epoch before; empty for the first.
    pub(super) closing: Vec<u8>,
}

impl EpochState {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let signed = [u8::from(self.signed)];
        let number = self.epoch.number.to_le_bytes();
        Zeroizing::new([&signed, number.as_slice(), self.epoch.chain.expose(), &self.closing].concat())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        let (signed, number) = (input.flag()?, u64::from_le_bytes(input.array()?));
        let chain = SealingKey::from_bytes(input.array()?);
        let closing = bytes.get(1 + 8 + 32..)?.to_vec();
        Some(Self { epoch: Epoch { number, chain }, signed, closing })
    }
}

/// The keys of a log in their directory.
///
/// Each file has a sealing key of its own, and that of the epochs only goes forward as they do: what is in memory while a log is
/// written opens neither the identity nor the reader's key nor an old copy of the file of the epoch.
pub(super) struct KeyStore {
    disk: Box<dyn Disk>,
    path: PathBuf,
    /// For the identity and the reader's key, until they are no longer needed.
    lasting: Option<SealingKey>,
    shredding: SealingKey,
    epochs: Mutex<Ratchet>,
    host: KeyId,
}

/// The sealing key of the file of an epoch, and whose it is.
struct Ratchet {
    epoch: u64,
    key: SealingKey,
}

impl Ratchet {
    /// The key for an epoch that is not before. `None` for an earlier one, or one that nobody reaches.
    fn advance(&mut self, epoch: u64) -> Option<&SealingKey> {
        const MOST: u64 = 1 << 24;
        if epoch < self.epoch || epoch - self.epoch > MOST {
            return None;
        }
        while self.epoch < epoch {
            self.key = self.key.derive("codegenie audit next epoch file v1");
            self.epoch += 1;
        }
        Some(&self.key)
    }
}

impl KeyStore {
    /// `path` is for messages.
    pub(super) fn new(disk: Box<dyn Disk>, path: &Path, host: &SealingKey) -> Self {
        let epochs = Ratchet { epoch: 0, key: host.derive("codegenie audit epoch file v1") };
        Self {
            disk,
            path: path.to_owned(),
            lasting: Some(host.derive("codegenie audit lasting keys v1")),
            shredding: host.derive("codegenie audit shredding v1"),
            epochs: Mutex::new(epochs),
            host: host.id(),
        }
    }

    /// Gives up what opens the identity and the reader's key.
    pub(super) fn forget_lasting(&mut self) {
        self.lasting = None;
    }

    pub(super) fn at(path: &Path, host: &SealingKey) -> Self {
        Self::new(Box::new(Directory::new(path.to_owned())), path, host)
    }

    /// Where they are.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn make(&self) -> Result<(), AuditLogError> {
        self.disk.make_dir("").map_err(io_error("make", &self.path))
    }

    /// Runs with the sealing key of a file. `None` where it was given up.
    fn with_key<T>(&self, name: &str, epoch: u64, run: impl FnOnce(&SealingKey) -> T) -> Option<T> {
        match name {
            layout::EPOCH => {
                let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
                epochs.advance(epoch).map(run)
            }
            layout::SHREDDING => Some(run(&self.shredding)),
            _ => self.lasting.as_ref().map(run),
        }
    }

    /// The file: the id of the host's key, for a clear message, the number of the epoch, then what was sealed.
    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, AuditLogError> {
        let path = self.path.join(name);
        let Some(bytes) = self.disk.read(name).map_err(io_error("read", &path))? else { return Ok(None) };
        let bad = || AuditLogError::BadKeys { path: path.clone() };
        let (id, rest) = bytes.split_first_chunk::<16>().ok_or_else(bad)?;
        let (epoch, sealed) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
        if KeyId(*id) != self.host {
            return Err(AuditLogError::WrongKey { path, found: KeyId(*id), given: self.host });
        }
        let epoch = u64::from_le_bytes(*epoch);
        let aad = [name.as_bytes(), &epoch.to_le_bytes()].concat();
        let opened = self.with_key(name, epoch, |key| key.open(&aad, sealed)).ok_or_else(bad)?;
        match opened {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(OpenError::UnknownVersion { version }) => {
                Err(AuditLogError::UnknownVersion { path, what: format!("sealed blob {version}") })
            }
            Err(_) => Err(bad()),
        }
    }

    fn store(&self, name: &str, epoch: u64, mut bytes: Zeroizing<Vec<u8>>) -> Result<(), AuditLogError> {
        let path = self.path.join(name);
        let aad = [name.as_bytes(), &epoch.to_le_bytes()].concat();
        let sealed = self.with_key(name, epoch, |key| key.seal(&aad, &bytes));
        bytes.zeroize();
        let sealed = sealed.ok_or_else(|| AuditLogError::BadKeys { path: path.clone() })?;
        let sealed = sealed.map_err(|error| io_error("seal", &path)(std::io::Error::other(error)))?;
        let bytes = [self.host.as_bytes().as_slice(), &epoch.to_le_bytes(), &sealed].concat();
        self.disk.replace(name, &bytes).map_err(io_error("write", &path))
    }

    fn parsed<T>(&self, name: &str, parse: fn(&[u8]) -> Option<T>) -> Result<Option<T>, AuditLogError> {
        let bad = || AuditLogError::BadKeys { path: self.path.join(name) };
        self.load(name)?.map(|bytes| parse(&bytes).ok_or_else(bad)).transpose()
    }

    pub(super) fn identity(&self) -> Result<Option<LogIdentity>, AuditLogError> {
        self.parsed(layout::IDENTITY, LogIdentity::from_bytes)
    }

    pub(super) fn store_identity(&self, identity: &LogIdentity) -> Result<(), AuditLogError> {
        self.store(layout::IDENTITY, 0, identity.to_bytes())
    }

    /// The host's own key for reading; `None` where the log was made without one.
    pub(super) fn reader(&self) -> Result<Option<Identity>, AuditLogError> {
        self.parsed(layout::READER, |bytes| Identity::from_secret_bytes(bytes).ok())
    }

    /// Makes the host's own key for reading.
    pub(super) fn make_reader(&self) -> Result<Identity, AuditLogError> {
        let reader = Identity::generate(RecipientKind::XWing)?;
        self.store(layout::READER, 0, Zeroizing::new(reader.to_secret_bytes().expose().to_vec()))?;
        Ok(reader)
    }

    pub(super) fn epoch(&self) -> Result<Option<EpochState>, AuditLogError> {
        self.parsed(layout::EPOCH, EpochState::from_bytes)
    }

    pub(super) fn store_epoch(&self, state: &EpochState) -> Result<(), AuditLogError> {
        self.store(layout::EPOCH, state.epoch.number, state.to_bytes())
    }

    /// The subject whose shredding was begun.
    pub(super) fn shredding(&self) -> Result<Option<String>, AuditLogError> {
        self.parsed(layout::SHREDDING, |bytes| String::from_utf8(bytes.to_vec()).ok())
    }

    /// Was one begun that is not finished? A file that is not of these keys says nothing.
    pub(super) fn is_shredding(&self) -> bool {
        self.shredding().is_ok_and(|subject| subject.is_some())
    }

    pub(super) fn begin_shredding(&self, subject: &str) -> Result<(), AuditLogError> {
        self.store(layout::SHREDDING, 0, Zeroizing::new(subject.as_bytes().to_vec()))
    }

    /// Also of one of which nothing is there.
    pub(super) fn end_shredding(&self) -> Result<(), AuditLogError> {
        let path = self.path.join(layout::SHREDDING);
        let removed = match self.disk.remove(layout::SHREDDING) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        removed.and_then(|()| self.disk.sync_dir("")).map_err(io_error("remove", &path))
    }
}
