//! The directory of the keys of a log: the identity, the reader of the host, and the epoch that is being written.
//!
//! Each file is sealed under the host's key. `epoch` is replaced at each change of the epoch, before the first
//! byte of the next segment: the key of the epoch before is then gone.

use std::path::{Path, PathBuf};

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
    let mut path = log.as_os_str().to_owned();
    path.push(".keys");
    PathBuf::from(path)
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
    /// Has the log been made? Before that, nothing was ever acknowledged.
    pub(super) begun: bool,
    /// The last checkpoint of the epoch before; empty for the first.
    pub(super) closing: Vec<u8>,
}

impl EpochState {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let begun = [u8::from(self.begun)];
        let number = self.epoch.number.to_le_bytes();
        Zeroizing::new([&begun, number.as_slice(), self.epoch.chain.expose(), &self.closing].concat())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        let (begun, number) = (input.flag()?, u64::from_le_bytes(input.array()?));
        let chain = SealingKey::from_bytes(input.array()?);
        let closing = bytes.get(1 + 8 + 32..)?.to_vec();
        Some(Self { epoch: Epoch { number, chain }, begun, closing })
    }
}

/// The keys of a log in their directory.
pub(super) struct KeyStore {
    disk: Box<dyn Disk>,
    path: PathBuf,
    seal: SealingKey,
    host: KeyId,
}

impl KeyStore {
    /// `path` is for messages.
    pub(super) fn new(disk: Box<dyn Disk>, path: &Path, host: &SealingKey) -> Self {
        let seal = host.derive("codegenie audit keys v1");
        Self { disk, path: path.to_owned(), seal, host: host.id() }
    }

    pub(super) fn at(path: &Path, host: &SealingKey) -> Self {
        Self::new(Box::new(Directory::new(path.to_owned())), path, host)
    }

    pub(super) fn make(&self) -> Result<(), AuditLogError> {
        self.disk.make_dir("").map_err(io_error("make", &self.path))
    }

    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, AuditLogError> {
        let path = self.path.join(name);
        let Some(bytes) = self.disk.read(name).map_err(io_error("read", &path))? else { return Ok(None) };
        // The id of the host's key, for a clear message, then what the key derived from it sealed.
        let Some((id, sealed)) = bytes.split_first_chunk::<16>() else {
            return Err(AuditLogError::BadKeys { path });
        };
        if KeyId(*id) != self.host {
            return Err(AuditLogError::WrongKey { path, found: KeyId(*id), given: self.host });
        }
        match self.seal.open(name.as_bytes(), sealed) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(OpenError::UnknownVersion { version }) => {
                Err(AuditLogError::UnknownVersion { path, what: format!("sealed blob {version}") })
            }
            Err(_) => Err(AuditLogError::BadKeys { path }),
        }
    }

    fn store(&self, name: &str, mut bytes: Zeroizing<Vec<u8>>) -> Result<(), AuditLogError> {
        let path = self.path.join(name);
        let sealed = self.seal.seal(name.as_bytes(), &bytes);
        bytes.zeroize();
        let sealed = sealed.map_err(|error| io_error("seal", &path)(std::io::Error::other(error)))?;
        let bytes = [self.host.as_bytes().as_slice(), &sealed].concat();
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
        self.store(layout::IDENTITY, identity.to_bytes())
    }

    /// The host's own key for reading; `None` where the log was made without one.
    pub(super) fn reader(&self) -> Result<Option<Identity>, AuditLogError> {
        self.parsed(layout::READER, |bytes| Identity::from_secret_bytes(bytes).ok())
    }

    /// Makes the host's own key for reading.
    pub(super) fn make_reader(&self) -> Result<Identity, AuditLogError> {
        let reader = Identity::generate(RecipientKind::XWing)?;
        self.store(layout::READER, Zeroizing::new(reader.to_secret_bytes().expose().to_vec()))?;
        Ok(reader)
    }

    pub(super) fn epoch(&self) -> Result<Option<EpochState>, AuditLogError> {
        self.parsed(layout::EPOCH, EpochState::from_bytes)
    }

    pub(super) fn store_epoch(&self, state: &EpochState) -> Result<(), AuditLogError> {
        self.store(layout::EPOCH, state.to_bytes())
    }

    /// The subject whose shredding was begun.
    pub(super) fn shredding(&self) -> Result<Option<String>, AuditLogError> {
        self.parsed(layout::SHREDDING, |bytes| String::from_utf8(bytes.to_vec()).ok())
    }

    pub(super) fn begin_shredding(&self, subject: &str) -> Result<(), AuditLogError> {
        self.store(layout::SHREDDING, Zeroizing::new(subject.as_bytes().to_vec()))
    }

    pub(super) fn end_shredding(&self) -> Result<(), AuditLogError> {
        let path = self.path.join(layout::SHREDDING);
        let removed = self.disk.remove(layout::SHREDDING).and_then(|()| self.disk.sync_dir(""));
        removed.map_err(io_error("remove", &path))
    }
}
