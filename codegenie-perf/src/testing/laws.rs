//! The laws that one thread can check.

use std::time::{Duration, SystemTime};

use super::{Bench, ConformanceError};
use crate::CacheEntry;

const HOUR: Duration = Duration::from_secs(3600);

/// A time to store: whole milliseconds, which every backend's format can hold.
fn whole(at: SystemTime) -> SystemTime {
    let millis = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

pub(super) fn round_trip(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    let now = whole(bench.clock.now());
    bench.expect_none(b"never put", "before the first put")?;
    let plain = CacheEntry::new(*b"plain");
    let full = CacheEntry::new(*b"full")
        .expires_at(now + HOUR)
        .refresh_at(now + HOUR / 2)
        .tag("first")
        .tag("second")
        .weight(77);
    bench.put(b"plain", &plain)?;
    bench.put(b"full", &full)?;
    for _ in 0..3 {
        bench.expect(b"plain", &plain, "after put without metadata")?;
        bench.expect(b"full", &full, "after put with expiry, tags and weight")?;
    }
    bench.expect_none(b"never put", "after puts of other keys")?;
    bench.ok("flush", bench.cache.flush())?;
    bench.expect(b"full", &full, "after flush")
}

pub(super) fn binary_keys(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    let long = vec![b'k'; 4096];
    let keys: [&[u8]; 14] = [
        b"",
        b"\0",
        b"\0\0",
        b"a",
        b"a\0",
        b"a\0b",
        b"ab",
        b"A",
        b"\xff\xfe\x80",
        b"\r\n",
        b"../../etc/passwd",
        b"a:b*?[x]",
        "schl\u{fc}ssel".as_bytes(),
        &long,
    ];
    let value = |n: usize| CacheEntry::new(format!("value of key {n}").into_bytes());
    for (n, key) in keys.iter().enumerate() {
        bench.expect_none(key, &format!("key {n} before its put"))?;
        bench.put(key, &value(n))?;
    }
    for (n, key) in keys.iter().enumerate() {
        bench.expect(key, &value(n), &format!("key {n} of {}", keys.len()))?;
    }
    bench.ok("remove", bench.cache.remove(b"a"))?;
    bench.expect_none(b"a", "after remove of the key \"a\"")?;
    bench.expect(b"ab", &value(6), "after remove of the key \"a\", the key \"ab\"")
}

pub(super) fn value_sizes(bench: &Bench<'_>, large: usize) -> Result<(), ConformanceError> {
    let sizes = [0, 1, 255, 256, 4095, 4096, 65_536, large];
    let value = |size: usize| {
        // Not constant and not periodic in a power of two, so that a lost or swapped block shows.
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        CacheEntry::new(bytes)
    };
    for size in sizes {
        bench.put(&size.to_be_bytes(), &value(size))?;
    }
    for size in sizes {
        bench.expect(&size.to_be_bytes(), &value(size), &format!("value of {size} bytes"))?;
    }
    Ok(())
}

pub(super) fn replace(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    let now = whole(bench.clock.now());
    let first = CacheEntry::new(*b"first").expires_at(now + HOUR).tag("old").weight(9);
    let second = CacheEntry::new(*b"the second").tag("new");
    bench.put(b"key", &first)?;
    bench.put(b"key", &second)?;
    bench.expect(b"key", &second, "after a second put")?;
    bench.ok("invalidate_tag", bench.cache.invalidate_tag("old"))?;
    bench.expect(b"key", &second, "after invalidating a tag that only the replaced entry had")?;
    // A backend may decline an expired entry; then the one before it is gone as well.
    bench.put(b"key", &CacheEntry::new(*b"third").expires_at(now - HOUR))?;
    bench.expect_none(b"key", "after replacing with an expired entry")?;
    bench.put(b"key", &first)?;
    bench.put(b"key", &CacheEntry::new(*b"fourth").weight(u64::MAX))?;
    if bench.get(b"key")?.is_some_and(|got| got.value != CacheEntry::new(*b"fourth").value) {
        return Err(bench.broken("after a put that was declined as too heavy: get gave the entry before it"));
    }
    Ok(())
}

pub(super) fn remove(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    let entry = CacheEntry::new(*b"value");
    if bench.ok("remove", bench.cache.remove(b"absent"))? {
        return Err(bench.broken("remove of a key that was never put said true"));
    }
    bench.put(b"one", &entry)?;
    bench.put(b"two", &entry)?;
    let removed = bench.ok("remove", bench.cache.remove(b"one"))?;
    if bench.keeps && !removed {
        return Err(bench.broken("remove of a kept entry said false"));
    }
    bench.expect_none(b"one", "after remove")?;
    bench.expect(b"two", &entry, "after remove of another key")?;
    if bench.ok("remove", bench.cache.remove(b"one"))? {
        return Err(bench.broken("a second remove said true"));
    }
    bench.put(b"one", &entry)?;
    bench.expect(b"one", &entry, "after remove and put again")?;
    bench.ok("clear", bench.cache.clear())?;
    bench.expect_none(b"one", "after clear")?;
    bench.expect_none(b"two", "after clear")?;
    bench.put(b"one", &entry)?;
    bench.expect(b"one", &entry, "after clear and put again")
}

pub(super) fn expiry(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    let now = whole(bench.clock.now());
    let past = [now - HOUR, now - Duration::from_millis(1), now, SystemTime::UNIX_EPOCH];
    for (n, at) in past.into_iter().enumerate() {
        bench.put(b"past", &CacheEntry::new(*b"x").expires_at(at))?;
        bench.expect_none(b"past", &format!("put with an expiry in the past ({n})"))?;
    }
    for years in [0_u32, 1, 50] {
        let entry = CacheEntry::new(*b"x").expires_at(now + HOUR + HOUR * 24 * 365 * years);
        bench.put(b"future", &entry)?;
        bench.expect(b"future", &entry, &format!("put with an expiry {years} years and an hour ahead"))?;
    }

    // Long enough to be read before it comes, on a machine that is not overloaded; where it is, the
    // entry is merely not read before.
    let soon = whole(bench.clock.now()) + Duration::from_millis(40);
    let entry = CacheEntry::new(*b"x").expires_at(soon);
    bench.put(b"soon", &entry)?;
    let before = bench.get(b"soon")?;
    if before.is_none() && bench.keeps && bench.clock.now() < soon {
        return Err(bench.broken("before the expiry: get found nothing, but the backend promised to keep"));
    }
    bench.wait_until(soon)?;
    bench.expect_none(b"soon", "after the expiry of an entry that was put before it")?;
    let fresh = CacheEntry::new(*b"fresh");
    bench.put(b"soon", &fresh)?;
    bench.expect(b"soon", &fresh, "after replacing an entry that had expired")
}

pub(super) fn soft_expiry(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    let now = whole(bench.clock.now());
    let stale = CacheEntry::new(*b"x").refresh_at(now - HOUR).expires_at(now + HOUR);
    bench.put(b"stale", &stale)?;
    bench.expect(b"stale", &stale, "past the soft expiry and before the hard one")
}

pub(super) fn tags(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    let invalidate = |tag: &str| bench.ok("invalidate_tag", bench.cache.invalidate_tag(tag));
    let untagged = CacheEntry::new(*b"untagged");
    let a = CacheEntry::new(*b"a").tag("a");
    let b = CacheEntry::new(*b"b").tag("b");
    let both = CacheEntry::new(*b"both").tag("a").tag("b");
    let odd = CacheEntry::new(*b"odd").tag("").tag("a b\0\u{e9}").tag("a b\0\u{e9}");
    invalidate("a")?;
    for (key, entry) in [("0", &untagged), ("a", &a), ("b", &b), ("both", &both), ("odd", &odd)] {
        bench.put(key.as_bytes(), entry)?;
        bench.expect(key.as_bytes(), entry, "put with tags, before any later invalidation")?;
    }
    invalidate("a")?;
    bench.expect_none(b"a", "after invalidating its tag")?;
    bench.expect_none(b"both", "after invalidating its first tag")?;
    bench.expect(b"b", &b, "after invalidating another tag")?;
    bench.expect(b"0", &untagged, "without tags, after invalidating one")?;
    bench.expect(b"odd", &odd, "after invalidating a tag that begins alike")?;
    invalidate("a b\0\u{e9}")?;
    bench.expect_none(b"odd", "after invalidating a tag with odd characters")?;
    bench.put(b"odd", &odd)?;
    invalidate("")?;
    bench.expect_none(b"odd", "after invalidating the empty tag")?;

    bench.put(b"a", &a)?;
    bench.expect(b"a", &a, "put again after the invalidation of its tag")?;
    invalidate("a")?;
    invalidate("a")?;
    bench.expect_none(b"a", "after invalidating its tag twice more")?;
    bench.put(b"both", &both)?;
    invalidate("b")?;
    bench.expect_none(b"both", "after invalidating its second tag")?;
    bench.expect_none(b"b", "after invalidating its tag")
}

pub(super) fn stats(bench: &Bench<'_>) -> Result<(), ConformanceError> {
    let before = bench.cache.stats();
    let entry = CacheEntry::new(*b"value");
    bench.put(b"key", &entry)?;
    let (mut hits, mut misses) = (0_u64, 0_u64);
    for key in [&b"key"[..], b"key", b"absent"] {
        match bench.get(key)? {
            Some(_) => hits += 1,
            None => misses += 1,
        }
    }
    if hits > 0 && !bench.cache.enabled() {
        return Err(bench.broken("enabled is false, but an entry was kept"));
    }
    let after = bench.cache.stats();
    // A backend that keeps nothing need not count either.
    if bench.cache.enabled() {
        let counted = (after.hits.wrapping_sub(before.hits), after.misses.wrapping_sub(before.misses));
        if counted != (hits, misses) {
            return Err(bench.broken(format!(
                "{hits} hits and {misses} misses were counted as {} and {}",
                counted.0, counted.1
            )));
        }
    }
    Ok(())
}
