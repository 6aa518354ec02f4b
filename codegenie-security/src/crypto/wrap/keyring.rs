//! A key in the keyring of the operating system.

use keyring_core::api::CredentialStoreApi;
use keyring_core::{Entry, Error};
use zeroize::Zeroizing;

use super::{KeyWrapper, UnwrapError, WrapError, key_of};
use crate::crypto::key::{KeyId, NoRandomness, SealingKey};

/// A [`KeyWrapper`] whose key the operating system keeps: the Secret Service on Linux (GNOME Keyring,
/// KWallet), the Keychain on macOS, the Credential Manager on Windows.
///
/// Every program that runs as the same user and session can ask for it. Calls may block, since some
/// keyrings ask the person.
#[derive(Debug)]
pub struct KeyringKey {
    key: SealingKey,
}

/// Why the keyring gave no key. What it says itself stands in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// There is no keyring, or it is locked.
    #[error("no keyring can be reached: {reason}; start and unlock it, or use a key file")]
    #[non_exhaustive]
    Unavailable {
        /// What it said.
        reason: String,
    },
    /// What is stored under the name is no key of ours.
    #[error(
        "the keyring holds something else than a key under service {service:?}, name {name:?}; choose another name"
    )]
    #[non_exhaustive]
    NotAKey {
        /// The service.
        service: String,
        /// The name.
        name: String,
    },
    /// No random key could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl KeyringKey {
    /// Loads the key that the keyring has under this service and name, or makes one there.
    pub fn load_or_create(service: &str, name: &str) -> Result<Self, KeyringError> {
        let entry = entry(service, name)?;
        match entry.get_secret() {
            Ok(secret) => Self::of(&Zeroizing::new(secret), service, name),
            Err(Error::NoEntry) => {
                let key = SealingKey::generate()?;
                entry.set_secret(key.expose()).map_err(unavailable)?;
                // Read back: another process may have made one at the same time, and one of the two stays.
                let stored = Zeroizing::new(entry.get_secret().map_err(unavailable)?);
                Self::of(&stored, service, name)
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Removes the key from the keyring, and with it access to all that only it wraps. Nothing there is no
    /// error.
    pub fn delete(service: &str, name: &str) -> Result<(), KeyringError> {
        match entry(service, name)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SealingKey {
        &self.key
    }

    fn of(secret: &[u8], service: &str, name: &str) -> Result<Self, KeyringError> {
        let not_a_key = |_| KeyringError::NotAKey { service: service.to_owned(), name: name.to_owned() };
        Ok(Self { key: key_of(secret).map_err(not_a_key)? })
    }
}

impl KeyWrapper for KeyringKey {
    fn key_id(&self) -> KeyId {
        self.key.id()
    }

    fn wrap_key(&self, key: &SealingKey, aad: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.key.wrap_key(key, aad)
    }

    fn unwrap_key(&self, wrapped: &[u8], aad: &[u8]) -> Result<SealingKey, UnwrapError> {
        self.key.unwrap_key(wrapped, aad)
    }
}

/// A store of this call's own: the process-wide default store is the host's.
fn entry(service: &str, name: &str) -> Result<Entry, KeyringError> {
    #[cfg(all(unix, not(target_os = "macos")))]
    let store = zbus_secret_service_keyring_store::Store::new();
    #[cfg(target_os = "macos")]
    let store = apple_native_keyring_store::keychain::Store::new();
    #[cfg(windows)]
    let store = windows_native_keyring_store::Store::new();
    #[cfg(not(any(unix, windows)))]
    let store: Result<std::sync::Arc<keyring_core::mock::Store>, Error> =
        Err(Error::NotSupportedByStore("no keyring is known for this platform".to_owned()));
    store.and_then(|store| store.build(service, name, None)).map_err(unavailable)
}

fn unavailable(error: Error) -> KeyringError {
    KeyringError::Unavailable { reason: error.to_string() }
}
