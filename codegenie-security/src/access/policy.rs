//! The policy: roles, users, and the decision.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::decision::{Decision, Reason, Rule};
use super::pattern::{BadPattern, Pattern};
use super::role::{Effect, Role};

/// Why a policy was not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A role that is named somewhere is not defined.
    #[error("{by} names role {role:?}, which is not defined; define it, or correct the name")]
    #[non_exhaustive]
    UnknownRole {
        /// The role.
        role: String,
        /// Who names it.
        by: String,
    },
    /// Two roles have one name.
    #[error("role {role:?} is defined twice; merge the two, or rename one")]
    #[non_exhaustive]
    DuplicateRole {
        /// The name.
        role: String,
    },
    /// A role inherits from itself, perhaps by way of others.
    #[error("role inheritance goes in a circle: {}; remove one of these steps", path.join(" -> "))]
    #[non_exhaustive]
    Cycle {
        /// The roles of the circle; the last is the first.
        path: Vec<String>,
    },
    /// A permission is not `action:resource-pattern`.
    #[error(
        "permission {permission:?} of role {role:?} is malformed: {why}; write `action:resource-pattern`"
    )]
    #[non_exhaustive]
    BadPermission {
        /// The role.
        role: String,
        /// The permission as written.
        permission: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The resource pattern of a permission is malformed.
    #[error("permission {permission:?} of role {role:?}: {source}")]
    #[non_exhaustive]
    BadResource {
        /// The role.
        role: String,
        /// The permission as written.
        permission: String,
        /// What is wrong with the pattern.
        source: BadPattern,
    },
}

/// Roles and who has them; immutable once built.
///
/// Default deny: what no rule allows is denied. A rule that denies overrides every rule that allows.
///
/// ```
/// use codegenie_security::{Policy, Role};
///
/// let policy = Policy::builder()
///     .role(Role::new("reader").allow("read:/src/**"))
///     .role(Role::new("developer").inherits("reader").allow("execute:command:*").deny("execute:command:rm"))
///     .user("alice", ["developer"])
///     .build()?;
///
/// assert!(policy.decide("alice", ["developer"], "read", "/src/main.rs").is_allowed());
/// let refused = policy.decide("alice", ["developer"], "execute", "command:rm");
/// assert_eq!(refused.to_string(), r#"denied by deny execute:command:rm of role "developer""#);
/// # Ok::<(), codegenie_security::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    /// The rules of each role, its own first and then the inherited ones.
    roles: HashMap<String, Vec<Arc<Rule>>>,
    users: HashMap<String, Vec<String>>,
}

impl Policy {
    /// A policy without roles and users.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// The roles that a user is given; `None` when the policy does not know the user.
    #[must_use]
    pub fn roles_of(&self, user: &str) -> Option<&[String]> {
        self.users.get(user).map(Vec::as_slice)
    }

    /// Decides whether `user`, acting in the `active` ones of the roles given, may do `action` to
    /// `resource`.
    ///
    /// An active role that the user is not given counts for nothing. To deny, all roles of the user
    /// count, active or not: acting in fewer roles never permits more.
    pub fn decide<'a>(
        &self,
        user: &str,
        active: impl IntoIterator<Item = &'a str>,
        action: &str,
        resource: &str,
    ) -> Decision {
        let Some(given) = self.users.get(user) else {
            return Decision::new(Reason::UnknownUser);
        };
        if !Pattern::is_canonical(resource) {
            return Decision::new(Reason::NotCanonical);
        }
        let find = |role: &str, effect| {
            self.roles.get(role).and_then(|rules| {
                rules.iter().find(|rule| rule.effect == effect && rule.matches(action, resource))
            })
        };
        if let Some(rule) = given.iter().find_map(|role| find(role, Effect::Deny)) {
            return Decision::new(Reason::Denied(Arc::clone(rule)));
        }
        let active = active.into_iter().filter(|role| given.iter().any(|name| name == role));
        match active.into_iter().find_map(|role| find(role, Effect::Allow)) {
            Some(rule) => Decision::new(Reason::Allowed(Arc::clone(rule))),
            None => Decision::new(Reason::NoRule),
        }
    }
}

