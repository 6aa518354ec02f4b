//! [`MemoryCache`]: bounded by weight, with expiry and tags.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder};

use super::counts::{Counts, bump};
use super::stored::{ByWeight, CollectOut, Key, PushedOut, Stored, Verdict};
use super::tags::TagTable;
use crate::{CacheBackend, CacheEntry, CacheError, CacheStats, Clock, SystemClock};

/// A shard smaller than this would decline entries that the cache as a whole has room for.
const SHARD_AT_LEAST: u64 = 1 << 20;
const MOST_SHARDS: u64 = 64;
/// The engine declines what is heavier than its hot share, 97 % of a shard; a little less is
/// declined here, where it can be told from an eviction.
const LARGEST_SHARE: u64 = 95;

/// A cache in this process's memory, bounded by weight, with expiry and tags.
///
/// - **Capacity** is in bytes. An entry weighs what its [`weight`](CacheEntry::weight) says, or
///   the length of its key, value and tags plus [`ENTRY_OVERHEAD`](Self::ENTRY_OVERHEAD); at least
///   one. An entry heavier than [`max_entry_weight`](Self::max_entry_weight) is not kept, and
///   neither is the one that it would have replaced.
/// - **Eviction** resists scans (a CLOCK-Pro and S3-FIFO relative, by `quick_cache`).
/// - **Expiry** is by the entry's header and the cache's [`Clock`]. Expired entries are removed when
///   a read meets them, when room is needed, or by [`purge`](Self::purge). No thread is started.
/// - **Tags** are passive: [`invalidate_tag`](CacheBackend::invalidate_tag) costs the same for one
///   entry and a million. A put that began before an invalidation and ends after it is taken as
///   invalidated. Tags that no entry uses any more are forgotten in time: the table holds at most
///   twice the tags in use plus a thousand.
///
/// ```
/// use codegenie_perf::{CacheBackend, CacheEntry, MemoryCache};
/// use std::time::Duration;
///
/// let cache = MemoryCache::new(64 << 20);
/// cache.put(b"src/lib.rs", CacheEntry::new(*b"parsed").ttl(Duration::from_secs(60)).tag("repo:demo"))?;
/// assert_eq!(&*cache.get(b"src/lib.rs")?.unwrap().value, b"parsed");
///
/// cache.invalidate_tag("repo:demo")?;
/// assert!(cache.get(b"src/lib.rs")?.is_none());
/// # Ok::<(), codegenie_perf::CacheError>(())
/// ```
pub struct MemoryCache {
    engine: Cache<Key, Stored, ByWeight, DefaultHashBuilder, CollectOut>,
    tags: TagTable,
    counts: Counts,
    clock: Arc<dyn Clock>,
    capacity: u64,
    max_entry_weight: u64,
}

/// Makes a [`MemoryCache`] with settings other than the usual ones.
#[derive(Clone, Debug)]
pub struct MemoryCacheBuilder {
    capacity: u64,
    clock: Arc<dyn Clock>,
    expected_entry_weight: u64,
    shards: Option<u32>,
}

impl MemoryCacheBuilder {
    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The weight of a usual entry (1 KiB unless set). It sizes the memory of recently evicted keys;
    /// a guess within a factor of ten does.
    #[must_use]
    pub fn expected_entry_weight(mut self, weight: u64) -> Self {
        self.expected_entry_weight = weight.max(1);
        self
    }

    /// How many independently locked parts the cache has, rounded up to a power of two, at most 64.
    /// More parts mean less waiting and a smaller [`max_entry_weight`](MemoryCache::max_entry_weight).
    /// Unless set: four per core, each at least 1 MiB.
    #[must_use]
    pub fn shards(mut self, shards: u32) -> Self {
        self.shards = Some(shards);
        self
    }

    /// The cache.
    #[must_use]
    pub fn build(self) -> MemoryCache {
        let shards = match self.shards {
            Some(shards) => u64::from(shards).clamp(1, MOST_SHARDS).next_power_of_two(),
            None => {
                let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
                let wanted =
                    cores.saturating_mul(4).min(self.capacity / SHARD_AT_LEAST).clamp(1, MOST_SHARDS);
                1 << wanted.ilog2()
            }
        };
        // The engine halves the number of shards until each can expect 32 entries; asking for at
        // least that many keeps the number that was chosen.
        let expected = (self.capacity / self.expected_entry_weight).clamp(32 * shards, 1 << 32);
        let expected = usize::try_from(expected).unwrap_or(usize::MAX);
        // An even share each, rounded down, so that the whole never exceeds the capacity.
        let share = self.capacity / shards;
        let (shards, engine) = match OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(expected)
            .weight_capacity(share * shards)
            .build()
        {
            Ok(options) => {
                (shards, Cache::with_options(options, ByWeight, DefaultHashBuilder::default(), CollectOut))
            }
            // Both required options are set above; the plain constructor serves should that change.
            Err(_) => {
                (1, Cache::with(expected, self.capacity, ByWeight, DefaultHashBuilder::default(), CollectOut))
            }
        };
        let share = engine.shard_capacity().min(self.capacity / shards);
        MemoryCache {
            max_entry_weight: ((share / 100) * LARGEST_SHARE + (share % 100) * LARGEST_SHARE / 100)
                .max(share.min(1)),
            engine,
            tags: TagTable::new(),
            counts: Counts::default(),
            clock: self.clock,
            capacity: self.capacity,
        }
    }
}

