//! The answer to a request, and the rule that gave it.

use std::fmt;
use std::sync::Arc;

use super::pattern::Pattern;
use super::role::Effect;
use super::session::SessionError;

/// One line of a role, as the policy holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) role: String,
    pub(super) effect: Effect,
    /// `None` for every action.
    pub(super) action: Option<String>,
    pub(super) resource: Pattern,
}

impl Rule {
    /// The role in which the rule is written; the user may have it by inheritance.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Does it allow or deny?
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The action it is about, `*` for every one.
    #[must_use]
    pub fn action(&self) -> &str {
        self.action.as_deref().unwrap_or("*")
    }

    /// The resources it is about.
    #[must_use]
    pub fn resource(&self) -> &Pattern {
        &self.resource
    }

    pub(super) fn matches(&self, action: &str, resource: &str) -> bool {
        self.action.as_ref().is_none_or(|wanted| wanted == action) && self.resource.matches(resource)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{} of role {:?}", self.effect, self.action(), self.resource, self.role)
    }
}

/// May it be done, and why? Shown as one line, fit for an audit event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody looks at permits everything"]
pub struct Decision {
    reason: Reason,
}

/// Why a [`Decision`] is as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This rule allows it, and none denies it.
    Allowed(Arc<Rule>),
    /// This rule denies it.
    Denied(Arc<Rule>),
    /// No rule of the session's roles allows it.
    NoRule,
    /// The policy does not know the user, or not any more.
    UnknownUser,
    /// The resource is not the one way to write its name ([`Pattern::is_canonical`]).
    NotCanonical,
    /// The session has ended since it was validated.
    Session(SessionError),
}

impl Decision {
    pub(super) fn new(reason: Reason) -> Self {
        Self { reason }
    }

    /// May it be done?
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self.reason, Reason::Allowed(_))
    }

    /// Why?
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The rule that decided, if one did.
    #[must_use]
    pub fn rule(&self) -> Option<&Rule> {
        match &self.reason {
            Reason::Allowed(rule) | Reason::Denied(rule) => Some(rule),
            _ => None,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Allowed(rule) => write!(f, "allowed by {rule}"),
            Reason::Denied(rule) => write!(f, "denied by {rule}"),
            Reason::NoRule => f.write_str("denied: no rule of the session's roles allows it"),
            Reason::UnknownUser => f.write_str("denied: the policy does not know the user"),
            Reason::NotCanonical => f.write_str(
                "denied: the resource name is not canonical; resolve `.`, `..` and `//` before asking",
            ),
            Reason::Session(error) => write!(f, "denied: {error}"),
        }
    }
}
