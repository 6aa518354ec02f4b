//! Keys for sealing to somebody else: HPKE (RFC 9180) with X25519, or with X-Wing.

use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::key::{KeyId, NoRandomness, SealingKey, random};
use super::secret::SecretBytes;
use super::wrap::{KeyWrapper, UnwrapError, WrapError, key_of};

const X25519: u8 = 1;
const X_WING: u8 = 2;
const INFO: &[u8] = b"codegenie hpke v1";

/// By which key encapsulation a recipient is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecipientKind {
    /// DHKEM(X25519, HKDF-SHA256), RFC 9180: keys of 32 bytes.
    X25519,
    /// X-Wing, which is X25519 and ML-KEM-768 together, so that data captured today stays sealed to
    /// somebody with a quantum computer tomorrow: public keys of 1,216 bytes.
    XWing,
}

/// The secret half of a recipient's keys: unwraps what was wrapped for its [`RecipientKey`].
///
/// Wiped when dropped; `Debug` shows its id only.
///
/// ```
/// use codegenie_security::{FileOpener, FileSealer, Identity, RecipientKind};
///
/// let auditor = Identity::generate(RecipientKind::XWing)?;
/// let public = auditor.recipient_key(); // what a writer has
/// let sealed = FileSealer::new(&public).seal_slice(b"for the auditor")?;
/// assert_eq!(FileOpener::new(&auditor).open_slice(&sealed)?, b"for the auditor");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Identity {
    kind: RecipientKind,
    secret: Zeroizing<[u8; 32]>,
    public: RecipientKey,
}

/// The public half of a recipient's keys: wraps, and unwraps nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RecipientKey {
    kind: RecipientKind,
    bytes: Vec<u8>,
}

/// Bytes that are no key of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a recipient's key: unknown kind, wrong length, or no valid key; get it again from its owner")]
pub struct BadRecipientKey(());

impl Identity {
    /// New random keys.
    pub fn generate(kind: RecipientKind) -> Result<Self, NoRandomness> {
        loop {
            // All 32-byte strings are private keys of both kinds; a second turn is never needed.
            let secret = Zeroizing::new(random()?);
            if let Ok(identity) = Self::new(kind, secret) {
                return Ok(identity);
            }
        }
    }

    /// The keys of what [`to_secret_bytes`](Self::to_secret_bytes) returned.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, BadRecipientKey> {
        let (kind, secret) = bytes.split_first().ok_or(BadRecipientKey(()))?;
        let secret = <[u8; 32]>::try_from(secret).map_err(|_| BadRecipientKey(()))?;
        Self::new(kind_of(*kind)?, Zeroizing::new(secret))
    }

    fn new(kind: RecipientKind, secret: Zeroizing<[u8; 32]>) -> Result<Self, BadRecipientKey> {
        let bytes = match kind {
            RecipientKind::X25519 => public_of::<X25519HkdfSha256>(&secret)?,
            RecipientKind::XWing => public_of::<XWing>(&secret)?,
        };
        Ok(Self { kind, secret, public: RecipientKey { kind, bytes } })
    }

    /// The secret, to be kept where it is safe: one byte for the kind (1 X25519, 2 X-Wing), and the 32 bytes
    /// of the private key as its specification encodes it.
    #[must_use]
    pub fn to_secret_bytes(&self) -> SecretBytes {
        SecretBytes::new([&[byte_of(self.kind)], self.secret.as_slice()].concat())
    }

    /// The public half, to be given to whoever shall seal for this identity.
    #[must_use]
    pub fn recipient_key(&self) -> RecipientKey {
        self.public.clone()
    }
}

impl RecipientKey {
    /// Takes over what [`to_bytes`](Self::to_bytes) returned.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadRecipientKey> {
        let (kind, bytes) = bytes.split_first().ok_or(BadRecipientKey(()))?;
        let kind = kind_of(*kind)?;
        let valid = match kind {
            RecipientKind::X25519 => <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(bytes).is_ok(),
            RecipientKind::XWing => <XWing as Kem>::PublicKey::from_bytes(bytes).is_ok(),
        };
        if valid { Ok(Self { kind, bytes: bytes.to_vec() }) } else { Err(BadRecipientKey(())) }
    }

    /// One byte for the kind (1 X25519, 2 X-Wing), and the public key as its specification encodes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[byte_of(self.kind)], self.bytes.as_slice()].concat()
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> RecipientKind {
        self.kind
    }

    /// The key's name: the first 16 bytes of the SHA-256 of a label and [`to_bytes`](Self::to_bytes). It
    /// stands in the clear in what is sealed for it, so who has that can tell for which known keys.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let hash = Sha256::new().chain_update(b"codegenie recipient id v1\0");
        let hash: [u8; 32] = hash.chain_update(self.to_bytes()).finalize().into();
        let mut id = [0; 16];
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        KeyId(id)
    }
}

/// HPKE in its base mode, with HKDF-SHA256, ChaCha20-Poly1305 and the info `codegenie hpke v1`: the
/// encapsulated key (32 bytes, X-Wing 1,120), then the key and its tag (48 bytes).
impl KeyWrapper for RecipientKey {
    fn key_id(&self) -> KeyId {
        self.id()
    }

    fn wrap_key(&self, key: &SealingKey, aad: &[u8]) -> Result<Vec<u8>, WrapError> {
        match self.kind {
            RecipientKind::X25519 => wrap::<X25519HkdfSha256>(&self.bytes, key, aad),
            RecipientKind::XWing => wrap::<XWing>(&self.bytes, key, aad),
        }
    }

    fn unwrap_key(&self, _wrapped: &[u8], _aad: &[u8]) -> Result<SealingKey, UnwrapError> {
        Err(UnwrapError::PublicOnly)
    }
}

