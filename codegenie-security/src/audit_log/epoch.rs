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

#[cfg(test)]
mod tests {
    use super::super::disk::Disk;
    use super::super::frame::{FrameBuilder, FrameKeys, RecordFrame};
    use super::super::keys::{EpochState, KeyStore};
    use super::super::subjects::SlotKey;
    use super::super::tests::crash_disk::CrashDisk;
    use super::*;

    fn epochs() -> [Epoch; 3] {
        let first = Epoch::first().unwrap();
        let second = first.next().unwrap();
        let third = second.next().unwrap();
        [first, second, third]
    }

    #[test]
    fn every_key_of_an_epoch_is_another_one_than_before() {
        let epochs = epochs();
        let secrets = epochs.iter().flat_map(|epoch| {
            let (chain, read) = (*epoch.chain.expose(), *epoch.read_key().expose());
            [chain, read, epoch.signing_key().to_seed().expose().try_into().unwrap()]
        });
        let different: std::collections::HashSet<[u8; 32]> = secrets.collect();
        assert_eq!(different.len(), 9);
        assert_eq!(epochs.map(|epoch| epoch.number), [0, 1, 2]);
    }

    #[test]
    fn an_epoch_opens_nothing_that_another_sealed() {
        let epochs = epochs();
        let [log_id, salt] = [[1; 32], [2; 32]];
        let keys = |epoch: &Epoch| FrameKeys::derive(&epoch.read_key(), log_id, 0, &salt);
        let slot_key = |epoch: &Epoch| SlotKey::derive(&epoch.read_key(), log_id, 0);
        for (number, sealing) in epochs.iter().enumerate() {
            let (keys_of, mut buffer) = (keys(sealing), Vec::new());
            let builder = FrameBuilder::new(&keys_of, &mut buffer, 0, 1, 0, std::time::Duration::ZERO);
            let mut builder = builder.unwrap();
            builder.push(b"an event", None);
            let (frame, _) = builder.seal(0, &crate::tlog::Hash::EMPTY).unwrap();
            let (slot, _) = slot_key(sealing).create(0, [3; 16]).unwrap();
            let note = Note::sign("signed\n", &sealing.signer("log").unwrap()).unwrap();
            for (other, opening) in epochs.iter().enumerate() {
                let opened = [
                    RecordFrame::parse(frame).unwrap().open(&keys(opening)).is_some(),
                    slot_key(opening).open(0, &slot).is_some(),
                    note.open(&[opening.signer("log").unwrap().verifier()]).is_ok(),
                ];
                assert_eq!(opened, [number == other; 3], "of {number} by {other}");
            }
        }
    }

    /// What is in memory after the change of the epoch opens no copy of the file of the one before.
    #[test]
    fn the_file_of_an_epoch_is_sealed_with_a_key_that_is_gone_in_the_next() {
        let (disk, host) = (CrashDisk::default(), SealingKey::from_bytes([9; 32]));
        let store = KeyStore::new(Box::new(disk.clone()), std::path::Path::new("keys"), &host);
        let file = "epoch";
        let files = epochs().map(|epoch| {
            let number = epoch.number;
            store.store_epoch(&EpochState { epoch, signed: true, closing: Vec::new() }).unwrap();
            assert_eq!(store.epoch().unwrap().unwrap().epoch.number, number);
            disk.read(file).unwrap().unwrap()
        });
        for older in &files[..2] {
            disk.replace(file, older).unwrap();
            assert!(store.epoch().is_err());
        }
        // The keys that the files need, each made from the one before.
        let mut key = host.derive("codegenie audit epoch file v1");
        for number in 0..3_u64 {
            for (other, bytes) in (0_u64..).zip(&files) {
                let aad = [file.as_bytes(), &other.to_le_bytes()].concat();
                assert_eq!(key.open(&aad, &bytes[16 + 8..]).is_ok(), number == other);
            }
            key = key.derive("codegenie audit next epoch file v1");
        }
    }
}
