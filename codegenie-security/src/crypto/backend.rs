//! Who computes the AEAD of files: RustCrypto, AWS-LC, or the host's own.

use std::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Tag};

/// The cipher refused: not authentic, or longer than it takes. Opaque on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the cipher refused: not authentic, or too long for it; the data cannot be used")]
pub struct AeadRefused;

/// An AEAD with keys of 32 bytes, nonces of 12 and tags of 16 (RFC 5116), which computes the bulk of a
/// [file](crate::FileSealer).
///
/// Two backends of one algorithm write the same bytes, and either reads what the other wrote. The
/// name of the algorithm is part of what a file's keys are derived from: a file of another algorithm is
/// refused, never garbled.
pub trait AeadBackend: Send + Sync + fmt::Debug {
    /// The algorithm's name in the IANA registry of AEAD algorithms.
    fn algorithm(&self) -> &'static str;

    /// Prepares a key. What is returned wipes it when dropped.
    fn key(&self, key: &[u8; 32]) -> Box<dyn AeadKey>;
}

/// A key that an [`AeadBackend`] prepared.
///
/// `from` and `to` have the same length; an implementation refuses where they do not.
pub trait AeadKey: Send + Sync {
    /// Encrypts `from` into `to`, and returns the tag over it and `aad`.
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], from: &[u8], to: &mut [u8])
    -> Result<[u8; 16], AeadRefused>;

    /// Decrypts `from` into `to`. When it refuses, `to` is not plaintext that anybody may use.
    fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        from: &[u8],
        tag: &[u8; 16],
        to: &mut [u8],
    ) -> Result<(), AeadRefused>;
}

/// ChaCha20-Poly1305 (RFC 8439) in portable Rust with run-time detection of AVX2 and SSE2.
///
/// On x86-64 with AVX-512 it is about twice as fast when built with
/// `RUSTFLAGS='--cfg chacha20_avx512'`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RustCrypto;

const CHACHA20_POLY1305: &str = "AEAD_CHACHA20_POLY1305";

impl AeadBackend for RustCrypto {
    fn algorithm(&self) -> &'static str {
        CHACHA20_POLY1305
    }

    fn key(&self, key: &[u8; 32]) -> Box<dyn AeadKey> {
        Box::new(RustCryptoKey(ChaCha20Poly1305::new(key.into())))
    }
}

struct RustCryptoKey(ChaCha20Poly1305);

impl AeadKey for RustCryptoKey {
    fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        from: &[u8],
        to: &mut [u8],
    ) -> Result<[u8; 16], AeadRefused> {
        let buffer = InOutBuf::new(from, to).map_err(|_| AeadRefused)?;
        let tag = self.0.encrypt_inout_detached(nonce.into(), aad, buffer).map_err(|_| AeadRefused)?;
        Ok(tag.into())
    }

    fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        from: &[u8],
        tag: &[u8; 16],
        to: &mut [u8],
    ) -> Result<(), AeadRefused> {
        let buffer = InOutBuf::new(from, to).map_err(|_| AeadRefused)?;
        let tag = <&Tag>::from(tag);
        self.0.decrypt_inout_detached(nonce.into(), aad, buffer, tag).map_err(|_| AeadRefused)
    }
}

/// ChaCha20-Poly1305 (RFC 8439) by AWS-LC: assembly for x86-64 and aarch64, and a C library to build.
#[cfg(feature = "aws-lc")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwsLc;

#[cfg(feature = "aws-lc")]
mod aws_lc {
    use super::{AeadBackend, AeadKey, AeadRefused, AwsLc, CHACHA20_POLY1305};
    use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};

    impl AeadBackend for AwsLc {
        fn algorithm(&self) -> &'static str {
            CHACHA20_POLY1305
        }

        fn key(&self, key: &[u8; 32]) -> Box<dyn AeadKey> {
            // The key has the right length, so only a lack of memory could refuse it; then all is refused.
            Box::new(Key(UnboundKey::new(&aead::CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)))
        }
    }

    struct Key(Option<LessSafeKey>);

    impl AeadKey for Key {
        fn seal(
            &self,
            nonce: &[u8; 12],
            aad: &[u8],
            from: &[u8],
            to: &mut [u8],
        ) -> Result<[u8; 16], AeadRefused> {
            let key = self.0.as_ref().ok_or(AeadRefused)?;
            let (nonce, mut tag) = (Nonce::assume_unique_for_key(*nonce), [0; 16]);
            key.seal_out_of_place_scatter(nonce, Aad::from(aad), from, to, &[], &mut tag)
                .map_err(|_| AeadRefused)?;
            Ok(tag)
        }

        fn open(
            &self,
            nonce: &[u8; 12],
            aad: &[u8],
            from: &[u8],
            tag: &[u8; 16],
            to: &mut [u8],
        ) -> Result<(), AeadRefused> {
            if from.len() != to.len() {
                return Err(AeadRefused);
            }
            let key = self.0.as_ref().ok_or(AeadRefused)?;
            let nonce = Nonce::assume_unique_for_key(*nonce);
            key.open_separate_gather(nonce, Aad::from(aad), from, tag, to).map_err(|_| AeadRefused)
        }
    }
}
