//! Whose rules count for a session, by one policy.

use std::sync::Arc;

use super::decision::Reason;
use super::policy::{Policy, Principal};

/// What a policy makes of a session's user and roles.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// The rules of these roles count.
    Acts(Principal),
    /// None do, for this reason.
    Nothing(Reason),
}

impl Standing {
    pub(super) fn new(policy: &Policy, user: &str, roles: &[String]) -> Self {
        // Looked at for each policy anew: roles may be kept apart since the session was opened.
        if let Some(separated) = conflict(policy, user, roles) {
            return Self::Nothing(separated);
        }
        policy.principal(user, roles).map_or(Self::Nothing(Reason::UnknownUser), Self::Acts)
    }
}

/// Are two of these roles, as far as the user is given them, kept apart in one session?
pub(super) fn conflict(policy: &Policy, user: &str, roles: &[String]) -> Option<Reason> {
    let given = policy.roles_of(user)?;
    let held: Vec<_> = roles.iter().filter(|role| given.contains(role)).cloned().collect();
    let (first, second) = policy.conflict_in_session(&held)?;
    Some(Reason::SeparatedRoles { first: Arc::from(first), second: Arc::from(second) })
}
