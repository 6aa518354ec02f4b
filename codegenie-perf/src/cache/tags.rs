//! Passive tags: an entry remembers the generation of each of its tags, and reading compares.
//!
//! The table maps a tag to its present generation. Invalidating takes the generation out of the
//! table and marks it dead, whatever the number of entries that carry it; the next put of the tag
//! makes a new one. Entries hold their generations by reference count, so a read costs one load
//! per tag and no look-up, and a generation that only the table holds is used by no entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::DashMap;

/// Below this many new tags nothing is swept.
const SWEEP_AT_LEAST: usize = 1024;

/// The time between two invalidations of one tag.
#[derive(Debug, Default)]
pub(super) struct Generation {
    dead: AtomicBool,
}

impl Generation {
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
}

/// Tag → present generation.
///
/// Bounded: after as many new tags as were in use at the last sweep (and at least
/// [`SWEEP_AT_LEAST`]) the tags that no entry holds are swept out. So the table never has more than
/// twice the tags in use plus [`SWEEP_AT_LEAST`], and sweeping costs O(1) per new tag.
#[derive(Debug)]
pub(super) struct TagTable {
    present: DashMap<Arc<str>, Arc<Generation>>,
    /// How many new tags may still come before the next sweep.
    room: AtomicUsize,
    sweeping: AtomicBool,
}

impl TagTable {
    pub(super) fn new() -> Self {
        Self {
            present: DashMap::new(),
            room: AtomicUsize::new(SWEEP_AT_LEAST),
            sweeping: AtomicBool::new(false),
        }
    }

    /// The present generations of `tags`. To be called before the entry can be seen by readers: an
    /// invalidation that comes in between then kills the entry.
    pub(super) fn enter(&self, tags: &[Arc<str>]) -> Option<Arc<[Arc<Generation>]>> {
        if tags.is_empty() {
            return None;
        }
        let mut fresh = 0;
        let generations = tags
            .iter()
            .map(|tag| {
                if let Some(generation) = self.present.get(&**tag) {
                    return Arc::clone(&generation);
                }
                let entry = self.present.entry(Arc::clone(tag)).or_insert_with(|| {
                    fresh += 1;
                    Arc::default()
                });
                Arc::clone(&entry)
            })
            .collect();
        if fresh > 0 {
            self.note_fresh(fresh);
        }
        Some(generations)
    }

    pub(super) fn invalidate(&self, tag: &str) {
        if let Some((_, generation)) = self.present.remove(tag) {
            generation.dead.store(true, Ordering::Release);
        }
    }

    fn note_fresh(&self, fresh: usize) {
        let spend = |room: usize| Some(room.saturating_sub(fresh));
        let before =
            self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).unwrap_or_else(|room| room);
        if before > fresh || self.sweeping.swap(true, Ordering::Acquire) {
            return;
        }
        // Whoever takes a generation out of the table does so under its shard's lock, and `retain`
        // holds that lock: a count of one cannot rise while it is looked at.
        self.present.retain(|_, generation| Arc::strong_count(generation) > 1);
        self.room.store(self.present.len().max(SWEEP_AT_LEAST), Ordering::Relaxed);
        self.sweeping.store(false, Ordering::Release);
    }

    pub(super) fn len(&self) -> usize {
        self.present.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: usize) -> [Arc<str>; 1] {
        [Arc::from(format!("tag-{n}"))]
    }

    #[test]
    fn a_generation_dies_once_and_the_next_one_lives() {
        let table = TagTable::new();
        let first = table.enter(&tag(1)).unwrap();
        let second = table.enter(&tag(1)).unwrap();
        table.invalidate("tag-1");
        let third = table.enter(&tag(1)).unwrap();
        assert!(first[0].is_dead() && second[0].is_dead());
        assert!(!third[0].is_dead());
        table.invalidate("never seen");
    }

    #[test]
    fn tags_that_nobody_holds_are_swept() {
        let table = TagTable::new();
        let held: Vec<_> = (0..100).map(|n| table.enter(&tag(n)).unwrap()).collect();
        for n in 100..50_000 {
            table.enter(&tag(n));
            assert!(table.len() <= 2 * held.len() + SWEEP_AT_LEAST, "{}", table.len());
        }
        for n in 0..100 {
            table.invalidate(&format!("tag-{n}"));
        }
        assert!(held.iter().all(|generations| generations[0].is_dead()), "a held tag was swept");
    }
}
