//! Where sessions live: in memory, by public id, with the hash of the token.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use dashmap::DashMap;
use subtle::ConstantTimeEq;

use super::clock::{Clock, SystemClock};
use super::session::{Inner, OpenSessionError, Session, SessionError, SessionId, SessionRequest};
use super::token::{self, SessionToken};

/// How long an ended session is remembered, so that its holder is told what became of it.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// Fewer sessions than this are never swept.
const SWEEP_FROM: usize = 1024;

/// Sessions in memory, shared by all threads. Most hosts use it through
/// [`AccessControl`](crate::AccessControl), which takes the roles from the policy.
///
/// Of a token only a SHA-256 is kept. The first half of it is the public id and finds the session;
/// the whole is compared in constant time. A token has 256 random bits, so its hash gives nothing
/// away.
///
/// Sessions end with the process.
pub struct SessionStore {
    sessions: DashMap<SessionId, Entry>,
    clock: Arc<dyn Clock>,
    made: SystemTime,
    /// At this many sessions the ended ones are swept out.
    sweep_at: AtomicUsize,
}

struct Entry {
    token_hash: [u8; 32],
    session: Session,
    idle: Option<Duration>,
    /// When it was last validated, in milliseconds since the store was made.
    last_used: AtomicU64,
    revoked: AtomicBool,
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
        let made = clock.now();
        Self { sessions: DashMap::new(), clock, made, sweep_at: AtomicUsize::new(SWEEP_FROM) }
    }

    /// Opens a session. The roles are taken as the request names them, none if it names none:
    /// checking that the user is given them is the caller's part.
    ///
    /// The token is returned here and never again.
    pub fn open(&self, request: SessionRequest) -> Result<(SessionToken, Session), OpenSessionError> {
        let now = self.clock.now();
        let too_long = || OpenSessionError::LifetimeTooLong { lifetime: request.lifetime };
        let expires_at = now.checked_add(request.lifetime).ok_or_else(too_long)?;
        let token = SessionToken::generate().map_err(|_| OpenSessionError::NoRandomness)?;
        let token_hash = token::hash(token.expose());
        let session = Session(Arc::new(Inner {
            id: id_of(&token_hash),
            user: request.user,
            agent: request.agent,
            roles: request.roles.unwrap_or_default(),
            opened_at: now,
            expires_at,
        }));
        let entry = Entry {
            token_hash,
            session: session.clone(),
            idle: request.idle,
            last_used: AtomicU64::new(self.millis(now)),
            revoked: AtomicBool::new(false),
        };
        self.sessions.insert(session.id(), entry);
        self.sweep_if_due();
        Ok((token, session))
    }

    /// The open session of a token: a [`SessionToken`], or its text.
    pub fn validate(&self, token: impl AsRef<str>) -> Result<Session, SessionError> {
        let hash = token::hash(token.as_ref());
        let entry = self.sessions.get(&id_of(&hash)).ok_or(SessionError::Unknown)?;
        if !bool::from(entry.token_hash.ct_eq(&hash)) {
            return Err(SessionError::Unknown);
        }
        let now = self.clock.now();
        self.check_entry(&entry, now)?;
        entry.last_used.fetch_max(self.millis(now), Ordering::Relaxed);
        Ok(entry.session.clone())
    }

    /// Is a session that was validated earlier still open? Does not count as use.
    pub fn check(&self, session: &Session) -> Result<(), SessionError> {
        let entry = self.sessions.get(&session.id()).ok_or(SessionError::Unknown)?;
        // Another store may hold another session; an id alone proves nothing.
        if entry.session != *session {
            return Err(SessionError::Unknown);
        }
        self.check_entry(&entry, self.clock.now())
    }

    /// Ends a session at once. False when there is no such session, or it was revoked already.
    pub fn revoke(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|entry| !entry.revoked.swap(true, Ordering::Relaxed))
    }

    /// Ends all sessions of a user at once, and says how many.
    pub fn revoke_user(&self, user: &str) -> usize {
        let of_user = self.sessions.iter().filter(|entry| entry.session.user() == user);
        of_user.filter(|entry| !entry.revoked.swap(true, Ordering::Relaxed)).count()
    }

    /// Forgets the sessions that ended more than an hour ago. [`open`](Self::open) does so now and then.
    pub fn forget_ended(&self) {
        let now = self.clock.now();
        self.sessions.retain(|_, entry| match self.end_of(entry).checked_add(REMEMBERED) {
            Some(forgotten_at) => now < forgotten_at,
            None => true,
        });
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

    fn check_entry(&self, entry: &Entry, now: SystemTime) -> Result<(), SessionError> {
        let id = entry.session.id();
        if entry.revoked.load(Ordering::Relaxed) {
            return Err(SessionError::Revoked { id });
        }
        if now >= self.end_of(entry) {
            return Err(SessionError::Expired { id });
        }
        Ok(())
    }

    /// When a session expires if it is not used again.
    fn end_of(&self, entry: &Entry) -> SystemTime {
        let absolute = entry.session.expires_at();
        let last_used = Duration::from_millis(entry.last_used.load(Ordering::Relaxed));
        let idle = entry
            .idle
            .and_then(|idle| self.made.checked_add(last_used).and_then(|used| used.checked_add(idle)));
        idle.map_or(absolute, |idle| idle.min(absolute))
    }

    fn millis(&self, now: SystemTime) -> u64 {
        let since = now.duration_since(self.made).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Sweeps when the sessions have doubled since the last time, so each pays for a constant share.
    fn sweep_if_due(&self) {
        if self.sessions.len() >= self.sweep_at.load(Ordering::Relaxed) {
            // Whoever comes meanwhile need not sweep as well.
            self.sweep_at.store(usize::MAX, Ordering::Relaxed);
            self.forget_ended();
            let next = self.sessions.len().saturating_mul(2).max(SWEEP_FROM);
            self.sweep_at.store(next, Ordering::Relaxed);
        }
    }
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
