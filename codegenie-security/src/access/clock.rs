//! Time as sessions see it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What time it is. Injected, so that tests need not sleep.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present.
    fn now(&self) -> SystemTime;
}

/// The machine's clock, which here never gains time for anybody: it follows the wall clock ahead, and when that is set
/// back it goes on from where it was by the monotonic clock. So no session lives longer for it.
///
/// After the wall clock was ahead for a moment, this one stays ahead until the process ends. Clones go together.
#[derive(Clone, Debug)]
pub struct SystemClock(Arc<Anchor>);

#[derive(Debug)]
struct Anchor {
    made: SystemTime,
    made_monotonic: Instant,
    /// By how much the wall clock has got ahead of the monotonic one at most, in nanoseconds.
    ahead: AtomicU64,
}

impl SystemClock {
    /// A clock that counts from now.
    #[must_use]
    pub fn new() -> Self {
        let (made, made_monotonic) = (SystemTime::now(), Instant::now());
        Self(Arc::new(Anchor { made, made_monotonic, ahead: AtomicU64::new(0) }))
    }
}

impl Anchor {
    /// The time when the two clocks show this.
    fn time(&self, wall: SystemTime, elapsed: Duration) -> SystemTime {
        // The monotonic clock stands still while the machine is suspended, and the wall clock does not.
        let by_wall = wall.duration_since(self.made).unwrap_or_default();
        let ahead = u64::try_from(by_wall.saturating_sub(elapsed).as_nanos()).unwrap_or(u64::MAX);
        let most = self.ahead.load(Ordering::Relaxed);
        // Written only when it grows, so that threads which look at the time at once do not wait for each other.
        let most =
            if ahead > most { self.ahead.fetch_max(ahead, Ordering::Relaxed).max(ahead) } else { most };
        elapsed
            .checked_add(Duration::from_nanos(most))
            .and_then(|since| self.made.checked_add(since))
            .unwrap_or(wall)
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        // In this order: what comes between them makes the wall clock look behind, and never ahead for good.
        let wall = SystemTime::now();
        self.0.time(wall, self.0.made_monotonic.elapsed())
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

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: Duration = Duration::from_secs(1_800_000_000);

    /// The time that is shown, in seconds since it was made, at each reading of the wall clock and the monotonic one.
    fn shown(readings: &[(i64, u64)]) -> Vec<u64> {
        let made = SystemTime::UNIX_EPOCH + MADE;
        let anchor = Anchor { made, made_monotonic: Instant::now(), ahead: AtomicU64::new(0) };
        let second = |(wall, elapsed): &(i64, u64)| {
            let wall =
                SystemTime::UNIX_EPOCH + Duration::from_secs(MADE.as_secs().saturating_add_signed(*wall));
            anchor.time(wall, Duration::from_secs(*elapsed)).duration_since(made).unwrap().as_secs()
        };
        readings.iter().map(second).collect()
    }

    #[test]
    fn a_wall_clock_that_goes_right_is_followed() {
        assert_eq!(shown(&[(0, 0), (5, 5), (60, 60)]), [0, 5, 60]);
        assert_eq!(shown(&[(5, 5), (3600, 10), (3605, 15)]), [5, 3600, 3605], "the machine was suspended");
    }

    #[test]
    fn a_wall_clock_that_is_set_back_gives_no_time_away() {
        assert_eq!(shown(&[(5, 5), (-9999, 6), (-9990, 15), (20, 20)]), [5, 6, 15, 20]);
        // Ahead by a day for a moment: what is opened then and lasts a minute ends a minute later.
        assert_eq!(shown(&[(5, 5), (86_400, 6), (7, 7), (66, 66)]), [5, 86_400, 86_401, 86_460]);
        assert_eq!(shown(&[(1000, 0), (0, 0), (1000, 100)]), [1000, 1000, 1100], "nor does it stand still");
    }
}
