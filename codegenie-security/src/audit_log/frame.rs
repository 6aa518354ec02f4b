//! A frame: what one commit adds to a segment.
//!
//! All integers are little-endian. Every frame is
//! `body length u32 | CRC-32 of the length and the body u32 | body`, and the first byte of the body is its kind.
//! The first frame of a segment is its [header](super::header). All others, of kind 2, hold records:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | kind, `2` |
//! | 4 | `n`, the number of records |
//! | 4 | how many keys of subjects the segment has so far |
//! | 4 | `m`, the length of the sealed table |
//! | 8 | the sequence number of the first record |
//! | 4 | how many commits of the segment failed before it, so that no nonce is used twice |
//! | 32 | the root of the tree before this frame |
//! | 32 n | the leaf hashes of the records |
//! | | the records, encrypted each for itself |
//! | m | the sealed table: time u64 and nanoseconds u32 of the commit, then for each record its length u32 and the number of its subject's key u32 |
//! | 16 | tag |
//!
//! A record is encrypted with ChaCha20 (RFC 8439) under the key of its subject in this segment, or else of
//! the frames; the nonce is its sequence number and the count of failed commits. The first 16 bytes of the key stream are
//! its salt, and the event is encrypted with those after. What authenticates all of this is one call of XChaCha20-Poly1305 whose
//! plaintext is the table and whose additional data is the log's id, the number of the segment, and all of the
//! body before the table. So a subject's key that is destroyed takes its events along and nothing else: leaves,
//! frame and tree stay as they are.
//!
//! Leaves (RFC 9162): for each record the entry `1 | salt 16 | event`, which commits the log to the event and tells nothing
//! of it without the salt; then for the frame the entry `2 | SHA-256 of the frame`.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::time::Duration;
use zeroize::Zeroizing;

use crate::crypto::{self, NONCE_LEN, SealingKey, TAG_LEN};
use crate::tlog::{Hash, leaf_hash};

pub(super) type LogId = [u8; 32];

/// The largest encoded event.
pub(super) const MAX_EVENT: usize = 1 << 20;
/// Most records of one frame.
pub(super) const MAX_RECORDS: usize = 1 << 16;
/// How many bytes of events a frame takes before it takes no more.
pub(super) const ENOUGH_BYTES: usize = 4 << 20;
pub(super) const PREFIX_LEN: usize = 8;
/// The largest body: enough events, one more, and what stands beside them.
pub(super) const MAX_BODY: usize = ENOUGH_BYTES + MAX_EVENT + MAX_RECORDS * (32 + 8) + 1024;
pub(super) const NO_SUBJECT: u32 = u32::MAX;

/// What makes the leaf of a record a commitment that hides the event.
pub(super) type Salt = [u8; 16];

const RECORD_ENTRY: u8 = 1;
const FRAME_ENTRY: u8 = 2;
const KIND_RECORDS: u8 = 2;
const FIXED_LEN: usize = 1 + 4 + 4 + 4 + 8 + 4 + 32;
const BLOCK: usize = 64;
const SALT_LEN: usize = size_of::<Salt>();
/// The time of the commit.
const TABLE_START: usize = 8 + 4;
/// Length and key of a record.
const TABLE_ENTRY: usize = 4 + 4;
/// The log id and the number of the segment, before the body.
const BOUND_LEN: usize = 32 + 8;

/// The key of the frames of a segment, and of its records without a subject.
pub(super) struct FrameKeys {
    log_id: LogId,
    segment: u64,
    table: Zeroizing<[u8; 32]>,
    records: RecordKey,
}

/// What records are encrypted with.
#[derive(Clone)]
pub(super) struct RecordKey(pub(super) Zeroizing<[u8; 32]>);

impl FrameKeys {
    /// Those of a segment, from the key of its epoch and the random salt in its header.
    pub(super) fn derive(read: &SealingKey, log_id: LogId, segment: u64, salt: &[u8; 32]) -> Self {
        let (mut table, mut records) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        let number = segment.to_le_bytes();
        read.expand(Some(salt), &[b"codegenie audit frames v1", &log_id, &number], &mut *table);
        read.expand(Some(salt), &[b"codegenie audit records v1", &log_id, &number], &mut *records);
        Self { log_id, segment, table, records: RecordKey(records) }
    }

