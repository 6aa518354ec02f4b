//! The sealed blob: small data under one key, bound to its context.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::aead::{self, TAG_LEN};
use super::key::{KeyId, NoRandomness, SealingKey, random};

const MAGIC: [u8; 4] = *b"CGSB";
const VERSION: u8 = 1;
const SALT_LEN: usize = 24;
const COMMITMENT_LEN: usize = 32;
const HEADER_LEN: usize = MAGIC.len() + 1 + 16 + SALT_LEN + COMMITMENT_LEN;

/// Why data was not sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No random salt could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// One blob holds at most 256 GiB.
    #[error("data too large to seal at once: {len} bytes; split it")]
    #[non_exhaustive]
    TooLarge {
        /// Bytes that were to be sealed.
        len: usize,
    },
}

/// Why a blob was not opened.
///
/// What the plaintext header shows is told apart, since everyone who has the blob can see it. All
/// else is [`Refused`](Self::Refused): no hint whether the data, the context or the key was wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than the shortest blob.
    #[error("sealed blob cut short: {len} bytes, where the shortest has {min}; fetch it again", min = HEADER_LEN + TAG_LEN)]
    #[non_exhaustive]
    Truncated {
        /// Bytes that were given.
        len: usize,
    },
    /// It does not begin as a sealed blob does.
    #[error("not a sealed blob: the first four bytes are not `CGSB`; pass what `seal` returned")]
    NotSealed,
    /// It was made by a version that this one does not know.
    #[error("sealed blob of version {version}, this library reads version {VERSION}; update the library")]
    #[non_exhaustive]
    UnknownVersion {
        /// The version that the blob claims.
        version: u8,
    },
    /// Its header names another key.
    #[error("sealed with key {found}, not with key {given}; open it with the key that sealed it")]
    #[non_exhaustive]
    WrongKey {
        /// The key that the header names.
        found: KeyId,
        /// The key that was to open it.
        given: KeyId,
    },
    /// Altered, sealed for another context, or by another key.
    #[error("sealed blob refused: altered, or sealed for another context; it cannot be used")]
    Refused,
}

