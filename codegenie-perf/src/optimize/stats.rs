//! What the calls of each operation cost and saved.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Statistics of one operation name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationStats {
    /// Calls begun.
    pub calls: u64,
    /// Calls answered from the cache.
    pub hits: u64,
    /// Calls for which the operation was run.
    pub misses: u64,
    /// Runs that returned an error.
    pub errors: u64,
    /// Reads or writes of the cache that failed; the values were computed or returned all the same.
    pub cache_errors: u64,
    /// Values that the codec could not encode or decode; likewise.
    pub codec_errors: u64,
    /// Runs that returned a value.
    pub computed: u64,
    /// How long those runs took together. For an async operation: from the first poll to the end.
    pub compute_time: Duration,
    /// How long answering from the cache took, decoding included.
    pub hit_time: Duration,
}

impl OperationStats {
    /// How long a run that returned a value took on average; `None` before the first.
    #[must_use]
    pub fn mean_compute_time(&self) -> Option<Duration> {
        let nanos = self.compute_time.as_nanos().checked_div(u128::from(self.computed))?;
        Some(nanos_to_duration(nanos))
    }

    /// Hits as a share of the calls that ended in one or a run, 0 to 1; `None` before the first.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let answered = self.hits.checked_add(self.misses).filter(|answered| *answered > 0)?;
        Some(self.hits as f64 / answered as f64)
    }

    /// An estimate of the time that hits saved: as many mean compute times as there were hits, less
    /// what the hits took; zero when that is negative. `None` before the first measured run.
    ///
    /// It holds as far as the calls that hit would have cost what the calls that ran did cost.
    #[must_use]
    pub fn estimated_time_saved(&self) -> Option<Duration> {
        let nanos = self
            .compute_time
            .as_nanos()
            .saturating_mul(u128::from(self.hits))
            .checked_div(u128::from(self.computed))?;
        Some(nanos_to_duration(nanos).saturating_sub(self.hit_time))
    }
}

fn nanos_to_duration(nanos: u128) -> Duration {
    u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
}

#[derive(Debug, Default)]
pub(super) struct Cell {
    calls: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    errors: AtomicU64,
    cache_errors: AtomicU64,
    codec_errors: AtomicU64,
    computed: AtomicU64,
    compute_nanos: AtomicU64,
    hit_nanos: AtomicU64,
}

impl Cell {
    pub(super) fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn hit(&self, took: Duration) {
        self.hits.fetch_add(1, Ordering::Relaxed);
        self.hit_nanos.fetch_add(nanos(took), Ordering::Relaxed);
    }
    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn computed(&self, took: Duration) {
        self.computed.fetch_add(1, Ordering::Relaxed);
        self.compute_nanos.fetch_add(nanos(took), Ordering::Relaxed);
    }
    pub(super) fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn cache_error(&self) {
        self.cache_errors.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn codec_error(&self) {
        self.codec_errors.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> OperationStats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        OperationStats {
            calls: of(&self.calls),
            hits: of(&self.hits),
            misses: of(&self.misses),
            errors: of(&self.errors),
            cache_errors: of(&self.cache_errors),
            codec_errors: of(&self.codec_errors),
            computed: of(&self.computed),
            compute_time: Duration::from_nanos(of(&self.compute_nanos)),
            hit_time: Duration::from_nanos(of(&self.hit_nanos)),
        }
    }
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

/// Operation name → its counts, for a bounded number of names.
#[derive(Debug, Default)]
pub(super) struct Table {
    cells: RwLock<BTreeMap<Arc<str>, Arc<Cell>>>,
}

impl Table {
    /// More names than this share one line: somebody puts into names what belongs into keys.
    pub(super) const MOST_NAMES: usize = 1024;
    pub(super) const OTHERS: &'static str = "(other operations)";

    pub(super) fn cell(&self, name: &str) -> Arc<Cell> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get(name) {
            return Arc::clone(cell);
        }
        drop(cells);
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        let known = cells.contains_key(name) || cells.len() < Self::MOST_NAMES;
        let name = if known { name } else { Self::OTHERS };
        Arc::clone(cells.entry(name.into()).or_default())
    }

    pub(super) fn get(&self, name: &str) -> Option<OperationStats> {
        self.cells.read().unwrap_or_else(PoisonError::into_inner).get(name).map(|cell| cell.read())
    }

    pub(super) fn all(&self) -> BTreeMap<Arc<str>, OperationStats> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells.iter().map(|(name, cell)| (Arc::clone(name), cell.read())).collect()
    }
}
