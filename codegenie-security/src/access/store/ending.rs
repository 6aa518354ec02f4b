//! The end of sessions, and that it lasts.

use std::sync::{Arc, PoisonError};

use super::super::persistence::PersistenceError;
use super::super::session::{Session, SessionError, SessionId};
use super::{Keeper, SessionStore};

/// How long an ended session is remembered, so that its holder is told what became of it.
const REMEMBERED_MS: u64 = 60 * 60 * 1000;
/// Each opening looks at this many of the sessions that are there, to forget ended ones.
const SWEPT_AT_ONCE: usize = 8;

impl SessionStore {
    /// Ends a session and all that are derived from it, at once. False when there is no such session, or it was
    /// revoked already.
    ///
    /// Where sessions are kept and the end cannot be stored, it has ended in this process all the same, and storing
    /// it is tried again when sessions are opened: see [`try_revoke`](Self::try_revoke) for a way to know.
    pub fn revoke(&self, id: SessionId) -> bool {
        self.end(id).is_ok_and(|(first, _)| first)
    }

    /// [Ends](Self::revoke) a session, and makes sure that it is stored that it has ended.
    pub fn try_revoke(&self, id: SessionId) -> Result<bool, SessionError> {
        let Ok((first, stored)) = self.end(id) else { return Ok(false) };
        stored.map_err(|error| SessionError::NotStored { id, reason: error.to_string() })?;
        Ok(first)
    }

    /// Whether it was the first to end it, and whether that is stored.
    fn end(&self, id: SessionId) -> Result<(bool, Result<(), PersistenceError>), SessionError> {
        let session = self.get(id).ok_or(SessionError::Unknown)?;
        let first = session.0.state.revoke(self.shared.now().1);
        Ok((first, self.keeper.remove(id, Some(&session))))
    }

    /// Ends all sessions of a user at once, and says how many were open that were not derived from others.
    ///
    /// Where sessions are kept and that cannot be stored, they have ended in this process all the same, and storing
    /// it is tried again when sessions are opened: see [`try_revoke_user`](Self::try_revoke_user).
    pub fn revoke_user(&self, user: &str) -> usize {
        let Some(user) = self.users.get(user).map(|user| Arc::clone(&user)) else { return 0 };
        // Held, so that none is opened meanwhile that is in neither generation.
        let mut roots = user.roots.lock().unwrap_or_else(PoisonError::into_inner);
        let open = roots.iter().filter(|id| self.is_open(**id)).count();
        user.generation.end(self.shared.now().1);
        for id in roots.drain(..) {
            // What cannot be removed now is noted there.
            let _ = self.keeper.remove(id, self.get(id).as_ref());
        }
        open
    }

    /// [Ends](Self::revoke_user) all sessions of a user, and makes sure that it is stored that they have ended. The
    /// error names one of which it is not, this user's or one that ended before.
    pub fn try_revoke_user(&self, user: &str) -> Result<usize, SessionError> {
        let open = self.revoke_user(user);
        self.keeper.remove_again(usize::MAX)?;
        Ok(open)
    }

    /// Forgets the sessions that ended more than an hour ago, also where they are kept. [`open`](Self::open) does so
    /// for a few at a time.
    pub fn forget_ended(&self) {
        let now = self.shared.now().1;
        let mut forgotten = Vec::new();
        self.sessions.retain(|id, session| {
            let is_forgotten = is_forgotten(session, now);
            if is_forgotten {
                forgotten.push(*id);
            }
            !is_forgotten
        });
        let mut to_sweep = self.to_sweep.lock().unwrap_or_else(PoisonError::into_inner);
        to_sweep.retain(|id| self.sessions.contains_key(id));
        drop(to_sweep);
        self.forget(forgotten);
    }

    /// Looks at a few sessions, so that each opening pays for a constant share and none stops the others.
    pub(super) fn sweep_some(&self) {
        let now = self.shared.now().1;
        let mut forgotten = Vec::new();
        let mut to_sweep = self.to_sweep.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..SWEPT_AT_ONCE.min(to_sweep.len()) {
            let Some(id) = to_sweep.pop_front() else { break };
            if self.sessions.remove_if(&id, |_, session| is_forgotten(session, now)).is_some() {
                forgotten.push(id);
            } else if self.sessions.contains_key(&id) {
                to_sweep.push_back(id);
            }
        }
        drop(to_sweep);
        self.forget(forgotten);
    }

    /// Removes the records of sessions that are gone, and of those where that failed before.
    fn forget(&self, ids: Vec<SessionId>) {
        for id in ids {
            let _ = self.keeper.remove(id, None);
        }
        let _ = self.keeper.remove_again(SWEPT_AT_ONCE);
    }
}

impl Keeper {
    /// Removes the record of a session that has ended. What fails is noted, and tried again.
    fn remove(&self, id: SessionId, session: Option<&Session>) -> Result<(), PersistenceError> {
        // Not while its labels are kept, which would bring it back. Whoever keeps them later sees that it has ended.
        let _held = session.map(|session| session.0.labels.hold_record());
        let removed = self.persistence.remove(id);
        let mut unremoved = self.unremoved.lock().unwrap_or_else(PoisonError::into_inner);
        match &removed {
            Ok(()) => unremoved.remove(&id),
            Err(_) => unremoved.insert(id),
        };
        removed
    }

    /// Tries again what failed, for some of them. The error is that of the first that fails still.
    fn remove_again(&self, most: usize) -> Result<(), SessionError> {
        let unremoved = self.unremoved.lock().unwrap_or_else(PoisonError::into_inner);
        let ids: Vec<_> = unremoved.iter().take(most).copied().collect();
        drop(unremoved);
        let mut all = Ok(());
        for id in ids {
            if let Err(error) = self.remove(id, None) {
                all = all.and(Err(SessionError::NotStored { id, reason: error.to_string() }));
            }
        }
        all
    }
}

fn is_forgotten(session: &Session, now: u64) -> bool {
    now >= session.0.state.ends_at().saturating_add(REMEMBERED_MS)
}
