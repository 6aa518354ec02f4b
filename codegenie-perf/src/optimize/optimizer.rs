//! [`Optimizer`].

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::codec::Codec;
use super::stats::{Cell, OperationStats, Table};
use super::strategy::{Operation, Strategy};
use crate::{CacheBackend, CacheEntry, Clock, SystemClock};

/// Runs operations with strategies, over any [`CacheBackend`], and measures what they bought.
///
/// The operation's own error is returned untouched and never cached. A failure of the cache or the
/// codec never fails the operation: it is counted, and the value is computed. Results that were
/// computed from data that changed while the operation ran are stored all the same: where that
/// matters, invalidate after the change *and* keep the time to live short.
///
/// Concurrent calls of one key each run the operation; sharing one run is not done yet.
///
/// ```
/// use codegenie_perf::{MemoryCache, Operation, Optimizer, Strategy, TextCodec};
/// use std::time::Duration;
///
/// let optimizer = Optimizer::new(MemoryCache::new(1 << 20))
///     .strategy(Strategy::caching(Duration::from_secs(60)).tag("repo:demo"));
///
/// let mut runs = 0;
/// for _ in 0..3 {
///     let summary = optimizer.optimize_operation(&Operation::new("summarize", "src/lib.rs"), &TextCodec, || {
///         runs += 1;
///         Ok::<_, std::io::Error>("three functions".to_owned())
///     })?;
///     assert_eq!(summary, "three functions");
/// }
/// assert_eq!(runs, 1);
/// assert_eq!(optimizer.stats("summarize").unwrap().hits, 2);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Optimizer<C> {
    cache: C,
    strategies: Vec<Strategy>,
    clock: Arc<dyn Clock>,
    stats: Table,
}

impl<C> Optimizer<C> {
    /// An optimizer over `cache`, without strategies of its own: it measures only, until
    /// [`strategy`](Self::strategy) or [`Operation::strategy`] adds one.
    pub fn new(cache: C) -> Self {
        Self { cache, strategies: Vec::new(), clock: Arc::new(SystemClock::new()), stats: Table::default() }
    }

    /// Adds a strategy for every operation that does not bring its own.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategies.push(strategy);
        self
    }

    /// Takes the time from `clock`. It has to agree with the cache's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The cache.
    pub fn cache(&self) -> &C {
        &self.cache
    }

    /// The statistics of one operation name; `None` before its first call.
    #[must_use]
    pub fn stats(&self, name: &str) -> Option<OperationStats> {
        self.stats.get(name)
    }

    /// The statistics of every operation name. After 1,024 names the others share one line,
    /// `(other operations)`.
    #[must_use]
    pub fn all_stats(&self) -> BTreeMap<Arc<str>, OperationStats> {
        self.stats.all()
    }
}

impl<C: CacheBackend> Optimizer<C> {
    /// The result of `op`, from the cache where the strategies allow it and it is there.
    ///
    /// `T` is turned into bytes and back by `codec`.
    pub fn optimize_operation<T, E>(
        &self,
        operation: &Operation<'_>,
        codec: &impl Codec<T>,
        op: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let call = self.begin(operation);
        if let Some(value) = call.look_up(codec) {
            return Ok(value);
        }
        let started = self.clock.monotonic();
        let result = op();
        call.finish(codec, started, &result);
        result
    }

    /// [`optimize_operation`](Self::optimize_operation) for a future, on any runtime.
    ///
    /// `op` is polled only when the cache has no answer. The cache is read and written by sync calls
    /// between polls. Dropping the future drops `op`; nothing is stored then.
    pub async fn optimize_operation_async<T, E>(
        &self,
        operation: &Operation<'_>,
        codec: &impl Codec<T>,
        op: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let call = self.begin(operation);
        if let Some(value) = call.look_up(codec) {
            return Ok(value);
        }
        let started = self.clock.monotonic();
        let result = op.await;
        call.finish(codec, started, &result);
        result
    }

    fn begin<'a>(&'a self, operation: &'a Operation<'_>) -> Call<'a, C> {
        let stats = self.stats.cell(operation.name());
        stats.call();
        let mut cachings = operation.strategies(&self.strategies).iter().map(|strategy| match strategy {
            Strategy::Caching { ttl, tags } => (*ttl, tags.as_slice()),
        });
        let caching = cachings.next().filter(|_| self.cache.enabled());
        let caching = caching.map(|(ttl, tags)| Caching { key: operation.cache_key(), ttl, tags });
        Call { optimizer: self, stats, caching }
    }
}

struct Caching<'a> {
    key: Vec<u8>,
    ttl: Duration,
    tags: &'a [Arc<str>],
}

/// One call on its way: what the sync and the async form share.
struct Call<'a, C> {
    optimizer: &'a Optimizer<C>,
    stats: Arc<Cell>,
    caching: Option<Caching<'a>>,
}

impl<C: CacheBackend> Call<'_, C> {
    fn look_up<T>(&self, codec: &impl Codec<T>) -> Option<T> {
        let value = self.caching.as_ref().and_then(|caching| {
            let started = self.optimizer.clock.monotonic();
            let entry = match self.optimizer.cache.get(&caching.key) {
                Ok(entry) => entry?,
                Err(_) => {
                    self.stats.cache_error();
                    return None;
                }
            };
            match codec.decode(&entry.value) {
                Ok(value) => {
                    self.stats.hit(self.optimizer.clock.monotonic().saturating_sub(started));
                    Some(value)
                }
                Err(_) => {
                    self.stats.codec_error();
                    None
                }
            }
        });
        if value.is_none() {
            self.stats.miss();
        }
        value
    }

    fn finish<T, E>(self, codec: &impl Codec<T>, started: Duration, result: &Result<T, E>) {
        let Ok(value) = result else {
            self.stats.error();
            return;
        };
        let clock = &self.optimizer.clock;
        self.stats.computed(clock.monotonic().saturating_sub(started));
        let Some(caching) = self.caching else { return };
        let Ok(bytes) = codec.encode(value) else {
            self.stats.codec_error();
            return;
        };
        let mut entry = CacheEntry::new(bytes);
        // A time that the clock cannot hold means no expiry, as in `CacheEntry::ttl`.
        entry.meta.expires_at = clock.now().checked_add(caching.ttl);
        entry.meta.tags = caching.tags.into();
        if self.optimizer.cache.put(&caching.key, entry).is_err() {
            self.stats.cache_error();
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for Optimizer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimizer")
            .field("cache", &self.cache)
            .field("strategies", &self.strategies)
            .finish_non_exhaustive()
    }
}
