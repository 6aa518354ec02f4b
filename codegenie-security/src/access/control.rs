//! Policy and sessions together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::condition::{Circumstances, known};
use super::decision::{Decision, Reason};
use super::narrowing::Attenuation;
use super::policy::{Explanation, Policy};
use super::request::AccessRequest;
use super::session::{OpenSessionError, Session, SessionError, SessionId, SessionRequest};
use super::standing::Standing;
use super::store::SessionStore;
use super::token::SessionToken;
use super::totp::{TotpError, TotpVerifier};

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
    current: ArcSwap<Current>,
    numbers: AtomicU64,
    sessions: SessionStore,
}

/// A policy and its number, by which a session knows whether what it has worked out is of this one.
#[derive(Debug)]
struct Current {
    number: u64,
    policy: Arc<Policy>,
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
        let current = Current { number: 0, policy: Arc::new(policy) };
        Self { current: ArcSwap::from_pointee(current), numbers: AtomicU64::new(1), sessions }
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
        let roles = request.roles.as_deref().unwrap_or_default();
        if let Some((first, second)) = policy.conflict_in_session(roles) {
            return Err(OpenSessionError::SeparatedRoles { first, second });
        }
        self.sessions.open(request)
    }

    /// Derives a narrower session for a sub-agent. It ends with the one it is derived from.
    pub fn attenuate(
        &self,
        session: &Session,
        attenuation: Attenuation,
    ) -> Result<(SessionToken, Session), OpenSessionError> {
        self.sessions.attenuate(session, attenuation)
    }

    /// The open session of a token: a [`SessionToken`], or its text.
    pub fn validate(&self, token: impl AsRef<str>) -> Result<Session, SessionError> {
        self.sessions.validate(token)
    }

    /// May the session do `action` to `resource`, by the policy of now? A session that has ended
    /// since it was validated may do nothing.
    ///
    /// Takes no lock and allocates nothing, but for the first time after the session was opened or the
    /// policy was replaced.
    pub fn permit(&self, session: &Session, action: &str, resource: &str) -> Decision {
        let (now, millis) = self.sessions.now();
        if let Err(error) = self.sessions.check_at(session, millis) {
            return Decision::new(Reason::Session(error));
        }
        let narrowed = session.line().filter_map(|session| session.0.narrowing.as_ref());
        let current = self.current.load();
        let labels = session.0.labels.now();
        let circumstances = Circumstances {
            now: known(now),
            level: session.0.state.level(millis),
            labels: labels.as_slice(),
            tags: session.tags(),
        };
        let decide = |standing: &Standing| match standing {
            Standing::Acts(principal) => {
                current.policy.decide_for(principal, action, resource, &circumstances)
            }
            Standing::Nothing(reason) => Decision::new(reason.clone()),
        };
        let known = session.0.standing.load();
        let decision = match known.as_ref().filter(|known| known.0 == current.number) {
            Some(known) => decide(&known.1),
            None => {
                let standing = Standing::new(&current.policy, session.user(), session.roles());
                let known = Arc::new((current.number, standing));
                session.0.standing.store(Some(Arc::clone(&known)));
                decide(&known.1)
            }
        };
        if decision.is_allowed() && !narrowed.into_iter().all(|narrowing| narrowing.admits(action, resource))
        {
            return Decision::new(Reason::Narrowed);
        }
        decision
    }

    /// [Decides](Self::permit), and tells of every rule that is about it what it came to for this session, with the level,
    /// labels and tags that it has now. For people who want to know, not for every request: it looks at all rules.
    ///
    /// The decision may be stricter than the rules: a session that has ended, was narrowed, or has roles that are kept
    /// apart is refused whatever they say, and the decision says so.
    #[must_use]
    pub fn explain(&self, session: &Session, action: &str, resource: &str) -> Explanation {
        let (now, millis) = self.sessions.now();
        let labels = session.0.labels.now();
        let request = AccessRequest::new(session.user(), action, resource)
            .roles(session.roles())
            .level(session.0.state.level(millis))
            .labels(labels.as_slice())
            .tags(session.tags())
            .at(now);
        let explanation = self.policy().explain(&request);
        Explanation { decision: self.permit(session, action, resource), ..explanation }
    }

    /// Raises the level of a session, and of those that are derived from it, for a while: after an approval, say.
    /// Whoever calls this has made sure that it may be.
    ///
    /// The level is capped by the [most](crate::Attenuation::max_level) that each session of its line may have, and
    /// those that it was derived from are not raised. What was raised higher, or for longer, stays so: see
    /// [`lower`](Self::lower). A restart takes all levels back.
    pub fn raise(&self, session: &Session, level: u8, lasts: Duration) -> Result<(), SessionError> {
        let (_, now) = self.sessions.now();
        self.sessions.check_at(session, now)?;
        let until = now.saturating_add(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
        session.0.state.raise(level, until, now);
        Ok(())
    }

    /// Takes back what a session was raised to, before its time is over. What it has from the session that it was
    /// derived from stays.
    pub fn lower(&self, session: &Session) -> Result<(), SessionError> {
        self.sessions.check_at(session, self.sessions.now().1)?;
        session.0.state.lower();
        Ok(())
    }

    /// [Raises](Self::raise) the level of a session whose user shows a one-time code.
    pub fn raise_by_code(
        &self,
        session: &Session,
        verifier: &TotpVerifier,
        code: &str,
        level: u8,
        lasts: Duration,
    ) -> Result<(), TotpError> {
        let (now, millis) = self.sessions.now();
        self.sessions.check_at(session, millis).map_err(TotpError::Session)?;
        verifier.verify(code, now)?;
        self.raise(session, level, lasts).map_err(TotpError::Session)
    }

    /// Ends a session and all that are derived from it, at once. False when there is no such session, or it
    /// was revoked already. Where sessions are kept, see [`try_revoke`](Self::try_revoke).
    pub fn revoke(&self, id: SessionId) -> bool {
        self.sessions.revoke(id)
    }

    /// [Ends](Self::revoke) a session, and makes sure that it is stored that it has ended: an error says that it has
    /// ended here, and that a restart may bring it back.
    pub fn try_revoke(&self, id: SessionId) -> Result<bool, SessionError> {
        self.sessions.try_revoke(id)
    }

    /// The policy of now.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.current.load().policy)
    }

    /// Puts another policy in force, for open sessions as well: what it takes away is gone at once, and a session
    /// that acts in roles which it keeps apart may do nothing.
    /// Decisions that are under way end by the policy that they began with.
    pub fn replace_policy(&self, policy: Policy) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.current.store(Arc::new(Current { number, policy: Arc::new(policy) }));
    }

    /// The sessions.
    #[must_use]
    pub fn sessions(&self) -> &SessionStore {
        &self.sessions
    }
}
