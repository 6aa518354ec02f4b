//! What the rules remember, within bounds.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::time::SystemTime;

/// Milliseconds since 1970, rounded down, and as near as 64 bits come. An event's own time: a claim.
pub(super) fn millis(time: SystemTime) -> i64 {
    let whole = |millis: u128| i64::try_from(millis).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole(since.as_millis()),
        Err(error) => {
            let before = error.duration();
            let rounded = before.as_millis() + u128::from(before.subsec_nanos() % 1_000_000 > 0);
            -whole(rounded)
        }
    }
}

/// Whose things are remembered: a name as a keyed hash, so that a long name takes no more room than a short one,
/// and nobody outside can choose two that are taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name(u64);

#[derive(Clone, Debug, Default)]
pub(super) struct Names(RandomState);

impl Names {
    pub(super) fn of(&self, kind: &str, name: &str) -> Name {
        Name(self.0.hash_one((kind, name)))
    }

    pub(super) fn within(&self, name: Name, part: &str) -> Name {
        Name(self.0.hash_one((name.0, part)))
    }
}

/// A map of at most so many names, that forgets those that were not seen for longest.
///
/// Names are kept in two generations. One that is seen goes into the young one; when that has half of the bound,
/// it becomes the old one, and what was old is forgotten. So a name stays while fewer than half of the
/// bound of other names are seen in between.
#[derive(Clone, Debug)]
pub(super) struct Recent<V> {
    young: HashMap<Name, V>,
    old: HashMap<Name, V>,
    half: usize,
    forgotten: u64,
}

impl<V: Default> Recent<V> {
    pub(super) fn with_bound(bound: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (bound / 2).max(1), forgotten: 0 }
    }

    /// What is remembered of a name: at first, nothing.
    pub(super) fn entry(&mut self, name: Name) -> &mut V {
        if !self.young.contains_key(&name) {
            let value = self.old.remove(&name).unwrap_or_default();
            if self.young.len() >= self.half {
                let gone = mem::replace(&mut self.old, mem::take(&mut self.young));
                self.forgotten = self.forgotten.saturating_add(gone.len() as u64);
            }
            self.young.insert(name, value);
        }
        self.young.entry(name).or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// How many names were forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// The times of the last few events of a kind: tells when as many as there is room for lie within a window.
///
/// They are in the order in which they came. A time that is far off, from a clock that was set wrong, makes the rule
/// blind only until as many others came.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    times: Vec<i64>,
    next: usize,
}

impl Ring {
    /// Adds a time. True when the last `most` lie within the window.
    pub(super) fn add(&mut self, time: i64, most: usize, window: u64) -> bool {
        if self.times.len() < most {
            self.times.push(time);
        } else if let Some(place) = self.times.get_mut(self.next) {
            *place = time;
            self.next = (self.next + 1) % most.max(1);
        }
        if self.times.len() < most {
            return false;
        }
        let (first, last) = self.times.iter().fold((time, time), |(a, b), t| (a.min(*t), b.max(*t)));
        last.abs_diff(first) <= window
    }
}

/// Lets so many findings through in a window, and counts the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    begun: Option<i64>,
    told: usize,
    held: u64,
}

impl Quiet {
    /// May a finding of this time be told? If so, how many could not since the last.
    pub(super) fn lets(&mut self, time: i64, most: usize, window: u64) -> Option<u64> {
        if self.begun.is_none_or(|begun| time.abs_diff(begun) > window) {
            self.begun = Some(time);
            self.told = 0;
        }
        if self.told >= most {
            self.held = self.held.saturating_add(1);
            return None;
        }
        self.told += 1;
        Some(mem::take(&mut self.held))
    }
}

/// The days on which somebody was active, until there are enough of them to know what is usual.
///
/// Counted are different days and not the time from first to last, so that one event with a wrong clock does
/// not end the learning.
#[derive(Clone, Debug, Default)]
pub(super) struct Learning {
    days: Vec<i64>,
    over: bool,
}

impl Learning {
    /// Is the day one to learn from? It is not, if as many as `enough` others were before.
    pub(super) fn learns(&mut self, day: i64, enough: usize) -> bool {
        if self.over || self.days.contains(&day) {
            return !self.over;
        }
        if self.days.len() >= enough {
            self.over = true;
            self.days = Vec::new();
            return false;
        }
        self.days.push(day);
        true
    }
}
