//! The bytes of the file of sessions: header, entries, chain. Pure functions of keys and bytes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::crypto::{NoRandomness, SealError, SealingKey, random};

const MAGIC: [u8; 7] = *b"CGSESSN";
pub(super) const VERSION: u8 = 2;
const MAC_LEN: usize = 32;
const BOUND_LEN: usize = MAGIC.len() + 1 + 32;
pub(super) const HEADER_LEN: usize = BOUND_LEN + MAC_LEN;
/// What stands before an entry: its length, and the code that says that the length is ours.
const HEAD_LEN: usize = 4 + MAC_LEN;
/// No sealed entry is longer.
const MAX_SEALED: usize = 1 << 20;
/// What a sealed entry ends with.
const TAG_LEN: usize = 16;

/// A place in one file: all that stands before it decides whether an entry is good there.
#[derive(Clone)]
pub(super) struct Place {
    mac_key: Zeroizing<[u8; 64]>,
    chain: [u8; 32],
}

/// Why a header is not taken.
#[derive(Debug)]
pub(super) enum BadHeader {
    UnknownVersion(u8),
    Altered,
}

/// Why there is no entry at a place.
#[derive(Debug)]
pub(super) enum NoEntry {
    /// Nothing follows.
    End,
    /// The beginning of one follows, as a crash leaves it, and nothing else.
    Torn,
    Altered,
}

/// Why an entry was not sealed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSealed {
    #[error("session too large to be kept: more than 1 MiB; give it fewer roles, tags and labels")]
    TooLarge,
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A header for a new file, and the place after it. `key` is that of the file.
pub(super) fn new_header(key: &SealingKey) -> Result<([u8; HEADER_LEN], Place), NoRandomness> {
    let id: [u8; 32] = random()?;
    let mut bound = [0; BOUND_LEN];
    for (to, from) in bound.iter_mut().zip(MAGIC.into_iter().chain([VERSION]).chain(id)) {
        *to = from;
    }
    let place = Place::first(key, &bound);
    let mut header = [0; HEADER_LEN];
    for (to, from) in header.iter_mut().zip(bound.into_iter().chain(place.chain)) {
        *to = from;
    }
    Ok((header, place))
}

/// The place after the header that a file begins with.
pub(super) fn read_header(key: &SealingKey, header: &[u8; HEADER_LEN]) -> Result<Place, BadHeader> {
    let (bound, mac) = header.split_first_chunk::<BOUND_LEN>().ok_or(BadHeader::Altered)?;
    match bound.strip_prefix(&MAGIC) {
        Some([VERSION, ..]) => {}
        Some([version, ..]) => return Err(BadHeader::UnknownVersion(*version)),
        _ => return Err(BadHeader::Altered),
    }
    let place = Place::first(key, bound);
    if !same(&place.chain, mac) {
        return Err(BadHeader::Altered);
    }
    Ok(place)
}

impl Place {
    fn first(key: &SealingKey, bound: &[u8; BOUND_LEN]) -> Self {
        let mut mac_key = Zeroizing::new([0; 64]);
        let id = bound.get(BOUND_LEN - 32..);
        key.expand(id, &[b"codegenie session file mac v2"], &mut *mac_key);
        let chain = mac(&mac_key, &[bound]);
        Self { mac_key, chain }
    }

    fn aad(&self) -> Vec<u8> {
        [b"codegenie sessions v2\0".as_slice(), &self.chain].concat()
    }

    fn head(&self, sealed_len: [u8; 4]) -> [u8; MAC_LEN] {
        mac(&self.mac_key, &[&self.chain, &sealed_len])
    }

    fn after(&self, entry: [&[u8]; 2]) -> Self {
        let [head, sealed] = entry;
        let chain = Sha256::new().chain_update(self.chain).chain_update(head).chain_update(sealed).finalize();
        Self { mac_key: self.mac_key.clone(), chain: chain.into() }
    }

    /// An entry for this place, and the place after it.
    pub(super) fn seal(&self, key: &SealingKey, content: &[u8]) -> Result<(Vec<u8>, Self), NotSealed> {
        let sealed = key.seal(&self.aad(), content)?;
        let len = u32::try_from(sealed.len()).ok().filter(|len| *len as usize <= MAX_SEALED);
        let len = len.ok_or(NotSealed::TooLarge)?.to_le_bytes();
        let head = [len.as_slice(), &self.head(len)].concat();
        let after = self.after([&head, &sealed]);
        Ok(([head, sealed].concat(), after))
    }

    /// What is sealed in the entry that `rest` begins with, how long it is, and the place after it.
    pub(super) fn open(&self, key: &SealingKey, rest: &[u8]) -> Result<(Vec<u8>, usize, Self), NoEntry> {
        if rest.is_empty() {
            return Err(NoEntry::End);
        }
        self.open_whole(key, rest).ok_or_else(|| match self.is_torn(rest) {
            true => NoEntry::Torn,
            false => NoEntry::Altered,
        })
    }

    fn open_whole(&self, key: &SealingKey, rest: &[u8]) -> Option<(Vec<u8>, usize, Self)> {
        let (head, after) = rest.split_first_chunk::<HEAD_LEN>()?;
        let (len, found) = head.split_first_chunk::<4>()?;
        if !same(&self.head(*len), found) {
            return None;
        }
        let sealed = after.get(..u32::from_le_bytes(*len) as usize)?;
        let content = key.open(&self.aad(), sealed).ok()?;
        Some((content, HEAD_LEN + sealed.len(), self.after([head, sealed])))
    }

    /// Is this what a crash leaves of one entry: its beginning, and perhaps zeros, where room was made for more than
    /// was written? Whatever could be checked of the head is right then, and there is not more than one entry takes.
    fn is_torn(&self, rest: &[u8]) -> bool {
        let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let Some((len, after)) = rest.split_first_chunk::<4>().filter(|_| written > 4) else {
            return rest.len() <= HEAD_LEN + MAX_SEALED;
        };
        let expected = self.head(*len);
        let of_head = written.min(HEAD_LEN) - 4;
        let whole = HEAD_LEN + u32::from_le_bytes(*len) as usize;
        after.get(..of_head) == expected.get(..of_head)
            // All of it is there and does not open: then the end was not written, or it is altered.
            && (rest.len() < whole || rest.len() == whole && written + TAG_LEN <= whole)
    }
}

fn mac(key: &[u8; 64], parts: &[&[u8]]) -> [u8; MAC_LEN] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new(key.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn same(expected: &[u8], found: &[u8]) -> bool {
    bool::from(subtle::ConstantTimeEq::ct_eq(expected, found))
}