/// Wraps as its [`RecipientKey`] does.
impl KeyWrapper for Identity {
    fn key_id(&self) -> KeyId {
        self.public.id()
    }

    fn wrap_key(&self, key: &SealingKey, aad: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.public.wrap_key(key, aad)
    }

    fn unwrap_key(&self, wrapped: &[u8], aad: &[u8]) -> Result<SealingKey, UnwrapError> {
        match self.kind {
            RecipientKind::X25519 => unwrap::<X25519HkdfSha256>(&self.secret, wrapped, aad),
            RecipientKind::XWing => unwrap::<XWing>(&self.secret, wrapped, aad),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("kind", &self.kind)
            .field("id", &self.public.id())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecipientKey")
            .field("kind", &self.kind)
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

fn kind_of(byte: u8) -> Result<RecipientKind, BadRecipientKey> {
    match byte {
        X25519 => Ok(RecipientKind::X25519),
        X_WING => Ok(RecipientKind::XWing),
        _ => Err(BadRecipientKey(())),
    }
}

fn byte_of(kind: RecipientKind) -> u8 {
    match kind {
        RecipientKind::X25519 => X25519,
        RecipientKind::XWing => X_WING,
    }
}

fn public_of<K: Kem>(secret: &[u8; 32]) -> Result<Vec<u8>, BadRecipientKey> {
    let secret = K::PrivateKey::from_bytes(secret).map_err(|_| BadRecipientKey(()))?;
    Ok(K::sk_to_pk(&secret).to_bytes().to_vec())
}

fn wrap<K: Kem>(public: &[u8], key: &SealingKey, aad: &[u8]) -> Result<Vec<u8>, WrapError> {
    let refused =
        |_| WrapError::unavailable("the recipient's key takes no secret; get it again from its owner");
    let public = K::PublicKey::from_bytes(public).map_err(refused)?;
    let mut random = Preloaded::new()?;
    let (encapsulated, sealed) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, K>(
        &OpModeS::Base,
        &public,
        INFO,
        key.expose(),
        aad,
        &mut random,
    )
    .map_err(refused)?;
    if random.exhausted {
        return Err(WrapError::unavailable("the key encapsulation used too many random bytes; report this"));
    }
    Ok([encapsulated.to_bytes().as_slice(), &sealed].concat())
}

fn unwrap<K: Kem>(secret: &[u8; 32], wrapped: &[u8], aad: &[u8]) -> Result<SealingKey, UnwrapError> {
    const SEALED_LEN: usize = SealingKey::LEN + 16;
    let (encapsulated, sealed) = wrapped.split_last_chunk::<SEALED_LEN>().ok_or(UnwrapError::Refused)?;
    let key = open::<K>(secret, INFO, encapsulated, sealed, aad).map_err(|_| UnwrapError::Refused)?;
    key_of(&Zeroizing::new(key))
}

fn open<K: Kem>(
    secret: &[u8; 32],
    info: &[u8],
    encapsulated: &[u8],
    sealed: &[u8],
    aad: &[u8],
) -> Result<Vec<u8>, hpke::HpkeError> {
    let secret = K::PrivateKey::from_bytes(secret)?;
    let encapsulated = K::EncappedKey::from_bytes(encapsulated)?;
    let mode = OpModeR::Base;
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, K>(
        &mode,
        &secret,
        &encapsulated,
        info,
        sealed,
        aad,
    )
}

/// Random bytes that were had before they are needed, since the trait that HPKE draws from cannot fail.
struct Preloaded {
    bytes: Zeroizing<[u8; 128]>,
    used: usize,
    exhausted: bool,
}

impl Preloaded {
    fn new() -> Result<Self, NoRandomness> {
        Ok(Self { bytes: Zeroizing::new(random()?), used: 0, exhausted: false })
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    fn fill(&mut self, to: &mut [u8]) {
        match self.bytes.get(self.used..self.used + to.len()) {
            Some(from) => to.copy_from_slice(from),
            None => self.exhausted = true,
        }
        self.used += to.len();
    }
}

impl hpke::rand_core::TryRng for Preloaded {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes(self.take()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes(self.take()))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
        self.fill(to);
        Ok(())
    }
}

impl hpke::rand_core::TryCryptoRng for Preloaded {}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_hex(text: &str) -> Vec<u8> {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        text.as_bytes().chunks(2).map(byte).collect()
    }

    /// RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, base mode. In
    /// here since the info of the public interface is fixed.
    #[test]
    fn the_vector_of_rfc_9180_opens() {
        let secret = from_hex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let public = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
        let secret: [u8; 32] = secret.try_into().unwrap();
        assert_eq!(public_of::<X25519HkdfSha256>(&secret).unwrap(), from_hex(public));
        let opened = open::<X25519HkdfSha256>(
            &secret,
            &from_hex("4f6465206f6e2061204772656369616e2055726e"),
            &from_hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"),
            &from_hex(
                "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
            ),
            b"Count-0",
        );
        assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
    }

    #[test]
    fn x_wing_agrees_with_its_draft() {
        let mut lines = include_str!("../../tests/vectors/x-wing.txt").lines().skip(1).map(from_hex);
        let [secret, public, ciphertext, shared] = std::array::from_fn(|_| lines.next().unwrap());
        let secret: [u8; 32] = secret.try_into().unwrap();
        assert_eq!(public_of::<XWing>(&secret).unwrap(), public);
        let secret = <XWing as Kem>::PrivateKey::from_bytes(&secret).unwrap();
        let ciphertext = <XWing as Kem>::EncappedKey::from_bytes(&ciphertext).unwrap();
        let decapsulated = XWing::decap(&secret, None, &ciphertext).unwrap();
        assert_eq!(decapsulated.0.as_slice(), shared);
    }
}
