//! [`HistogramSnapshot`]: a distribution at one moment.

use super::histogram::middle;

/// A distribution at one moment: mergeable without loss, whichever threads, machines or times the
/// parts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Bucket number and count, ascending, no count zero.
    buckets: Vec<(u16, u64)>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Default for HistogramSnapshot {
    fn default() -> Self {
        Self::from_parts(Vec::new(), 0, u64::MAX, 0)
    }
}

impl HistogramSnapshot {
    /// How far a quantile may be from the exact one, as a share of the exact one.
    pub const MAX_RELATIVE_ERROR: f64 = 1.0 / 128.0;

    pub(super) fn from_parts(buckets: Vec<(u16, u64)>, sum: u128, min: u64, max: u64) -> Self {
        let count = buckets.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        Self { buckets, count, sum, min, max }
    }

    /// How many values were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// Their mean; `None` when there are none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The smallest value.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest value.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// The value that a share `q` of the values does not exceed (nearest rank), within
    /// [`MAX_RELATIVE_ERROR`](Self::MAX_RELATIVE_ERROR). `None` when there are no values or `q` is
    /// not between 0 and 1.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if self.count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut seen = 0_u64;
        for (bucket, count) in &self.buckets {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Some(middle(*bucket).clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    /// Adds the values of another distribution: the same as if all had been recorded in one.
    pub fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (std::mem::take(&mut self.buckets), &other.buckets);
        let mut merged = Vec::with_capacity(mine.len().max(theirs.len()));
        let (mut mine, mut theirs) = (mine.into_iter().peekable(), theirs.iter().copied().peekable());
        while let Some(next) = match (mine.peek(), theirs.peek()) {
            (Some(a), Some(b)) if a.0 == b.0 => {
                let sum = (a.0, a.1.saturating_add(b.1));
                theirs.next();
                mine.next();
                Some(sum)
            }
            (Some(a), Some(b)) if a.0 > b.0 => theirs.next(),
            (None, _) => theirs.next(),
            _ => mine.next(),
        } {
            merged.push(next);
        }
        *self = Self::from_parts(
            merged,
            self.sum.saturating_add(other.sum),
            self.min.min(other.min),
            self.max.max(other.max),
        );
    }
}
