//! Keys wrapped by a passphrase.

use scrypt::{Params, scrypt};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{KeyWrapper, UnwrapError, WrapError, labelled};
use crate::crypto::key::{KeyId, SealingKey, random};
use crate::crypto::secret::SecretString;

const SALT_LEN: usize = 16;
const R: u32 = 8;
const P: u32 = 1;

/// A [`KeyWrapper`] from something that a person remembers, by scrypt (RFC 7914).
///
/// Wrapping and unwrapping each take about half a second and 128 MiB with the default of 2^17 rounds, on
/// purpose: on an async runtime, do it where blocking is allowed. Whoever has a wrapped key can try
/// passphrases, each at that price.
///
/// # Format of a wrapped key
///
/// One byte, the logarithm of the rounds (with r = 8, p = 1); 16 bytes of salt; and the key, [sealed](
/// SealingKey::seal) under what scrypt gives for passphrase and salt.
#[derive(Debug)]
pub struct Passphrase {
    text: SecretString,
    log_n: u8,
    most: u8,
}

impl Passphrase {
    /// What is used where nothing else is said: 2^17 rounds.
    pub const DEFAULT_LOG_N: u8 = Params::RECOMMENDED_LOG_N;
    /// What a wrapped key may ask for where nothing else is said: 2^20 rounds, which take 1 GiB.
    pub const DEFAULT_MAX_LOG_N: u8 = 20;

    /// Wraps by this passphrase.
    #[must_use]
    pub fn new(text: impl Into<SecretString>) -> Self {
        Self { text: text.into(), log_n: Self::DEFAULT_LOG_N, most: Self::DEFAULT_MAX_LOG_N }
    }

    /// Wraps with 2^`log_n` rounds, 10 to 24: each step doubles time and memory, for everybody who
    /// guesses as well.
    #[must_use]
    pub fn log_n(mut self, log_n: u8) -> Self {
        self.log_n = log_n.clamp(10, 24);
        self.most = self.most.max(self.log_n);
        self
    }

    /// Unwraps what asks for up to 2^`log_n` rounds, at most 24. A wrapped key comes from outside and may
    /// ask for more than the machine has.
    #[must_use]
    pub fn max_log_n(mut self, log_n: u8) -> Self {
        self.most = log_n.min(24);
        self
    }

    fn key(&self, salt: &[u8], log_n: u8) -> Option<SealingKey> {
        let params = Params::new(log_n, R, P).ok()?;
        let mut key = Zeroizing::new([0; SealingKey::LEN]);
        scrypt(self.text.expose().as_bytes(), salt, &params, &mut *key).ok()?;
        Some(SealingKey::from_zeroizing(key))
    }
}

impl KeyWrapper for Passphrase {
    /// The same for all passphrases: an id that depended on one would help to guess it.
    fn key_id(&self) -> KeyId {
        let hash: [u8; 32] = Sha256::digest(b"codegenie passphrase v1").into();
        let mut id = [0; 16];
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        KeyId(id)
    }

    fn wrap_key(&self, key: &SealingKey, aad: &[u8]) -> Result<Vec<u8>, WrapError> {
        let salt = random::<SALT_LEN>()?;
        let wrapping = self
            .key(&salt, self.log_n)
            .ok_or_else(|| WrapError::unavailable("scrypt refused its parameters; use fewer rounds"))?;
        let sealed = wrapping.seal(&labelled(aad), key.expose());
        let sealed = sealed.map_err(|_| WrapError::unavailable("no random bytes; check getrandom(2)"))?;
        Ok([&[self.log_n], salt.as_slice(), &sealed].concat())
    }

    fn unwrap_key(&self, wrapped: &[u8], aad: &[u8]) -> Result<SealingKey, UnwrapError> {
        let (log_n, rest) = wrapped.split_first().ok_or(UnwrapError::Refused)?;
        let (salt, sealed) = rest.split_first_chunk::<SALT_LEN>().ok_or(UnwrapError::Refused)?;
        if *log_n > self.most {
            return Err(UnwrapError::TooCostly { log_n: *log_n, most: self.most });
        }
        let wrapping = self.key(salt, *log_n).ok_or(UnwrapError::Refused)?;
        let opened = wrapping.open(&labelled(aad), sealed).map_err(|_| UnwrapError::Refused)?;
        super::key_of(&Zeroizing::new(opened))
    }
}
