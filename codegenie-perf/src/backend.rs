//! The cache trait layer: [`CacheBackend`], its entries and its statistics.
//!
//! Only std and the crate's own types appear here, so that implementing the trait costs a third
//! party no dependency.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A store of bytes by key, with expiry and tags.
///
/// Methods take a reference and may be called from many threads at once. They are synchronous: a
/// remote or slow backend keeps its waiting short, and says so in its documentation.
///
/// Laws that the conformance kit (feature `testing`) checks:
/// - `get` after `put` of the same key gives the same bytes and metadata, unless the entry has
///   expired, was removed, or was evicted: a cache may forget, it never invents;
/// - an expired entry is never given out;
/// - after `invalidate_tag(t)` no entry that was put with `t` before is given out;
/// - `put` replaces, metadata included.
pub trait CacheBackend: Send + Sync {
    /// The entry of `key`; `None` when there is none or it has expired.
    ///
    /// An entry past its [`EntryMeta::refresh_at`] is still given: whether to use it while a fresh
    /// one is made is the caller's choice.
    fn get(&self, key: &[u8]) -> Result<Option<CacheEntry>, CacheError>;

    /// Stores `entry` under `key`, replacing what was there.
    ///
    /// A backend may decline to keep an entry (too heavy, already expired): that is `Ok`.
    fn put(&self, key: &[u8], entry: CacheEntry) -> Result<(), CacheError>;

    /// Removes `key`. True if an entry, expired or not, was there.
    fn remove(&self, key: &[u8]) -> Result<bool, CacheError>;

    /// Makes every entry that carries `tag` unreadable.
    fn invalidate_tag(&self, tag: &str) -> Result<(), CacheError>;

    /// Removes everything.
    fn clear(&self) -> Result<(), CacheError>;

    /// What happened since the backend was made.
    fn stats(&self) -> CacheStats;

    /// Makes everything put so far as durable as the backend can.
    fn flush(&self) -> Result<(), CacheError> {
        Ok(())
    }

    /// False when nothing is ever kept ([`NoCache`]), so that callers skip preparing values.
    fn enabled(&self) -> bool {
        true
    }
}

/// A value and what the backend knows of it. Cloning is cheap: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheEntry {
    /// The value.
    pub value: Arc<[u8]>,
    /// Expiry, tags and weight.
    pub meta: EntryMeta,
}

impl CacheEntry {
    /// An entry that does not expire, without tags.
    pub fn new(value: impl Into<Arc<[u8]>>) -> Self {
        Self { value: value.into(), meta: EntryMeta::default() }
    }

    /// Sets the hard expiry to `ttl` from now. A time that the clock cannot hold means no expiry.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.meta.expires_at = SystemTime::now().checked_add(ttl);
        self
    }

    /// Sets the hard expiry: from this moment on the entry is not given out.
    #[must_use]
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        self.meta.expires_at = Some(at);
        self
    }

    /// Sets the soft expiry: from this moment on a caller may want to make a fresh value.
    #[must_use]
    pub fn refresh_at(mut self, at: SystemTime) -> Self {
        self.meta.refresh_at = Some(at);
        self
    }

    /// Adds a tag by which the entry can be invalidated.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        let mut tags = self.meta.tags.to_vec();
        tags.push(tag.into());
        self.meta.tags = tags.into();
        self
    }

    /// Sets the weight, in bytes unless the backend says otherwise.
    #[must_use]
    pub fn weight(mut self, weight: u64) -> Self {
        self.meta.weight = Some(weight);
        self
    }
}

/// What a backend keeps beside a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryMeta {
    /// Hard expiry: from this moment on the entry is not given out. `None`: never.
    pub expires_at: Option<SystemTime>,
    /// Soft expiry: from this moment on the entry is stale but still given out.
    pub refresh_at: Option<SystemTime>,
    /// Tags, by which many entries are invalidated at once.
    pub tags: Arc<[Arc<str>]>,
    /// What the entry counts against a backend's capacity. `None`: key and value length, and what
    /// the backend adds for its bookkeeping.
    pub weight: Option<u64>,
}

impl EntryMeta {
    /// Whether the hard expiry has come.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }

    /// Whether the soft expiry has come.
    #[must_use]
    pub fn is_stale(&self, now: SystemTime) -> bool {
        self.refresh_at.is_some_and(|at| now >= at)
    }
}

