//! Sessions that come back after a restart.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::super::narrowing::Narrowing;
use super::super::persistence::{PersistenceError, SessionPersistence, SessionRecord};
use super::super::session::{Session, SessionId};
use super::{Keeper, MAX_DEPTH, SessionStore};

/// By how much the clock may have been ahead when a session was opened or used.
const SKEW: Duration = Duration::from_secs(60);

impl SessionStore {
    /// Loads the sessions that were kept, and keeps those to come. To be called before any session is opened.
    ///
    /// One that ended meanwhile is left out and removed for good, with all that is derived from it; so is one that
    /// was opened or used more than a minute after now, since that was by a clock which was ahead and it would live
    /// longer for it. For how long one was idle is counted from its last use that was
    /// [stored](Self::store_use). Labels come back, levels do not.
    pub fn with_persistence(
        mut self,
        persistence: impl SessionPersistence + 'static,
    ) -> Result<Self, PersistenceError> {
        let loaded = persistence.load()?;
        let shared = Arc::get_mut(&mut self.shared).ok_or_else(|| {
            PersistenceError::new(
                "the store has sessions already; say where they are kept before any is opened",
            )
        })?;
        self.keeper = Keeper::new(persistence);
        shared.keeper = Arc::downgrade(&self.keeper);
        let mut records: HashMap<SessionId, SessionRecord> =
            loaded.into_iter().map(|record| (record.id, record)).collect();
        let mut ids: Vec<_> = records.keys().copied().collect();
        ids.sort();
        for id in &ids {
            self.restore(*id, &mut records, 0)?;
        }
        for id in ids {
            if !self.sessions.contains_key(&id) {
                self.keeper.persistence.remove(id)?;
            }
        }
        Ok(self)
    }

    /// Restores a session after those that it is derived from. One whose parent is gone is gone.
    fn restore(
        &self,
        id: SessionId,
        records: &mut HashMap<SessionId, SessionRecord>,
        depth: usize,
    ) -> Result<Option<Session>, PersistenceError> {
        if let Some(session) = self.sessions.get(&id) {
            return Ok(Some(session.clone()));
        }
        let Some(mut record) = records.remove(&id).filter(|_| depth < MAX_DEPTH) else {
            return Ok(None);
        };
        let parent = match record.parent {
            Some(parent) => match self.restore(parent, records, depth + 1)? {
                Some(parent) => Some(parent),
                None => return Ok(None),
            },
            None => None,
        };
        let (now, _) = self.shared.now();
        let latest = now.checked_add(SKEW).unwrap_or(now);
        if record.opened_at > latest || record.last_used > latest {
            return Ok(None);
        }
        record.last_used = record.last_used.min(now);
        let ends = record.idle.and_then(|idle| record.last_used.checked_add(idle));
        if record.expires_at <= now || ends.is_some_and(|ends| ends <= now) {
            return Ok(None);
        }
        let bad = |error: super::super::policy::PolicyError| PersistenceError::new(error.to_string());
        let narrowing = record.only.as_ref().map(Narrowing::parse).transpose().map_err(bad)?;
        let is_root = parent.is_none();
        let session = self.make(record, parent, narrowing);
        self.insert(&session);
        if is_root {
            let user = self.user(session.user());
            user.roots.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        }
        Ok(Some(session))
    }
}
