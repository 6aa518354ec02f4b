//! `MemoryCache` through its public interface.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use codegenie_perf::{CacheBackend, CacheEntry, Clock, ManualClock, MemoryCache, MemoryCacheBuilder};

const SECOND: Duration = Duration::from_secs(1);

fn with_clock(capacity: u64) -> (MemoryCache, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (MemoryCache::builder(capacity).clock(clock.clone()).build(), clock)
}

fn value(cache: &MemoryCache, key: &[u8]) -> Option<Vec<u8>> {
    cache.get(key).unwrap().map(|entry| entry.value.to_vec())
}

#[test]
fn public_types_cross_threads() {
    fn check<T: Send + Sync>() {}
    check::<MemoryCache>();
    check::<MemoryCacheBuilder>();
    check::<ManualClock>();
    check::<CacheEntry>();
    check::<Box<dyn CacheBackend>>();
}

#[test]
fn expired_entries_are_not_given_out_and_removed_when_met() {
    let (cache, clock) = with_clock(1 << 20);
    cache.put(b"k", CacheEntry::new(*b"v").expires_at(clock.now() + SECOND)).unwrap();
    clock.advance(SECOND - Duration::from_nanos(1));
    assert_eq!(value(&cache, b"k").unwrap(), b"v");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(cache.stats().entries, Some(1));
    assert_eq!(value(&cache, b"k"), None);
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.weight, stats.expirations), (Some(0), Some(0), Some(1)));
    assert_eq!((stats.hits, stats.misses, stats.puts), (1, 1, 1));
}

/// A clock that does something when it is next asked: what another thread might do at that moment.
#[derive(Default)]
struct Meanwhile {
    clock: ManualClock,
    then: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Clock for Meanwhile {
    fn now(&self) -> SystemTime {
        let then = self.then.lock().unwrap().take();
        if let Some(then) = then {
            then();
        }
        self.clock.now()
    }
    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

fn with_meanwhile() -> (Arc<MemoryCache>, Arc<Meanwhile>) {
    let clock = Arc::new(Meanwhile::default());
    (Arc::new(MemoryCache::builder(1 << 20).clock(clock.clone()).build()), clock)
}

#[test]
fn a_get_that_meets_an_expired_entry_leaves_one_that_is_put_meanwhile() {
    let (cache, clock) = with_meanwhile();
    let start = clock.clock.now();
    cache.put(b"k", CacheEntry::new(*b"old").expires_at(start + SECOND)).unwrap();
    clock.clock.advance(SECOND);
    let other = Arc::clone(&cache);
    *clock.then.lock().unwrap() = Some(Box::new(move || {
        other.put(b"k", CacheEntry::new(*b"new").expires_at(start + 9 * SECOND)).unwrap()
    }));
    assert_eq!(value(&cache, b"k"), None, "it had found the old one");
    assert!(clock.then.lock().unwrap().is_none());
    assert_eq!(value(&cache, b"k").unwrap(), b"new");
    assert_eq!(cache.stats().expirations, Some(0));
}

#[test]
fn a_put_that_began_before_an_invalidation_is_not_readable_after_it() {
    let (cache, clock) = with_meanwhile();
    let later = clock.clock.now() + 9 * SECOND;
    let other = Arc::clone(&cache);
    *clock.then.lock().unwrap() = Some(Box::new(move || other.invalidate_tag("t").unwrap()));
    cache.put(b"k", CacheEntry::new(*b"v").expires_at(later).tag("t")).unwrap();
    assert!(clock.then.lock().unwrap().is_none());
    assert_eq!(value(&cache, b"k"), None);
    cache.put(b"k", CacheEntry::new(*b"v").expires_at(later).tag("t")).unwrap();
    assert!(value(&cache, b"k").is_some());
}

#[test]
fn racing_gets_and_puts_leave_the_newer_entry() {
    for _ in 0..500 {
        let (cache, clock) = with_clock(1 << 20);
        cache.put(b"k", CacheEntry::new(*b"old").expires_at(clock.now() + SECOND)).unwrap();
        clock.advance(SECOND);
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                cache.get(b"k").unwrap();
            });
            scope.spawn(|| {
                start.wait();
                cache.put(b"k", CacheEntry::new(*b"new").expires_at(clock.now() + SECOND)).unwrap();
            });
        });
        assert_eq!(value(&cache, b"k").unwrap(), b"new");
    }
}

#[test]
fn purge_removes_what_is_expired_or_invalidated_and_nothing_else() {
    let (cache, clock) = with_clock(1 << 20);
    cache.put(b"short", CacheEntry::new(*b"v").expires_at(clock.now() + SECOND)).unwrap();
    cache.put(b"long", CacheEntry::new(*b"v").expires_at(clock.now() + 9 * SECOND)).unwrap();
    cache.put(b"tagged", CacheEntry::new(*b"v").tag("t")).unwrap();
    cache.put(b"plain", CacheEntry::new(*b"v")).unwrap();
    clock.advance(SECOND);
    cache.invalidate_tag("t").unwrap();
    assert_eq!(cache.purge(), 2);
    assert_eq!(cache.purge(), 0);
    assert_eq!((cache.stats().entries, cache.stats().expirations), (Some(2), Some(1)));
    assert!(value(&cache, b"long").is_some() && value(&cache, b"plain").is_some());
}

