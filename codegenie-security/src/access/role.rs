//! Roles and permissions as they are written down.

use std::fmt;
use std::time::SystemTime;

use super::condition::Condition;

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

/// `action:resource-pattern`, parted at its first colon, and when it counts: `read:/src/**`,
/// `execute:command:git`. The action is a plain word, or `*` for every action: lowercase ASCII letters, digits,
/// `_`, `-` and `.`, so that no word can be written in two ways, and what is asked with another is denied. For
/// the rest see [`Pattern`](crate::Pattern). Made from a text by `into()`; checked when the policy is
/// [built](crate::PolicyBuilder::build).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a permission does nothing until it is part of a role or given to a user"]
pub struct Permission {
    pub(super) text: String,
    pub(super) when: Condition,
    pub(super) until: Option<SystemTime>,
}

impl Permission {
    /// A permission that always counts.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), when: Condition::new(), until: None }
    }

    /// Counts only where the condition holds.
    pub fn when(mut self, condition: Condition) -> Self {
        self.when = condition;
        self
    }

    /// Counts only before this time.
    pub fn until(mut self, end: SystemTime) -> Self {
        self.until = Some(end);
        self
    }
}

/// Is it an action as permissions name it? One byte decides on its own, so that `Read` and look-alikes of other
/// alphabets do not slip past a rule about `read`.
pub(super) fn is_action(word: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
    !word.is_empty() && word.bytes().all(plain)
}

impl<T: Into<String>> From<T> for Permission {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// A named set of permissions, given to users by a [`Policy`](crate::Policy).
///
/// Nothing is checked before the policy is [built](crate::PolicyBuilder::build).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a role does nothing until it is part of a policy"]
pub struct Role {
    pub(super) name: String,
    pub(super) inherits: Vec<String>,
    pub(super) permissions: Vec<(Effect, Permission)>,
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
    pub fn allow(mut self, permission: impl Into<Permission>) -> Self {
        self.permissions.push((Effect::Allow, permission.into()));
        self
    }

    /// Adds a prohibition, which overrides every permission of every role of the same user.
    pub fn deny(mut self, permission: impl Into<Permission>) -> Self {
        self.permissions.push((Effect::Deny, permission.into()));
        self
    }
}
