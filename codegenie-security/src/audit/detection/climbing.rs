//! Privilege climbing: what is refused is asked for again and stronger, or grants grow.

use super::memory::{Names, Quiet, Recent, Ring};
use super::privilege::{ESCALATING, strength, widens};
use super::{DetectionRules, Found};
use crate::audit::{AuditEvent, AuditResult, OperationId, ThreatLevel};

#[derive(Clone, Debug, Default)]
struct Climb {
    strongest: u32,
    last_step: Option<i64>,
    steps: usize,
    refused: Ring,
    widened: Ring,
    last: Option<OperationId>,
    quiet: Quiet,
    /// Of the slight findings, which hold back no grave one.
    quiet_slight: Quiet,
}

#[derive(Clone, Debug)]
pub(super) struct PrivilegeClimbing {
    of: Recent<Climb>,
}

impl PrivilegeClimbing {
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
        let (denied, widened) = (event.result == AuditResult::Denied, widens(event));
        if !denied && !widened {
            return None;
        }
        let strength = strength(event);
        let (kind, name) = subject(event)?;
        let window = rules.window_millis();
        let climb = self.of.entry(names.of(kind, name));
        if denied && event.operation.is_some() && climb.last == event.operation {
            return None;
        }
        climb.last = event.operation;

        let steps = climb.step(time, strength, window);
        let refused = denied
            && strength >= ESCALATING
            && rules.escalations > 0
            && climb.refused.add(time, rules.escalations, window);
        let grown = widened && rules.widenings > 0 && climb.widened.add(time, rules.widenings, window);
        let (threat, what, count) = if refused {
            (ThreatLevel::High, "denied attempts at privileges", rules.escalations)
        } else if rules.climbs > 0 && steps >= rules.climbs {
            (ThreatLevel::High, "requests, each for more than those before,", steps)
        } else if grown {
            (ThreatLevel::Medium, "grants that go beyond one run", rules.widenings)
        } else {
            return None;
        };
        let quiet = match threat {
            ThreatLevel::High => &mut climb.quiet,
            _ => &mut climb.quiet_slight,
        };
        let held = quiet.lets(time, 1, window)?;
        let reason = format!("{count} {what} within {} s", rules.window.as_secs());
        Some(
            Found::new("privilege_climbing", threat, reason)
                .detail("of", vec![kind.to_owned()])
                .detail("count", count as u64)
                .detail("more_since_last", held),
        )
    }

    pub(super) fn remembered(&self) -> (usize, u64) {
        (self.of.len(), self.of.forgotten())
    }
}

impl Climb {
    /// How many requests were each stronger than all before, with no more than the window between any two of them.
    /// 0 if this one is not.
    fn step(&mut self, time: i64, strength: u32, window: u64) -> usize {
        if strength == 0 {
            return 0;
        }
        if self.last_step.is_none_or(|last| time.abs_diff(last) > window) {
            (self.strongest, self.steps) = (0, 0);
        }
        if strength <= self.strongest {
            return 0;
        }
        self.strongest = strength;
        self.last_step = Some(time);
        self.steps = self.steps.saturating_add(1);
        self.steps
    }
}

/// Whose privileges they are: those of the session, or else of the agent, or else of the actor.
fn subject(event: &AuditEvent) -> Option<(&'static str, &str)> {
    let session = event.session.as_deref().map(|name| ("session", name));
    let agent = event.agent.as_deref().map(|name| ("agent", name));
    session.or(agent).or(Some(("actor", event.actor.as_str())).filter(|(_, name)| !name.is_empty()))
}
