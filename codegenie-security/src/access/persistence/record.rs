//! A session as it is kept.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::super::session::SessionId;

const VERSION: u8 = 1;
/// No text or list in a record is longer.
const MAX_LEN: usize = 1 << 20;

/// A session as it is kept: of its token, the hash only, which is not shown in `Debug`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// Its public name.
    pub id: SessionId,
    /// The SHA-256 of its token, under a label.
    pub token_hash: [u8; 32],
    /// The session that it was derived from.
    pub parent: Option<SessionId>,
    /// The user.
    pub user: String,
    /// The agent.
    pub agent: Option<String>,
    /// The roles in which it acts.
    pub roles: Vec<String>,
    /// What was said about it when it was opened.
    pub tags: Vec<(String, String)>,
    /// Its labels, and those of all that is derived from it; none in the record of a derived one.
    pub labels: Vec<String>,
    /// The permissions that it was narrowed to.
    pub only: Option<Vec<String>>,
    /// The level that it has at most.
    pub max_level: u8,
    /// When it was opened.
    pub opened_at: SystemTime,
    /// When it ends at the latest.
    pub expires_at: SystemTime,
    /// After how much idleness it ends.
    pub idle: Option<Duration>,
    /// When it was last used, as far as that was noted.
    pub last_used: SystemTime,
}

impl SessionRecord {
    pub(super) fn touch(&mut self, now: SystemTime, at_least: Duration) -> bool {
        let due = now.duration_since(self.last_used).is_ok_and(|since| since >= at_least);
        if due {
            self.last_used = now;
        }
        due
    }

    /// The record as bytes, version 1: a version byte and the fields in their order. Integers are
    /// little-endian; texts and lists stand after their length in 4 bytes; what may be missing stands after a
    /// byte, 0 or 1; times are nanoseconds since 1970 in 16 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.token_hash);
        option(&mut out, self.parent.as_ref(), |out, id| out.extend_from_slice(id.as_bytes()));
        text(&mut out, &self.user);
        option(&mut out, self.agent.as_ref(), |out, agent| text(out, agent));
        list(&mut out, &self.roles, |out, role| text(out, role));
        list(&mut out, &self.tags, |out, (name, value)| {
            text(out, name);
            text(out, value);
        });
        list(&mut out, &self.labels, |out, label| text(out, label));
        option(&mut out, self.only.as_ref(), |out, only| list(out, only, |out, one| text(out, one)));
        out.push(self.max_level);
        time(&mut out, self.opened_at);
        time(&mut out, self.expires_at);
        option(&mut out, self.idle.as_ref(), |out, idle| {
            out.extend_from_slice(&idle.as_nanos().to_le_bytes())
        });
        time(&mut out, self.last_used);
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut read = Reader(bytes);
        if read.byte()? != VERSION {
            return None;
        }
        let record = Self {
            id: SessionId(read.array()?),
            token_hash: read.array()?,
            parent: read.option(|read| read.array().map(SessionId))?,
            user: read.text()?,
            agent: read.option(Reader::text)?,
            roles: read.list(Reader::text)?,
            tags: read.list(|read| Some((read.text()?, read.text()?)))?,
            labels: read.list(Reader::text)?,
            only: read.option(|read| read.list(Reader::text))?,
            max_level: read.byte()?,
            opened_at: read.time()?,
            expires_at: read.time()?,
            idle: read.option(Reader::duration)?,
            last_used: read.time()?,
        };
        read.0.is_empty().then_some(record)
    }
}

impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("id", &self.id)
            .field("parent", &self.parent)
            .field("user", &self.user)
            .field("agent", &self.agent)
            .field("roles", &self.roles)
            .field("tags", &self.tags)
            .field("labels", &self.labels)
            .field("only", &self.only)
            .field("max_level", &self.max_level)
            .field("opened_at", &self.opened_at)
            .field("expires_at", &self.expires_at)
            .field("idle", &self.idle)
            .field("last_used", &self.last_used)
            .finish_non_exhaustive()
    }
}

fn length(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    length(out, items.len());
    items.iter().for_each(|item| write(out, item));
}

fn option<T>(out: &mut Vec<u8>, value: Option<&T>, write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(out, value);
    }
}

fn time(out: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    out.extend_from_slice(&since.as_nanos().to_le_bytes());
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn length(&mut self) -> Option<usize> {
        let len = u32::from_le_bytes(self.array()?) as usize;
        (len <= MAX_LEN).then_some(len)
    }

    fn text(&mut self) -> Option<String> {
        let len = self.length()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = self.length()?;
        // Grown as it is read: a length alone takes no memory.
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(read(self)?);
        }
        Some(items)
    }

    fn option<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    fn duration(&mut self) -> Option<Duration> {
        let nanos = u128::from_le_bytes(self.array()?);
        let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
        Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
    }

    fn time(&mut self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(self.duration()?)
    }
}
