//! Keys and the sealing of small data.

mod aead;
mod backend;
#[cfg(feature = "channel")]
mod channel;
mod chunked;
mod file;
mod key;
mod key_file;
mod keyset;
mod password;
mod recipient;
mod sealed;
mod secret;
mod sign;
mod token;
mod wrap;

#[cfg(feature = "audit-log")]
pub(crate) use aead::{NONCE_LEN, TAG_LEN, decrypt, encrypt};
#[cfg(feature = "aws-lc")]
pub use backend::AwsLc;
pub use backend::{AeadBackend, AeadKey, AeadRefused, RustCrypto};
#[cfg(feature = "channel")]
pub use channel::{ChannelError, ChannelIdentity, ChannelPeer, ChannelSecret, SecureChannel};
pub use file::{FileError, FileErrorKind, FileOpener, FileSealer, OpeningReader, SealingWriter, rewrap_file};
#[cfg(any(feature = "access", feature = "audit-log"))]
pub(crate) use key::random;
pub use key::{KeyId, NoRandomness, SealingKey};
pub use key_file::{KeyFile, KeyFileError};
pub use keyset::{Keyset, KeysetError};
pub use password::{PasswordError, PasswordHasher, PasswordMatch};
pub use recipient::{BadRecipientKey, Identity, RecipientKey, RecipientKind};
pub use sealed::{OpenError, SealError};
pub use secret::{SecretBytes, SecretString};
pub use sign::{BadVerifyingKey, Signature, SignatureRefused, SigningKey, VerifyingKey};
pub use token::{Token, TokenHash};
pub use wrap::{KeyWrapper, Passphrase, UnwrapError, WrapError};
#[cfg(feature = "keyring")]
pub use wrap::{KeyringError, KeyringKey};
