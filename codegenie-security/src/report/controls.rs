//! What commands ran under, as the executor has it on record.

use super::approvals::text;
use crate::query::NameCounts;
use crate::{AuditResult, AuditValue, EventClass, StoredEvent};

#[derive(Clone, Debug)]
pub(super) struct Controls {
    /// Ends of commands that say what was enforced.
    pub(super) runs: u64,
    /// Of these, so many say that nothing was.
    pub(super) runs_without_layers: u64,
    /// Ends that were answered from a cache, among them.
    pub(super) from_cache: u64,
    /// Runs in which the sandbox refused something.
    pub(super) runs_with_refusals: u64,
    /// Commands that were refused before they ran.
    pub(super) refused: u64,
    pub(super) sandboxes: NameCounts,
    pub(super) enforced: NameCounts,
    pub(super) partly_enforced: NameCounts,
    pub(super) refused_by_rule: NameCounts,
    pub(super) connections_denied: u64,
    pub(super) connections: u64,
}

impl Controls {
    pub(super) fn new(names: usize) -> Self {
        let counts = || NameCounts::with_bound(names);
        Self {
            runs: 0,
            runs_without_layers: 0,
            from_cache: 0,
            runs_with_refusals: 0,
            refused: 0,
            sandboxes: counts(),
            enforced: counts(),
            partly_enforced: counts(),
            refused_by_rule: counts(),
            connections_denied: 0,
            connections: 0,
        }
    }

    pub(super) fn add(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        match event.class {
            EventClass::NetworkActivity => match event.result {
                AuditResult::Denied => self.connections_denied += 1,
                AuditResult::Success => self.connections += 1,
                AuditResult::Pending | AuditResult::Failure => {}
            },
            EventClass::Command if event.result == AuditResult::Denied => {
                self.refused += 1;
                if let Some(rule) = text(event, "rule") {
                    self.refused_by_rule.add(rule);
                }
            }
            EventClass::Command => self.run(stored),
            _ => {}
        }
    }

    fn run(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        let list = |name: &str| match event.get_detail(name) {
            Some(AuditValue::List(names)) => Some(names.as_slice()),
            _ => None,
        };
        // Of a run, the end has this, and the beginning has not.
        let Some(enforced) = list("enforced") else { return };
        let partly = list("partly_enforced").unwrap_or_default();
        self.runs += 1;
        self.runs_without_layers += u64::from(enforced.is_empty() && partly.is_empty());
        self.from_cache += u64::from(event.get_detail("from_cache") == Some(&AuditValue::Bool(true)));
        self.runs_with_refusals += u64::from(list("refused").is_some_and(|refused| !refused.is_empty()));
        if let Some(sandbox) = text(event, "sandbox") {
            self.sandboxes.add(sandbox);
        }
        enforced.iter().for_each(|layer| self.enforced.add(layer));
        partly.iter().for_each(|layer| self.partly_enforced.add(layer));
    }
}
