//! The conformance kit over our own backends, and over broken ones that it has to catch.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codegenie_perf::testing::{Conformance, Law};
use codegenie_perf::{
    CacheBackend, CacheEntry, CacheError, CacheErrorKind, CacheStats, ManualClock, MemoryCache, NoCache,
};

fn ample() -> MemoryCache {
    MemoryCache::new(64 << 20)
}

#[test]
fn memory_cache_keeps_every_law() {
    Conformance::new(ample).keeps(true).check_all().unwrap();
    Conformance::new(|| MemoryCache::builder(64 << 20).shards(1).build()).keeps(true).check_all().unwrap();
}

#[test]
fn memory_cache_keeps_the_laws_by_a_clock_of_its_own() {
    let clock = Arc::new(ManualClock::new());
    let (theirs, ours) = (Arc::clone(&clock), Arc::clone(&clock));
    Conformance::new(move || MemoryCache::builder(64 << 20).clock(theirs.clone()).build())
        .clock(clock, move |by| ours.advance(by))
        .keeps(true)
        .check_all()
        .unwrap();
}

#[test]
fn memory_cache_without_room_keeps_the_one_sided_laws() {
    Conformance::new(|| MemoryCache::new(2048)).check_all().unwrap();
    Conformance::new(|| MemoryCache::new(0)).check_all().unwrap();
}

#[test]
fn blankets_and_no_cache_conform() {
    Conformance::new(|| NoCache).check_all().unwrap();
    Conformance::new(|| None::<MemoryCache>).check_all().unwrap();
    Conformance::new(|| Some(ample())).keeps(true).check_all().unwrap();
    Conformance::new(|| Box::new(ample()) as Box<dyn CacheBackend>).keeps(true).check_all().unwrap();
    Conformance::new(|| Arc::new(ample())).keeps(true).check_all().unwrap();
    let shared = ample();
    Conformance::new(|| &shared).keeps(true).check_all().unwrap();
}

/// How a backend is broken.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    ServesExpired,
    ExpiryOnlyAtPut,
    IgnoresTags,
    OnlyFirstTag,
    InvalidatesAll,
    AnotherKeysValue,
    TrimsKeys,
    LosesMetadata,
    KeepsFirst,
    KeepsOnExpiredPut,
    TruncatesLarge,
    RemoveAlwaysTrue,
    DropsStale,
    NeverCounts,
    Forgets,
    Fails,
}

/// A plain map behind the trait, right but for its fault.
struct Faulty {
    fault: Fault,
    inner: Mutex<(HashMap<Vec<u8>, CacheEntry>, CacheStats)>,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self { fault, inner: Mutex::default() }
    }
    fn key(&self, key: &[u8]) -> Vec<u8> {
        match self.fault {
            Fault::TrimsKeys => String::from_utf8_lossy(key).trim_end_matches('\0').as_bytes().to_vec(),
            _ => key.to_vec(),
        }
    }
}

