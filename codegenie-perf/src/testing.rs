//! The conformance kit: the laws of [`CacheBackend`], as checks that an implementor runs.
//!
//! A cache may forget, so most laws say what may *not* be given out. A backend that has ample room
//! and promises to keep what it was given is checked for that as well, by
//! [`keeps`](Conformance::keeps); without it a backend that forgets everything passes.
//!
//! ```
//! use codegenie_perf::testing::Conformance;
//! use codegenie_perf::{MemoryCache, NoCache};
//!
//! # #[cfg(feature = "memory")]
//! Conformance::new(|| MemoryCache::new(64 << 20)).keeps(true).check_all()?;
//! Conformance::new(|| NoCache).check_all()?;
//! # Ok::<(), codegenie_perf::testing::ConformanceError>(())
//! ```

mod concurrency;
mod laws;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{CacheBackend, CacheEntry, CacheError, Clock, SystemClock};

/// One law of [`CacheBackend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Law {
    /// `get` gives the bytes and metadata that were put under that very key, or nothing.
    RoundTrip,
    /// Any bytes are a key: empty, binary, long, a prefix of another.
    BinaryKeys,
    /// Empty and large values come back whole, or not at all.
    ValueSizes,
    /// `put` replaces, metadata included, also when the new entry is declined.
    Replace,
    /// After `remove` and `clear` nothing is given out; `remove` is true only if something was there.
    Remove,
    /// An expired entry is never given out, whether it was put expired or expired later.
    Expiry,
    /// An entry past its soft expiry is still given out.
    SoftExpiry,
    /// After `invalidate_tag` no entry put with the tag before is given out; others are.
    Tags,
    /// Reads are counted as hits or misses, and `enabled` is false only where nothing is kept.
    Stats,
    /// Many threads at once: whole entries of the right key only.
    ConcurrentReads,
    /// Many threads at once: nothing that was put before an invalidation is read after it.
    ConcurrentTags,
}

impl Law {
    /// Every law, in the order in which they are checked.
    pub const ALL: [Self; 11] = [
        Self::RoundTrip,
        Self::BinaryKeys,
        Self::ValueSizes,
        Self::Replace,
        Self::Remove,
        Self::Expiry,
        Self::SoftExpiry,
        Self::Tags,
        Self::Stats,
        Self::ConcurrentReads,
        Self::ConcurrentTags,
    ];

    /// The law's name, lowercase with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoundTrip => "round_trip",
            Self::BinaryKeys => "binary_keys",
            Self::ValueSizes => "value_sizes",
            Self::Replace => "replace",
            Self::Remove => "remove",
            Self::Expiry => "expiry",
            Self::SoftExpiry => "soft_expiry",
            Self::Tags => "tags",
            Self::Stats => "stats",
            Self::ConcurrentReads => "concurrent_reads",
            Self::ConcurrentTags => "concurrent_tags",
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A backend broke a law, or failed while one was checked.
#[derive(Debug)]
pub struct ConformanceError {
    law: Law,
    detail: String,
    source: Option<CacheError>,
}

impl ConformanceError {
    /// The law.
    #[must_use]
    pub fn law(&self) -> Law {
        self.law
    }

    /// The backend's own error, where it returned one instead of an answer.
    #[must_use]
    pub fn backend_error(&self) -> Option<&CacheError> {
        self.source.as_ref()
    }
}

impl fmt::Display for ConformanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law {} broken: {}", self.law, self.detail)
    }
}

impl Error for ConformanceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}

/// The checks, over backends that `make` makes.
///
/// Each law gets a backend of its own; it is cleared first, so `make` may connect to one and the same
/// store each time, if nobody else uses it meanwhile.
pub struct Conformance<F> {
    make: F,
    keeps: bool,
    large_value: usize,
    clock: Arc<dyn Clock>,
    pass: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl<F> Conformance<F> {
    /// The checks for a backend that may forget at any time and goes by the machine's clock.
    pub fn new(make: F) -> Self {
        Self {
            make,
            keeps: false,
            large_value: 1 << 20,
            clock: Arc::new(SystemClock::new()),
            pass: Arc::new(std::thread::sleep),
        }
    }

    /// Says whether the backend keeps what it is given, having room for 16 MiB and a thousand
    /// entries: then finding nothing breaks a law, too.
    #[must_use]
    pub fn keeps(mut self, keeps: bool) -> Self {
        self.keeps = keeps;
        self
    }

    /// The size of the large value that is put (1 MiB unless set).
    #[must_use]
    pub fn large_value(mut self, bytes: usize) -> Self {
        self.large_value = bytes;
        self
    }

    /// For a backend with a clock of its own: the same clock, and how to let time pass on it.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>, pass: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.clock = clock;
        self.pass = Arc::new(pass);
        self
    }

