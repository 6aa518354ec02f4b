//! Slowing down whoever guesses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use dashmap::DashMap;

use super::clock::{Clock, SystemClock};

/// Too many failures: nothing is to be tried before this time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many failed attempts; try again in {} s", retry_after.as_secs().max(1))]
pub struct Throttled {
    retry_after: Duration,
}

impl Throttled {
    /// How long to wait.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

/// Counts failed attempts by a key of the host's, such as a user's name or an address, and makes each
/// further failure wait longer.
///
/// The first few failures are free; after that the wait doubles with each, up to an hour. A success, or
/// a day without a failure, forgets them. An attempt counts as failed from its beginning, so that many at
/// once are not let through before the first has failed.
///
/// Whoever can fail in another's name can lock that one out: for names that strangers may use, throttle by
/// address as well, and let an open session in.
///
/// ```
/// use codegenie_security::LoginThrottle;
///
/// let throttle = LoginThrottle::new();
/// for _ in 0..LoginThrottle::FREE_FAILURES {
///     throttle.attempt("alice")?; // and the password was wrong
/// }
/// assert!(throttle.attempt("alice").is_err());
/// throttle.succeeded("alice");
/// assert!(throttle.attempt("alice").is_ok());
/// # Ok::<(), codegenie_security::Throttled>(())
/// ```
#[derive(Debug)]
pub struct LoginThrottle {
    failures: DashMap<String, Failures>,
    clock: Arc<dyn Clock>,
    sweep_at: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: SystemTime,
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);
const SWEEP_FROM: usize = 1024;
/// Longer keys are cut, so that strangers do not fill the memory.
const MAX_KEY: usize = 256;

impl LoginThrottle {
    /// So many failures are free.
    pub const FREE_FAILURES: u32 = 5;

    /// No failures yet, by the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::new()))
    }

    /// No failures yet, by another clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { failures: DashMap::new(), clock, sweep_at: AtomicUsize::new(SWEEP_FROM) }
    }

    /// May an attempt be made? If so it counts as failed until [`succeeded`](Self::succeeded) says otherwise.
    pub fn attempt(&self, key: &str) -> Result<(), Throttled> {
        let now = self.clock.now();
        self.sweep_if_due(now);
        let mut entry = self.failures.entry(cut(key)).or_insert(Failures { count: 0, last: now });
        let since = now.duration_since(entry.last).unwrap_or_default();
        if since >= FORGOTTEN {
            entry.count = 0;
        }
        let wait = wait_after(entry.count);
        if since < wait {
            return Err(Throttled { retry_after: wait - since });
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
        Ok(())
    }

    /// Forgets the failures of a key.
    pub fn succeeded(&self, key: &str) {
        self.failures.remove(&cut(key));
    }

    /// Forgets what is a day old, when the keys have doubled since the last time.
    fn sweep_if_due(&self, now: SystemTime) {
        if self.failures.len() >= self.sweep_at.load(Ordering::Relaxed) {
            self.sweep_at.store(usize::MAX, Ordering::Relaxed);
            self.failures
                .retain(|_, failures| now.duration_since(failures.last).unwrap_or_default() < FORGOTTEN);
            let next = self.failures.len().saturating_mul(2).max(SWEEP_FROM);
            self.sweep_at.store(next, Ordering::Relaxed);
        }
    }
}

impl Default for LoginThrottle {
    fn default() -> Self {
        Self::new()
    }
}

fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(LoginThrottle::FREE_FAILURES) {
        None => Duration::ZERO,
        Some(more) => FIRST_WAIT.saturating_mul(1 << more.min(20)).min(LONGEST_WAIT),
    }
}

fn cut(key: &str) -> String {
    let end = (0..=MAX_KEY.min(key.len())).rev().find(|end| key.is_char_boundary(*end)).unwrap_or(0);
    key.get(..end).unwrap_or_default().to_owned()
}
