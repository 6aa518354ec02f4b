//! From when on the rules take something for a finding.

use std::time::Duration;

/// The most that a ring of times may hold for one name.
const MOST: usize = 1000;
/// The most days that somebody is learned from.
const MOST_DAYS: usize = 366;

/// From when on a [`Detector`](super::Detector) takes something for suspicious, and how much it remembers.
///
/// ```
/// use codegenie_security::DetectionRules;
/// use std::time::Duration;
///
/// let rules = DetectionRules::new().denials(5).window(Duration::from_secs(60)).odd_hours(false);
/// assert_ne!(rules, DetectionRules::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectionRules {
    pub(super) window: Duration,
    pub(super) denials: usize,
    pub(super) escalations: usize,
    pub(super) climbs: usize,
    pub(super) widenings: usize,
    pub(super) new_targets: usize,
    pub(super) odd_hours: bool,
    pub(super) learning_days: usize,
    pub(super) utc_offset_minutes: i32,
    pub(super) names: usize,
    pub(super) targets: usize,
    pub(super) findings: usize,
}

impl DetectionRules {
    /// Within five minutes: 10 denials, 3 denied attempts at privileges, 3 steps up, or 3 grants widened. New
    /// targets and odd hours after 7 days of activity, hours in UTC. Room for 4,096 names and 65,536 targets, and 100
    /// findings of each threat level in five minutes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            window: Duration::from_secs(300),
            denials: 10,
            escalations: 3,
            climbs: 3,
            widenings: 3,
            new_targets: 10,
            odd_hours: true,
            learning_days: 7,
            utc_offset_minutes: 0,
            names: 4096,
            targets: 65_536,
            findings: 100,
        }
    }

    /// In how much time things have to happen to be taken together, and for how long a finding is not repeated.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many denials of one actor, agent or session within the window are a burst. 0 turns the rule off; more than
    /// 1,000 are taken for 1,000.
    #[must_use]
    pub fn denials(mut self, threshold: usize) -> Self {
        self.denials = threshold.min(MOST);
        self
    }

    /// How many denied attempts at privileges (raising a session, `sudo`, changing roles or the policy) of one session
    /// within the window are climbing. 0 turns this part of the rule off; more than 1,000 are taken for 1,000.
    #[must_use]
    pub fn escalations(mut self, threshold: usize) -> Self {
        self.escalations = threshold.min(MOST);
        self
    }

    /// How often within the window something stronger than before may be asked for and refused or given, until that
    /// is climbing. 0 turns this part of the rule off.
    #[must_use]
    pub fn climbs(mut self, steps: usize) -> Self {
        self.climbs = steps;
        self
    }

    /// How many approvals for more than one run, or raises, of one session within the window are climbing. 0 turns
    /// this part of the rule off; more than 1,000 are taken for 1,000.
    #[must_use]
    pub fn widenings(mut self, threshold: usize) -> Self {
        self.widenings = threshold.min(MOST);
        self
    }

    /// How many new network targets of one agent are told within the window; the others are counted. 0 turns the
    /// rule off.
    #[must_use]
    pub fn new_targets(mut self, findings: usize) -> Self {
        self.new_targets = findings;
        self
    }

    /// Is activity at odd hours a finding?
    #[must_use]
    pub fn odd_hours(mut self, on: bool) -> Self {
        self.odd_hours = on;
        self
    }

    /// On how many different days an actor, or an agent in the network, has to be active until what is usual is known.
    /// At least one, at most 366.
    #[must_use]
    pub fn learning_days(mut self, days: usize) -> Self {
        self.learning_days = days.clamp(1, MOST_DAYS);
        self
    }

    /// By how many minutes the clock on the wall is ahead of UTC: in whose time hours and days are counted. At most a
    /// day in either direction.
    #[must_use]
    pub fn utc_offset_minutes(mut self, minutes: i32) -> Self {
        self.utc_offset_minutes = minutes.clamp(-1440, 1440);
        self
    }

    /// How many names each rule remembers, at least two. Those not seen for longest are forgotten, and learned anew.
    #[must_use]
    pub fn names(mut self, bound: usize) -> Self {
        self.names = bound.max(2);
        self
    }

    /// How many network targets are remembered, of all agents together, at least two. One that was forgotten
    /// is taken for new.
    #[must_use]
    pub fn targets(mut self, bound: usize) -> Self {
        self.targets = bound.max(2);
        self
    }

    /// How many findings of each threat level are told within the window, of all rules and actors together, at least one; the
    /// others are counted, and told as `held_back` with the next of their level. So a flood of slight ones hides no grave one.
    #[must_use]
    pub fn findings(mut self, most: usize) -> Self {
        self.findings = most.max(1);
        self
    }

    pub(super) fn window_millis(&self) -> u64 {
        u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX)
    }

    /// The day and the hour of a time in milliseconds, by the clock on the wall.
    pub(super) fn day_and_hour(&self, time: i64) -> (i64, u32) {
        let local = time.saturating_add(i64::from(self.utc_offset_minutes) * 60_000);
        let hour = local.div_euclid(3_600_000);
        (hour.div_euclid(24), u32::try_from(hour.rem_euclid(24)).unwrap_or_default())
    }
}

impl Default for DetectionRules {
    fn default() -> Self {
        Self::new()
    }
}
