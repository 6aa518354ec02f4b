//! A session as its holder and the audit log see it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;

use super::labels::Labels;
use super::narrowing::Narrowing;
use super::standing::Standing;
use super::state::StateRef;
use super::store::Shared;

/// The public name of a session: 32 hexadecimal digits, safe to log. The token cannot be told from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(super) [u8; 16]);

impl SessionId {
    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads what `Display` writes. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|value| Self(value.to_be_bytes()))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// What a new session shall be.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until a session is opened with it"]
pub struct SessionRequest {
    pub(super) user: String,
    pub(super) agent: Option<String>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) labels: Vec<Arc<str>>,
    pub(super) lifetime: Duration,
    pub(super) idle: Option<Duration>,
}

impl SessionRequest {
    /// The lifetime of a session that asks for none: eight hours.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

    /// A session of this user, with all roles that the policy gives, for [eight
    /// hours](Self::DEFAULT_LIFETIME).
    pub fn new(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            agent: None,
            roles: None,
            tags: Vec::new(),
            labels: Vec::new(),
            lifetime: Self::DEFAULT_LIFETIME,
            idle: None,
        }
    }

    /// For whom the session is.
    #[must_use]
    pub fn user_name(&self) -> &str {
        &self.user
    }

    /// Names the agent that acts for the user.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Acts in these roles only, which must be among those that the user is given.
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// Says something about the session that conditions ask for, such as `network` = `internal`. It stays
    /// as it is.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// Says from which address the user comes, for [conditions](crate::Condition::networks): kept as the tag `address`.
    pub fn address(mut self, address: std::net::IpAddr) -> Self {
        self.tags.retain(|(name, _)| name != super::condition::ADDRESS);
        self.tag(super::condition::ADDRESS, address.to_canonical().to_string())
    }

    /// Begins with a label, such as `private-data`.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.labels.push(label.into().into());
        self
    }

    /// Ends the session this long after it was opened, whatever happens.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Ends the session this long after it was last validated, too.
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }
}

/// An open session, as validation found it. Cheap to clone; made by
/// [`AccessControl`](crate::AccessControl) or [`SessionStore`](crate::SessionStore) only.
#[derive(Clone)]
pub struct Session(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) id: SessionId,
    pub(super) user: String,
    pub(super) agent: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) opened_at: SystemTime,
    pub(super) expires_at: SystemTime,
    pub(super) parent: Option<Session>,
    /// What it may do at most, besides what its roles allow.
    pub(super) narrowing: Option<Narrowing>,
    /// One set for the root and all that is derived from it.
    pub(super) labels: Arc<Labels>,
    pub(super) state: StateRef,
    pub(super) token_hash: [u8; 32],
    pub(super) idle: Option<Duration>,
    /// Its last use that was stored, in milliseconds since the store was made.
    pub(super) use_stored: AtomicU64,
    pub(super) store: Arc<Shared>,
    /// Whose rules count, for the policy of this number.
    pub(super) standing: ArcSwapOption<(u64, Standing)>,
}

impl Session {
    /// Its public name.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// The user on whose behalf it acts.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// The agent that acts, where one does.
    #[must_use]
    pub fn agent(&self) -> Option<&str> {
        self.0.agent.as_deref()
    }

    /// The roles in which it acts.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.0.roles
    }

    /// What was said about it when it was opened.
    #[must_use]
    pub fn tags(&self) -> &[(String, String)] {
        &self.0.tags
    }

    /// The session that it was derived from, where it was.
    #[must_use]
    pub fn parent(&self) -> Option<&Session> {
        self.0.parent.as_ref()
    }

    /// The ids from its root to itself: for the audit log.
    #[must_use]
    pub fn lineage(&self) -> Vec<SessionId> {
        let mut ids: Vec<_> = self.line().map(Session::id).collect();
        ids.reverse();
        ids
    }

    /// Itself, its parent, and so on to the root.
    pub(super) fn line(&self) -> impl Iterator<Item = &Session> {
        std::iter::successors(Some(self), |session| session.parent())
    }

    /// Its level now; 0 unless it was [raised](crate::AccessControl::raise).
    #[must_use]
    pub fn level(&self) -> u8 {
        self.0.state.level(self.0.store.now().1)
    }

    /// Its labels now, sorted.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        self.0.labels.now().iter().map(ToString::to_string).collect()
    }

    /// Adds a label for what the session has come to know or to be told, such as `untrusted-content`. It
    /// stays for good.
    ///
    /// The labels are those of the root and of all sessions derived from it: what one of them has read
    /// reaches the others by way of the one that gives them work. To begin anew, open a session.
    ///
    /// Where sessions are kept, `Ok` says that the label is, too. After an error it counts here all the same, and a
    /// restart would lose it: add it again, or end the session. A label that is there already costs no write.
    pub fn add_label(&self, label: &str) -> Result<(), SessionError> {
        self.0.labels.add(label);
        if self.0.labels.are_kept() {
            return Ok(());
        }
        let root = self.line().last().unwrap_or(self);
        self.0.store.keep_labels(root)
    }

    /// When it was opened.
    #[must_use]
    pub fn opened_at(&self) -> SystemTime {
        self.0.opened_at
    }

    /// When it ends at the latest.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.0.expires_at
    }
}