#[test]
fn weight_never_exceeds_the_capacity_and_evictions_are_counted() {
    let cache = MemoryCache::builder(100_000).shards(1).build();
    for n in 0..5_000_u32 {
        cache.put(&n.to_be_bytes(), CacheEntry::new(vec![0_u8; (n % 700) as usize])).unwrap();
        assert!(cache.stats().weight.unwrap() <= 100_000);
    }
    let stats = cache.stats();
    assert_eq!(stats.puts, 5_000);
    assert_eq!(stats.evictions.unwrap() + stats.entries.unwrap(), 5_000);
    assert!(stats.entries.unwrap() > 50);
}

#[test]
fn replacing_is_not_an_eviction() {
    let cache = MemoryCache::new(1 << 20);
    for n in 0..100_u32 {
        cache.put(b"same", CacheEntry::new(n.to_be_bytes())).unwrap();
    }
    let stats = cache.stats();
    assert_eq!((stats.puts, stats.evictions, stats.entries), (100, Some(0), Some(1)));
}

#[test]
fn an_entry_that_is_too_heavy_is_not_kept_and_neither_is_the_one_before() {
    let cache = MemoryCache::new(1 << 16);
    let heaviest = cache.max_entry_weight();
    assert!(heaviest > 0 && heaviest <= cache.capacity());
    cache.put(b"k", CacheEntry::new(*b"small").weight(heaviest)).unwrap();
    assert_eq!(value(&cache, b"k").unwrap(), b"small");
    cache.put(b"k", CacheEntry::new(*b"big").weight(heaviest + 1)).unwrap();
    assert_eq!(value(&cache, b"k"), None);
    assert_eq!((cache.stats().puts, cache.stats().evictions), (1, Some(0)));
}

#[test]
fn weights_at_the_edges() {
    let cache = MemoryCache::builder(u64::MAX).shards(64).build();
    for n in 0..100_u32 {
        cache.put(&n.to_be_bytes(), CacheEntry::new(*b"v").weight(cache.max_entry_weight())).unwrap();
    }
    assert!(cache.stats().weight.unwrap() <= cache.capacity());

    // What weighs nothing could never be evicted.
    let cache = MemoryCache::builder(100).shards(1).build();
    for n in 0..10_000_u32 {
        cache.put(&n.to_be_bytes(), CacheEntry::new(*b"v").weight(0)).unwrap();
    }
    assert!(cache.stats().entries.unwrap() <= 100);

    let cache = MemoryCache::builder(1).build();
    cache.put(b"k", CacheEntry::new(*b"v").weight(1)).unwrap();
    assert!(value(&cache, b"k").is_some());
}

#[test]
fn one_tag_of_many_entries_is_invalidated_at_once() {
    let cache = MemoryCache::builder(1 << 30).build();
    for n in 0..20_000_u32 {
        let entry = CacheEntry::new(n.to_be_bytes()).tag("all").tag(format!("mod-{}", n % 10));
        cache.put(&n.to_be_bytes(), entry).unwrap();
    }
    cache.invalidate_tag("mod-3").unwrap();
    for n in 0..20_000_u32 {
        assert_eq!(value(&cache, &n.to_be_bytes()).is_none(), n % 10 == 3);
    }
    cache.invalidate_tag("all").unwrap();
    assert!((0..20_000_u32).all(|n| value(&cache, &n.to_be_bytes()).is_none()));
    assert_eq!(cache.stats().entries, Some(0));
}

#[test]
fn tags_that_no_entry_uses_are_forgotten() {
    let cache = MemoryCache::builder(1 << 20).shards(1).build();
    for n in 0..100_000_u32 {
        cache.put(b"the one entry", CacheEntry::new(*b"v").tag(format!("session-{n}"))).unwrap();
    }
    let debug = format!("{cache:?}");
    let tags: usize =
        debug.split("tags: ").nth(1).unwrap().split(',').next().unwrap().trim().parse().unwrap();
    assert!(tags <= 2_000, "{debug}");
    // The tag in use is not among the forgotten.
    cache.invalidate_tag("session-99999").unwrap();
    assert_eq!(value(&cache, b"the one entry"), None);
}

#[test]
fn debug_shows_no_contents() {
    let cache = MemoryCache::new(1 << 20);
    cache.put(b"key-secret", CacheEntry::new(*b"value-secret").tag("tag-secret")).unwrap();
    assert!(!format!("{cache:?}").contains("secret"));
}
