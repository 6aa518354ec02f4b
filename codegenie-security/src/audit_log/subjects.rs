//! The keys of the subjects of a segment: the one thing of a log that is not kept for ever.
//!
//! Beside each segment that has records of actors lies a file of slots, 96 bytes each. A slot is
//! `id 16 | nonce 24 | the sealed key 48 | CRC-32 of its number and all before u32 | zeros 4`. The id is a hash of
//! the actor's name that only the log's owner can compute, and differs from segment to segment. The key is sealed under the
//! key of the epoch, so that whoever can read the segment can read it. A shredded slot has zeros for nonce
//! and key.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::frame::{LogId, RecordKey};
use crate::crypto::{self, NONCE_LEN, NoRandomness, SealingKey, TAG_LEN};

pub(super) const SLOT_LEN: usize = 96;
const SEALED_LEN: usize = 32 + TAG_LEN;
const CHECKED_LEN: usize = 16 + NONCE_LEN + SEALED_LEN;

pub(super) type SubjectId = [u8; 16];

/// Names subjects without telling who they are.
pub(super) struct SubjectNames(SealingKey);

impl SubjectNames {
    pub(super) fn new(host: &SealingKey) -> Self {
        Self(host.derive("codegenie audit subjects v1"))
    }

    pub(super) fn id(&self, segment: u64, subject: &str) -> SubjectId {
        let mut id = [0; 16];
        // HKDF takes infos of any length, but its cost is theirs.
        let subject: [u8; 32] = Sha256::digest(subject).into();
        self.0.expand(None, &[b"subject", &segment.to_le_bytes(), &subject], &mut id);
        id
    }
}

/// Seals and opens the slots of one segment.
pub(super) struct SlotKey {
    key: Zeroizing<[u8; 32]>,
    log_id: LogId,
    segment: u64,
}

/// What a slot holds.
pub(super) enum Slot {
    Key(RecordKey),
    Shredded,
}

impl SlotKey {
    pub(super) fn derive(read: &SealingKey, log_id: LogId, segment: u64) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        read.expand(None, &[b"codegenie audit subject slots v1", &log_id], &mut *key);
        Self { key, log_id, segment }
    }

    fn aad(&self, number: u32, id: &SubjectId) -> Vec<u8> {
        [self.log_id.as_slice(), &self.segment.to_le_bytes(), &number.to_le_bytes(), id].concat()
    }

    /// A slot with a new key.
    pub(super) fn create(
        &self,
        number: u32,
        id: SubjectId,
    ) -> Result<([u8; SLOT_LEN], RecordKey), NoRandomness> {
        let key = RecordKey(Zeroizing::new(crypto::random()?));
        let nonce: [u8; NONCE_LEN] = crypto::random()?;
        let mut sealed = Zeroizing::new(key.0.to_vec());
        // 32 bytes are never too many for the cipher; without a tag the slot would be unreadable.
        let tag = crypto::encrypt(&self.key, &nonce, &self.aad(number, &id), &mut sealed).unwrap_or_default();
        Ok((slot(number, &[id.as_slice(), &nonce, &sealed, &tag]), key))
    }

    /// What a slot holds. `None` when it is not what was written.
    pub(super) fn open(&self, number: u32, slot: &[u8; SLOT_LEN]) -> Option<Slot> {
        if !is_whole(number, slot) {
            return None;
        }
        if is_shredded(slot) {
            return Some(Slot::Shredded);
        }
        let (id, rest) = slot.split_first_chunk::<16>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let mut key = Zeroizing::new(*key);
        crypto::decrypt(&self.key, nonce, &self.aad(number, id), &mut *key, rest.first_chunk()?).ok()?;
        Some(Slot::Key(RecordKey(key)))
    }
}

fn slot(number: u32, parts: &[&[u8]]) -> [u8; SLOT_LEN] {
    let mut slot = [0; SLOT_LEN];
    let bytes = parts.iter().flat_map(|part| part.iter());
    slot.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let crc = crc(number, &slot).to_le_bytes();
    slot.iter_mut().skip(CHECKED_LEN).zip(crc).for_each(|(to, from)| *to = from);
    slot
}

/// The slot of an id without its key.
pub(super) fn shredded(number: u32, id: &SubjectId) -> [u8; SLOT_LEN] {
    slot(number, &[id])
}

fn crc(number: u32, slot: &[u8; SLOT_LEN]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(slot.get(..CHECKED_LEN).unwrap_or_default());
    crc.finalize()
}

pub(super) fn id_of(slot: &[u8; SLOT_LEN]) -> SubjectId {
    slot.first_chunk().copied().unwrap_or_default()
}

pub(super) fn is_shredded(slot: &[u8; SLOT_LEN]) -> bool {
    slot.get(16..CHECKED_LEN).is_some_and(|key| key.iter().all(|byte| *byte == 0))
}

/// Is it what somebody wrote who knows the format? Whether it is the log's, only the key shows.
pub(super) fn is_whole(number: u32, slot: &[u8; SLOT_LEN]) -> bool {
    let end = slot.get(CHECKED_LEN..).unwrap_or_default();
    end.iter().copied().eq(crc(number, slot).to_le_bytes().into_iter().chain([0; 4]))
}
