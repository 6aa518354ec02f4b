//! Where sessions live: in memory, by public id, with the hash of the token.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;
use subtle::ConstantTimeEq;

use super::clock::{Clock, SystemClock};
use super::narrowing::{Attenuation, Narrowing};
use super::persistence::{NoPersistence, PersistenceError, SessionPersistence, SessionRecord};
use super::session::{Inner, OpenSessionError, Session, SessionError, SessionId, SessionRequest};
use super::state::{Beginning, Ended, Generation, State, StateRef};
use super::token::{self, SessionToken};

/// How long an ended session is remembered, so that its holder is told what became of it.
const REMEMBERED_MS: u64 = 60 * 60 * 1000;
/// Each opening looks at this many of the sessions that are there, to forget ended ones.
const SWEPT_AT_ONCE: usize = 8;
/// Sessions from before the store was made, by this much at most, have their place in its time.
const BEFORE: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// A session is derived from one that is derived, and so on, at most so often.
const MAX_DEPTH: usize = 16;

/// Sessions in memory, shared by all threads. Most hosts use it through
/// [`AccessControl`](crate::AccessControl), which takes the roles from the policy.
///
/// Of a token only a SHA-256 is kept. The first half of it is the public id and finds the session;
/// the whole is compared in constant time. A token has 256 random bits, so its hash gives nothing
/// away.
///
/// Sessions end with the process, unless a [`SessionPersistence`] keeps them.
pub struct SessionStore {
    sessions: DashMap<SessionId, Session>,
    users: DashMap<String, Arc<UserSessions>>,
    shared: Arc<Shared>,
    most_of_user: usize,
    /// Ids in the order of opening, of which a few are looked at by each opening.
    to_sweep: Mutex<std::collections::VecDeque<SessionId>>,
    persistence: Box<dyn SessionPersistence>,
}

/// What all sessions of a store have in common.
pub(super) struct Shared {
    clock: Arc<dyn Clock>,
    /// From when milliseconds are counted: so long ago that sessions which are kept were used later.
    made: SystemTime,
}

impl Shared {
    /// The time, and the milliseconds since the store was made.
    pub(super) fn now(&self) -> (SystemTime, u64) {
        let now = self.clock.now();
        (now, self.millis(now))
    }

    fn millis(&self, time: SystemTime) -> u64 {
        let since = time.duration_since(self.made).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The sessions of one user.
#[derive(Debug)]
struct UserSessions {
    generation: Generation,
    /// Ids of roots, ended ones as long as nobody opens another.
    roots: Mutex<Vec<SessionId>>,
}

impl SessionStore {
    /// An empty store over the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::new()))
    }

    /// An empty store over another clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let made = now.checked_sub(BEFORE).unwrap_or(now);
        Self {
            sessions: DashMap::new(),
            users: DashMap::new(),
            shared: Arc::new(Shared { clock, made }),
            most_of_user: usize::MAX,
            to_sweep: Mutex::default(),
            persistence: Box::new(NoPersistence),
        }
    }

    /// A user has at most so many sessions that were not derived from others; further ones are refused.
    #[must_use]
    pub fn max_sessions_of_user(mut self, most: usize) -> Self {
        self.most_of_user = most;
        self
    }

