//! Keys that protect other keys, and the list of wrapped copies that files and key sets begin with.

mod block;
#[cfg(feature = "keyring")]
mod keyring;
mod passphrase;

pub(super) use block::{Extent, WrappedKeys};
#[cfg(feature = "keyring")]
pub use keyring::{KeyringError, KeyringKey};
pub use passphrase::Passphrase;

use std::sync::Arc;

use super::key::{KeyId, NoRandomness, SealingKey};

/// Protects keys by another secret: a key file, a passphrase, a recipient's public key, an OS
/// keyring, or a key management service that a host wires in.
///
/// Everything that this crate seals for somebody is sealed under a random key of its own, and each
/// wrapper holds a wrapped copy of that key. So a wrapper is replaced by wrapping a key of 32 bytes
/// again, whatever the size of the data.
pub trait KeyWrapper: Send + Sync {
    /// The name under which wrapped keys are found again. It is stored in the clear.
    fn key_id(&self) -> KeyId;

    /// Wraps `key`, bound to `aad`: at most [4,096 bytes](WrapError::too_large), which differ each time.
    fn wrap_key(&self, key: &SealingKey, aad: &[u8]) -> Result<Vec<u8>, WrapError>;

    /// Returns the key of what [`wrap_key`](Self::wrap_key) returned for the same `aad`.
    fn unwrap_key(&self, wrapped: &[u8], aad: &[u8]) -> Result<SealingKey, UnwrapError>;
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: KeyWrapper + ?Sized> KeyWrapper for $pointer {
            fn key_id(&self) -> KeyId {
                (**self).key_id()
            }
            fn wrap_key(&self, key: &SealingKey, aad: &[u8]) -> Result<Vec<u8>, WrapError> {
                (**self).wrap_key(key, aad)
            }
            fn unwrap_key(&self, wrapped: &[u8], aad: &[u8]) -> Result<SealingKey, UnwrapError> {
                (**self).unwrap_key(wrapped, aad)
            }
        }
    )*};
}

forward_to_pointee!(&T, Box<T>, Arc<T>);

/// Why a key was not wrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// No random bytes could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The wrapper made more than the 4,096 bytes that a wrapped key may have.
    #[error("wrapped key of {len} bytes is too large: at most 4096; use another wrapper")]
    #[non_exhaustive]
    TooLarge {
        /// Bytes that it made.
        len: usize,
    },
    /// Nobody to wrap for, or more than 64.
    #[error("a key is wrapped for 1 to 64 wrappers, not for {count}; name fewer, or at least one")]
    #[non_exhaustive]
    Count {
        /// How many were named.
        count: usize,
    },
    /// More than four wrappers have one id, as all passphrases have: the rest would never be tried.
    #[error("{count} wrappers have the same id, as passphrases have: at most 4; name fewer of a kind")]
    #[non_exhaustive]
    Alike {
        /// How many have it.
        count: usize,
    },
    /// The wrapper cannot do it now.
    #[error("key cannot be wrapped: {reason}")]
    #[non_exhaustive]
    Unavailable {
        /// Why, and what to do.
        reason: String,
    },
}

impl WrapError {
    /// Says that the wrapper cannot wrap now: one lowercase line, with what to do.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    /// Says that a wrapped key has `len` bytes, more than 4,096.
    #[must_use]
    pub fn too_large(len: usize) -> Self {
        Self::TooLarge { len }
    }
}

/// Why a wrapped key was not unwrapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// Altered, wrapped for another purpose, or the secret is not the one. Opaque on purpose.
    #[error("wrapped key refused: altered, for another purpose, or the wrong secret; it cannot be used")]
    Refused,
    /// The wrapper holds only the public half of its key.
    #[error("a public key unwraps nothing; unwrap with the identity that it belongs to")]
    PublicOnly,
    /// The wrapped key asks for more work than allowed.
    #[error(
        "wrapped key asks for scrypt with 2^{log_n} rounds, more than 2^{most}; it may be hostile: refuse it, or raise the limit"
    )]
    #[non_exhaustive]
    TooCostly {
        /// What it asks for.
        log_n: u8,
        /// What is allowed.
        most: u8,
    },
    /// The wrapper cannot do it now.
    #[error("key cannot be unwrapped: {reason}")]
    #[non_exhaustive]
    Unavailable {
        /// Why, and what to do.
        reason: String,
    },
}

impl UnwrapError {
    /// Says that the wrapper cannot unwrap now: one lowercase line, with what to do.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }
}

/// Wraps by [sealing](SealingKey::seal) the 32 bytes of the key.
impl KeyWrapper for SealingKey {
    fn key_id(&self) -> KeyId {
        self.id()
    }

    fn wrap_key(&self, key: &SealingKey, aad: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.seal(&labelled(aad), key.expose()).map_err(|error| match error {
            super::SealError::NoRandomness(error) => error.into(),
            super::SealError::TooLarge { len } => WrapError::TooLarge { len },
        })
    }

    fn unwrap_key(&self, wrapped: &[u8], aad: &[u8]) -> Result<SealingKey, UnwrapError> {
        let opened =
            zeroize::Zeroizing::new(self.open(&labelled(aad), wrapped).map_err(|_| UnwrapError::Refused)?);
        key_of(&opened)
    }
}

/// Wraps under the key of the file.
impl KeyWrapper for super::KeyFile {
    fn key_id(&self) -> KeyId {
        self.key().id()
    }

    fn wrap_key(&self, key: &SealingKey, aad: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.key().wrap_key(key, aad)
    }

    fn unwrap_key(&self, wrapped: &[u8], aad: &[u8]) -> Result<SealingKey, UnwrapError> {
        self.key().unwrap_key(wrapped, aad)
    }
}

/// No blob that a host seals under the same key passes for a wrapped key.
fn labelled(aad: &[u8]) -> Vec<u8> {
    [b"codegenie wrapped key v1\0", aad].concat()
}

pub(super) fn key_of(bytes: &[u8]) -> Result<SealingKey, UnwrapError> {
    let mut key = zeroize::Zeroizing::new([0; SealingKey::LEN]);
    if bytes.len() != key.len() {
        return Err(UnwrapError::Refused);
    }
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Ok(SealingKey::from_zeroizing(key))
}
