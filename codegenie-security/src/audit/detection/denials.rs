//! Many denials in little time: somebody, or a program, tries one door after the other.

use super::memory::{Names, Quiet, Recent, Ring};
use super::{DetectionRules, Found};
use crate::audit::{AuditEvent, AuditResult, OperationId, ThreatLevel};

#[derive(Clone, Debug, Default)]
struct Denials {
    times: Ring,
    /// An operation may leave two events of a refusal, such as that of the approver and its own.
    last: Option<OperationId>,
    quiet: Quiet,
}

#[derive(Clone, Debug)]
pub(super) struct DenialBursts {
    of: Recent<Denials>,
}

impl DenialBursts {
    pub(super) fn new(rules: &DetectionRules) -> Self {
        Self { of: Recent::with_bound(rules.names) }
    }

    pub(super) fn observe(
        &mut self,
        event: &AuditEvent,
        time: i64,
        names: &Names,
        rules: &DetectionRules,
    ) -> Option<Found> {
        if event.result != AuditResult::Denied || rules.denials == 0 {
            return None;
        }
        let window = rules.window_millis();
        let (mut of, mut held) = (Vec::new(), None);
        let actor = Some(event.actor.as_str()).filter(|actor| !actor.is_empty());
        for (kind, name) in
            [("actor", actor), ("agent", event.agent.as_deref()), ("session", event.session.as_deref())]
        {
            let Some(name) = name else { continue };
            let known = self.of.entry(names.of(kind, name));
            if event.operation.is_some() && known.last == event.operation {
                continue;
            }
            known.last = event.operation;
            if known.times.add(time, rules.denials, window)
                && let Some(since_last) = known.quiet.lets(time, 1, window)
            {
                of.push(kind.to_owned());
                held = held.max(Some(since_last));
            }
        }
        let held = held?;
        let reason = format!("{} denials within {} s", rules.denials, rules.window.as_secs());
        Some(
            Found::new("denial_burst", ThreatLevel::Medium, reason)
                .detail("of", of)
                .detail("count", rules.denials as u64)
                .detail("more_since_last", held),
        )
    }

    pub(super) fn remembered(&self) -> (usize, u64) {
        (self.of.len(), self.of.forgotten())
    }
}
