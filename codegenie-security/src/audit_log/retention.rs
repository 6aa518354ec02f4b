//! How much of a log is kept.

use std::time::{Duration, SystemTime};

/// How long segments are kept. Whole segments are removed, the oldest first, and never the one that is written.
///
/// What is removed is gone; the proofs of what is kept hold, and a note signed by the log says from where on it
/// is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionPolicy {
    /// Bytes of all segments together, in so far as closed ones can be removed for it.
    pub max_bytes: Option<u64>,
    /// Time since a segment was begun, counted from the start of the next.
    pub max_age: Option<Duration>,
}

impl RetentionPolicy {
    /// Keeps everything.
    #[must_use]
    pub fn forever() -> Self {
        Self::default()
    }

    /// Keeps no more bytes than these, if removing closed segments gets there.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Keeps no segment in which everything is older than this.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// How many of the closed segments are to be removed.
    pub(super) fn excess(&self, closed: &[Kept], active_bytes: u64) -> usize {
        let too_old = |number: usize| {
            let Some(age) = self.max_age else { return false };
            // All of it was written before the next one was begun.
            let end = closed.get(number + 1).map_or_else(SystemTime::now, |next| next.begun);
            end.elapsed().is_ok_and(|elapsed| elapsed > age)
        };
        let mut bytes = closed.iter().fold(active_bytes, |sum, kept| sum.saturating_add(kept.bytes));
        let mut gone = 0;
        for (number, kept) in closed.iter().enumerate() {
            let too_many = self.max_bytes.is_some_and(|max| bytes > max);
            if !too_many && !too_old(number) {
                break;
            }
            bytes = bytes.saturating_sub(kept.bytes);
            gone += 1;
        }
        gone
    }
}

/// A closed segment.
pub(super) struct Kept {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) begun: SystemTime,
}
