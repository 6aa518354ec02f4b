//! Roles as they are written down.

use std::fmt;

/// What a rule does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Permits, unless some rule denies.
    Allow,
    /// Forbids, whatever else permits.
    Deny,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// A named set of permissions, given to users by a [`Policy`](crate::Policy).
///
/// A permission is `action:resource-pattern`, parted at its first colon: `read:/src/**`,
/// `execute:command:git`. The action is a plain word, or `*` for every action. For the rest see
/// [`Pattern`](crate::Pattern). Nothing is checked before the policy is
/// [built](crate::PolicyBuilder::build).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a role does nothing until it is part of a policy"]
pub struct Role {
    pub(super) name: String,
    pub(super) inherits: Vec<String>,
    pub(super) permissions: Vec<(Effect, String)>,
}

impl Role {
    /// A role that permits nothing.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), inherits: Vec::new(), permissions: Vec::new() }
    }

    /// Takes over everything that another role allows and denies.
    pub fn inherits(mut self, role: impl Into<String>) -> Self {
        self.inherits.push(role.into());
        self
    }

    /// Adds a permission.
    pub fn allow(mut self, permission: impl Into<String>) -> Self {
        self.permissions.push((Effect::Allow, permission.into()));
        self
    }

    /// Adds a prohibition, which overrides every permission of every role of the same user.
    pub fn deny(mut self, permission: impl Into<String>) -> Self {
        self.permissions.push((Effect::Deny, permission.into()));
        self
    }
}
