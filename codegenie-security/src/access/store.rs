//! Where sessions live: in memory, by public id, with the hash of the token.

mod ending;
mod restore;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use subtle::ConstantTimeEq;

use super::clock::{Clock, SystemClock};
use super::labels::Labels;
use super::narrowing::{Attenuation, Narrowing};
use super::persistence::{NoPersistence, PersistenceError, SessionPersistence, SessionRecord};
use super::session::{Inner, OpenSessionError, Session, SessionError, SessionId, SessionRequest};
use super::state::{Beginning, Ended, Generation, State, StateRef};
use super::token::{self, SessionToken};

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
    to_sweep: Mutex<VecDeque<SessionId>>,
    keeper: Arc<Keeper>,
}

/// What all sessions of a store have in common.
pub(super) struct Shared {
    clock: Arc<dyn Clock>,
    /// From when milliseconds are counted: so long ago that sessions which are kept were used later.
    made: SystemTime,
    /// Gone with the store, whoever has a session of it.
    keeper: Weak<Keeper>,
}

/// Where the sessions of a store are kept.
struct Keeper {
    persistence: Box<dyn SessionPersistence>,
    /// Sessions that have ended, and whose records could not be removed yet.
    unremoved: Mutex<BTreeSet<SessionId>>,
}

impl Keeper {
    fn new(persistence: impl SessionPersistence + 'static) -> Arc<Self> {
        Arc::new(Self { persistence: Box::new(persistence), unremoved: Mutex::default() })
    }
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

    fn time(&self, millis: u64) -> SystemTime {
        self.made.checked_add(Duration::from_millis(millis)).unwrap_or(self.made)
    }

    /// Keeps the labels of a root, unless it has ended: its record is gone then, and must not come back.
    pub(super) fn keep_labels(&self, root: &Session) -> Result<(), SessionError> {
        let _held = root.0.labels.hold_record();
        if root.0.labels.are_kept() {
            return Ok(());
        }
        check_state(root, self.now().1)?;
        let labels: Vec<String> = root.0.labels.now().iter().map(ToString::to_string).collect();
        let count = labels.len();
        let stored = match self.keeper.upgrade() {
            Some(keeper) => keeper.persistence.put(&self.record_of(root, labels)),
            None => Err(PersistenceError::new("the store of the session is gone; open it anew")),
        };
        stored.map_err(|error| SessionError::LabelNotStored { id: root.id(), reason: error.to_string() })?;
        root.0.labels.kept(count);
        Ok(())
    }

    fn record_of(&self, session: &Session, labels: Vec<String>) -> SessionRecord {
        let inner = &session.0;
        SessionRecord {
            id: inner.id,
            token_hash: inner.token_hash,
            parent: inner.parent.as_ref().map(Session::id),
            user: inner.user.clone(),
            agent: inner.agent.clone(),
            roles: inner.roles.clone(),
            tags: inner.tags.clone(),
            labels,
            only: inner.narrowing.as_ref().map(|only| only.texts().to_vec()),
            max_level: inner.state.most_level(),
            opened_at: inner.opened_at,
            expires_at: inner.expires_at,
            idle: inner.idle,
            last_used: self.time(inner.state.last_used()),
        }
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
        let keeper = Keeper::new(NoPersistence);
        let now = clock.now();
        let made = now.checked_sub(BEFORE).unwrap_or(now);
        Self {
            sessions: DashMap::new(),
            users: DashMap::new(),
            shared: Arc::new(Shared { clock, made, keeper: Arc::downgrade(&keeper) }),
            most_of_user: usize::MAX,
            to_sweep: Mutex::default(),
            keeper,
        }
    }

    /// A user has at most so many sessions that were not derived from others; further ones are refused.
    #[must_use]
    pub fn max_sessions_of_user(mut self, most: usize) -> Self {
        self.most_of_user = most;
        self
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
        let stored = self.keeper.persistence.put(&record);
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
                Arc::new(Labels::new(labels))
            }
        };
        let use_stored = AtomicU64::new(beginning.last_used);
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
            use_stored,
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

    /// Stores when a session was last used, and those that it is derived from, where they end by idleness and that
    /// is worth a write: at most four times in the time that each may be idle. For hosts that keep sessions, after
    /// [`validate`](Self::validate).
    ///
    /// What was not stored is lost by a restart: a session ends by up to a quarter of its time earlier then, and
    /// never later.
    pub fn store_use(&self, session: &Session) -> Result<(), PersistenceError> {
        for session in session.line() {
            let Some(idle) = session.0.idle else { continue };
            let at_least = idle / 4;
            let used = session.0.state.last_used();
            let new =
                Duration::from_millis(used.saturating_sub(session.0.use_stored.load(Ordering::Relaxed)));
            if new.is_zero() || new < at_least {
                continue;
            }
            // What is kept may be more exact than milliseconds, and counts as due also then.
            let at_least = at_least.saturating_sub(Duration::from_millis(1));
            self.keeper.persistence.touch(session.id(), self.shared.time(used), at_least)?;
            session.0.use_stored.fetch_max(used, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn check_state(session: &Session, now: u64) -> Result<(), SessionError> {
    let id = session.id();
    session.0.state.check(now).map_err(|ended| match ended {
        Ended::Expired => SessionError::Expired { id },
        Ended::Revoked => SessionError::Revoked { id },
    })
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