    pub(super) fn without_subject(&self) -> &RecordKey {
        &self.records
    }
}

/// What a nonce is made of: the number of a record, and how many commits failed before.
fn nonce<const N: usize>(sequence: u64, failed: u32) -> [u8; N] {
    let mut nonce = [0; N];
    let bytes = sequence.to_le_bytes().into_iter().chain(failed.to_le_bytes());
    nonce.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    nonce
}

/// Puts an event at the end of `to`, encrypted or decrypted, and returns its salt.
fn crypt(key: &RecordKey, nonce: &[u8; 12], event: &[u8], to: &mut Vec<u8>) -> Salt {
    let start = to.len();
    to.extend_from_slice(&[0; SALT_LEN]);
    to.extend_from_slice(event);
    // Four blocks at once take no longer than one.
    let padded = (to.len() - start).next_multiple_of(4 * BLOCK);
    to.resize(start + padded, 0);
    let bytes = to.get_mut(start..).unwrap_or_default();
    ChaCha20::new((&*key.0).into(), nonce.into()).apply_keystream(bytes);
    let salt = bytes.first_chunk().copied().unwrap_or_default();
    bytes.copy_within(SALT_LEN.., 0);
    to.truncate(start + event.len());
    salt
}

/// The hash of the leaf of a record.
pub(super) fn record_leaf(salt: &Salt, event: &[u8]) -> Hash {
    // In few parts: each is copied into a block by itself.
    let mut begin = [0; 2 + SALT_LEN];
    let [_, kind, rest @ ..] = &mut begin;
    *kind = RECORD_ENTRY;
    *rest = *salt;
    Hash::from_bytes(Sha256::new_with_prefix(begin).chain_update(event).finalize().into())
}

/// The entry of the leaf of a record.
pub(super) fn record_entry(salt: &Salt, event: &[u8]) -> Vec<u8> {
    [&[RECORD_ENTRY], salt.as_slice(), event].concat()
}

/// The hash of the leaf of a frame.
pub(super) fn frame_leaf(frame: &[u8]) -> Hash {
    let mut entry = [FRAME_ENTRY; 33];
    let [_, rest @ ..] = &mut entry;
    rest.copy_from_slice(&Sha256::digest(frame));
    leaf_hash(&entry)
}

/// A frame around a body.
pub(super) fn framed(body: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(body.len()).ok()?.to_le_bytes();
    Some([&length, &checksum(length, body), body].concat())
}

fn checksum(length: [u8; 4], body: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length);
    crc.update(body);
    crc.finalize().to_le_bytes()
}

/// Builds a frame of records in a buffer that is used again.
pub(super) struct FrameBuilder<'k, 'b> {
    keys: &'k FrameKeys,
    first: u64,
    failed: u32,
    /// What is bound and not stored, then the body as it grows.
    bytes: &'b mut Vec<u8>,
    leaves: Vec<Hash>,
    count: usize,
    table: Zeroizing<Vec<u8>>,
}

impl<'k, 'b> FrameBuilder<'k, 'b> {
    /// For `count` records from `first` on, the commit being of this time since 1970. `None` when those are too many.
    pub(super) fn new(
        keys: &'k FrameKeys,
        bytes: &'b mut Vec<u8>,
        first: u64,
        count: usize,
        failed: u32,
        time: Duration,
    ) -> Option<Self> {
        let table_len = TABLE_START + count.checked_mul(TABLE_ENTRY)?;
        let mut table = Zeroizing::new(Vec::with_capacity(table_len));
        table.extend_from_slice(&time.as_secs().to_le_bytes());
        table.extend_from_slice(&time.subsec_nanos().to_le_bytes());
        bytes.clear();
        bytes.extend_from_slice(&keys.log_id);
        bytes.extend_from_slice(&keys.segment.to_le_bytes());
        // Filled in when all of it is known.
        bytes.resize(BOUND_LEN + FIXED_LEN + count.checked_mul(Hash::LEN)?, 0);
        Some(Self { keys, first, failed, bytes, leaves: Vec::with_capacity(count), count, table })
    }