    /// Loads the sessions that were kept, and keeps those to come. One that ended meanwhile is left out; for
    /// how long one was idle is counted from its last use that was stored.
    pub fn with_persistence(
        mut self,
        persistence: impl SessionPersistence + 'static,
    ) -> Result<Self, PersistenceError> {
        let mut records: HashMap<SessionId, SessionRecord> =
            persistence.load()?.into_iter().map(|record| (record.id, record)).collect();
        self.persistence = Box::new(persistence);
        let mut ids: Vec<_> = records.keys().copied().collect();
        ids.sort();
        for id in ids {
            self.restore(id, &mut records, 0)?;
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
        let Some(record) = records.remove(&id).filter(|_| depth < MAX_DEPTH) else {
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
        let ends = record.idle.and_then(|idle| record.last_used.checked_add(idle));
        if record.expires_at <= now || ends.is_some_and(|ends| ends <= now) {
            return Ok(None);
        }
        let bad = |error: super::policy::PolicyError| PersistenceError::new(error.to_string());
        let narrowing = record.only.as_ref().map(Narrowing::parse).transpose().map_err(bad)?;
        let session = self.make(record, parent, narrowing);
        self.insert(&session);
        Ok(Some(session))
    }

    /// Opens a session. The roles are taken as the request names them, none if it names none:
    /// checking that the user is given them is the caller's part.
    ///
    /// The token is returned here and never again.
    pub fn open(&self, request: SessionRequest) -> Result<(SessionToken, Session), OpenSessionError> {
        let (now, _) = self.shared.now();
        let too_long = || OpenSessionError::LifetimeTooLong { lifetime: request.lifetime };
        let expires_at = now.checked_add(request.lifetime).ok_or_else(too_long)?;
        let user = self.user(&request.user);
        let mut roots = user.roots.lock().unwrap_or_else(PoisonError::into_inner);
        // Ended ones are cleared away where they would count, and now and then.
        if roots.len() >= self.most_of_user || (roots.len() >= 64 && roots.len().is_power_of_two()) {
            roots.retain(|id| self.is_open(*id));
            if roots.len() >= self.most_of_user {
                return Err(OpenSessionError::TooManySessions {
                    user: request.user,
                    most: self.most_of_user,
                });
            }
        }
        let mut labels = request.labels;
        labels.sort();
        labels.dedup();
        let (token, record) = self.record(|id, token_hash| SessionRecord {
            id,
            token_hash,
            parent: None,
            user: request.user,
            agent: request.agent,
            roles: request.roles.unwrap_or_default(),
            tags: request.tags,
            labels: labels.iter().map(ToString::to_string).collect(),
            only: None,
            max_level: u8::MAX,
            opened_at: now,
            expires_at,
            idle: request.idle,
            last_used: now,
        })?;
        let session = self.make(record, None, None);
        self.insert(&session);
        roots.push(session.id());
        drop(roots);
        self.sweep_some();
        Ok((token, session))
    }

    /// Derives a narrower session from one that is open.
    pub fn attenuate(
        &self,
        parent: &Session,
        attenuation: Attenuation,
    ) -> Result<(SessionToken, Session), OpenSessionError> {
        self.check(parent).map_err(OpenSessionError::Parent)?;
        let wider = |why: String| OpenSessionError::Wider { why };
        if parent.line().count() >= MAX_DEPTH {
            return Err(wider(format!("the session is the last of a line of {MAX_DEPTH}")));
        }
        let roles = match attenuation.roles {
            None => parent.roles().to_vec(),
            Some(roles) => match roles.iter().find(|role| !parent.roles().contains(role)) {
                Some(role) => return Err(wider(format!("its parent does not act in role {role:?}"))),
                None => roles,
            },
        };
        let (now, _) = self.shared.now();
        let expires_at = attenuation.lifetime.and_then(|lifetime| now.checked_add(lifetime));
        let expires_at = expires_at.map_or(parent.expires_at(), |end| end.min(parent.expires_at()));
        let (token, record) = self.record(|id, token_hash| SessionRecord {
            id,
            token_hash,
            parent: Some(parent.id()),
            user: parent.user().to_owned(),
            agent: attenuation.agent.or_else(|| parent.agent().map(str::to_owned)),
            roles,
            tags: parent.tags().to_vec(),
            labels: Vec::new(),
            only: attenuation.only.as_ref().map(|only| only.texts().to_vec()),
            max_level: attenuation.most_level.unwrap_or(u8::MAX),
            opened_at: now,
            expires_at,
            idle: attenuation.idle,
            last_used: now,
        })?;
        let session = self.make(record, Some(parent.clone()), attenuation.only);
        self.insert(&session);
        self.sweep_some();
        Ok((token, session))
    }

    /// A token, and a record that is stored before anybody is told.
    fn record(
        &self,
        record: impl FnOnce(SessionId, [u8; 32]) -> SessionRecord,
    ) -> Result<(SessionToken, SessionRecord), OpenSessionError> {
        let token = SessionToken::generate().map_err(|_| OpenSessionError::NoRandomness)?;
        let token_hash = token::hash(token.expose());
        let record = record(id_of(&token_hash), token_hash);
        let stored = self.persistence.put(&record);
        stored.map_err(|error| OpenSessionError::NotStored { reason: error.to_string() })?;
        Ok((token, record))
    }

    fn make(&self, record: SessionRecord, parent: Option<Session>, narrowing: Option<Narrowing>) -> Session {
        let generation = self.user(&record.user).generation.clone();
        let beginning = Beginning {
            last_used: self.shared.millis(record.last_used),
            expires_at: self.shared.millis(record.expires_at),
            idle: record.idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)),
            most_level: record.max_level,
        };
        let labels = match &parent {
            Some(parent) => Arc::clone(&parent.0.labels),
            None => {
                let labels = record.labels.iter().map(|label| Arc::from(label.as_str())).collect();
                Arc::new(ArcSwap::from_pointee(labels))
            }
        };
        let state =
            State::new(beginning, generation, parent.as_ref().map(|parent| StateRef::clone(&parent.0.state)));
        Session(Arc::new(Inner {
            id: record.id,
            user: record.user,
            agent: record.agent,
            roles: record.roles,
            tags: record.tags,
            opened_at: record.opened_at,
            expires_at: record.expires_at,
            parent,
            narrowing,
            labels,
            state,
            token_hash: record.token_hash,
            idle: record.idle,
            store: Arc::clone(&self.shared),
            standing: ArcSwapOption::empty(),
        }))
    }

