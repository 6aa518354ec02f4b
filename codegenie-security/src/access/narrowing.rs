//! What a derived session may do at most.

use std::time::Duration;

use super::pattern::{MAX_NAME, Pattern};
use super::policy::{PolicyError, parse_permission};

/// How a session for a sub-agent is narrower than the one that it is derived from.
///
/// Whatever is asked for, it is never wider: it acts in no other roles, ends no later, ends with its parent,
/// may be raised no higher, and carries the same labels and tags. Its level is that of its parent, unless it is
/// [raised](crate::AccessControl::raise) itself, by whoever may.
///
/// ```
/// use codegenie_security::{AccessControl, Attenuation, Policy, Role, SessionRequest};
///
/// let policy = Policy::builder().role(Role::new("dev").allow("*:/src/**")).user("alice", ["dev"]).build()?;
/// let access = AccessControl::new(policy);
/// let (_, session) = access.open_session(SessionRequest::new("alice").agent("lead"))?;
/// let narrow = Attenuation::new().agent("helper").only(["read:/src/docs/**"])?;
/// let (token, child) = access.attenuate(&session, narrow)?;
/// assert!(access.permit(&child, "read", "/src/docs/a.md").is_allowed());
/// assert!(!access.permit(&child, "write", "/src/docs/a.md").is_allowed());
/// access.revoke(session.id());
/// assert!(access.validate(&token).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "an attenuation does nothing until a session is derived with it"]
pub struct Attenuation {
    pub(super) agent: Option<String>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) only: Option<Narrowing>,
    pub(super) lifetime: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) most_level: Option<u8>,
}

impl Attenuation {
    /// As wide as the parent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the agent that acts.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Acts in these roles only, which must be among the parent's.
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// May do only what one of these permissions is about, `action:resource-pattern`, and the roles allow. The
    /// error is that of the first that is malformed.
    pub fn only<P: AsRef<str>>(
        mut self,
        permissions: impl IntoIterator<Item = P>,
    ) -> Result<Self, PolicyError> {
        self.only = Some(Narrowing::parse(permissions)?);
        Ok(self)
    }

    /// Ends this long after it was derived.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Ends this long after it was last used, too.
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Has at most this level, whatever it or its parent is raised to.
    pub fn max_level(mut self, level: u8) -> Self {
        self.most_level = Some(level);
        self
    }
}

/// A list of permissions, of which one has to be about what is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Narrowing {
    texts: Vec<String>,
    parsed: Vec<(Option<String>, Pattern)>,
}

impl Narrowing {
    pub(super) fn parse<P: AsRef<str>>(
        permissions: impl IntoIterator<Item = P>,
    ) -> Result<Self, PolicyError> {
        let texts: Vec<_> = permissions.into_iter().map(|text| text.as_ref().to_owned()).collect();
        let parsed = texts
            .iter()
            .map(|text| parse_permission(text, "a narrowed session"))
            .collect::<Result<_, _>>()?;
        Ok(Self { texts, parsed })
    }

    pub(super) fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(super) fn admits(&self, action: &str, resource: &str) -> bool {
        // A name that no policy permits, for its length, is not matched first.
        resource.len() <= MAX_NAME
            && self.parsed.iter().any(|(wanted, pattern)| {
                wanted.as_ref().is_none_or(|wanted| wanted == action) && pattern.matches(resource)
            })
    }
}