impl CacheBackend for Faulty {
    fn get(&self, key: &[u8]) -> Result<Option<CacheEntry>, CacheError> {
        if self.fault == Fault::Fails {
            return Err(CacheError::new(CacheErrorKind::Unavailable, "faulty backend: always"));
        }
        let now = std::time::SystemTime::now();
        let mut inner = self.inner.lock().unwrap();
        let found = match self.fault {
            Fault::AnotherKeysValue => inner.0.values().next().cloned(),
            _ => inner.0.get(&self.key(key)).cloned(),
        };
        let found = found.filter(|entry| {
            (matches!(self.fault, Fault::ServesExpired | Fault::ExpiryOnlyAtPut)
                || !entry.meta.is_expired(now))
                && (self.fault != Fault::DropsStale || !entry.meta.is_stale(now))
        });
        if self.fault != Fault::NeverCounts {
            match found {
                Some(_) => inner.1.hits += 1,
                None => inner.1.misses += 1,
            }
        }
        Ok(found)
    }
    fn put(&self, key: &[u8], mut entry: CacheEntry) -> Result<(), CacheError> {
        let key = self.key(key);
        let mut inner = self.inner.lock().unwrap();
        let expired = entry.meta.is_expired(std::time::SystemTime::now());
        match self.fault {
            Fault::Forgets => return Ok(()),
            Fault::KeepsFirst if inner.0.contains_key(&key) => return Ok(()),
            Fault::KeepsOnExpiredPut if expired => return Ok(()),
            Fault::ExpiryOnlyAtPut if expired => {
                inner.0.remove(&key);
                return Ok(());
            }
            Fault::LosesMetadata => entry.meta.refresh_at = None,
            Fault::TruncatesLarge if entry.value.len() > 65_536 => entry.value = entry.value[..65_536].into(),
            _ => {}
        }
        inner.0.insert(key, entry);
        Ok(())
    }
    fn remove(&self, key: &[u8]) -> Result<bool, CacheError> {
        let there = self.inner.lock().unwrap().0.remove(&self.key(key)).is_some();
        Ok(there || self.fault == Fault::RemoveAlwaysTrue)
    }
    fn invalidate_tag(&self, tag: &str) -> Result<(), CacheError> {
        let fault = self.fault;
        self.inner.lock().unwrap().0.retain(|_, entry| match fault {
            Fault::IgnoresTags => true,
            Fault::InvalidatesAll => false,
            Fault::OnlyFirstTag => entry.meta.tags.first().is_none_or(|first| &**first != tag),
            _ => entry.meta.tags.iter().all(|other| &**other != tag),
        });
        Ok(())
    }
    fn clear(&self) -> Result<(), CacheError> {
        self.inner.lock().unwrap().0.clear();
        Ok(())
    }
    fn stats(&self) -> CacheStats {
        self.inner.lock().unwrap().1
    }
}

#[test]
fn the_kit_catches_broken_backends() {
    Conformance::new(|| Faulty::new(Fault::None)).keeps(true).check_all().unwrap();
    for (fault, law) in [
        (Fault::ServesExpired, Law::Expiry),
        (Fault::ExpiryOnlyAtPut, Law::Expiry),
        (Fault::IgnoresTags, Law::Tags),
        (Fault::OnlyFirstTag, Law::Tags),
        (Fault::InvalidatesAll, Law::Tags),
        (Fault::AnotherKeysValue, Law::BinaryKeys),
        (Fault::AnotherKeysValue, Law::RoundTrip),
        (Fault::AnotherKeysValue, Law::ConcurrentReads),
        (Fault::IgnoresTags, Law::ConcurrentTags),
        (Fault::TrimsKeys, Law::BinaryKeys),
        (Fault::LosesMetadata, Law::RoundTrip),
        (Fault::KeepsFirst, Law::Replace),
        (Fault::KeepsOnExpiredPut, Law::Replace),
        (Fault::TruncatesLarge, Law::ValueSizes),
        (Fault::RemoveAlwaysTrue, Law::Remove),
        (Fault::DropsStale, Law::SoftExpiry),
        (Fault::NeverCounts, Law::Stats),
        (Fault::Forgets, Law::RoundTrip),
        (Fault::Fails, Law::RoundTrip),
    ] {
        let error = Conformance::new(|| Faulty::new(fault)).keeps(true).check(law).unwrap_err();
        assert_eq!(error.law(), law);
        let line = error.to_string();
        assert!(line.starts_with(&format!("law {law} broken: ")) && !line.contains('\n'), "{line}");
        assert_eq!(error.backend_error().is_some(), fault == Fault::Fails);
        assert!(Conformance::new(|| Faulty::new(fault)).keeps(true).check_all().is_err());
    }
}

#[test]
fn a_clock_that_stands_still_is_reported_and_does_not_hang() {
    let clock = Arc::new(ManualClock::new());
    let error = Conformance::new(ample).clock(clock, |_: Duration| {}).check(Law::Expiry).unwrap_err();
    assert!(error.to_string().contains("the clock did not move"));
}