    fn insert(&self, session: &Session) {
        self.sessions.insert(session.id(), session.clone());
        self.to_sweep.lock().unwrap_or_else(PoisonError::into_inner).push_back(session.id());
    }

    fn user(&self, user: &str) -> Arc<UserSessions> {
        if let Some(known) = self.users.get(user) {
            return Arc::clone(&known);
        }
        let new = || Arc::new(UserSessions { generation: Generation::new(), roots: Mutex::default() });
        Arc::clone(&self.users.entry(user.to_owned()).or_insert_with(new))
    }

    /// The open session of a token: a [`SessionToken`], or its text.
    pub fn validate(&self, token: impl AsRef<str>) -> Result<Session, SessionError> {
        let hash = token::hash(token.as_ref());
        let session = self.sessions.get(&id_of(&hash)).ok_or(SessionError::Unknown)?.clone();
        if !bool::from(session.0.token_hash.ct_eq(&hash)) {
            return Err(SessionError::Unknown);
        }
        let now = self.shared.now().1;
        check_state(&session, now)?;
        session.0.state.touch(now);
        Ok(session)
    }

    /// Is a session that was validated earlier still open? Does not count as use.
    pub fn check(&self, session: &Session) -> Result<(), SessionError> {
        self.check_at(session, self.shared.now().1)
    }

    pub(super) fn check_at(&self, session: &Session, now: u64) -> Result<(), SessionError> {
        // Another store may hold another session; an id alone proves nothing.
        if !Arc::ptr_eq(&session.0.store, &self.shared) {
            return Err(SessionError::Unknown);
        }
        check_state(session, now)
    }

    pub(super) fn now(&self) -> (SystemTime, u64) {
        self.shared.now()
    }