    /// Checks every law, and returns the first breach.
    pub fn check_all<C: CacheBackend>(&self) -> Result<(), ConformanceError>
    where
        F: Fn() -> C,
    {
        Law::ALL.into_iter().try_for_each(|law| self.check(law))
    }

    /// Checks one law.
    pub fn check<C: CacheBackend>(&self, law: Law) -> Result<(), ConformanceError>
    where
        F: Fn() -> C,
    {
        let cache = (self.make)();
        let bench = Bench { cache: &cache, law, keeps: self.keeps, clock: &*self.clock, pass: &*self.pass };
        bench.ok("clear", cache.clear())?;
        match law {
            Law::RoundTrip => laws::round_trip(&bench),
            Law::BinaryKeys => laws::binary_keys(&bench),
            Law::ValueSizes => laws::value_sizes(&bench, self.large_value),
            Law::Replace => laws::replace(&bench),
            Law::Remove => laws::remove(&bench),
            Law::Expiry => laws::expiry(&bench),
            Law::SoftExpiry => laws::soft_expiry(&bench),
            Law::Tags => laws::tags(&bench),
            Law::Stats => laws::stats(&bench),
            Law::ConcurrentReads => concurrency::reads(&bench),
            Law::ConcurrentTags => concurrency::tags(&bench),
        }
    }
}

impl<F> fmt::Debug for Conformance<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conformance")
            .field("keeps", &self.keeps)
            .field("large_value", &self.large_value)
            .finish_non_exhaustive()
    }
}

/// One backend under one law.
struct Bench<'a> {
    cache: &'a dyn CacheBackend,
    law: Law,
    keeps: bool,
    clock: &'a dyn Clock,
    pass: &'a (dyn Fn(Duration) + Send + Sync),
}

impl Bench<'_> {
    fn broken(&self, detail: impl Into<String>) -> ConformanceError {
        ConformanceError { law: self.law, detail: detail.into(), source: None }
    }

    fn ok<T>(&self, call: &str, result: Result<T, CacheError>) -> Result<T, ConformanceError> {
        result.map_err(|error| ConformanceError {
            law: self.law,
            detail: format!("{call} returned an error where the backend was usable: {error}"),
            source: Some(error),
        })
    }

    fn put(&self, key: &[u8], entry: &CacheEntry) -> Result<(), ConformanceError> {
        self.ok("put", self.cache.put(key, entry.clone()))
    }

    fn get(&self, key: &[u8]) -> Result<Option<CacheEntry>, ConformanceError> {
        self.ok("get", self.cache.get(key))
    }

    /// What `key` gives is `entry` whole; or nothing, where the backend may forget.
    fn expect(&self, key: &[u8], entry: &CacheEntry, when: &str) -> Result<(), ConformanceError> {
        match self.get(key)? {
            Some(got) if got == *entry => Ok(()),
            Some(got) if got.value != entry.value => Err(self.broken(format!(
                "{when}: get gave {} bytes that are not the {} put under this key",
                got.value.len(),
                entry.value.len()
            ))),
            Some(got) => Err(self
                .broken(format!("{when}: get gave the metadata {:?} instead of {:?}", got.meta, entry.meta))),
            None if self.keeps => {
                Err(self.broken(format!("{when}: get found nothing, but the backend promised to keep")))
            }
            None => Ok(()),
        }
    }

    fn expect_none(&self, key: &[u8], when: &str) -> Result<(), ConformanceError> {
        match self.get(key)? {
            None => Ok(()),
            Some(_) => Err(self.broken(format!("{when}: get gave an entry, and there must be none"))),
        }
    }

    /// Lets time pass until the clock shows `at`.
    fn wait_until(&self, at: SystemTime) -> Result<(), ConformanceError> {
        // A clock that does not move with `pass` is the caller's mistake: it must not hang the kit.
        for _ in 0..1000 {
            match at.duration_since(self.clock.now()) {
                Ok(left) if !left.is_zero() => (self.pass)(left),
                _ => return Ok(()),
            }
        }
        Err(self.broken("the clock did not move: give `clock` a function that lets time pass on it"))
    }
}
