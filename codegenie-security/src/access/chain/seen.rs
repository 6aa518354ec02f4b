//! What remembers that a chain was used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::super::persistence::PersistenceError;
use super::block::RevocationId;

/// Remembers which chains that count once were used: one for all verifiers of an audience. For hosts that keep it
/// in a database, say, so that it outlives the process; [`SeenOnce`] does not.
pub trait ChainMemory: Send + Sync {
    /// Is this the first use of what goes by this id? From then on it is not, at least while `now` is before `until`.
    ///
    /// Of several calls at once, for one id, one at most is told that it is the first. The `until` of the first
    /// counts: no later call makes it be forgotten earlier. An error is for what could not be kept, and is a refusal.
    fn is_first_use(
        &self,
        id: RevocationId,
        until: SystemTime,
        now: SystemTime,
    ) -> Result<bool, PersistenceError>;
}

impl<T: ChainMemory + ?Sized> ChainMemory for Arc<T> {
    fn is_first_use(
        &self,
        id: RevocationId,
        until: SystemTime,
        now: SystemTime,
    ) -> Result<bool, PersistenceError> {
        (**self).is_first_use(id, until, now)
    }
}

/// Remembers chains that count once in memory, until their time is over.
///
/// It ends with the process: after a restart, a chain whose time is not over counts once more. Where that matters,
/// keep it elsewhere, by a [`ChainMemory`] of your own, or issue chains that end soon.
#[derive(Debug, Default)]
pub struct SeenOnce(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    until: HashMap<RevocationId, SystemTime>,
    /// Cleared when there are so many.
    clear_at: usize,
}

const CLEARED_AT_LEAST: usize = 64;

impl SeenOnce {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl ChainMemory for SeenOnce {
    fn is_first_use(
        &self,
        id: RevocationId,
        until: SystemTime,
        now: SystemTime,
    ) -> Result<bool, PersistenceError> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.until.get_mut(&id) {
            *known = until.max(*known);
            return Ok(false);
        }
        // When it has doubled: each use pays for a constant share.
        if seen.until.len() >= seen.clear_at.max(CLEARED_AT_LEAST) {
            seen.until.retain(|_, until| *until > now);
            seen.clear_at = 2 * seen.until.len();
        }
        seen.until.insert(id, until);
        Ok(true)
    }
}
