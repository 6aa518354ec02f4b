//! Slowing down whoever guesses.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

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
/// The keys themselves are not kept, since people type passwords where a name belongs; only their hashes, under a
/// random key. Of at most 65,536 at one time: then those that failed last are kept.
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
pub struct LoginThrottle {
    failures: Mutex<HashMap<Key, Failures>>,
    hashers: [RandomState; 2],
    clock: Arc<dyn Clock>,
}

type Key = [u64; 2];

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: SystemTime,
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);
const MOST: usize = 1 << 16;

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
        Self { failures: Mutex::default(), hashers: [RandomState::new(), RandomState::new()], clock }
    }

    /// May an attempt be made? If so it counts as failed until [`succeeded`](Self::succeeded) or
    /// [`not_made`](Self::not_made) says otherwise.
    pub fn attempt(&self, key: &str) -> Result<(), Throttled> {
        let now = self.clock.now();
        let mut failures = self.failures();
        make_room(&mut failures, now);
        let entry = failures.entry(self.key(key)).or_insert(Failures { count: 0, last: now });
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
        self.failures().remove(&self.key(key));
    }

    /// The last attempt told nothing to whoever made it, such as one that could not be looked at: it does not count.
    pub fn not_made(&self, key: &str) {
        if let Some(failures) = self.failures().get_mut(&self.key(key)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, key: &str) -> Key {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(key))
    }
}

/// Forgets what is a day old when there are too many, and of the rest the half that failed longest ago.
fn make_room(failures: &mut HashMap<Key, Failures>, now: SystemTime) {
    if failures.len() < MOST {
        return;
    }
    failures.retain(|_, failures| now.duration_since(failures.last).unwrap_or_default() < FORGOTTEN);
    if failures.len() < MOST {
        return;
    }
    let mut times: Vec<SystemTime> = failures.values().map(|failures| failures.last).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    failures.retain(|_, failures| failures.last > median);
}

impl fmt::Debug for LoginThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginThrottle").field("keys", &self.failures().len()).finish_non_exhaustive()
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
