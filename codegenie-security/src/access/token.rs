//! The secret half of a session.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

const PREFIX: &str = "cgs_";
/// What a holder shows to act in a session: `cgs_` and 43 characters of URL-safe base64, 256 random
/// bits.
///
/// It is a secret: hidden in `Debug`, wiped when dropped, stored by the session store only as a SHA-256.
/// The prefix lets scanners for leaked secrets find it.
pub struct SessionToken(String);

impl SessionToken {
    pub(super) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        let encoded = Zeroizing::new(Base64UrlUnpadded::encode_string(&*bytes));
        // Room for all, so that no half of it is left behind by a reallocation.
        let mut text = String::with_capacity(PREFIX.len() + encoded.len());
        text.push_str(PREFIX);
        text.push_str(&encoded);
        Ok(Self(text))
    }

    /// The text to hand to the holder, and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for SessionToken {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Takes over a text that the holder has shown. Whether it names a session, validation tells.
impl From<String> for SessionToken {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Drop for SessionToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(hidden)")
    }
}

pub(super) fn hash(token: &str) -> [u8; 32] {
    Sha256::new().chain_update(b"codegenie session token v1\0").chain_update(token).finalize().into()
}
