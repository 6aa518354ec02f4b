//! What the memory cache keeps for a key, and how it tells the engine its weight.

use std::sync::Arc;
use std::time::SystemTime;

use quick_cache::{Lifecycle, Weighter};

use super::tags::Generation;
use crate::CacheEntry;

pub(super) type Key = Box<[u8]>;

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) entry: CacheEntry,
    pub(super) generations: Option<Arc<[Arc<Generation>]>>,
    pub(super) weight: u64,
}

/// Whether an entry may be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Live,
    Expired,
    Invalidated,
}

impl Stored {
    /// `now` is asked for only when the entry can expire: most reads then need no clock.
    pub(super) fn verdict(&self, now: impl FnOnce() -> SystemTime) -> Verdict {
        if self.entry.meta.expires_at.is_some() && self.entry.meta.is_expired(now()) {
            return Verdict::Expired;
        }
        match &self.generations {
            Some(generations) if generations.iter().any(|generation| generation.is_dead()) => {
                Verdict::Invalidated
            }
            _ => Verdict::Live,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ByWeight;

impl Weighter<Key, Stored> for ByWeight {
    fn weight(&self, _key: &Key, stored: &Stored) -> u64 {
        stored.weight
    }
}

/// Collects what an insertion pushed out, so that it is counted and freed outside the lock.
#[derive(Clone, Debug)]
pub(super) struct CollectOut;

#[derive(Debug, Default)]
pub(super) struct PushedOut {
    // One is the common case and needs no allocation.
    first: Option<(Key, Stored)>,
    more: Vec<(Key, Stored)>,
}

impl PushedOut {
    /// How many entries of other keys were pushed out by putting `key`. The engine reports the
    /// entry that `key` had before like an evicted one; that is a replacement.
    pub(super) fn evicted_by(&self, key: &[u8]) -> u64 {
        let all = || self.first.iter().chain(&self.more);
        let replaced = all().any(|(out, _)| **out == *key);
        (all().count() as u64).saturating_sub(u64::from(replaced))
    }
}

impl Lifecycle<Key, Stored> for CollectOut {
    type RequestState = PushedOut;

    fn on_evict(&self, state: &mut PushedOut, key: Key, stored: Stored) {
        if state.first.is_none() {
            state.first = Some((key, stored));
        } else {
            state.more.push((key, stored));
        }
    }
}
