//! `MemoryCache` with ample room gives the answers of a plain map, whatever the order of calls.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codegenie_perf::{CacheBackend, CacheEntry, Clock, ManualClock, MemoryCache};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Call {
    Put { key: Vec<u8>, value: Vec<u8>, ttl: Option<i64>, tags: Vec<u8>, weight: Option<u64> },
    Get(Vec<u8>),
    Remove(Vec<u8>),
    Invalidate(u8),
    Advance(u64),
    Purge,
    Clear,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(0_u8..3, 0..3)
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => (key(), vec(any::<u8>(), 0..6), prop::option::of(-2_i64..20), vec(0_u8..4, 0..3), prop::option::of(0_u64..50))
            .prop_map(|(key, value, ttl, tags, weight)| Call::Put { key, value, ttl, tags, weight }),
        6 => key().prop_map(Call::Get),
        1 => key().prop_map(Call::Remove),
        2 => (0_u8..4).prop_map(Call::Invalidate),
        2 => (0_u64..8).prop_map(Call::Advance),
        1 => Just(Call::Purge),
        1 => Just(Call::Clear),
    ]
}

fn tag(n: u8) -> String {
    format!("tag-{n}")
}

fn at(now: SystemTime, ttl: i64) -> SystemTime {
    let by = Duration::from_secs(ttl.unsigned_abs());
    if ttl < 0 { now - by } else { now + by }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn same_answers_as_a_map(calls in vec(call(), 0..120)) {
        let clock = Arc::new(ManualClock::new());
        let cache = MemoryCache::builder(16 << 20).clock(clock.clone()).build();
        let mut model: HashMap<Vec<u8>, CacheEntry> = HashMap::new();
        let (mut hits, mut misses) = (0, 0);
        for call in calls {
            let now = clock.now();
            match call {
                Call::Put { key, value, ttl, tags, weight } => {
                    let mut entry = CacheEntry::new(value);
                    entry.meta.weight = weight;
                    entry.meta.expires_at = ttl.map(|ttl| at(now, ttl));
                    let entry = tags.into_iter().fold(entry, |entry, n| entry.tag(tag(n)));
                    cache.put(&key, entry.clone()).unwrap();
                    model.insert(key, entry);
                }
                Call::Get(key) => {
                    let expected = model.get(&key).filter(|entry| !entry.meta.is_expired(now)).cloned();
                    match expected {
                        Some(_) => hits += 1,
                        None => misses += 1,
                    }
                    prop_assert_eq!(cache.get(&key).unwrap(), expected);
                }
                Call::Remove(key) => {
                    let live = model.remove(&key).is_some_and(|entry| !entry.meta.is_expired(now));
                    // Expired entries may or may not still be there.
                    let removed = cache.remove(&key).unwrap();
                    prop_assert!(removed || !live);
                }
                Call::Invalidate(n) => {
                    cache.invalidate_tag(&tag(n)).unwrap();
                    model.retain(|_, entry| entry.meta.tags.iter().all(|other| **other != *tag(n)));
                }
                Call::Advance(seconds) => clock.advance(Duration::from_secs(seconds)),
                Call::Purge => {
                    cache.purge();
                    model.retain(|_, entry| !entry.meta.is_expired(now));
                    prop_assert_eq!(cache.stats().entries, Some(model.len() as u64));
                }
                Call::Clear => {
                    cache.clear().unwrap();
                    model.clear();
                }
            }
        }
        let stats = cache.stats();
        prop_assert_eq!((stats.hits, stats.misses, stats.evictions), (hits, misses, Some(0)));
        cache.clear().unwrap();
        prop_assert_eq!((cache.stats().entries, cache.stats().weight), (Some(0), Some(0)));
    }
}
