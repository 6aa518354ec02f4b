//! A decision, and everything that had a say in it.

use std::fmt;

use super::Policy;
use crate::access::condition::Circumstances;
use crate::access::decision::{Decision, Owner, Rule, RuleRef};
use crate::access::request::AccessRequest;
use crate::access::role::Effect;

/// A decision, and each rule of the policy that is about the action and the resource. Made by
/// [`Policy::explain`]; shown as one line each.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What was decided.
    pub decision: Decision,
    /// The rules that match, in the order of the policy. None where the action or the resource's name is not even
    /// looked up.
    pub considered: Vec<Consideration>,
}

/// What a rule that matches came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Consideration {
    /// The rule.
    pub rule: RuleRef,
    /// It counts: it allows, or denies.
    pub counts: bool,
    /// Why, in a few words.
    pub because: &'static str,
}

impl Policy {
    /// Decides, and tells of every rule that matches what it came to. Looks at all rules one by one: for
    /// people who want to know, not for every request.
    #[must_use]
    pub fn explain(&self, request: &AccessRequest<'_>) -> Explanation {
        let decision = self.decide(request);
        if self.refusal(request.action, request.resource).is_some() {
            return Explanation { decision, considered: Vec::new() };
        }
        let numbers = 0..u32::try_from(self.rules.len()).unwrap_or(u32::MAX);
        let rules = numbers.filter_map(|number| self.rules.share(number));
        let matching = rules.filter(|rule| rule.matches(request.action, request.resource));
        let consider = |rule: RuleRef| {
            let (counts, because) = self.judge(&rule, request);
            Consideration { rule, counts, because }
        };
        Explanation { considered: matching.map(consider).collect(), decision }
    }

    fn judge(&self, rule: &Rule, request: &AccessRequest<'_>) -> (bool, &'static str) {
        let circumstances: Circumstances<'_> = request.circumstances();
        let Some(user) = self.users.get(request.user) else {
            return (false, "the policy does not know the user");
        };
        match &rule.owner {
            Owner::User(name) if **name != *request.user => return (false, "it is another user's"),
            Owner::User(_) => {}
            Owner::Role(name) => {
                let Some(number) = self.roles.get(name).map(|role| role.number) else {
                    return (false, "its role is not known");
                };
                let by = user.given.iter().zip(&user.until).filter(|(given, _)| {
                    self.roles.get(given.as_str()).is_some_and(|role| self.lineage(role).contains(&number))
                });
                let by: Vec<_> = by.collect();
                let active = |given: &String| request.roles.is_none_or(|roles| roles.contains(given));
                if by.is_empty() {
                    return (false, "the user does not have its role");
                }
                let acting: Vec<_> = by.iter().filter(|(given, _)| active(given)).collect();
                if rule.effect == Effect::Allow && acting.is_empty() {
                    return (false, "its role is not active");
                }
                let count = |(_, until): &(&String, &u64)| circumstances.is_before(**until, rule.effect);
                let current = if rule.effect == Effect::Allow {
                    acting.into_iter().any(count)
                } else {
                    by.iter().any(count)
                };
                if !current {
                    return (false, "the user's time in its role is over, or no time is said");
                }
            }
        }
        if !circumstances.is_before(rule.until, rule.effect) {
            return (false, "its time is over, or no time is said");
        }
        if !rule.when.holds(&circumstances, rule.effect) {
            return (false, "its condition does not hold");
        }
        (true, "it counts")
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.decision)?;
        for considered in &self.considered {
            write!(f, "\n  {}: {}", considered.rule, considered.because)?;
        }
        Ok(())
    }
}
