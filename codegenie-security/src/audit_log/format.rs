//! The bytes of the log file: header, frames, chain. Pure functions of keys and bytes.
//!
//! Header, 88 bytes: `magic "CGAUDIT" | version u8 = 1 | key id 16 | log id 32 | commitment 32`.
//!
//! Frame: `body length u32 | CRC-32 of the length and the body u32 | body`, where the body is
//! `nonce 24 | ciphertext | tag 16`. Integers are little-endian.
//!
//! HKDF-SHA256 with the key, the log id as salt, and as info `codegenie audit log v1` and the first 56
//! bytes of the header gives 96 bytes: the key of the records, the key of the head, the commitment.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::crypto::{self, KeyId, NONCE_LEN, NoRandomness, SealingKey, TAG_LEN};

pub(super) const MAGIC: [u8; 7] = *b"CGAUDIT";
pub(super) const VERSION: u8 = 1;
const BOUND_LEN: usize = MAGIC.len() + 1 + 16 + 32;
pub(super) const HEADER_LEN: usize = BOUND_LEN + 32;
/// Where the log id begins.
pub(super) const LOG_ID_OFFSET: usize = MAGIC.len() + 1 + 16;

/// The largest encoded event.
pub(super) const MAX_EVENT: usize = 1 << 20;
pub(super) const PREFIX_LEN: usize = 8;
pub(super) const MIN_BODY: usize = NONCE_LEN + TAG_LEN;
pub(super) const MAX_BODY: usize = MIN_BODY + MAX_EVENT;

pub(super) type LogId = [u8; 32];
pub(super) type Hash = [u8; 32];

/// What one log is sealed with.
pub(super) struct LogKeys {
    pub(super) log_id: LogId,
    pub(super) record: Zeroizing<[u8; 32]>,
    pub(super) head: Zeroizing<[u8; 32]>,
    commitment: [u8; 32],
}

impl LogKeys {
    pub(super) fn derive(key: &SealingKey, log_id: LogId) -> Self {
        let mut okm = Zeroizing::new([0; 96]);
        key.expand(Some(&log_id), &[b"codegenie audit log v1", &bound(key.id(), log_id)], &mut *okm);
        let (mut record, mut head) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        let mut commitment = [0; 32];
        let places = record.iter_mut().chain(head.iter_mut()).chain(commitment.iter_mut());
        for (to, from) in places.zip(okm.iter()) {
            *to = *from;
        }
        Self { log_id, record, head, commitment }
    }

    pub(super) fn header(&self, key_id: KeyId) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        let bytes = bound(key_id, self.log_id).into_iter().chain(self.commitment);
        for (to, from) in header.iter_mut().zip(bytes) {
            *to = from;
        }
        header
    }
}

fn bound(key_id: KeyId, log_id: LogId) -> [u8; BOUND_LEN] {
    let mut bytes = [0; BOUND_LEN];
    let parts = MAGIC.into_iter().chain([VERSION]).chain(key_id.0).chain(log_id);
    for (to, from) in bytes.iter_mut().zip(parts) {
        *to = from;
    }
    bytes
}

/// What a header turned out to be.
pub(super) enum Header {
    /// It is ours and whole.
    Good(LogKeys),
    /// The byte at this offset, or one after it, was altered.
    Altered(u64),
    UnknownVersion(u8),
    WrongKey(KeyId),
}

/// The commitment covers all that stands before it, so a header that fails only in the fields that
/// we know beforehand is an altered one, not one of another key or version.
pub(super) fn read_header(bytes: &[u8; HEADER_LEN], key: &SealingKey) -> Header {
    let mut log_id = [0; 32];
    for (to, from) in log_id.iter_mut().zip(bytes.iter().skip(LOG_ID_OFFSET)) {
        *to = *from;
    }
    let keys = LogKeys::derive(key, log_id);
    let expected = keys.header(key.id());
    let Some(first_difference) = bytes.iter().zip(&expected).position(|(found, want)| found != want) else {
        return Header::Good(keys);
    };
    let committed = bytes.last_chunk::<32>() == Some(&keys.commitment);
    if committed {
        return Header::Altered(first_difference as u64);
    }
    let (version, key_id) = match bytes.split_first_chunk::<{ MAGIC.len() }>() {
        Some((magic, [version, rest @ ..])) if *magic == MAGIC => (*version, rest.first_chunk::<16>()),
        _ => return Header::Altered(0),
    };
    if version != VERSION {
        return Header::UnknownVersion(version);
    }
    match key_id {
        Some(found) if *found != key.id().0 => Header::WrongKey(KeyId(*found)),
        // The log id or the commitment: the one makes the other wrong.
        _ => Header::Altered(LOG_ID_OFFSET as u64),
    }
}

