//! Chains as their holders have them: making, narrowing, handing on.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::block::{BadChain, ChainBlock, Reader, RevocationId};
use crate::crypto::{NoRandomness, Signature, SigningKey, VerifyingKey, random};

const MAGIC: [u8; 4] = *b"CGCH";
const VERSION: u8 = 1;
const PREFIX: &str = "cgc_";
const BLOCK_CONTEXT: &[u8] = b"codegenie chain block v1";
const SEAL_CONTEXT: &[u8] = b"codegenie chain seal v1";
pub(super) const MAX_BLOCKS: usize = 16;
/// No chain is longer, in bytes, sealed or not.
const MAX_LEN: usize = 64 * 1024;
/// Before the blocks: magic, version, and how many follow.
const HEAD_LEN: usize = MAGIC.len() + 2;

const OPEN: u8 = 0;
const SEALED: u8 = 1;

/// A chain of blocks, each signed by a key that the one before names, and the first by the issuer. Whoever has
/// it may act as it says, so it is a secret: hidden in `Debug`, wiped when dropped.
///
/// Its holder can add a block that narrows it and hand that on, without asking anybody; nobody can take a
/// block away, since the key that signs the next one is only in the last. [Sealing](Self::seal) ends the adding.
///
/// ```
/// use codegenie_security::{ChainBlock, ChainToken, ChainVerifier, AccessRequest, Policy, Role, SigningKey};
/// use std::time::{Duration, SystemTime};
///
/// let issuer = SigningKey::generate()?;
/// let now = SystemTime::now();
/// let first = ChainBlock::new().user("alice").audience("build-farm").roles(["dev"]).expires_at(now + Duration::from_secs(600));
/// let chain = ChainToken::issue(&issuer, first)?;
/// let narrower = chain.attenuate(ChainBlock::new().agent("helper").only(["read:/src/**"]))?;
///
/// // Elsewhere, with the issuer's public key and a policy:
/// let verifier = ChainVerifier::new(issuer.verifying_key(), "build-farm");
/// let verified = verifier.verify(narrower.expose(), now)?;
/// let policy = Policy::builder().role(Role::new("dev").allow("*:/src/**")).user("alice", ["dev"]).build()?;
/// assert!(verified.permit(&policy, "read", "/src/a.rs", now).is_allowed());
/// assert!(!verified.permit(&policy, "write", "/src/a.rs", now).is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Format, version 1
///
/// The text is `cgc_` and URL-safe base64 without padding of: `CGCH`; the version, `1`; how many blocks follow, one
/// byte, at most 16; for each, its length (4 bytes, big-endian), its bytes, and a signature (64 bytes); then a
/// byte `0` and the seed of the last block's key (32 bytes), or `1` and a signature by that key over the last
/// block's signature.
///
/// A block is the public key that signs the next one (32 bytes), and its fields in the order user, audience, agent,
/// roles, only, end, level, labels, single use. What may be missing stands after a byte, 0 or 1; a text after its
/// length and a list after its count in 2 bytes, big-endian; the end is seconds since 1970 in 8 bytes, big-endian. All
/// before the base64 is 64 KiB at most.
///
/// Each signature is [in the context](SigningKey::sign) `codegenie chain block v1`, over the signature of the
/// block before (64 zero bytes for the first) and the block's bytes.
pub struct ChainToken {
    text: Zeroizing<String>,
}

/// A chain that was read, and not yet verified.
pub(super) struct Parsed {
    pub(super) blocks: Vec<Signed>,
    pub(super) proof: Proof,
}

pub(super) struct Signed {
    bytes: Vec<u8>,
    pub(super) block: ChainBlock,
    pub(super) next: [u8; 32],
    pub(super) signature: Signature,
}

pub(super) enum Proof {
    Open(Zeroizing<[u8; 32]>),
    Sealed(Signature),
}

impl ChainToken {
    /// A chain of one block, signed by its issuer.
    pub fn issue(issuer: &SigningKey, first: ChainBlock) -> Result<Self, BadChain> {
        let no_randomness = |error: NoRandomness| BadChain(error.to_string());
        let mut parsed = Parsed {
            blocks: Vec::new(),
            proof: Proof::Open(Zeroizing::new(random().map_err(no_randomness)?)),
        };
        parsed.add(issuer, first)?;
        Ok(Self { text: parsed.encode() })
    }

    /// Takes over a text that somebody handed on. Whether it holds, a verifier tells.
    pub fn from_text(text: String) -> Result<Self, BadChain> {
        let text = Zeroizing::new(text);
        Parsed::read(&text)?;
        Ok(Self { text })
    }

    /// A chain with one more block, for somebody who shall do less. Whatever the block asks for, it is never wider;
    /// a verifier refuses one that tries.
    pub fn attenuate(&self, block: ChainBlock) -> Result<Self, BadChain> {
        let mut parsed = Parsed::read(&self.text)?;
        let Proof::Open(seed) = &parsed.proof else {
            return Err(BadChain::new("it is sealed, so nothing is added to it"));
        };
        let key = SigningKey::from_seed(**seed);
        parsed.add(&key, block)?;
        Ok(Self { text: parsed.encode() })
    }

    /// The same chain, to which nobody can add a block.
    pub fn seal(&self) -> Result<Self, BadChain> {
        let mut parsed = Parsed::read(&self.text)?;
        if let Proof::Open(seed) = &parsed.proof {
            let last = parsed.blocks.last().map(|block| block.signature.to_bytes());
            let last = last.ok_or_else(|| BadChain::new("it has no block"))?;
            parsed.proof = Proof::Sealed(SigningKey::from_seed(**seed).sign(SEAL_CONTEXT, &last));
        }
        Ok(Self { text: parsed.encode() })
    }

