//! [`Histogram`]: an atomic log-linear histogram.
//!
//! The range of `u64` is cut into octaves, each octave into 64 buckets of one width. Values below
//! 128 have a bucket each; above, a bucket is at most 1/64 of its lower end wide, so its middle is
//! within 1/128 of every value in it.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::snapshot::HistogramSnapshot;

const SUB_BITS: u32 = 6;
const SUBS: usize = 1 << SUB_BITS;
/// One for the values below 64, and one for each higher bit.
const OCTAVES: usize = 64 - SUB_BITS as usize + 1;

type Octave = Box<[AtomicU64; SUBS]>;

/// A distribution of whole numbers: sizes, counts, nanoseconds. Cloning gives another handle to the
/// same distribution.
///
/// Memory is fixed: an octave of values takes 512 bytes once one of them comes, 30 KiB if all do,
/// however many values are recorded. Quantiles are within
/// [`MAX_RELATIVE_ERROR`](HistogramSnapshot::MAX_RELATIVE_ERROR) of the exact ones; count, sum,
/// smallest and largest are exact.
#[derive(Clone, Debug)]
pub struct Histogram {
    cell: Arc<Cell>,
}

#[derive(Debug)]
struct Cell {
    octaves: [OnceLock<Octave>; OCTAVES],
    sum_low: AtomicU64,
    sum_high: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
}

/// Octave and bucket of a value.
fn place(value: u64) -> (usize, usize) {
    match value.checked_ilog2() {
        Some(top) if top >= SUB_BITS => {
            let shift = top - SUB_BITS;
            // The bits below the top one; what is left above them is the top bit itself.
            let sub = (value >> shift) as usize & (SUBS - 1);
            (shift as usize + 1, sub)
        }
        _ => (0, value as usize),
    }
}

/// The value in the middle of a bucket, by the bucket's number over all octaves.
pub(super) fn middle(bucket: u16) -> u64 {
    let (octave, sub) = (usize::from(bucket) / SUBS, (usize::from(bucket) % SUBS) as u64);
    match octave.checked_sub(1) {
        None => sub,
        Some(shift) => ((SUBS as u64 + sub) << shift) + (((1_u64 << shift) - 1) >> 1),
    }
}

impl Histogram {
    /// A histogram of its own, that no monitor knows.
    #[must_use]
    pub fn detached() -> Self {
        Self {
            cell: Arc::new(Cell {
                octaves: array::from_fn(|_| OnceLock::new()),
                sum_low: AtomicU64::new(0),
                sum_high: AtomicU64::new(0),
                min: AtomicU64::new(u64::MAX),
                max: AtomicU64::new(0),
            }),
        }
    }

    /// Records one value.
    pub fn record(&self, value: u64) {
        let cell = &*self.cell;
        // Mostly the value is no new extreme: a load is cheaper than a read-modify-write.
        if value < cell.min.load(Ordering::Relaxed) {
            cell.min.fetch_min(value, Ordering::Relaxed);
        }
        if value > cell.max.load(Ordering::Relaxed) {
            cell.max.fetch_max(value, Ordering::Relaxed);
        }
        if cell.sum_low.fetch_add(value, Ordering::Relaxed).checked_add(value).is_none() {
            cell.sum_high.fetch_add(1, Ordering::Relaxed);
        }
        let (octave, sub) = place(value);
        if let Some(octave) = cell.octaves.get(octave) {
            let octave = octave.get_or_init(|| Box::new(array::from_fn(|_| AtomicU64::new(0))));
            if let Some(bucket) = octave.get(sub) {
                // Last, and released: who sees the count sees the extremes as well.
                bucket.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// How many values were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        let octaves = self.cell.octaves.iter().filter_map(OnceLock::get);
        octaves.flat_map(|octave| octave.iter()).map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// The distribution so far. Values that other threads record meanwhile may be in it or not.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut buckets = Vec::new();
        for (number, octave) in self.cell.octaves.iter().enumerate() {
            let Some(octave) = octave.get() else { continue };
            for (sub, bucket) in octave.iter().enumerate() {
                let count = bucket.load(Ordering::Acquire);
                if count > 0 {
                    // Fits: there are fewer than 4,000 buckets.
                    buckets.push(((number * SUBS + sub) as u16, count));
                }
            }
        }
        let sum = (u128::from(self.cell.sum_high.load(Ordering::Relaxed)) << 64)
            | u128::from(self.cell.sum_low.load(Ordering::Relaxed));
        HistogramSnapshot::from_parts(
            buckets,
            sum,
            self.cell.min.load(Ordering::Relaxed),
            self.cell.max.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bucket_and_the_middle_is_near() {
        let edges = (0..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + 1, power | power >> 1, power.wrapping_mul(2).wrapping_sub(1)]
        });
        for value in edges.chain(0..10_000).chain([u64::MAX, u64::MAX - 1]) {
            let (octave, sub) = place(value);
            assert!(octave < OCTAVES && sub < SUBS, "{value}");
            let middle = middle((octave * SUBS + sub) as u16);
            assert!(middle.abs_diff(value) as f64 <= value as f64 / 128.0, "{value}: {middle}");
        }
    }

    #[test]
    fn buckets_are_in_the_order_of_their_values() {
        let middles: Vec<u64> = (0..(OCTAVES * SUBS) as u16).map(middle).collect();
        assert!(middles.is_sorted_by(|a, b| a < b));
    }
}
