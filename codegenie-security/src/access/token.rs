//! The secret half of a session.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

const PREFIX: &str = "cgs_";
const ALPHABET: [char; 64] = {
    let bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut alphabet = ['A'; 64];
    let mut index = 0;
    while index < 64 {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, and in range")]
        {
            alphabet[index] = bytes[index] as char;
        }
        index += 1;
    }
    alphabet
};

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
        // Room for all, so that no half of it is left behind by a reallocation.
        let mut text = String::with_capacity(PREFIX.len() + 43);
        text.push_str(PREFIX);
        for group in bytes.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - group.len()));
            for place in 0..=group.len() {
                let sextet = (bits >> (18 - 6 * place) & 63) as usize;
                text.extend(ALPHABET.get(sextet));
            }
        }
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
