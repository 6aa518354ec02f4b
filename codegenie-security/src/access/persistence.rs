//! Where sessions are kept beyond the process.

#[cfg(feature = "crypto")]
mod file;
mod record;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

#[cfg(feature = "crypto")]
pub use file::FileSessions;
pub use record::SessionRecord;

use super::session::SessionId;

/// Keeps sessions, so that they outlive the process. Called on the path of opening and ending; what returns
/// `Ok` is kept.
pub trait SessionPersistence: Send + Sync {
    /// All that is kept, in any order.
    fn load(&self) -> Result<Vec<SessionRecord>, PersistenceError>;

    /// Keeps a session, or what is new about it: its labels.
    fn put(&self, record: &SessionRecord) -> Result<(), PersistenceError>;

    /// Forgets a session. That there is none is no error.
    fn remove(&self, id: SessionId) -> Result<(), PersistenceError>;

    /// Notes when a session was last used, unless what is noted is less than `at_least` before that. One that is not
    /// kept, or no longer, is left so.
    fn touch(&self, id: SessionId, now: SystemTime, at_least: Duration) -> Result<(), PersistenceError> {
        let _ = (id, now, at_least);
        Ok(())
    }
}

/// What a store of sessions could not do: one lowercase line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PersistenceError(String);

impl PersistenceError {
    /// Says what failed, where, and what to do.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Keeps nothing.
pub(super) struct NoPersistence;

impl SessionPersistence for NoPersistence {
    fn load(&self) -> Result<Vec<SessionRecord>, PersistenceError> {
        Ok(Vec::new())
    }
    fn put(&self, _record: &SessionRecord) -> Result<(), PersistenceError> {
        Ok(())
    }
    fn remove(&self, _id: SessionId) -> Result<(), PersistenceError> {
        Ok(())
    }
}

/// Keeps sessions in memory: for tests, and for hosts that hand them from one store to the next.
#[derive(Debug, Default)]
pub struct MemorySessions(Mutex<std::collections::BTreeMap<SessionId, SessionRecord>>);

impl MemorySessions {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut std::collections::BTreeMap<SessionId, SessionRecord>) -> T,
    ) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SessionPersistence for MemorySessions {
    fn load(&self) -> Result<Vec<SessionRecord>, PersistenceError> {
        Ok(self.with(|records| records.values().cloned().collect()))
    }
    fn put(&self, record: &SessionRecord) -> Result<(), PersistenceError> {
        self.with(|records| records.insert(record.id, record.clone()));
        Ok(())
    }
    fn remove(&self, id: SessionId) -> Result<(), PersistenceError> {
        self.with(|records| records.remove(&id));
        Ok(())
    }
    fn touch(&self, id: SessionId, now: SystemTime, at_least: Duration) -> Result<(), PersistenceError> {
        self.with(|records| {
            if let Some(record) = records.get_mut(&id) {
                record.touch(now, at_least);
            }
        });
        Ok(())
    }
}

impl<T: SessionPersistence + ?Sized> SessionPersistence for std::sync::Arc<T> {
    fn load(&self) -> Result<Vec<SessionRecord>, PersistenceError> {
        (**self).load()
    }
    fn put(&self, record: &SessionRecord) -> Result<(), PersistenceError> {
        (**self).put(record)
    }
    fn remove(&self, id: SessionId) -> Result<(), PersistenceError> {
        (**self).remove(id)
    }
    fn touch(&self, id: SessionId, now: SystemTime, at_least: Duration) -> Result<(), PersistenceError> {
        (**self).touch(id, now, at_least)
    }
}