/// The state of the hash chain: how many records, and the hash over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) count: u64,
    pub(super) hash: Hash,
}

impl Chain {
    pub(super) fn start(header: &[u8; HEADER_LEN]) -> Self {
        let hash = Sha256::new().chain_update(b"codegenie audit chain v1").chain_update(header).finalize();
        Self { count: 0, hash: hash.into() }
    }

    fn advanced(&self, frame: [&[u8]; 2]) -> Self {
        let [prefix, body] = frame;
        let hash = Sha256::new().chain_update(self.hash).chain_update(prefix).chain_update(body).finalize();
        Self { count: self.count + 1, hash: hash.into() }
    }

    fn aad(&self, log_id: &LogId) -> Vec<u8> {
        [b"codegenie audit record v1".as_slice(), log_id, &self.count.to_le_bytes(), &self.hash].concat()
    }
}

fn checksum(length: [u8; 4], body: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(body);
    hasher.finalize().to_le_bytes()
}

/// Why an event was not sealed.
pub(super) enum SealFailure {
    TooLarge,
    NoRandomness(NoRandomness),
}

/// The frame of the record after `chain`, and the chain after the frame.
pub(super) fn seal_frame(
    keys: &LogKeys,
    chain: &Chain,
    event: &[u8],
) -> Result<(Vec<u8>, Chain), SealFailure> {
    if event.len() > MAX_EVENT {
        return Err(SealFailure::TooLarge);
    }
    let nonce = crypto::random().map_err(SealFailure::NoRandomness)?;
    let mut ciphertext = event.to_vec();
    let tag = crypto::encrypt(&keys.record, &nonce, &chain.aad(&keys.log_id), &mut ciphertext)
        .map_err(|_| SealFailure::TooLarge)?;
    let body = [nonce.as_slice(), &ciphertext, &tag].concat();
    let length = u32::try_from(body.len()).map_err(|_| SealFailure::TooLarge)?.to_le_bytes();
    let prefix = [length, checksum(length, &body)].concat();
    let next = chain.advanced([&prefix, &body]);
    Ok(([prefix, body].concat(), next))
}

/// The two halves of a frame's prefix.
pub(super) struct Prefix {
    bytes: [u8; PREFIX_LEN],
    length: [u8; 4],
    checksum: [u8; 4],
}

impl Prefix {
    pub(super) fn new(bytes: [u8; PREFIX_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self { bytes, length: [a, b, c, d], checksum: [e, f, g, h] }
    }

    /// The length of the body, if a body can have it.
    pub(super) fn body_len(&self) -> Option<usize> {
        let len = usize::try_from(u32::from_le_bytes(self.length)).ok()?;
        (MIN_BODY..=MAX_BODY).contains(&len).then_some(len)
    }
}

/// How a whole frame failed.
pub(super) enum FrameFailure {
    /// Not what was written: a torn write, or an altered byte.
    Checksum,
    /// Whole, but not the next record of this log.
    NotAuthentic,
}

/// The event in the frame after `chain`, and the chain after it.
pub(super) fn open_frame(
    keys: &LogKeys,
    chain: &Chain,
    prefix: &Prefix,
    body: &[u8],
) -> Result<(Vec<u8>, Chain), FrameFailure> {
    if checksum(prefix.length, body) != prefix.checksum {
        return Err(FrameFailure::Checksum);
    }
    let (nonce, rest) = body.split_first_chunk::<NONCE_LEN>().ok_or(FrameFailure::Checksum)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(FrameFailure::Checksum)?;
    let mut event = ciphertext.to_vec();
    crypto::decrypt(&keys.record, nonce, &chain.aad(&keys.log_id), &mut event, tag)
        .map_err(|_| FrameFailure::NotAuthentic)?;
    Ok((event, chain.advanced([&prefix.bytes, body])))
}