impl SealingKey {
    /// Encrypts `plaintext`, bound to `aad`: [`open`](Self::open) needs the same `aad`, which is
    /// not stored. Two seals of the same data differ.
    ///
    /// # Format, version 1
    ///
    /// | offset | bytes | content |
    /// |---|---|---|
    /// | 0 | 4 | `CGSB` |
    /// | 4 | 1 | version, `1` |
    /// | 5 | 16 | [`KeyId`] |
    /// | 21 | 24 | random salt |
    /// | 45 | 32 | key commitment |
    /// | 77 | n | ciphertext, as long as the plaintext |
    /// | 77 + n | 16 | Poly1305 tag |
    ///
    /// HKDF-SHA256 with the key, the salt and the info `codegenie sealed blob v1` gives 64 bytes: the
    /// XChaCha20-Poly1305 key of this blob, then the commitment. The nonce is the salt. The
    /// additional data is the header (the first 77 bytes) followed by `aad`. The commitment makes
    /// it infeasible to craft a blob that opens under two keys.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_with_salt(random()?, aad, plaintext)
    }

    fn seal_with_salt(
        &self,
        salt: [u8; SALT_LEN],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (blob_key, commitment) = self.blob_keys(&salt);
        let mut out = Vec::with_capacity(HEADER_LEN + plaintext.len() + TAG_LEN);
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&self.id().0);
        out.extend_from_slice(&salt);
        out.extend_from_slice(&commitment);
        let full_aad = [out.as_slice(), aad].concat();
        out.extend_from_slice(plaintext);
        let too_large = || SealError::TooLarge { len: plaintext.len() };
        let body = out.get_mut(HEADER_LEN..).ok_or_else(too_large)?;
        let tag = aead::encrypt(&blob_key, &salt, &full_aad, body).map_err(|_| too_large())?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Decrypts what [`seal`](Self::seal) returned for the same `aad`.
    ///
    /// The plaintext that is returned is the caller's to wipe.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let truncated = || OpenError::Truncated { len: sealed.len() };
        if sealed.len() >= MAGIC.len() && !sealed.starts_with(&MAGIC) {
            return Err(OpenError::NotSealed);
        }
        let (header, body) = sealed.split_first_chunk::<HEADER_LEN>().ok_or_else(truncated)?;
        let (ciphertext, tag) = body.split_last_chunk::<TAG_LEN>().ok_or_else(truncated)?;

        let (_, rest) = header.split_first_chunk::<4>().ok_or_else(truncated)?;
        let ([version], rest) = rest.split_first_chunk::<1>().ok_or_else(truncated)?;
        if *version != VERSION {
            return Err(OpenError::UnknownVersion { version: *version });
        }
        let (key_id, rest) = rest.split_first_chunk::<16>().ok_or_else(truncated)?;
        if *key_id != self.id().0 {
            return Err(OpenError::WrongKey { found: KeyId(*key_id), given: self.id() });
        }
        let (salt, commitment) = rest.split_first_chunk::<SALT_LEN>().ok_or_else(truncated)?;

        let (blob_key, expected) = self.blob_keys(salt);
        let committed = bool::from(expected.as_slice().ct_eq(commitment));
        let mut plaintext = ciphertext.to_vec();
        let full_aad = [header.as_slice(), aad].concat();
        let authentic = aead::decrypt(&blob_key, salt, &full_aad, &mut plaintext, tag).is_ok();
        if committed && authentic { Ok(plaintext) } else { Err(OpenError::Refused) }
    }

    /// The key that the header of a blob names. Nobody has checked it.
    pub(super) fn named_by(sealed: &[u8]) -> Option<KeyId> {
        let rest = sealed.strip_prefix(&MAGIC)?.split_first()?.1;
        rest.first_chunk().map(|id| KeyId(*id))
    }

    fn blob_keys(&self, salt: &[u8; SALT_LEN]) -> (Zeroizing<[u8; 32]>, [u8; COMMITMENT_LEN]) {
        let mut okm = Zeroizing::new([0; 32 + COMMITMENT_LEN]);
        self.expand(Some(salt), &[b"codegenie sealed blob v1"], &mut *okm);
        let (mut key, mut commitment) = (Zeroizing::new([0; 32]), [0; COMMITMENT_LEN]);
        for (to, from) in key.iter_mut().chain(commitment.iter_mut()).zip(okm.iter()) {
            *to = *from;
        }
        (key, commitment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same bytes are opened through the public interface in tests/crypto.rs.
    #[test]
    fn sealing_with_a_known_salt_gives_the_committed_vector() {
        let key = SealingKey::from_bytes(std::array::from_fn(|i| i as u8));
        let salt = std::array::from_fn(|i| 0x40 + i as u8);
        let sealed = key.seal_with_salt(salt, b"codegenie vector", b"attack at dawn").unwrap();
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../../tests/vectors/sealed-v1.hex").trim());
    }

    /// A blob whose cipher is in order and whose commitment is not, as one that opens under two keys
    /// would be for one of them.
    #[test]
    fn an_authentic_blob_with_another_commitment_is_refused() {
        let key = SealingKey::from_bytes([1; 32]);
        let salt = [2; SALT_LEN];
        let mut blob = key.seal_with_salt(salt, b"aad", b"secret").unwrap();
        blob.truncate(HEADER_LEN);
        blob[HEADER_LEN - 1] ^= 1;
        let (blob_key, _) = key.blob_keys(&salt);
        let mut body = b"secret".to_vec();
        let tag = aead::encrypt(&blob_key, &salt, &[&blob[..], b"aad"].concat(), &mut body).unwrap();
        blob.extend(body);
        blob.extend(tag);
        assert_eq!(key.open(b"aad", &blob), Err(OpenError::Refused));
    }
}
