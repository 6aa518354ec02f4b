//! Time as sessions see it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What time it is. Injected, so that tests need not sleep.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present.
    fn now(&self) -> SystemTime;
}

/// The machine's clock, which here never gains time for anybody: when the wall clock is set back,
/// this one goes on by the monotonic clock, so that no session lives longer for it.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    made: SystemTime,
    made_monotonic: Instant,
}

impl SystemClock {
    /// A clock that counts from now.
    #[must_use]
    pub fn new() -> Self {
        Self { made: SystemTime::now(), made_monotonic: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        let wall = SystemTime::now();
        // The monotonic clock stands still while the machine is suspended, and the wall clock does not.
        self.made.checked_add(self.made_monotonic.elapsed()).map_or(wall, |steady| wall.max(steady))
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock(Mutex<SystemTime>);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: SystemTime) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves on. Stands still where the time would not be representable.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(later) = now.checked_add(by) {
            *now = later;
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