impl MemoryCache {
    /// What an entry without a weight of its own is counted beside its key, value and tags: about
    /// what its bookkeeping takes.
    pub const ENTRY_OVERHEAD: u64 = 192;

    /// A cache of at most `capacity` bytes.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self::builder(capacity).build()
    }

    /// Starts a cache of at most `capacity` bytes with other settings.
    #[must_use]
    pub fn builder(capacity: u64) -> MemoryCacheBuilder {
        MemoryCacheBuilder {
            // The engine adds weights up: far from the end of u64 no sum can overflow.
            capacity: capacity.min(u64::MAX / 4),
            clock: Arc::new(SystemClock::new()),
            expected_entry_weight: 1024,
            shards: None,
        }
    }

    /// The most that all entries together may weigh.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The heaviest entry that is kept.
    #[must_use]
    pub fn max_entry_weight(&self) -> u64 {
        self.max_entry_weight
    }

    /// Removes every expired or invalidated entry, and says how many there were. Reads meanwhile wait
    /// for one shard at a time. Nothing requires calling it: it gives room back early.
    pub fn purge(&self) -> u64 {
        let now = self.clock.now();
        let (expired, invalidated) = (Cell::new(0_u64), Cell::new(0_u64));
        self.engine.retain(|_, stored| {
            match stored.verdict(|| now) {
                Verdict::Live => return true,
                Verdict::Expired => expired.set(expired.get() + 1),
                Verdict::Invalidated => invalidated.set(invalidated.get() + 1),
            }
            false
        });
        self.counts.mine().expirations.fetch_add(expired.get(), Ordering::Relaxed);
        expired.get() + invalidated.get()
    }

    fn weigh(key: &[u8], entry: &CacheEntry) -> u64 {
        entry.meta.weight.map_or_else(
            || {
                let tags: usize = entry.meta.tags.iter().map(|tag| tag.len()).sum();
                (key.len() as u64)
                    .saturating_add(entry.value.len() as u64)
                    .saturating_add(tags as u64)
                    .saturating_add(Self::ENTRY_OVERHEAD)
            },
            // The engine never evicts what weighs nothing.
            |weight| weight.max(1),
        )
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

#[deny(clippy::missing_trait_methods)]
impl CacheBackend for MemoryCache {
    fn get(&self, key: &[u8]) -> Result<Option<CacheEntry>, CacheError> {
        let counts = self.counts.mine();
        let Some(stored) = self.engine.get(key) else {
            bump(&counts.misses);
            return Ok(None);
        };
        if stored.verdict(|| self.now()) == Verdict::Live {
            bump(&counts.hits);
            return Ok(Some(stored.entry));
        }
        bump(&counts.misses);
        // Judged again under the lock: what another thread has put meanwhile stays.
        let mut verdict = Verdict::Live;
        self.engine.remove_if(key, |now_stored| {
            verdict = now_stored.verdict(|| self.now());
            verdict != Verdict::Live
        });
        if verdict == Verdict::Expired {
            bump(&counts.expirations);
        }
        Ok(None)
    }

    fn put(&self, key: &[u8], entry: CacheEntry) -> Result<(), CacheError> {
        let weight = Self::weigh(key, &entry);
        if weight > self.max_entry_weight {
            self.engine.remove(key);
            return Ok(());
        }
        // Before the insertion: an invalidation in between must kill this entry.
        let generations = self.tags.enter(&entry.meta.tags);
        let stored = Stored { entry, generations, weight };
        let mut out = PushedOut::default();
        let counts = self.counts.mine();
        if stored.verdict(|| self.now()) == Verdict::Expired {
            self.engine.remove(key);
            return Ok(());
        }
        self.engine.insert_with_lifecycle(key.into(), stored, &mut out);
        bump(&counts.puts);
        let evicted = out.evicted_by(key);
        if evicted > 0 {
            counts.evictions.fetch_add(evicted, Ordering::Relaxed);
        }
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Result<bool, CacheError> {
        Ok(self.engine.remove(key).is_some())
    }

    fn invalidate_tag(&self, tag: &str) -> Result<(), CacheError> {
        self.tags.invalidate(tag);
        Ok(())
    }

    fn clear(&self) -> Result<(), CacheError> {
        self.engine.clear();
        Ok(())
    }

    fn stats(&self) -> CacheStats {
        let totals = self.counts.totals();
        CacheStats {
            hits: totals.hits,
            misses: totals.misses,
            puts: totals.puts,
            evictions: Some(totals.evictions),
            expirations: Some(totals.expirations),
            entries: Some(self.engine.len() as u64),
            weight: Some(self.engine.weight()),
        }
    }

    fn flush(&self) -> Result<(), CacheError> {
        Ok(())
    }

    fn enabled(&self) -> bool {
        true
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the entries: a cache may hold secrets.
        f.debug_struct("MemoryCache")
            .field("capacity", &self.capacity)
            .field("entries", &self.engine.len())
            .field("weight", &self.engine.weight())
            .field("tags", &self.tags.len())
            .finish_non_exhaustive()
    }
}
