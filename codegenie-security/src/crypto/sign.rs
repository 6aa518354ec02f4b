//! Ed25519 signatures (RFC 8032), verified strictly.

use std::fmt;

use ed25519_dalek::Signer;
use zeroize::Zeroizing;

use super::key::{NoRandomness, random};
use super::secret::SecretBytes;

/// What stands before a context, so that no signature of this kind is one over a bare message.
const DOMAIN: &[u8] = b"codegenie signature v1\0";

/// A signature that does not hold. Opaque on purpose: not by this key, not over this message, or malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "signature refused: made by another key, or over something else; do not use what it was to vouch for"
)]
pub struct SignatureRefused(());

/// Bytes that are no Ed25519 public key that signatures should be verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an ed25519 public key: no point of the curve, or one of small order; get the key again from its owner"
)]
pub struct BadVerifyingKey(());

/// The secret half of an Ed25519 key pair. Wiped when dropped; `Debug` shows the public half only.
///
/// It signs, and is never turned into a key for encryption: see [`Identity`](crate::Identity) for those.
///
/// ```
/// use codegenie_security::SigningKey;
///
/// let key = SigningKey::generate()?;
/// let signature = key.sign(b"release", b"version 2");
/// key.verifying_key().verify(b"release", b"version 2", &signature)?;
/// assert!(key.verifying_key().verify(b"nightly", b"version 2", &signature).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new random key.
    pub fn generate() -> Result<Self, NoRandomness> {
        let seed = Zeroizing::new(random()?);
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The key of a seed of 32 bytes (the private key of RFC 8032, 5.1.5) of full entropy.
    ///
    /// The array that the caller still holds is the caller's to wipe.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The seed, for keeping it where it is safe.
    #[must_use]
    pub fn to_seed(&self) -> SecretBytes {
        SecretBytes::new(self.0.as_bytes().to_vec())
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs `message` for one purpose, named by `context`: a signature for another purpose is never
    /// taken for it.
    ///
    /// What Ed25519 signs is `codegenie signature v1`, a zero byte, the length of the context as 8
    /// bytes, little-endian, the context, and the message.
    #[must_use]
    pub fn sign(&self, context: &[u8], message: &[u8]) -> Signature {
        self.sign_bare(&in_context(context, message))
    }

    /// Signs exactly `message`, as RFC 8032 says: for protocols that fix what is signed. Elsewhere
    /// [`sign`](Self::sign) keeps purposes apart.
    #[must_use]
    pub fn sign_bare(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("verifying_key", &self.verifying_key()).finish_non_exhaustive()
    }
}

/// The public half of an Ed25519 key pair, shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// Takes over a key as RFC 8032 encodes it.
    ///
    /// Refused are points of small order, for which anybody can make signatures, points with a
    /// component of small order, whose signatures hold by one formula and not by another, and encodings
    /// that are not canonical. No honest key is any of these.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, BadVerifyingKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| BadVerifyingKey(()))?;
        let point = key.to_edwards();
        let sound = !key.is_weak() && point.is_torsion_free() && point.compress().as_bytes() == bytes;
        if sound { Ok(Self(key)) } else { Err(BadVerifyingKey(())) }
    }

    /// The key as RFC 8032 encodes it.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        self.0.to_bytes()
    }

    /// Did the owner of this key [sign](SigningKey::sign) `message` in `context`?
    pub fn verify(
        &self,
        context: &[u8],
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureRefused> {
        self.verify_bare(&in_context(context, message), signature)
    }

    /// Did the owner of this key sign exactly `message`? Strict: of several encodings of a signature
    /// only the canonical one holds, and components of small order are refused.
    pub fn verify_bare(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureRefused> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).map_err(|_| SignatureRefused(()))
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// An Ed25519 signature: 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; Self::LEN]);

impl Signature {
    /// Bytes of a signature.
    pub const LEN: usize = 64;

    /// Takes over a signature. Whether it holds, verification tells.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The signature as RFC 8032 encodes it.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; Self::LEN] {
        self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

fn in_context(context: &[u8], message: &[u8]) -> Vec<u8> {
    [DOMAIN, &(context.len() as u64).to_le_bytes(), context, message].concat()
}