/// Collects roles and users; [`build`](Self::build) checks them.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct PolicyBuilder {
    roles: Vec<Role>,
    users: Vec<(String, Vec<String>)>,
}

impl PolicyBuilder {
    /// Adds a role.
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// Gives roles to a user, in addition to those given before.
    pub fn user<R: Into<String>>(
        mut self,
        user: impl Into<String>,
        roles: impl IntoIterator<Item = R>,
    ) -> Self {
        self.users.push((user.into(), roles.into_iter().map(Into::into).collect()));
        self
    }

    /// Checks everything: names, permissions, and that no role inherits from itself.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let mut by_name = HashMap::new();
        for role in &self.roles {
            if by_name.insert(role.name.as_str(), role).is_some() {
                return Err(PolicyError::DuplicateRole { role: role.name.clone() });
            }
        }
        let mut own = HashMap::new();
        for role in &self.roles {
            let rules: Result<Vec<_>, _> = role
                .permissions
                .iter()
                .map(|(effect, permission)| parse_rule(role, *effect, permission).map(Arc::new))
                .collect();
            own.insert(role.name.as_str(), rules?);
        }
        let mut roles = HashMap::new();
        for role in &self.roles {
            let mut rules = Vec::new();
            for name in lineage(role, &by_name)? {
                rules.extend(own.get(name).into_iter().flatten().cloned());
            }
            roles.insert(role.name.clone(), rules);
        }
        let mut users: HashMap<String, Vec<String>> = HashMap::new();
        for (user, given) in self.users {
            let entry = users.entry(user.clone()).or_default();
            for role in given {
                if !by_name.contains_key(role.as_str()) {
                    return Err(PolicyError::UnknownRole { role, by: format!("user {user:?}") });
                }
                if !entry.contains(&role) {
                    entry.push(role);
                }
            }
        }
        Ok(Policy { roles, users })
    }
}

fn parse_rule(role: &Role, effect: Effect, permission: &str) -> Result<Rule, PolicyError> {
    let bad =
        |why| PolicyError::BadPermission { role: role.name.clone(), permission: permission.to_owned(), why };
    let (action, resource) = permission.split_once(':').ok_or_else(|| bad("it has no colon"))?;
    let action = match action {
        "" => return Err(bad("the action is empty")),
        "*" => None,
        _ if action.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) => {
            Some(action.to_owned())
        }
        _ => return Err(bad("an action is letters, digits, `_`, `-` and `.`, or `*` alone")),
    };
    let resource = resource.parse().map_err(|source| PolicyError::BadResource {
        role: role.name.clone(),
        permission: permission.to_owned(),
        source,
    })?;
    Ok(Rule { role: role.name.clone(), effect, action, resource })
}

/// A role and all that it inherits from, nearest first, each once. Without recursion, so that a long
/// chain of roles cannot exhaust the stack.
fn lineage<'a>(start: &'a Role, by_name: &HashMap<&str, &'a Role>) -> Result<Vec<&'a str>, PolicyError> {
    let mut order = vec![start.name.as_str()];
    let mut seen = BTreeSet::from([start.name.as_str()]);
    // The roles on the way from the start, each with the parents that are still to be followed.
    let mut way = vec![(start, start.inherits.iter())];
    while let Some((role, parents)) = way.last_mut() {
        let Some(parent) = parents.next() else {
            way.pop();
            continue;
        };
        let Some(&next) = by_name.get(parent.as_str()) else {
            let by = format!("role {:?}", role.name);
            return Err(PolicyError::UnknownRole { role: parent.clone(), by });
        };
        if seen.insert(next.name.as_str()) {
            order.push(next.name.as_str());
            way.push((next, next.inherits.iter()));
        } else if let Some(first) = way.iter().position(|(role, _)| role.name == next.name) {
            let mut path: Vec<_> = way.iter().skip(first).map(|(role, _)| role.name.clone()).collect();
            path.push(next.name.clone());
            return Err(PolicyError::Cycle { path });
        }
    }
    Ok(order)
}
