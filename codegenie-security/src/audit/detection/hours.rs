//! Odd hours: somebody is active at a time of the day at which that never was so.

use super::memory::{Learning, Names, Quiet, Recent};
use super::{DetectionRules, Found};
use crate::audit::{AuditEvent, ThreatLevel};

/// On so many days an hour has to be active after the learning to become usual.
const BECOMES_USUAL: u8 = 3;
/// One night is one finding.
const APART: u64 = 12 * 3_600_000;

#[derive(Clone, Debug, Default)]
struct Hours {
    learning: Learning,
    /// A bit for each usual hour.
    usual: u32,
    /// Of each other hour, the last day on which it was active, and how many such days there were.
    lately: [(i64, u8); 24],
    quiet: Quiet,
}

#[derive(Clone, Debug)]
pub(super) struct OddHours {
    of: Recent<Hours>,
}

impl OddHours {
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
        if !rules.odd_hours || event.actor.is_empty() {
            return None;
        }
        let hours = self.of.entry(names.of("actor", &event.actor));
        let (day, hour) = rules.day_and_hour(time);
        if hours.learning.learns(day, rules.learning_days) {
            hours.usual |= 1 << hour;
            return None;
        }
        if hours.usual & (1 << hour) != 0 {
            return None;
        }
        hours.becomes_usual(day, hour);
        let held = hours.quiet.lets(time, 1, APART)?;
        let reason = format!("active between {hour} and {} o'clock, which this actor never was", hour + 1);
        Some(
            Found::new("odd_hours", ThreatLevel::Low, reason)
                .detail("of", vec!["actor".to_owned()])
                .detail("hour", hour)
                .detail("learned_days", rules.learning_days as u64)
                .detail("more_since_last", held),
        )
    }

    pub(super) fn remembered(&self) -> (usize, u64) {
        (self.of.len(), self.of.forgotten())
    }
}

impl Hours {
    fn becomes_usual(&mut self, day: i64, hour: u32) {
        let Some((last, days)) = self.lately.get_mut(hour as usize) else { return };
        if *days == 0 || *last != day {
            (*last, *days) = (day, days.saturating_add(1));
        }
        if *days >= BECOMES_USUAL {
            self.usual |= 1 << hour;
        }
    }
}
