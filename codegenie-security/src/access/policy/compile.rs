//! From what was written down to what decides.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::builder::{PolicyBuilder, Separation};
use super::index::{Entry, IndexBuilder, MAX_RULES};
use super::inheritance::Inheritance;
use super::{Policy, Principal, RoleInfo, User};
use crate::access::condition::{BadCondition, seconds};
use crate::access::decision::{Owner, Rule, Rules};
use crate::access::pattern::BadPattern;
use crate::access::role::{Effect, Permission, is_action};

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
    #[error("permission {permission:?} of {owner} is malformed: {why}; write `action:resource-pattern`")]
    #[non_exhaustive]
    BadPermission {
        /// The role or user.
        owner: String,
        /// The permission as written.
        permission: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The resource pattern of a permission is malformed.
    #[error("permission {permission:?} of {owner}: {source}")]
    #[non_exhaustive]
    BadResource {
        /// The role or user.
        owner: String,
        /// The permission as written.
        permission: String,
        /// What is wrong with the pattern.
        source: BadPattern,
    },
    /// The condition of a permission asks for what there is not.
    #[error("permission {permission:?} of {owner}: {source}")]
    #[non_exhaustive]
    BadCondition {
        /// The role or user.
        owner: String,
        /// The permission as written.
        permission: String,
        /// What is wrong with the condition.
        source: BadCondition,
    },
    /// A declared action is no plain word, so nobody could ask for it.
    #[error("action {action:?} is no plain word; write lowercase letters, digits, `_`, `-` and `.`")]
    #[non_exhaustive]
    BadAction {
        /// The action as written.
        action: String,
    },
    /// A user is given two roles that shall be kept apart.
    #[error("user {user:?} is given {first:?} and {second:?}, which are kept apart; take one of them away")]
    #[non_exhaustive]
    NotSeparated {
        /// The user.
        user: String,
        /// One of the roles.
        first: String,
        /// The other.
        second: String,
    },
    /// More rules, roles or users than numbers for them, or more than 1 GiB of names.
    #[error("the policy has more rules, roles, users or names than fit, some hundred million; split it")]
    TooLarge,
}

/// An error, and where it is in a policy file: keys and places in lists.
#[derive(Debug)]
pub(super) struct Misplaced {
    pub(super) error: PolicyError,
    pub(super) path: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

pub(super) fn at(error: PolicyError, keys: &[&str], item: Option<usize>) -> Misplaced {
    let keys = keys.iter().map(|key| Step::Key((*key).to_owned()));
    Misplaced { error, path: keys.chain(item.map(Step::Item)).collect() }
}

pub(super) fn compile(builder: PolicyBuilder) -> Result<Policy, Misplaced> {
    let mut by_name = HashMap::new();
    for (number, role) in builder.roles.iter().enumerate() {
        if by_name.insert(role.name.as_str(), number).is_some() {
            return Err(at(
                PolicyError::DuplicateRole { role: role.name.clone() },
                &["roles", &role.name],
                None,
            ));
        }
    }
    for (place, action) in builder.actions.iter().flatten().enumerate() {
        if !is_action(action) {
            return Err(at(PolicyError::BadAction { action: action.clone() }, &["actions"], Some(place)));
        }
    }
    let too_large = |_| at(PolicyError::TooLarge, &[], None);
    let mut rules = Vec::new();
    let mut index = IndexBuilder::new();
    let mut add = |role: usize, rule: Rule| {
        let (role, number) =
            (u32::try_from(role).map_err(too_large)?, u32::try_from(rules.len()).map_err(too_large)?);
        let (denies, conditional) = (rule.effect == Effect::Deny, !rule.always_counts());
        if number >= MAX_RULES {
            return Err(at(PolicyError::TooLarge, &[], None));
        }
        let entry = Entry::new(role, number, denies, conditional);
        index.add(rule.action.as_deref(), &rule.resource, entry);
        rules.push(rule);
        Ok::<_, Misplaced>(())
    };

    let inheritance = Inheritance::new(&builder.roles, &by_name)?;
    let mut roles = HashMap::new();
    for (number, role) in builder.roles.iter().enumerate() {
        let name: Arc<str> = role.name.as_str().into();
        let mut counts = [0, 0];
        for (effect, permission) in &role.permissions {
            let (list, count) = list_of(*effect, &mut counts);
            let owner = Owner::Role(Arc::clone(&name));
            let rule = rule_of(owner, *effect, permission)
                .map_err(|error| at(error, &["roles", &role.name, list], Some(count)))?;
            add(number, rule)?;
        }
        roles.insert(name, RoleInfo { number: u32::try_from(number).map_err(too_large)?, lineage: None });
    }

    let mut users: HashMap<Arc<str>, User, rustc_hash::FxBuildHasher> = HashMap::default();
    let mut user_numbers: HashMap<String, usize> = HashMap::new();
    let mut number_of = |user: &str, users: &mut HashMap<Arc<str>, User, _>| {
        let next = builder.roles.len() + user_numbers.len();
        let number = *user_numbers.entry(user.to_owned()).or_insert(next);
        let own = u32::try_from(number).map_err(too_large)?;
        users.entry(user.into()).or_insert_with(|| User {
            given: Vec::new(),
            until: Vec::new(),
            own,
            principal: Principal::default(),
        });
        Ok::<_, Misplaced>(number)
    };
    for (name, given) in &builder.users {
        number_of(name, &mut users)?;
        let Some(user) = users.get_mut(name.as_str()) else { continue };
        for (place, assignment) in given.iter().enumerate() {
            if !by_name.contains_key(assignment.role.as_str()) {
                let error =
                    PolicyError::UnknownRole { role: assignment.role.clone(), by: format!("user {name:?}") };
                return Err(at(error, &["users", name, "roles"], Some(place)));
            }
            if let Some(role) = roles.get_mut(assignment.role.as_str()) {
                let RoleInfo { number, lineage } = role;
                lineage.get_or_insert_with(|| inheritance.lineage(*number).into());
            }
            let until = assignment.until.map_or(u64::MAX, seconds);
            match user.given.iter().position(|role| *role == assignment.role) {
                Some(again) => {
                    if let Some(kept) = user.until.get_mut(again) {
                        *kept = (*kept).max(until);
                    }
                }
                None => {
                    user.given.push(assignment.role.clone());
                    user.until.push(until);
                }
            }
        }
    }
    let mut counts: HashMap<&str, [usize; 2]> = HashMap::new();
    for (name, effect, permission) in &builder.own {
        let number = number_of(name, &mut users)?;
        let (list, count) = list_of(*effect, counts.entry(name).or_default());
        let owner = Owner::User(name.as_str().into());
        let rule = rule_of(owner, *effect, permission)
            .map_err(|error| at(error, &["users", name, list], Some(count)))?;
        add(number, rule)?;
    }

    let mut policy = Policy {
        rules: Rules::new(rules),
        index: index.build().ok_or_else(|| at(PolicyError::TooLarge, &[], None))?,
        users: HashMap::default(),
        roles,
        inheritance,
        separations: builder.separations,
        source: None,
        actions: builder.actions.map(|actions| actions.into_iter().collect()),
    };
    policy.check_separations(&users)?;
    for user in users.values_mut() {
        user.principal = policy.hold(user, |_| true);
    }
    policy.users = users;
    Ok(policy)
}

fn list_of<'a>(effect: Effect, counts: &mut [usize; 2]) -> (&'a str, usize) {
    let [allow, deny] = counts;
    let (list, count) = match effect {
        Effect::Allow => ("allow", allow),
        Effect::Deny => ("deny", deny),
    };
    let place = *count;
    *count += 1;
    (list, place)
}

