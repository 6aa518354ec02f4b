//! Policy and sessions together.

use std::sync::{Arc, PoisonError, RwLock};

use super::decision::{Decision, Reason};
use super::policy::Policy;
use super::session::{OpenSessionError, Session, SessionError, SessionId, SessionRequest};
use super::store::SessionStore;
use super::token::SessionToken;

/// Answers the two questions of an executor: whose session is this, and may it do that?
///
/// ```
/// use codegenie_security::{AccessControl, Policy, Role, SessionRequest};
///
/// let policy = Policy::builder()
///     .role(Role::new("developer").allow("execute:command:git"))
///     .user("alice", ["developer"])
///     .build()?;
/// let access = AccessControl::new(policy);
/// let (token, _) = access.open_session(SessionRequest::new("alice").agent("coder"))?;
///
/// let session = access.validate(&token)?;
/// assert!(access.permit(&session, "execute", "command:git").is_allowed());
/// assert!(!access.permit(&session, "execute", "command:rm").is_allowed());
///
/// access.revoke(session.id());
/// assert!(!access.permit(&session, "execute", "command:git").is_allowed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AccessControl {
    policy: RwLock<Arc<Policy>>,
    sessions: SessionStore,
}

impl AccessControl {
    /// A policy, and no sessions yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::with_sessions(policy, SessionStore::new())
    }

    /// A policy over sessions of one's own, such as those with another clock.
    #[must_use]
    pub fn with_sessions(policy: Policy, sessions: SessionStore) -> Self {
        Self { policy: RwLock::new(Arc::new(policy)), sessions }
    }

    /// Opens a session for a user of the policy, with the roles asked for or else all that the user
    /// is given.
    ///
    /// Whether it is the user who asks, the caller has made sure of. The token is returned here and
    /// never again.
    pub fn open_session(
        &self,
        mut request: SessionRequest,
    ) -> Result<(SessionToken, Session), OpenSessionError> {
        let policy = self.policy();
        let Some(given) = policy.roles_of(&request.user) else {
            return Err(OpenSessionError::UnknownUser { user: request.user });
        };
        match &request.roles {
            None => request.roles = Some(given.to_vec()),
            Some(roles) => {
                if let Some(role) = roles.iter().find(|role| !given.contains(role)) {
                    let role = role.clone();
                    return Err(OpenSessionError::RoleNotGiven { user: request.user, role });
                }
            }
        }
        self.sessions.open(request)
    }

    /// The open session of a token: a [`SessionToken`], or its text.
    pub fn validate(&self, token: impl AsRef<str>) -> Result<Session, SessionError> {
        self.sessions.validate(token)
    }

    /// May the session do `action` to `resource`, by the policy of now? A session that has ended
    /// since it was validated may do nothing.
    pub fn permit(&self, session: &Session, action: &str, resource: &str) -> Decision {
        match self.sessions.check(session) {
            Err(error) => Decision::new(Reason::Session(error)),
            Ok(()) => {
                let roles = session.roles().iter().map(String::as_str);
                self.policy().decide(session.user(), roles, action, resource)
            }
        }
    }

    /// Ends a session at once. False when there is no such session, or it was revoked already.
    pub fn revoke(&self, id: SessionId) -> bool {
        self.sessions.revoke(id)
    }

    /// The policy of now.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another policy in force, for open sessions as well: what it takes away is gone at once.
    pub fn replace_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> &SessionStore {
        &self.sessions
    }
}