/// Counts since a backend was made, and its present size. A backend that cannot know a figure
/// leaves it `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Reads that found an entry.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Entries stored.
    pub puts: u64,
    /// Entries given up for want of room.
    pub evictions: Option<u64>,
    /// Entries found expired.
    pub expirations: Option<u64>,
    /// Entries now held; expired ones that were not yet met may count.
    pub entries: Option<u64>,
    /// Weight now held.
    pub weight: Option<u64>,
}

impl CacheStats {
    /// Hits as a share of reads, 0 to 1; `None` before the first read.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let reads = self.hits.checked_add(self.misses).filter(|reads| *reads > 0)?;
        Some(self.hits as f64 / reads as f64)
    }
}

/// Why a backend did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheErrorKind {
    /// The backend cannot be reached or used at the moment.
    Unavailable,
    /// Stored bytes are not what was written.
    Corrupt,
    /// The key or entry cannot be held: too large, or not representable.
    Rejected,
}

/// A backend did not do what it was asked. A cache's failure is never the operation's: callers
/// compute the value instead.
#[derive(Debug)]
pub struct CacheError {
    kind: CacheErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl CacheError {
    /// An error. `message` is one lowercase line: what failed, where, what to do.
    pub fn new(kind: CacheErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> CacheErrorKind {
        self.kind
    }
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CacheError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Keeps nothing: every read misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoCache;

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for NoCache {
    fn get(&self, _key: &[u8]) -> Result<Option<CacheEntry>, CacheError> {
        Ok(None)
    }
    fn put(&self, _key: &[u8], _entry: CacheEntry) -> Result<(), CacheError> {
        Ok(())
    }
    fn remove(&self, _key: &[u8]) -> Result<bool, CacheError> {
        Ok(false)
    }
    fn invalidate_tag(&self, _tag: &str) -> Result<(), CacheError> {
        Ok(())
    }
    fn clear(&self) -> Result<(), CacheError> {
        Ok(())
    }
    fn stats(&self) -> CacheStats {
        CacheStats::default()
    }
    fn flush(&self) -> Result<(), CacheError> {
        Ok(())
    }
    fn enabled(&self) -> bool {
        false
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: CacheBackend + ?Sized> CacheBackend for $pointer {
            fn get(&self, key: &[u8]) -> Result<Option<CacheEntry>, CacheError> {
                (**self).get(key)
            }
            fn put(&self, key: &[u8], entry: CacheEntry) -> Result<(), CacheError> {
                (**self).put(key, entry)
            }
            fn remove(&self, key: &[u8]) -> Result<bool, CacheError> {
                (**self).remove(key)
            }
            fn invalidate_tag(&self, tag: &str) -> Result<(), CacheError> {
                (**self).invalidate_tag(tag)
            }
            fn clear(&self) -> Result<(), CacheError> {
                (**self).clear()
            }
            fn stats(&self) -> CacheStats {
                (**self).stats()
            }
            fn flush(&self) -> Result<(), CacheError> {
                (**self).flush()
            }
            fn enabled(&self) -> bool {
                (**self).enabled()
            }
        }
    )*};
}

forward_to_pointee!(&T, Box<T>, Arc<T>);

/// `None` keeps nothing, like [`NoCache`].
#[deny(clippy::missing_trait_methods)]
impl<T: CacheBackend> CacheBackend for Option<T> {
    fn get(&self, key: &[u8]) -> Result<Option<CacheEntry>, CacheError> {
        self.as_ref().map_or(Ok(None), |cache| cache.get(key))
    }
    fn put(&self, key: &[u8], entry: CacheEntry) -> Result<(), CacheError> {
        self.as_ref().map_or(Ok(()), |cache| cache.put(key, entry))
    }
    fn remove(&self, key: &[u8]) -> Result<bool, CacheError> {
        self.as_ref().map_or(Ok(false), |cache| cache.remove(key))
    }
    fn invalidate_tag(&self, tag: &str) -> Result<(), CacheError> {
        self.as_ref().map_or(Ok(()), |cache| cache.invalidate_tag(tag))
    }
    fn clear(&self) -> Result<(), CacheError> {
        self.as_ref().map_or(Ok(()), CacheBackend::clear)
    }
    fn stats(&self) -> CacheStats {
        self.as_ref().map_or_else(CacheStats::default, CacheBackend::stats)
    }
    fn flush(&self) -> Result<(), CacheError> {
        self.as_ref().map_or(Ok(()), CacheBackend::flush)
    }
    fn enabled(&self) -> bool {
        self.as_ref().is_some_and(CacheBackend::enabled)
    }
}