fn rule_of(owner: Owner, effect: Effect, permission: &Permission) -> Result<Rule, PolicyError> {
    let (action, resource) = parse_permission(&permission.text, &owner.to_string())?;
    permission.when.check().map_err(|source| PolicyError::BadCondition {
        owner: owner.to_string(),
        permission: permission.text.clone(),
        source,
    })?;
    let until = permission.until.map_or(u64::MAX, seconds);
    Ok(Rule { owner, effect, action, resource, when: permission.when.clone(), until })
}

/// The action, `None` for every one, and the resources.
pub(in crate::access) fn parse_permission(
    text: &str,
    owner: &str,
) -> Result<(Option<String>, crate::access::pattern::Pattern), PolicyError> {
    let bad = |why| PolicyError::BadPermission { owner: owner.to_owned(), permission: text.to_owned(), why };
    let (action, resource) = text.split_once(':').ok_or_else(|| bad("it has no colon"))?;
    let action = match action {
        "" => return Err(bad("the action is empty")),
        "*" => None,
        _ if is_action(action) => Some(action.to_owned()),
        _ => return Err(bad("an action is lowercase letters, digits, `_`, `-` and `.`, or `*` alone")),
    };
    let resource = resource.parse().map_err(|source| PolicyError::BadResource {
        owner: owner.to_owned(),
        permission: text.to_owned(),
        source,
    })?;
    Ok((action, resource))
}

impl Policy {
    fn check_separations(
        &self,
        users: &HashMap<Arc<str>, User, rustc_hash::FxBuildHasher>,
    ) -> Result<(), Misplaced> {
        for (place, separation) in self.separations.iter().enumerate() {
            for (item, role) in separation.roles.iter().enumerate() {
                if !self.roles.contains_key(role.as_str()) {
                    let error =
                        PolicyError::UnknownRole { role: role.clone(), by: "a separation".to_owned() };
                    let mut misplaced = at(error, &["separations"], Some(place));
                    misplaced.path.extend([Step::Key("roles".to_owned()), Step::Item(item)]);
                    return Err(misplaced);
                }
            }
            if separation.in_one_session {
                continue;
            }
            // In the order of names, so that the error is the same each time.
            let mut names: Vec<_> = users.keys().collect();
            names.sort();
            for name in names {
                let given = users.get(name).map(|user| user.given.as_slice()).unwrap_or_default();
                if let Some((first, second)) = self.conflict(separation, given) {
                    let error = PolicyError::NotSeparated { user: name.to_string(), first, second };
                    return Err(at(error, &["users", name, "roles"], None));
                }
            }
        }
        Ok(())
    }

    /// Two of the roles that shall be kept apart, reached from those given.
    fn conflict(&self, separation: &Separation, given: &[String]) -> Option<(String, String)> {
        let reached: BTreeSet<u32> = given
            .iter()
            .filter_map(|name| self.roles.get(name.as_str()))
            .flat_map(|role| self.lineage(role).into_owned())
            .collect();
        let mut held = separation
            .roles
            .iter()
            .filter(|name| self.roles.get(name.as_str()).is_some_and(|role| reached.contains(&role.number)));
        let first = held.next()?;
        // One that is named twice is not kept apart from itself.
        let second = held.find(|name| *name != first)?;
        Some((first.clone(), second.clone()))
    }

    /// Two of the roles that no session may act in at once, among these.
    pub(in crate::access) fn conflict_in_session(&self, roles: &[String]) -> Option<(String, String)> {
        self.separations.iter().find_map(|separation| self.conflict(separation, roles))
    }
}
