//! Keys and the sealing of small data.

mod aead;
mod key;
mod key_file;
mod sealed;
mod secret;
mod sign;

#[cfg(feature = "audit-log")]
pub(crate) use aead::{NONCE_LEN, TAG_LEN, decrypt, encrypt};
#[cfg(feature = "audit-log")]
pub(crate) use key::random;
pub use key::{KeyId, NoRandomness, SealingKey};
pub use key_file::{KeyFile, KeyFileError};
pub use sealed::{OpenError, SealError};
pub use secret::{SecretBytes, SecretString};
pub use sign::{BadVerifyingKey, Signature, SignatureRefused, SigningKey, VerifyingKey};
