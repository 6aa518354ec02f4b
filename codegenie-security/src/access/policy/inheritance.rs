//! Which roles inherit from which.

use std::collections::{HashMap, HashSet};

use super::compile::{Misplaced, PolicyError, at};
use crate::access::role::Role;

/// The roles that each role names, by number. What they reach is worked out where it is needed, since for a long
/// line of roles all of it together is the square of its length.
#[derive(Clone, Debug)]
pub(super) struct Inheritance {
    parents: Vec<Box<[u32]>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    NotYet,
    /// Between the role that was begun with and the one that is looked at.
    OnTheWay,
    Done,
}

impl Inheritance {
    /// Checks that each role that is named is there, and that none inherits from itself.
    pub(super) fn new(roles: &[Role], by_name: &HashMap<&str, usize>) -> Result<Self, Misplaced> {
        let mut parents = Vec::with_capacity(roles.len());
        for role in roles {
            let number = |(place, parent): (usize, &String)| match by_name.get(parent.as_str()) {
                Some(number) => u32::try_from(*number).map_err(|_| at(PolicyError::TooLarge, &[], None)),
                None => {
                    let by = format!("role {:?}", role.name);
                    let error = PolicyError::UnknownRole { role: parent.clone(), by };
                    Err(at(error, &["roles", &role.name, "inherits"], Some(place)))
                }
            };
            parents.push(role.inherits.iter().enumerate().map(number).collect::<Result<_, _>>()?);
        }
        let inheritance = Self { parents };
        let name = |number: u32| roles.get(number as usize).map(|role| role.name.clone()).unwrap_or_default();
        match inheritance.circle() {
            None => Ok(inheritance),
            Some((circle, place)) => {
                let path: Vec<_> = circle.into_iter().map(name).collect();
                // The step that closes the circle is that of the last but one.
                let closing = path.iter().rev().nth(1).cloned().unwrap_or_default();
                let error = PolicyError::Cycle { path };
                Err(at(error, &["roles", &closing, "inherits"], Some(place)))
            }
        }
    }

    fn of(&self, role: u32) -> &[u32] {
        self.parents.get(role as usize).map(AsRef::as_ref).unwrap_or_default()
    }

    /// A circle, its last role being its first, and the place in a list that closes it. Each role is looked at once,
    /// and without recursion, so that a long line of roles exhausts neither time nor stack.
    fn circle(&self) -> Option<(Vec<u32>, usize)> {
        let mut visits = vec![Visit::NotYet; self.parents.len()];
        for start in 0..u32::try_from(self.parents.len()).unwrap_or(u32::MAX) {
            if visits.get(start as usize) != Some(&Visit::NotYet) {
                continue;
            }
            // The roles on the way, each with the place of the parent that is to be followed next.
            let mut way = vec![(start, 0)];
            while let Some((role, next)) = way.last_mut() {
                let (role, place) = (*role, *next);
                *next += 1;
                let parent = self.of(role).get(place).copied();
                if let Some(visit) = visits.get_mut(role as usize) {
                    *visit = if parent.is_some() { Visit::OnTheWay } else { Visit::Done };
                }
                let Some(parent) = parent else {
                    way.pop();
                    continue;
                };
                match visits.get(parent as usize) {
                    Some(Visit::NotYet) => way.push((parent, 0)),
                    Some(Visit::OnTheWay) => {
                        let on_it = way.iter().map(|(role, _)| *role).skip_while(|role| *role != parent);
                        return Some((on_it.chain([parent]).collect(), place));
                    }
                    Some(Visit::Done) | None => {}
                }
            }
        }
        None
    }

    /// A role and all that it inherits from, each once.
    pub(super) fn lineage(&self, role: u32) -> Vec<u32> {
        let mut seen: HashSet<u32, rustc_hash::FxBuildHasher> = HashSet::default();
        let (mut order, mut left) = (Vec::new(), vec![role]);
        while let Some(role) = left.pop() {
            if seen.insert(role) {
                order.push(role);
                left.extend(self.of(role).iter().rev());
            }
        }
        order
    }
}