    /// The names of its blocks, the issuer's first: to revoke it, or what was made of it.
    pub fn revocation_ids(&self) -> Result<Vec<RevocationId>, BadChain> {
        Ok(Parsed::read(&self.text)?.blocks.iter().map(Signed::revocation_id).collect())
    }

    /// The text to hand to the holder, and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for ChainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainToken(hidden)")
    }
}

impl Parsed {
    /// Adds a block, signed by the key that the last one names, and draws the next key.
    fn add(&mut self, key: &SigningKey, block: ChainBlock) -> Result<(), BadChain> {
        block.check(self.blocks.is_empty())?;
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(BadChain::new("it has 16 blocks, and no chain has more"));
        }
        let seed = Zeroizing::new(random::<32>().map_err(|error| BadChain(error.to_string()))?);
        let next = SigningKey::from_seed(*seed).verifying_key().to_bytes();
        let mut bytes = next.to_vec();
        block.encode(&mut bytes);
        let before = self.blocks.last().map_or([0; Signature::LEN], |block| block.signature.to_bytes());
        let signature = key.sign(BLOCK_CONTEXT, &[before.as_slice(), &bytes].concat());
        self.blocks.push(Signed { bytes, block, next, signature });
        if self.sealed_len() > MAX_LEN {
            return Err(BadChain::new("it would be longer than 64 KiB, and no chain is"));
        }
        self.proof = Proof::Open(seed);
        Ok(())
    }

    /// How many bytes it has with the longer of the two proofs, so that it can be sealed whatever is in it.
    fn sealed_len(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| 4 + block.bytes.len() + Signature::LEN);
        HEAD_LEN + blocks.sum::<usize>() + 1 + Signature::LEN
    }

    fn encode(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(Vec::with_capacity(MAX_LEN));
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        out.push(u8::try_from(self.blocks.len()).unwrap_or(u8::MAX));
        for block in &self.blocks {
            out.extend_from_slice(&u32::try_from(block.bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(&block.bytes);
            out.extend_from_slice(&block.signature.to_bytes());
        }
        match &self.proof {
            Proof::Open(seed) => {
                out.push(OPEN);
                out.extend_from_slice(&**seed);
            }
            Proof::Sealed(signature) => {
                out.push(SEALED);
                out.extend_from_slice(&signature.to_bytes());
            }
        }
        let encoded = Zeroizing::new(Base64UrlUnpadded::encode_string(&out));
        Zeroizing::new(format!("{PREFIX}{}", *encoded))
    }

    pub(super) fn read(text: &str) -> Result<Self, BadChain> {
        let malformed = || BadChain::new("it is malformed");
        let encoded = text.strip_prefix(PREFIX).ok_or_else(malformed)?;
        if encoded.len() > (MAX_LEN * 4).div_ceil(3) {
            return Err(malformed());
        }
        let bytes = Zeroizing::new(Base64UrlUnpadded::decode_vec(encoded).map_err(|_| malformed())?);
        Self::decode(&bytes).ok_or_else(malformed)?
    }

    fn decode(bytes: &[u8]) -> Option<Result<Self, BadChain>> {
        let mut read = Reader(bytes);
        if read.array()? != MAGIC {
            return None;
        }
        let version = read.byte()?;
        if version != VERSION {
            let why = format!("it is of version {version}, and this library reads version {VERSION}");
            return Some(Err(BadChain(why)));
        }
        let count = usize::from(read.byte()?);
        if count == 0 || count > MAX_BLOCKS {
            return None;
        }
        let mut blocks = Vec::new();
        for number in 0..count {
            let len = u32::from_be_bytes(read.array()?) as usize;
            let bytes = read.take(len)?;
            let signature = Signature::from_bytes(read.array()?);
            let mut fields = Reader(bytes);
            let next = fields.array()?;
            let block = ChainBlock::decode(&mut fields)?;
            if !fields.0.is_empty() {
                return None;
            }
            if let Err(error) = block.check(number == 0) {
                return Some(Err(error));
            }
            blocks.push(Signed { bytes: bytes.to_vec(), block, next, signature });
        }
        let proof = match read.byte()? {
            OPEN => Proof::Open(Zeroizing::new(read.array()?)),
            SEALED => Proof::Sealed(Signature::from_bytes(read.array()?)),
            _ => return None,
        };
        read.0.is_empty().then_some(Ok(Self { blocks, proof }))
    }

    /// Does every signature hold, and does the holder have the last key?
    pub(super) fn is_signed_by(&self, issuer: &VerifyingKey) -> bool {
        let mut key = *issuer;
        let mut before = [0; Signature::LEN];
        for block in &self.blocks {
            let signed = [before.as_slice(), &block.bytes].concat();
            if key.verify(BLOCK_CONTEXT, &signed, &block.signature).is_err() {
                return false;
            }
            let Ok(next) = VerifyingKey::from_bytes(&block.next) else { return false };
            key = next;
            before = block.signature.to_bytes();
        }
        match &self.proof {
            Proof::Open(seed) => SigningKey::from_seed(**seed).verifying_key() == key,
            Proof::Sealed(signature) => key.verify(SEAL_CONTEXT, &before, signature).is_ok(),
        }
    }
}

impl Signed {
    pub(super) fn revocation_id(&self) -> RevocationId {
        let hash: [u8; 32] = Sha256::digest(self.signature.to_bytes()).into();
        let mut id = [0; 16];
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        RevocationId(id)
    }
}
