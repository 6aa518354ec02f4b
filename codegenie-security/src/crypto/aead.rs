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
