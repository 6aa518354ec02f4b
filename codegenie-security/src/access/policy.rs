//! The policy: roles, users, and the decision.

mod builder;
mod compile;
mod explain;
mod file;
mod index;
mod inheritance;
mod lint;
mod reload;

pub use builder::{PolicyBuilder, Separation};
pub use compile::PolicyError;
pub(super) use compile::parse_permission;
pub use explain::{Consideration, Explanation};
pub use file::{PolicyFileError, PolicyFormat};
pub use lint::{Lint, LintKind};
pub use reload::{PolicyFile, Reload};

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use self::index::{Entry, Index};
use self::inheritance::Inheritance;
use super::condition::Circumstances;
use super::decision::{Decision, Reason, RuleRef, Rules};
use super::pattern::Pattern;
use super::request::AccessRequest;
use super::role::{Effect, is_action};

/// Roles and who has them; immutable once built.
///
/// Default deny: what no rule allows is denied. A rule that denies overrides every rule that allows. Rules
/// stand in roles, which may inherit, or belong to a user; they may have a [`Condition`](crate::Condition) and
/// an end.
///
/// ```
/// use codegenie_security::{AccessRequest, Policy, Role};
///
/// let policy = Policy::builder()
///     .role(Role::new("reader").allow("read:/src/**"))
///     .role(Role::new("developer").inherits("reader").allow("execute:command:*").deny("execute:command:rm"))
///     .user("alice", ["developer"])
///     .grant("alice", "write:/src/docs/**")
///     .build()?;
///
/// assert!(policy.decide(&AccessRequest::new("alice", "read", "/src/main.rs")).is_allowed());
/// let refused = policy.decide(&AccessRequest::new("alice", "execute", "command:rm"));
/// assert_eq!(refused.to_string(), r#"denied by deny execute:command:rm of role "developer""#);
/// # Ok::<(), codegenie_security::PolicyError>(())
/// ```
///
/// # Cost
///
/// A decision walks along the resource's name, whatever the number of rules, and allocates nothing. Patterns
/// with a wildcard inside a segment, or with `**` before their end, are tried one by one where their
/// literal beginning leads.
#[derive(Clone)]
pub struct Policy {
    rules: Rules,
    index: Index,
    users: std::collections::HashMap<Arc<str>, User, rustc_hash::FxBuildHasher>,
    /// Roles by name: their numbers in the index.
    roles: std::collections::HashMap<Arc<str>, RoleInfo>,
    inheritance: Inheritance,
    separations: Vec<Separation>,
    /// The fingerprint of the text that it was made from, where it was.
    source: Option<[u8; 32]>,
    /// What actions there are, where the policy says so.
    actions: Option<std::collections::HashSet<String, rustc_hash::FxBuildHasher>>,
}

#[derive(Clone, Debug)]
struct RoleInfo {
    number: u32,
    /// All that it inherits from, itself included, where a user is given it: decisions need that of no others.
    lineage: Option<Arc<[u32]>>,
}

#[derive(Clone, Debug)]
struct User {
    /// The names of the roles given, in the order of giving.
    given: Vec<String>,
    /// When each of them ends, in seconds since 1970.
    until: Vec<u64>,
    /// The number that the user's own rules have as those of a role.
    own: u32,
    /// What all the roles come to.
    principal: Principal,
}

/// Whose rules count in a decision: role numbers, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct Principal {
    held: Box<[Held]>,
    /// A bit for each number modulo 64, to pass over most others without a search.
    mask: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    role: u32,
    /// Until when its permissions count, in seconds since 1970; 0 where it is not active.
    allows_until: u64,
    /// Until when its prohibitions count: they do whether it is active or not.
    denies_until: u64,
}

impl Principal {
    /// A role that is held in several ways counts as long as any of them.
    fn new(mut held: Vec<Held>) -> Self {
        held.sort_by_key(|held| held.role);
        held.dedup_by(|again, kept| {
            let same = again.role == kept.role;
            if same {
                kept.allows_until = kept.allows_until.max(again.allows_until);
                kept.denies_until = kept.denies_until.max(again.denies_until);
            }
            same
        });
        let mask = held.iter().fold(0, |mask, held| mask | 1 << (held.role % 64));
        Self { held: held.into(), mask }
    }

    fn find(&self, role: u32) -> Option<&Held> {
        if self.mask >> (role % 64) & 1 == 0 {
            return None;
        }
        self.held.binary_search_by_key(&role, |held| held.role).ok().and_then(|place| self.held.get(place))
    }
}

impl Policy {
    /// A policy without roles and users.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// The roles that a user is given, ended ones included; `None` when the policy does not know the user.
    #[must_use]
    pub fn roles_of(&self, user: &str) -> Option<&[String]> {
        self.users.get(user).map(|user| user.given.as_slice())
    }

