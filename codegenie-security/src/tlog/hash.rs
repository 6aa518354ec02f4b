//! The hashes of leaves and nodes.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// A text that is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hash: it is 32 bytes in padded base64, 44 characters; copy it again from its source")]
pub struct BadHash(());

/// A SHA-256 hash of a leaf, of a node or of a whole tree. Its text is padded base64 (RFC 4648, section 4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Self::LEN]);

impl Hash {
    /// Bytes of a hash.
    pub const LEN: usize = 32;

    /// The root of a tree without leaves: SHA-256 of nothing (RFC 9162, 2.1.1).
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// Takes over a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// The hash of a leaf: SHA-256 of a zero byte and the entry (RFC 9162, 2.1.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new_with_prefix([0]).chain_update(entry).finalize().into())
}

/// The hash of a node: SHA-256 of a one byte and the hashes of its two halves (RFC 9162, 2.1.1).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // Trees hash little else: the two blocks are padded here (RFC 6234, 4.1) rather than by a hasher that takes any length.
    const BITS: u64 = 8 * (1 + 2 * Hash::LEN as u64);
    let mut message = [0; 128];
    message[0] = 1;
    message[1..=Hash::LEN].copy_from_slice(&left.0);
    message[1 + Hash::LEN..1 + 2 * Hash::LEN].copy_from_slice(&right.0);
    message[1 + 2 * Hash::LEN] = 0x80;
    message[120..].copy_from_slice(&BITS.to_be_bytes());
    let (blocks, _) = message.as_chunks::<64>();
    let mut state = INITIAL;
    compress256(&mut state, blocks);
    let mut hash = [0; Hash::LEN];
    let (words, _) = hash.as_chunks_mut::<4>();
    words.iter_mut().zip(state).for_each(|(to, word)| *to = word.to_be_bytes());
    Hash(hash)
}

/// What SHA-256 begins with (RFC 6234, 6.1).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 44];
        f.write_str(Base64::encode(&self.0, &mut text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// Strict: of several texts for the same bytes only the canonical one is taken.
impl FromStr for Hash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        let mut bytes = [0; Self::LEN];
        match Base64::decode(text, &mut bytes) {
            Ok(decoded) if decoded.len() == Self::LEN => Ok(Self(bytes)),
            _ => Err(BadHash(())),
        }
    }
}