/// Two are equal when they are the same session of the same store.
impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id && Arc::ptr_eq(&self.0.store, &other.0.store)
    }
}

impl Eq for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.id)
            .field("user", &self.0.user)
            .field("agent", &self.0.agent)
            .field("roles", &self.0.roles)
            .field("parent", &self.0.parent.as_ref().map(Session::id))
            .finish_non_exhaustive()
    }
}

/// Why a session may not act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// No session has this token, or it ended so long ago that it was forgotten.
    #[error("unknown session token; open a session and pass the token that was returned")]
    Unknown,
    /// Its time is over.
    #[error("session {id} has expired; open a new session")]
    #[non_exhaustive]
    Expired {
        /// Which.
        id: SessionId,
    },
    /// Somebody ended it, or a session that it was derived from.
    #[error("session {id} was revoked; ask who revoked it before you open a new session")]
    #[non_exhaustive]
    Revoked {
        /// Which.
        id: SessionId,
    },
    /// A label was added, and could not be kept, so a restart would lose it.
    #[error(
        "session {id} has the label here, and that could not be stored: {reason}; add it again, or end the session"
    )]
    #[non_exhaustive]
    LabelNotStored {
        /// The root of the session, which has the labels of all that are derived from it.
        id: SessionId,
        /// Why.
        reason: String,
    },
    /// What ended it could not be written down, so a restart would bring it back.
    #[error(
        "session {id} has ended here, and that could not be stored: {reason}; end it again once that works"
    )]
    #[non_exhaustive]
    NotStored {
        /// Which.
        id: SessionId,
        /// Why.
        reason: String,
    },
}

/// Why a session was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenSessionError {
    /// The policy does not know the user.
    #[error("user {user:?} is not in the policy; add the user, or correct the name")]
    #[non_exhaustive]
    UnknownUser {
        /// Who asked.
        user: String,
    },
    /// The policy does not give the role to the user.
    #[error("user {user:?} is not given role {role:?}; ask for fewer roles, or give it in the policy")]
    #[non_exhaustive]
    RoleNotGiven {
        /// Who asked.
        user: String,
        /// For what.
        role: String,
    },
    /// The policy keeps two of the roles apart.
    #[error("a session acts in {first:?} or in {second:?}, not in both; ask for one of them")]
    #[non_exhaustive]
    SeparatedRoles {
        /// One of the roles.
        first: String,
        /// The other.
        second: String,
    },
    /// The user has as many sessions as allowed.
    #[error("user {user:?} has {most} open sessions, which is the limit; end one of them")]
    #[non_exhaustive]
    TooManySessions {
        /// Who asked.
        user: String,
        /// The limit.
        most: usize,
    },
    /// The session that it was to be derived from may not act.
    #[error("no session is derived: {0}")]
    Parent(SessionError),
    /// It would be wider than the session that it is derived from, or its line would be too long.
    #[error("no session is derived: {why}; ask for less")]
    #[non_exhaustive]
    Wider {
        /// In what.
        why: String,
    },
    /// The end of the session is past what the clock can show.
    #[error("a session lifetime of {lifetime:?} is too long; ask for less")]
    #[non_exhaustive]
    LifetimeTooLong {
        /// The lifetime that was asked for.
        lifetime: Duration,
    },
    /// It could not be stored where sessions are kept.
    #[error("the session could not be stored: {reason}; see to it, and ask again")]
    #[non_exhaustive]
    NotStored {
        /// Why.
        reason: String,
    },
    /// No random token could be had.
    #[error(
        "the operating system gave no random bytes; check that getrandom(2) or /dev/urandom is reachable"
    )]
    NoRandomness,
}
