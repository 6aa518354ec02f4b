//! New network targets: an agent that is known for some time connects where it never did.

use super::memory::{Learning, Names, Quiet, Recent};
use super::{DetectionRules, Found, shortened};
use crate::audit::{AuditEvent, AuditResult, EventClass, ThreatLevel};

#[derive(Clone, Debug, Default)]
struct Connecting {
    learning: Learning,
    quiet: Quiet,
}

/// What was refused is not known for that: when it is let through one day, that is new.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    refused: bool,
    connected: bool,
}

#[derive(Clone, Debug)]
pub(super) struct NewTargets {
    of: Recent<Connecting>,
    /// Of an agent with a host.
    seen: Recent<Seen>,
}

impl NewTargets {
    pub(super) fn new(rules: &DetectionRules) -> Self {
        Self { of: Recent::with_bound(rules.names), seen: Recent::with_bound(rules.targets) }
    }

    pub(super) fn observe(
        &mut self,
        event: &AuditEvent,
        time: i64,
        names: &Names,
        rules: &DetectionRules,
    ) -> Option<Found> {
        if event.class != EventClass::NetworkActivity || rules.new_targets == 0 {
            return None;
        }
        let host = host(&event.resource)?;
        let (kind, name) = match event.agent.as_deref() {
            Some(agent) => ("agent", agent),
            None => ("actor", event.actor.as_str()),
        };
        let key = names.of(kind, name);
        let seen = self.seen.entry(names.within(key, &host));
        let known = match event.result {
            AuditResult::Denied => std::mem::replace(&mut seen.refused, true) || seen.connected,
            _ => std::mem::replace(&mut seen.connected, true),
        };
        let connecting = self.of.entry(key);
        let (day, _) = rules.day_and_hour(time);
        if connecting.learning.learns(day, rules.learning_days) || known {
            return None;
        }
        let held = connecting.quiet.lets(time, rules.new_targets, rules.window_millis())?;
        let threat = match event.result {
            AuditResult::Denied => ThreatLevel::Low,
            _ => ThreatLevel::Medium,
        };
        let reason = format!("a host that this {kind} has not connected to before");
        Some(
            Found::new("new_network_target", threat, reason)
                .detail("of", vec![kind.to_owned()])
                .detail("host", shortened(&host))
                .detail("learned_days", rules.learning_days as u64)
                .detail("more_since_last", held),
        )
    }

    pub(super) fn remembered(&self) -> (usize, u64) {
        (self.of.len() + self.seen.len(), self.of.forgotten().saturating_add(self.seen.forgotten()))
    }
}

/// The host of `host:port`, `[address]:port`, a URL, or a bare host, in lower case. `None` where there is none.
fn host(resource: &str) -> Option<String> {
    let rest = resource.split_once("://").map_or(resource, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = match rest.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or(address),
        // An address with several colons has no port, if it has no brackets.
        None if rest.matches(':').count() > 1 => rest,
        None => rest.split(':').next().unwrap_or(rest),
    };
    let host = host.trim().trim_end_matches('.');
    (!host.is_empty()).then(|| host.to_lowercase())
}