    /// The session of this id, ended or not, while it is remembered.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).map(|session| session.clone())
    }

    fn is_open(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| check_state(&session, self.shared.now().1).is_ok())
    }

    /// Ends a session and all that are derived from it, at once. False when there is no such session, or it was
    /// revoked already.
    ///
    /// Where sessions are kept and the end cannot be stored, it has ended in this process all the same: see
    /// [`try_revoke`](Self::try_revoke) for a way to know.
    pub fn revoke(&self, id: SessionId) -> bool {
        let Some(session) = self.get(id) else { return false };
        let first = session.0.state.revoke();
        let _ = self.persistence.remove(id);
        first
    }

    /// [Ends](Self::revoke) a session, and makes sure that it is stored that it has ended.
    pub fn try_revoke(&self, id: SessionId) -> Result<bool, SessionError> {
        let Some(session) = self.get(id) else { return Ok(false) };
        let first = session.0.state.revoke();
        match self.persistence.remove(id) {
            Ok(()) => Ok(first),
            Err(error) => Err(SessionError::NotStored { id, reason: error.to_string() }),
        }
    }

    /// Ends all sessions of a user at once, and says how many were open that were not derived from others.
    pub fn revoke_user(&self, user: &str) -> usize {
        let Some(user) = self.users.get(user).map(|user| Arc::clone(&user)) else { return 0 };
        let mut roots = user.roots.lock().unwrap_or_else(PoisonError::into_inner);
        let open: Vec<_> = roots.drain(..).filter(|id| self.is_open(*id)).collect();
        user.generation.end();
        for id in &open {
            let _ = self.persistence.remove(*id);
        }
        open.len()
    }

    /// Forgets the sessions that ended more than an hour ago. [`open`](Self::open) does so for a few at a
    /// time.
    pub fn forget_ended(&self) {
        let now = self.shared.now().1;
        self.sessions.retain(|_, session| !is_forgotten(session, now));
        let mut to_sweep = self.to_sweep.lock().unwrap_or_else(PoisonError::into_inner);
        to_sweep.retain(|id| self.sessions.contains_key(id));
    }

    /// How many sessions are remembered, ended ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Is no session remembered?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Stores when a session was last used, where it ends by idleness and that is worth a write: at most four
    /// times in the time that it may be idle. For hosts that keep sessions, after [`validate`](Self::validate).
    pub fn store_use(&self, session: &Session) -> Result<(), PersistenceError> {
        let Some(idle) = session.0.idle else { return Ok(()) };
        let (now, millis) = self.shared.now();
        let used = Duration::from_millis(millis.saturating_sub(session.0.state.last_used()));
        if used > idle / 4 {
            return Ok(());
        }
        self.persistence.touch(session.id(), now, idle / 4)
    }

    /// Looks at a few sessions, so that each opening pays for a constant share and none stops the others.
    fn sweep_some(&self) {
        let now = self.shared.now().1;
        let mut to_sweep = self.to_sweep.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..SWEPT_AT_ONCE.min(to_sweep.len()) {
            let Some(id) = to_sweep.pop_front() else { break };
            let forgotten = self.sessions.remove_if(&id, |_, session| is_forgotten(session, now)).is_some();
            if !forgotten && self.sessions.contains_key(&id) {
                to_sweep.push_back(id);
            }
            if forgotten {
                let _ = self.persistence.remove(id);
            }
        }
    }
}

fn check_state(session: &Session, now: u64) -> Result<(), SessionError> {
    let id = session.id();
    session.0.state.check(now).map_err(|ended| match ended {
        Ended::Expired => SessionError::Expired { id },
        Ended::Revoked => SessionError::Revoked { id },
    })
}

fn is_forgotten(session: &Session, now: u64) -> bool {
    now >= session.0.state.ends_at().saturating_add(REMEMBERED_MS)
}

fn id_of(token_hash: &[u8; 32]) -> SessionId {
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(token_hash) {
        *to = *from;
    }
    SessionId(id)
}

impl Default for SessionStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStore").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
