//! [`Timer`] and its guard.

use std::time::{Duration, Instant};

use super::histogram::Histogram;
use super::snapshot::HistogramSnapshot;

/// A distribution of durations, kept in nanoseconds. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Timer {
    nanos: Histogram,
}

impl Timer {
    /// A timer of its own, that no monitor knows.
    #[must_use]
    pub fn detached() -> Self {
        Self { nanos: Histogram::detached() }
    }

    /// Records a duration that was measured elsewhere. More than 584 years count as so many.
    pub fn record(&self, took: Duration) {
        self.nanos.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Starts measuring; dropping the guard records.
    #[must_use = "dropping the guard at once records no time"]
    pub fn start(&self) -> TimerGuard {
        TimerGuard { timer: Some(self.clone()), started: Instant::now() }
    }

    /// How many durations were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.nanos.count()
    }

    /// The distribution so far, in nanoseconds.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        self.nanos.snapshot()
    }
}

/// Measures until it is dropped, also by a panic or an early return.
#[derive(Debug)]
pub struct TimerGuard {
    timer: Option<Timer>,
    started: Instant,
}

impl TimerGuard {
    /// Records now, and says what was recorded.
    pub fn stop(mut self) -> Duration {
        let took = self.started.elapsed();
        if let Some(timer) = self.timer.take() {
            timer.record(took);
        }
        took
    }

    /// Records nothing.
    pub fn discard(mut self) {
        self.timer = None;
    }
}

impl Drop for TimerGuard {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.record(self.started.elapsed());
        }
    }
}