    /// Adds the next record. `subject` is the number of the key and the key.
    pub(super) fn push(&mut self, event: &[u8], subject: Option<(u32, &RecordKey)>) {
        let sequence = self.first + self.leaves.len() as u64;
        let (number, key) = subject.unwrap_or((NO_SUBJECT, &self.keys.records));
        let salt = crypt(key, &nonce(sequence, self.failed), event, self.bytes);
        self.leaves.push(record_leaf(&salt, event));
        // An event has at most 2^20 bytes.
        self.table.extend_from_slice(&(event.len() as u32).to_le_bytes());
        self.table.extend_from_slice(&number.to_le_bytes());
    }

    /// The bytes of the frame, and the leaves of its records; its own, [`frame_leaf`], follows them in the tree. `None` when it is
    /// too large for a frame, or has not as many records as it was made for.
    pub(super) fn seal(mut self, subjects: u32, before: &Hash) -> Option<(&'b [u8], Vec<Hash>)> {
        if self.leaves.len() != self.count {
            return None;
        }
        let fixed = [
            [KIND_RECORDS].as_slice(),
            &u32::try_from(self.count).ok()?.to_le_bytes(),
            &subjects.to_le_bytes(),
            &u32::try_from(self.table.len()).ok()?.to_le_bytes(),
            &self.first.to_le_bytes(),
            &self.failed.to_le_bytes(),
            before.as_bytes(),
        ]
        .concat();
        let (to_fixed, rest) = self.bytes.get_mut(BOUND_LEN..)?.split_at_mut_checked(FIXED_LEN)?;
        to_fixed.copy_from_slice(&fixed);
        let (to_leaves, _) = rest.as_chunks_mut::<{ Hash::LEN }>();
        to_leaves.iter_mut().zip(&self.leaves).for_each(|(to, leaf)| *to = *leaf.as_bytes());
        let nonce: [u8; NONCE_LEN] = nonce(self.first, self.failed);
        let tag = crypto::encrypt(&self.keys.table, &nonce, self.bytes, &mut self.table).ok()?;
        self.bytes.extend_from_slice(&self.table);
        self.bytes.extend_from_slice(&tag);
        // The last bytes of what is bound make room for the prefix.
        let (prefix, body) =
            self.bytes.get_mut(BOUND_LEN - PREFIX_LEN..)?.split_first_chunk_mut::<PREFIX_LEN>()?;
        if body.len() > MAX_BODY {
            return None;
        }
        let length = u32::try_from(body.len()).ok()?.to_le_bytes();
        let crc = checksum(length, body);
        prefix.iter_mut().zip(length.into_iter().chain(crc)).for_each(|(to, from)| *to = from);
        Some((self.bytes.get(BOUND_LEN - PREFIX_LEN..)?, self.leaves))
    }
}

/// Where a frame stands among bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameRange {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl FrameRange {
    pub(super) fn bytes<'a>(&self, of: &'a [u8]) -> &'a [u8] {
        of.get(self.start..self.end).unwrap_or_default()
    }
}

/// The frame that begins at a place, by its length alone. `None` when there is none, or not all of it.
pub(super) fn frame_at(bytes: &[u8], start: usize) -> Option<FrameRange> {
    let (length, _) = bytes.get(start..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let end = start.checked_add(PREFIX_LEN)?.checked_add(length)?;
    ((1..=MAX_BODY).contains(&length) && end <= bytes.len()).then_some(FrameRange { start, end })
}

/// Is the checksum of a frame right?
pub(super) fn is_whole(frame: &[u8]) -> bool {
    let split = || {
        let (length, rest) = frame.split_first_chunk::<4>()?;
        let (crc, body) = rest.split_first_chunk::<4>()?;
        Some(checksum(*length, body) == *crc)
    };
    split().unwrap_or(false)
}

/// What can be read of a frame of records without a key.
pub(super) struct RecordFrame<'a> {
    /// From the kind to the last record.
    public: &'a [u8],
    pub(super) first: u64,
    failed: u32,
    pub(super) subjects: u32,
    pub(super) before: Hash,
    /// The leaf hashes of the records.
    pub(super) leaves: &'a [[u8; 32]],
    records: &'a [u8],
    table: &'a [u8],
    tag: [u8; TAG_LEN],
}

