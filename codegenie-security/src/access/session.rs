//! A session as its holder and the audit log see it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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
    pub(super) lifetime: Duration,
    pub(super) idle: Option<Duration>,
}

impl SessionRequest {
    /// The lifetime of a session that asks for none: eight hours.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

    /// A session of this user, with all roles that the policy gives, for [eight
    /// hours](Self::DEFAULT_LIFETIME).
    pub fn new(user: impl Into<String>) -> Self {
        Self { user: user.into(), agent: None, roles: None, lifetime: Self::DEFAULT_LIFETIME, idle: None }
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session(pub(super) Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inner {
    pub(super) id: SessionId,
    pub(super) user: String,
    pub(super) agent: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) opened_at: SystemTime,
    pub(super) expires_at: SystemTime,
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
    /// Somebody ended it.
    #[error("session {id} was revoked; ask who revoked it before you open a new session")]
    #[non_exhaustive]
    Revoked {
        /// Which.
        id: SessionId,
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
    /// The end of the session is past what the clock can show.
    #[error("a session lifetime of {lifetime:?} is too long; ask for less")]
    #[non_exhaustive]
    LifetimeTooLong {
        /// The lifetime that was asked for.
        lifetime: Duration,
    },
    /// No random token could be had.
    #[error(
        "the operating system gave no random bytes; check that getrandom(2) or /dev/urandom is reachable"
    )]
    NoRandomness,
}
