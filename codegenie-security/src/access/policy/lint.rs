//! What in a policy is probably not meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::SystemTime;

use super::{Policy, User};
use crate::access::condition::seconds;
use crate::access::decision::{Owner, Rule};
use crate::access::role::Effect;

/// Something in a policy that is valid and has no effect, or not the one that it seems to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    kind: LintKind,
    message: String,
}

/// The kinds of [`Lint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LintKind {
    /// A permission that a prohibition of the same role, or one that it inherits, always overrides; or a user's, that
    /// one of the user's roles overrides.
    NeverAllows,
    /// A rule that another one of the same role, or one that it inherits, makes superfluous.
    Superfluous,
    /// A rule, or a role of a user, whose time is over.
    Expired,
    /// A condition that can never hold.
    NeverHolds,
    /// An action that is not among those that the policy says there are.
    UnknownAction,
    /// A role that no user has, not even by inheritance.
    UnusedRole,
    /// A user who can do nothing: without permissions, or with none that prohibitions leave over.
    PowerlessUser,
    /// A separation of fewer than two roles. One that is named twice counts once.
    SeparatesNothing,
}

impl Lint {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> LintKind {
        self.kind
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Policy {
    /// What in the policy is probably not meant, as of `now`. Sorted by kind.
    ///
    /// Whether one pattern covers another is judged by their literal beginnings: what is found is so, and
    /// something may be missed.
    #[must_use]
    pub fn lint(&self, now: SystemTime) -> Vec<Lint> {
        let now = seconds(now);
        let mut lints = Vec::new();
        let mut found = |kind, message: String| lints.push(Lint { kind, message });
        for rule in self.rules.iter() {
            if rule.until <= now {
                found(LintKind::Expired, format!("{rule} is over; remove it"));
            }
            if rule.when.hours.is_some_and(|(from, to)| from == to) || rule.when.weekdays == Some(0) {
                found(LintKind::NeverHolds, format!("{rule} never counts; correct its hours or weekdays"));
            }
            let unknown = rule.action.as_ref().filter(|action| {
                self.actions.as_ref().is_some_and(|actions| !actions.contains(action.as_str()))
            });
            if let Some(action) = unknown {
                let message = format!(
                    "{rule} is about {action:?}, which is no action; correct it, or add it to the actions"
                );
                found(LintKind::UnknownAction, message);
            }
        }
        let by_owner = self.by_owner();
        for (rule, other) in self.overshadowed(&by_owner) {
            if other.effect == Effect::Deny && rule.effect == Effect::Allow {
                found(
                    LintKind::NeverAllows,
                    format!("{rule} never allows anything: {other} overrides it; remove one of them"),
                );
            } else {
                found(LintKind::Superfluous, format!("{rule} is superfluous: so is {other}; remove it"));
            }
        }
        for separation in &self.separations {
            let names: BTreeSet<_> = separation.roles.iter().collect();
            if names.len() < 2 {
                let message =
                    format!("the separation of {names:?} keeps nothing apart; name two roles, or remove it");
                found(LintKind::SeparatesNothing, message);
            }
        }
        let mut used = BTreeSet::new();
        for user in self.users.values() {
            let given = user.given.iter().filter_map(|name| self.roles.get(name.as_str()));
            used.extend(given.flat_map(|role| self.lineage(role).into_owned()));
        }
        for (name, role) in &self.roles {
            if !used.contains(&role.number) {
                found(
                    LintKind::UnusedRole,
                    format!("nobody has role {name:?}; give it to somebody, or remove it"),
                );
            }
        }
        for (name, user) in &self.users {
            for (role, until) in user.given.iter().zip(&user.until) {
                if *until <= now {
                    found(LintKind::Expired, format!("user {name:?} has role {role:?} no longer; remove it"));
                }
            }
            let denials = self.denials_of(user, &by_owner);
            let can_something =
                user.principal.held.iter().filter_map(|held| by_owner.get(&held.role)).flatten().any(
                    |(_, rule)| {
                        rule.effect == Effect::Allow && !denials.iter().any(|(_, deny)| deny.overrides(rule))
                    },
                );
            if !can_something {
                found(
                    LintKind::PowerlessUser,
                    format!("user {name:?} can do nothing; give a role or a permission, or remove the user"),
                );
            }
        }
        lints.sort_by(|a, b| (a.kind, &a.message).cmp(&(b.kind, &b.message)));
        lints
    }

    fn number(&self, rule: &Rule) -> u32 {
        match &rule.owner {
            Owner::Role(name) => self.roles.get(name).map_or(u32::MAX, |role| role.number),
            Owner::User(name) => self.users.get(name).map_or(u32::MAX, |user| user.own),
        }
    }

    /// Pairs of a rule and one that always decides before it, or instead of it.
    fn overshadowed<'a>(&self, by_owner: &ByOwner<'a>) -> Vec<(&'a Rule, &'a Rule)> {
        let mut pairs = Vec::new();
        let mut names: Vec<_> = self.roles.iter().collect();
        names.sort_by_key(|(_, role)| role.number);
        // Those without rules of their own are passed over, and their lineages not worked out.
        names.retain(|(_, role)| by_owner.contains_key(&role.number));
        let owners = names.into_iter().map(|(_, role)| (role.number, self.lineage(role).into_owned()));
        for (own, lineage) in owners.chain(self.users.values().map(|user| (user.own, vec![user.own]))) {
            for (place, rule) in by_owner.get(&own).into_iter().flatten() {
                let others = lineage.iter().filter_map(|number| by_owner.get(number)).flatten();
                let covering = others.filter(|(other, _)| other != place).find(|(other_place, other)| {
                    let twin = other.effect == rule.effect
                        && other.resource == rule.resource
                        && other.action == rule.action;
                    (other.effect == rule.effect || other.effect == Effect::Deny)
                        && other.always_counts()
                        && (other.action.is_none() || other.action == rule.action)
                        && other.resource.covers(&rule.resource)
                        // Of two that are alike the later one is superfluous.
                        && (!twin || !rule.always_counts() || other_place < place)
                });
                pairs.extend(covering.map(|(_, other)| (*rule, *other)));
            }
        }
        // What a user is granted counts whatever the user's roles allow, but not against what they deny.
        for user in self.users.values() {
            let denials = self.denials_of(user, by_owner);
            for (_, rule) in by_owner.get(&user.own).into_iter().flatten() {
                let own = |other: &Rule| self.number(other) == user.own;
                let covering = denials.iter().find(|(_, deny)| !own(deny) && deny.overrides(rule));
                pairs.extend(
                    covering.filter(|_| rule.effect == Effect::Allow).map(|(_, deny)| (*rule, *deny)),
                );
            }
        }
        pairs
    }

    fn by_owner(&self) -> ByOwner<'_> {
        let mut by_owner = ByOwner::new();
        for (place, rule) in self.rules.iter().enumerate() {
            by_owner.entry(self.number(rule)).or_default().push((place, rule));
        }
        by_owner
    }

    /// The prohibitions that hold for a user at all times.
    fn denials_of<'a>(&self, user: &User, by_owner: &ByOwner<'a>) -> Vec<(usize, &'a Rule)> {
        let for_good = user.principal.held.iter().filter(|held| held.denies_until == u64::MAX);
        let rules = for_good.filter_map(|held| by_owner.get(&held.role)).flatten().copied();
        rules.filter(|(_, rule)| rule.effect == Effect::Deny && rule.always_counts()).collect()
    }
}

/// Rules and their places in the policy, by the number of the role or user whose they are.
type ByOwner<'a> = BTreeMap<u32, Vec<(usize, &'a Rule)>>;

impl Rule {
    /// Does this prohibition, where it counts, deny all that the other rule allows?
    fn overrides(&self, other: &Rule) -> bool {
        let same_action = self.action.is_none() || self.action == other.action;
        same_action && self.resource.covers(&other.resource)
    }
}
