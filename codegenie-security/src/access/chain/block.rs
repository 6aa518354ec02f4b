//! What one block of a chain says.

use std::fmt;
use std::time::SystemTime;

use super::super::condition::seconds;
use super::super::narrowing::Narrowing;

/// No text in a block is longer, and no list has more items.
pub(super) const MAX_TEXT: usize = 4096;
pub(super) const MAX_ITEMS: usize = 256;

/// What a block says: everything that it does not mention is as in the block before.
///
/// The first block needs a user, an audience, roles and an end; a later one only narrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a block does nothing until a chain is made with it"]
pub struct ChainBlock {
    pub(super) user: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) only: Option<Vec<String>>,
    /// Seconds since 1970.
    pub(super) expires_at: Option<u64>,
    pub(super) max_level: Option<u8>,
    pub(super) labels: Vec<String>,
    pub(super) single_use: bool,
}

impl ChainBlock {
    /// Says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// On whose behalf. First block only.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// For which verifier, by a name of the host's. First block only.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Which agent acts from here on.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Acts in these roles only.
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// May do only what one of these permissions, `action:resource-pattern`, is about.
    pub fn only<P: Into<String>>(mut self, permissions: impl IntoIterator<Item = P>) -> Self {
        self.only = Some(permissions.into_iter().map(Into::into).collect());
        self
    }

    /// Ends then. Counted in whole seconds.
    pub fn expires_at(mut self, end: SystemTime) -> Self {
        self.expires_at = Some(seconds(end));
        self
    }

    /// Has at most this level.
    pub fn max_level(mut self, level: u8) -> Self {
        self.max_level = Some(level);
        self
    }

    /// Carries this label from here on.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.labels.push(label.into());
        self
    }

    /// Counts once, for verifiers that [remember](super::ChainMemory): this block, and all that is made of it.
    pub fn single_use(mut self) -> Self {
        self.single_use = true;
        self
    }

    /// Is it well-formed, as the first block or as a later one?
    pub(super) fn check(&self, is_first: bool) -> Result<(), BadChain> {
        let whole = self.user.is_some()
            && self.audience.is_some()
            && self.roles.is_some()
            && self.expires_at.is_some();
        let claims = self.user.is_some() || self.audience.is_some();
        if is_first && !whole {
            return Err(BadChain::new("the first block needs a user, an audience, roles and an end"));
        }
        if !is_first && claims {
            return Err(BadChain::new("only the first block has a user and an audience"));
        }
        let lists = [self.roles.as_ref(), self.only.as_ref(), Some(&self.labels)];
        let texts =
            lists.into_iter().flatten().flatten().chain(&self.user).chain(&self.audience).chain(&self.agent);
        if lists.into_iter().flatten().any(|list| list.len() > MAX_ITEMS)
            || texts.into_iter().any(|t| t.len() > MAX_TEXT)
        {
            return Err(BadChain::new("a list has more than 256 items, or a text more than 4,096 bytes"));
        }
        if let Some(only) = &self.only {
            Narrowing::parse(only).map_err(|error| BadChain(error.to_string()))?;
        }
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for value in [&self.user, &self.audience, &self.agent] {
            option(out, value.as_ref(), |out, value| text(out, value));
        }
        for list in [&self.roles, &self.only] {
            option(out, list.as_ref(), |out, list| items(out, list));
        }
        option(out, self.expires_at.as_ref(), |out, end| out.extend_from_slice(&end.to_be_bytes()));
        option(out, self.max_level.as_ref(), |out, level| out.push(*level));
        items(out, &self.labels);
        out.push(u8::from(self.single_use));
    }

    pub(super) fn decode(read: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            user: read.option(Reader::text)?,
            audience: read.option(Reader::text)?,
            agent: read.option(Reader::text)?,
            roles: read.option(Reader::items)?,
            only: read.option(Reader::items)?,
            expires_at: read.option(|read| read.array().map(u64::from_be_bytes))?,
            max_level: read.option(Reader::byte)?,
            labels: read.items()?,
            single_use: read.flag()?,
        })
    }
}

/// Why a chain was not made, or what was read is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad chain: {0}; correct it, or ask for another")]
pub struct BadChain(pub(super) String);

impl BadChain {
    pub(super) fn new(why: &str) -> Self {
        Self(why.to_owned())
    }
}

/// The name of a block, by which it and all chains that go through it are revoked: the first 16 bytes of the
/// SHA-256 of its signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(pub(super) [u8; 16]);

impl RevocationId {
    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Takes over an id that was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationId({self})")
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Fits, by the check.
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn items(out: &mut Vec<u8>, list: &[String]) {
    out.extend_from_slice(&u16::try_from(list.len()).unwrap_or(u16::MAX).to_be_bytes());
    list.iter().for_each(|item| text(out, item));
}

fn option<T>(out: &mut Vec<u8>, value: Option<&T>, write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(out, value);
    }
}

/// Reads bytes from outside; every length is bounded before it is believed.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        let bytes = self.take(len).filter(|_| len <= MAX_TEXT)?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    fn items(&mut self) -> Option<Vec<String>> {
        let len = usize::from(u16::from_be_bytes(self.array()?));
        if len > MAX_ITEMS {
            return None;
        }
        (0..len).map(|_| self.text()).collect()
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }
}