/// A record with its place in the frame.
pub(super) struct TableEntry {
    pub(super) range: Range<usize>,
    pub(super) subject: u32,
}

impl<'a> RecordFrame<'a> {
    /// Takes a frame apart. `None` when it is none of records.
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let body = frame.get(PREFIX_LEN..)?;
        let (fixed, rest) = body.split_first_chunk::<FIXED_LEN>()?;
        let mut input = super::codec::Input::new(fixed);
        let kind = input.byte()?;
        let (count, subjects, table_len) = (input.count()?, input.count()?, input.count()?);
        let (first, failed) = (u64::from_le_bytes(input.array()?), input.count()?);
        let before = Hash::from_bytes(input.array()?);
        let (count, table_len) = (usize::try_from(count).ok()?, usize::try_from(table_len).ok()?);
        if kind != KIND_RECORDS || !(1..=MAX_RECORDS).contains(&count) {
            return None;
        }
        let (leaves, rest) = rest.split_at_checked(count.checked_mul(Hash::LEN)?)?;
        let records_len = rest.len().checked_sub(table_len)?.checked_sub(TAG_LEN)?;
        let (records, sealed) = rest.split_at_checked(records_len)?;
        let (table, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
        let public = body.get(..body.len() - sealed.len())?;
        let (leaves, _) = leaves.as_chunks::<{ Hash::LEN }>();
        Some(Self { public, first, failed, subjects, before, leaves, records, table, tag: *tag })
    }

    /// The table, if this is what was sealed: the time of the commit, and where each record is.
    pub(super) fn open(&self, keys: &FrameKeys) -> Option<(Duration, Vec<TableEntry>)> {
        let aad = [keys.log_id.as_slice(), &keys.segment.to_le_bytes(), self.public].concat();
        let mut table = Zeroizing::new(self.table.to_vec());
        crypto::decrypt(&keys.table, &nonce(self.first, self.failed), &aad, &mut table, &self.tag).ok()?;
        let mut input = super::codec::Input::new(&table);
        let seconds = u64::from_le_bytes(input.array()?);
        let nanos = input.count()?;
        let time = (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))?;
        let mut entries = Vec::with_capacity(self.leaves.len());
        let mut start = 0_usize;
        for _ in self.leaves {
            let end = start.checked_add(usize::try_from(input.count()?).ok()?)?;
            entries.push(TableEntry { range: start..end, subject: input.count()? });
            start = end;
        }
        (input.is_empty() && start == self.records.len()).then_some((time, entries))
    }

    /// The event of a record, if its leaf is that of it.
    pub(super) fn event(&self, number: usize, entry: &TableEntry, key: &RecordKey) -> Option<Record> {
        let ciphertext = self.records.get(entry.range.clone())?;
        let sequence = self.first.checked_add(number as u64)?;
        let mut event = Vec::with_capacity(ciphertext.len() + SALT_LEN + 4 * BLOCK);
        let salt = crypt(key, &nonce(sequence, self.failed), ciphertext, &mut event);
        let is_it = record_leaf(&salt, &event).as_bytes() == self.leaves.get(number)?;
        is_it.then_some(Record { salt, event })
    }
}

/// A record that was decrypted.
pub(super) struct Record {
    pub(super) salt: Salt,
    pub(super) event: Vec<u8>,
}

impl RecordFrame<'_> {
    /// The leaves of the records.
    pub(super) fn record_leaves(&self) -> impl ExactSizeIterator<Item = Hash> + use<'_> {
        self.leaves.iter().copied().map(Hash::from_bytes)
    }
}
