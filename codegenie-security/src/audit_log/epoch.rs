//! Epochs: a chain of keys that only goes forward, and what the identity certifies about them.
//!
//! `chain(i + 1)` is derived from `chain(i)`, which is then wiped: who steals the process reads nothing of
//! earlier epochs and signs nothing in their place. From each link come the key that signs the epoch's
//! checkpoints and the key under which its segment can be read, which is wrapped for the auditors.

use zeroize::Zeroizing;

use crate::crypto::{NoRandomness, SealingKey, SigningKey};
use crate::tlog::{BadNoteKey, Note, NoteSigner, NoteVerifier};

const CERTIFICATE: &str = "codegenie-audit-epoch v1";

pub(super) struct Epoch {
    pub(super) number: u64,
    pub(super) chain: SealingKey,
}

impl Epoch {
    pub(super) fn first() -> Result<Self, NoRandomness> {
        Ok(Self { number: 0, chain: SealingKey::generate()? })
    }

    /// A second owner of the same epoch.
    pub(super) fn same(&self) -> Self {
        Self { number: self.number, chain: SealingKey::from_bytes(*self.chain.expose()) }
    }

    /// The next one. `None` at the end of counting.
    pub(super) fn next(&self) -> Option<Self> {
        let chain = self.chain.derive("codegenie audit next epoch v1");
        Some(Self { number: self.number.checked_add(1)?, chain })
    }

    /// The key under which the segment of this epoch can be read.
    pub(super) fn read_key(&self) -> SealingKey {
        self.chain.derive("codegenie audit epoch read v1")
    }

    /// The key that signs in this epoch.
    pub(super) fn signing_key(&self) -> SigningKey {
        let mut seed = Zeroizing::new([0; 32]);
        self.chain.expand(None, &[b"codegenie audit epoch sign v1"], &mut *seed);
        SigningKey::from_seed(*seed)
    }

    /// The same, for checkpoints.
    pub(super) fn signer(&self, origin: &str) -> Result<NoteSigner, BadNoteKey> {
        NoteSigner::new(origin, self.signing_key())
    }
}

/// The identity's word for which key signs in an epoch.
pub(super) fn certify(
    identity: &NoteSigner,
    origin: &str,
    epoch: u64,
    key: &NoteVerifier,
) -> Result<Note, crate::tlog::NoteError> {
    Note::sign(format!("{CERTIFICATE}\n{origin}\n{epoch}\n{key}\n"), identity)
}

/// The key that signs in an epoch, if the identity says so.
pub(super) fn open_certificate(
    bytes: &[u8],
    identity: &NoteVerifier,
    origin: &str,
    epoch: u64,
) -> Option<NoteVerifier> {
    let note = Note::parse(bytes).ok()?;
    let opened = note.open(std::slice::from_ref(identity)).ok()?;
    let mut lines = opened.text().strip_suffix('\n')?.split('\n');
    let as_expected =
        lines.next()? == CERTIFICATE && lines.next()? == origin && lines.next()? == epoch.to_string();
    let key: NoteVerifier = lines.next()?.parse().ok()?;
    (as_expected && lines.next().is_none() && key.name() == origin).then_some(key)
}

/// Certificates of epochs to come, made while the identity is at hand.
pub(super) struct Certificates {
    first: u64,
    notes: Vec<Note>,
}

impl Certificates {
    pub(super) fn ahead(identity: &NoteSigner, origin: &str, from: &Epoch, count: u32) -> Option<Self> {
        let mut notes = Vec::new();
        let mut later: Option<Epoch> = None;
        for _ in 0..count.max(1) {
            let epoch = later.as_ref().unwrap_or(from);
            let key = epoch.signer(origin).ok()?.verifier();
            notes.push(certify(identity, origin, epoch.number, &key).ok()?);
            later = Some(epoch.next()?);
        }
        Some(Self { first: from.number, notes })
    }

    pub(super) fn of(&self, epoch: u64) -> Option<&Note> {
        self.notes.get(usize::try_from(epoch.checked_sub(self.first)?).ok()?)
    }

    /// The first epoch that has none.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(self.notes.len() as u64)
    }
}
