//! Random bearer tokens, and the hashes that are kept of them.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::key::{NoRandomness, random};

/// A bearer token: a prefix of the host's and 256 random bits as 43 characters of URL-safe base64.
///
/// Whoever shows it is let in, so it is hidden in `Debug` and wiped when dropped. What is kept to
/// recognize it is its [`TokenHash`]. (Sessions have tokens of their own kind: `SessionToken`.)
///
/// ```
/// use codegenie_security::Token;
///
/// let token = Token::generate("deploy_")?;
/// let kept = token.hash();
/// assert!(kept.matches(token.expose()) && !kept.matches("deploy_guess"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Token(String);

impl Token {
    /// A new token. The prefix tells scanners for leaked secrets what they have found.
    pub fn generate(prefix: &str) -> Result<Self, NoRandomness> {
        let bytes = Zeroizing::new(random::<32>()?);
        let encoded = Zeroizing::new(Base64UrlUnpadded::encode_string(&*bytes));
        // Room for all, so that no half of it is left behind by a reallocation.
        let mut text = String::with_capacity(prefix.len() + encoded.len());
        text.push_str(prefix);
        text.push_str(&encoded);
        Ok(Self(text))
    }

    /// The text to hand to the holder, and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What to keep of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// The SHA-256 of a [`Token`], under a label. It tells nothing about the token, which has 256 random
/// bits; never keep a password in this form.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a text that somebody shows.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::new().chain_update(b"codegenie token v1\0").chain_update(text).finalize().into())
    }

    /// Takes over a hash that was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Is this the text of the token? In constant time.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        *self == Self::of(text)
    }
}

/// In constant time.
impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}
