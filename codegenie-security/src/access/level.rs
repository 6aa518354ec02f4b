//! What a session was raised to, and until when: read by every check, without a lock.

#[cfg(codegenie_loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(codegenie_loom))]
use std::sync::atomic::{AtomicU64, Ordering};

/// Raises that count at the same time: of a higher one that ends soon and a lower one that ends later, both do.
#[derive(Debug)]
pub(super) struct Levels([AtomicU64; PLACES]);

/// So many that differ are rare: two approvals for different times already are.
const PLACES: usize = 3;

/// The level in the topmost byte, and below it until when, in milliseconds since the store was made.
#[derive(Clone, Copy)]
struct Raise(u64);

const LEVEL_SHIFT: u32 = 56;
const TIME_MASK: u64 = (1 << LEVEL_SHIFT) - 1;

impl Raise {
    fn new(level: u8, until: u64) -> Self {
        Self(u64::from(level) << LEVEL_SHIFT | until.min(TIME_MASK))
    }

    fn level(self) -> u8 {
        (self.0 >> LEVEL_SHIFT) as u8
    }

    fn until(self) -> u64 {
        self.0 & TIME_MASK
    }

    fn level_at(self, now: u64) -> u8 {
        if now < self.until() { self.level() } else { 0 }
    }

    /// Does it give at least what another gives, for at least as long?
    fn covers(self, other: Self) -> bool {
        self.level() >= other.level() && self.until() >= other.until()
    }
}

impl Levels {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// The highest that counts now.
    pub(super) fn now(&self, now: u64) -> u8 {
        let levels = self.0.iter().map(|place| Raise(place.load(Ordering::SeqCst)).level_at(now));
        levels.max().unwrap_or(0)
    }

    /// Adds one. What it takes the place of is over, or gives no more than another; where there is neither, the lowest.
    pub(super) fn raise(&self, level: u8, until: u64, now: u64) {
        let new = Raise::new(level, until);
        if new.level_at(now) == 0 {
            return;
        }
        loop {
            let there = self.0.each_ref().map(|place| Raise(place.load(Ordering::SeqCst)));
            if there.iter().any(|old| old.covers(new)) {
                return;
            }
            let is_free = |number: usize, old: Raise| {
                let mut there = there.iter().enumerate();
                now >= old.until()
                    || new.covers(old)
                    || there.any(|(other, raise)| other != number && raise.covers(old))
            };
            let ranked = self.0.iter().zip(there).enumerate();
            let worst = ranked.map(|(number, (place, old))| (!is_free(number, old), old.level(), place, old));
            let Some((keeps, lowest, place, old)) = worst.min_by_key(|(keeps, level, ..)| (*keeps, *level))
            else {
                return;
            };
            // The lowest of them all stays away: no level is better than a wrong one.
            if keeps && lowest > level {
                return;
            }
            // Lost only to another raise, and then judged anew.
            if place.compare_exchange(old.0, new.0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return;
            }
        }
    }

    pub(super) fn clear(&self) {
        self.0.iter().for_each(|place| place.store(0, Ordering::SeqCst));
    }
}

#[cfg(all(test, not(codegenie_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Beside a list of all raises: never more than that, and as much while no more count than there is room for.
        #[test]
        fn what_counts_is_what_was_raised(raises in prop::collection::vec((0..5_u8, 0..50_u64, 0..9_u64), 0..12)) {
            let levels = Levels::new();
            let (mut all, mut now, mut full) = (Vec::new(), 0, false);
            for (level, lasts, later) in raises {
                now += later;
                levels.raise(level, now + lasts, now);
                all.push((level, now + lasts));
                let counting = |at: u64| all.iter().filter(move |raise| at < raise.1).map(|raise| raise.0);
                let different: std::collections::BTreeSet<u8> = counting(now).filter(|level| *level > 0).collect();
                full |= different.len() > PLACES;
                for at in [now, now + 10, now + 40] {
                    let expected = counting(at).max().unwrap_or(0);
                    let found = levels.now(at);
                    prop_assert!(found <= expected);
                    prop_assert!(full || found == expected, "{found} and not {expected}");
                }
            }
            levels.clear();
            prop_assert_eq!(levels.now(0), 0);
        }
    }
}

#[cfg(all(test, codegenie_loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;

    /// A level that is raised while it is read is the old one or the new one, with its own end.
    #[test]
    fn a_level_is_never_read_half() {
        loom::model(|| {
            let levels = Arc::new(Levels::new());
            levels.raise(1, 100, 0);
            let raising = loom::thread::spawn({
                let levels = Arc::clone(&levels);
                move || levels.raise(3, 200, 0)
            });
            assert!([1, 3].contains(&levels.now(50)));
            assert!([0, 3].contains(&levels.now(150)));
            raising.join().unwrap();
            assert_eq!((levels.now(50), levels.now(150), levels.now(200)), (3, 3, 0));
        });
    }

    /// Of two raises at once, neither is lost, whichever comes first.
    #[test]
    fn two_raises_at_once_both_count() {
        loom::model(|| {
            let levels = Arc::new(Levels::new());
            let raising = loom::thread::spawn({
                let levels = Arc::clone(&levels);
                move || levels.raise(3, 10, 0)
            });
            levels.raise(1, 100, 0);
            raising.join().unwrap();
            assert_eq!((levels.now(5), levels.now(50), levels.now(100)), (3, 1, 0));
        });
    }
}