    /// How many rules there are.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Decides whether the user may do the action to the resource.
    ///
    /// To deny, all roles of the user count, active or not: acting in fewer roles never permits more.
    /// Naming [roles](AccessRequest::roles) makes this allocate; a session does that once.
    pub fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        let Some(user) = self.users.get(request.user) else {
            return Decision::new(Reason::UnknownUser);
        };
        let (action, resource, circumstances) = (request.action, request.resource, request.circumstances());
        match request.roles {
            None => self.decide_for(&user.principal, action, resource, &circumstances),
            Some(roles) => self.decide_for(&self.act_as(user, roles), action, resource, &circumstances),
        }
    }

    /// Whose rules count for a user who acts in these roles; `None` for a user who is not known.
    pub(super) fn principal(&self, user: &str, roles: &[String]) -> Option<Principal> {
        self.users.get(user).map(|user| self.act_as(user, roles))
    }

    fn act_as(&self, user: &User, roles: &[String]) -> Principal {
        self.hold(user, |name| roles.contains(name))
    }

    /// Sums up a user's roles, and those that they inherit from.
    fn hold(&self, user: &User, active: impl Fn(&String) -> bool) -> Principal {
        let mut held = vec![Held { role: user.own, allows_until: u64::MAX, denies_until: u64::MAX }];
        for (name, until) in user.given.iter().zip(&user.until) {
            let allows_until = if active(name) { *until } else { 0 };
            let lineage = self.roles.get(name.as_str()).map(|role| self.lineage(role));
            held.extend(lineage.unwrap_or_default().iter().map(|role| Held {
                role: *role,
                allows_until,
                denies_until: *until,
            }));
        }
        Principal::new(held)
    }

    /// Why no rule is looked at, where none is.
    fn refusal(&self, action: &str, resource: &str) -> Option<Reason> {
        if !is_action(action) || !Pattern::is_canonical(resource) {
            return Some(Reason::NotCanonical);
        }
        let is_known = self.actions.as_ref().is_none_or(|actions| actions.contains(action));
        (!is_known).then_some(Reason::UnknownAction)
    }

    /// A role and all that it inherits from.
    fn lineage<'a>(&self, role: &'a RoleInfo) -> Cow<'a, [u32]> {
        match &role.lineage {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(self.inheritance.lineage(role.number)),
        }
    }

    pub(super) fn decide_for(
        &self,
        principal: &Principal,
        action: &str,
        resource: &str,
        circumstances: &Circumstances<'_>,
    ) -> Decision {
        if let Some(reason) = self.refusal(action, resource) {
            return Decision::new(reason);
        }
        let mut search =
            Search { policy: self, principal, circumstances, denied: None, allowed: None, unmet: None };
        let general = |rule: u32| self.rules.get(rule).is_some_and(|rule| rule.resource.matches(resource));
        self.index.matching(action, resource, &general, &mut |entries| search.visit(entries));
        let Search { denied, allowed, unmet, .. } = search;
        let reason = |number: Option<u32>, reason: fn(RuleRef) -> Reason| {
            number.and_then(|number| self.rules.share(number)).map(reason)
        };
        let reason = reason(denied, Reason::Denied)
            .or_else(|| reason(allowed, Reason::Allowed))
            .or_else(|| reason(unmet, Reason::Unmet));
        Decision::new(reason.unwrap_or(Reason::NoRule))
    }
}

/// What was found among the entries that match, so far.
struct Search<'a> {
    policy: &'a Policy,
    principal: &'a Principal,
    circumstances: &'a Circumstances<'a>,
    denied: Option<u32>,
    allowed: Option<u32>,
    unmet: Option<u32>,
}

impl Search<'_> {
    /// False once something denies.
    fn visit(&mut self, entries: &[Entry]) -> bool {
        let principal = self.principal;
        if entries.len() > 8 * principal.held.len() {
            // Many roles have a rule for this pattern: each role held is looked up among them instead.
            for held in &principal.held {
                let start = entries.partition_point(|entry| entry.role < held.role);
                let of_role = entries.get(start..).unwrap_or_default();
                for entry in of_role.iter().take_while(|entry| entry.role == held.role) {
                    self.consider(*entry, held);
                }
            }
        } else {
            for entry in entries {
                if let Some(held) = principal.find(entry.role) {
                    self.consider(*entry, held);
                }
            }
        }
        self.denied.is_none()
    }

    fn consider(&mut self, entry: Entry, held: &Held) {
        let (until, effect) = if entry.denies() {
            (held.denies_until, Effect::Deny)
        } else {
            (held.allows_until, Effect::Allow)
        };
        if until == 0 {
            return;
        }
        let counts = self.circumstances.is_before(until, effect)
            && (!entry.is_conditional() || self.condition_holds(entry.rule()));
        let place = match (entry.denies(), counts) {
            (true, true) => &mut self.denied,
            (true, false) => return,
            (false, true) => &mut self.allowed,
            (false, false) => &mut self.unmet,
        };
        *place = place.or(Some(entry.rule()));
    }

    fn condition_holds(&self, rule: u32) -> bool {
        self.policy.rules.get(rule).is_some_and(|rule| rule.counts(self.circumstances))
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("rules", &self.rules.len())
            .field("roles", &self.roles.len())
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}
