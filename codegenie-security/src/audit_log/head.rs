//! The head: how many records the log has, and the hash over them, sealed in a file beside it.
//!
//! A chain alone does not show that its last links are gone. The head does.
//!
//! File, 4,184 bytes: `magic "CGAHEAD" | version u8 = 1 | log id 32 | slot 0, 88 bytes | zeros up
//! to 4096 | slot 1, 88 bytes`. A slot is `nonce 24 | ciphertext 48 | tag 16` and holds `count u64
//! | log length u64 | hash 32`. The count `c` is written to slot `c mod 2`, so a write that a crash
//! tears leaves the other slot, which is one count behind.

use super::format::{Chain, Hash, LogId, LogKeys};
use crate::crypto::{self, NONCE_LEN, NoRandomness, TAG_LEN};

const MAGIC: [u8; 8] = *b"CGAHEAD\x01";
const CONTENT_LEN: usize = 8 + 8 + 32;
pub(super) const SLOT_LEN: usize = NONCE_LEN + CONTENT_LEN + TAG_LEN;
const SLOT_OFFSETS: [usize; 2] = [MAGIC.len() + 32, 4096];
pub(super) const HEAD_LEN: usize = 4096 + SLOT_LEN;

/// What one slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    count: u64,
    length: u64,
    hash: Hash,
}

/// What both slots say together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) count: u64,
    pub(super) hash: Hash,
    /// Where the slot that says so begins.
    pub(super) offset: u64,
    /// Where the other slot begins, when it is unreadable: torn by a crash, or altered.
    pub(super) damaged: Option<u64>,
}

/// A head that cannot be believed; the offset says where.
pub(super) struct BadHead(pub(super) u64);

/// The slot to write after `chain`, and where in the file.
pub(super) fn seal_slot(
    keys: &LogKeys,
    chain: &Chain,
    log_length: u64,
) -> Result<(u64, [u8; SLOT_LEN]), NoRandomness> {
    let index = u8::from(chain.count % 2 == 1);
    Ok((slot_offset(index), seal(keys, index, chain, log_length)?))
}

/// The whole file of an empty log.
pub(super) fn initial(keys: &LogKeys, chain: &Chain, log_length: u64) -> Result<Vec<u8>, NoRandomness> {
    let mut file = [MAGIC.as_slice(), &keys.log_id, &seal(keys, 0, chain, log_length)?].concat();
    file.resize(4096, 0);
    file.extend_from_slice(&seal(keys, 1, chain, log_length)?);
    Ok(file)
}

fn slot_offset(index: u8) -> u64 {
    let [first, second] = SLOT_OFFSETS;
    (if index == 0 { first } else { second }) as u64
}

fn aad(log_id: &LogId, index: u8) -> Vec<u8> {
    [b"codegenie audit head v1".as_slice(), log_id, &[index]].concat()
}

fn seal(keys: &LogKeys, index: u8, chain: &Chain, length: u64) -> Result<[u8; SLOT_LEN], NoRandomness> {
    let nonce: [u8; NONCE_LEN] = crypto::random()?;
    let mut content = [chain.count.to_le_bytes().as_slice(), &length.to_le_bytes(), &chain.hash].concat();
    // 48 bytes are never too many for the cipher; a zero tag would only make the slot unreadable.
    let tag =
        crypto::encrypt(&keys.head, &nonce, &aad(&keys.log_id, index), &mut content).unwrap_or([0; TAG_LEN]);
    let mut slot = [0; SLOT_LEN];
    for (to, from) in slot.iter_mut().zip(nonce.into_iter().chain(content).chain(tag)) {
        *to = from;
    }
    Ok(slot)
}

fn open(keys: &LogKeys, index: u8, slot: &[u8]) -> Option<Slot> {
    let (nonce, rest) = slot.split_first_chunk::<NONCE_LEN>()?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>()?;
    let mut content = ciphertext.to_vec();
    crypto::decrypt(&keys.head, nonce, &aad(&keys.log_id, index), &mut content, tag).ok()?;
    let (count, rest) = content.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    Some(Slot {
        count: u64::from_le_bytes(*count),
        length: u64::from_le_bytes(*length),
        hash: *rest.first_chunk::<32>()?,
    })
}

/// The log id that a head file names, before anything is checked.
pub(super) fn claimed_log_id(file: &[u8]) -> Option<LogId> {
    file.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk::<32>()).copied()
}

/// Reads the head of the log that `keys` belong to.
pub(super) fn read(file: &[u8], keys: &LogKeys) -> Result<Head, BadHead> {
    let expected = MAGIC.iter().chain(&keys.log_id);
    if let Some(place) = file.iter().zip(expected).position(|(found, want)| found != want) {
        return Err(BadHead(place as u64));
    }
    if file.len() != HEAD_LEN {
        return Err(BadHead(file.len().min(HEAD_LEN) as u64));
    }
    let [first, second] = SLOT_OFFSETS;
    let (front, back) = file.split_at_checked(second).ok_or(BadHead(0))?;
    let (slot, padding) =
        front.get(first..).and_then(|rest| rest.split_at_checked(SLOT_LEN)).ok_or(BadHead(0))?;
    if let Some(place) = padding.iter().position(|byte| *byte != 0) {
        return Err(BadHead((first + SLOT_LEN + place) as u64));
    }

    let head = |slot: Slot, index, damaged| Head {
        count: slot.count,
        hash: slot.hash,
        offset: slot_offset(index),
        damaged,
    };
    match (open(keys, 0, slot), open(keys, 1, back)) {
        (Some(even), Some(odd)) => {
            let consistent = even.count.abs_diff(odd.count) == 1 || (even.count == 0 && odd == even);
            match consistent {
                true if even.count >= odd.count => Ok(head(even, 0, None)),
                true => Ok(head(odd, 1, None)),
                false => Err(BadHead(slot_offset(u8::from(odd.count < even.count)))),
            }
        }
        (Some(even), None) => Ok(head(even, 0, Some(slot_offset(1)))),
        (None, Some(odd)) => Ok(head(odd, 1, Some(slot_offset(0)))),
        (None, None) => Err(BadHead(slot_offset(0))),
    }
}
