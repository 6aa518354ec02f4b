//! Where time comes from, so that tests need not sleep.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

/// A source of time.
///
/// Alerts go by [`now`](Self::now), which their readers know;
/// durations go by [`monotonic`](Self::monotonic), which setting the clock does not move.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn now(&self) -> SystemTime;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only when it is told to: for tests and simulations.
///
/// ```
/// use codegenie_monitor::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().duration_since(before).unwrap().as_secs(), 60);
/// ```
#[derive(Debug)]
pub struct ManualClock {
    start: SystemTime,
    passed: Mutex<Duration>,
}

impl ManualClock {
    /// A clock that stands at the present moment.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// A clock that stands at `start`.
    #[must_use]
    pub fn starting_at(start: SystemTime) -> Self {
        Self { start, passed: Mutex::new(Duration::ZERO) }
    }

    /// Moves the clock. A step past the last representable time is not taken.
    pub fn advance(&self, by: Duration) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let next = passed.saturating_add(by);
        if self.start.checked_add(next).is_some() {
            *passed = next;
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        // `advance` admits only sums that can be represented.
        self.start.checked_add(self.monotonic()).unwrap_or(self.start)
    }
    fn monotonic(&self) -> Duration {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
