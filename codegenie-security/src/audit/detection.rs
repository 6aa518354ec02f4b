//! Hints at what looks suspicious, from the events themselves.

mod climbing;
mod denials;
mod hours;
mod memory;
mod privilege;
mod rules;
mod targets;

pub use rules::DetectionRules;

use self::climbing::PrivilegeClimbing;
use self::denials::DenialBursts;
use self::hours::OddHours;
use self::memory::{Names, Quiet, millis};
use self::targets::NewTargets;
use super::{AuditError, AuditEvent, AuditSink, AuditValue, EventClass, Retention, ThreatLevel};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// So much of a text of somebody else's is repeated in a finding, in bytes.
const SHOWN: usize = 256;

/// Watches a stream of events, and finds what looks suspicious in it.
///
/// | `rule` | threat | what |
/// |---|---|---|
/// | `denial_burst` | medium | many denials of one actor, agent or session within the window |
/// | `privilege_climbing` | high | repeated denied attempts at privileges, or refused and granted requests of which each is for more than those before; medium: grants beyond one run, again and again |
/// | `new_network_target` | medium, low if it was denied | a host to which this agent (or else actor) did not connect while it was learned from |
/// | `odd_hours` | low | activity in an hour of the day in which this actor never was active while it was learned from |
///
/// A finding is an event of class [`DetectionFinding`](EventClass::DetectionFinding) with the action `detect`, and the time,
/// actor, agent, session, operation and resource (the first 256 bytes) of the event that caused it. Its details are
/// `rule`, `reason`, `window_s`, what the rule adds (`of`: whose things were counted, `count`, `host`, `hour`,
/// `learned_days`, and `more_since_last`: findings of the same kind that were not told since the last), and
/// `held_back` where [all of its threat level](DetectionRules::findings) were too many. A finding is told once in a window, and of odd
/// hours once in twelve hours.
///
/// Time is that of the events, which is a claim: the same events give the same findings, without any clock. What is
/// remembered is [bounded](DetectionRules::names), so who can make up very many names can make it forget; how many
/// were is told by [`forgotten`](Self::forgotten). It is not kept beyond the process: a host that wants it to be
/// feeds what its log holds of the last weeks to a new detector.
///
/// These are hints. They stop nothing, and the ordinary looks like them at times.
///
/// ```
/// use codegenie_security::{AuditEvent, AuditResult, DetectionRules, Detector, EventClass};
///
/// let mut detector = Detector::new(DetectionRules::new().denials(3));
/// let denied = AuditEvent::new(EventClass::Command, "execute", "rm -rf /").actor("alice").result(AuditResult::Denied);
/// assert!(detector.observe(&denied).is_empty());
/// assert!(detector.observe(&denied).is_empty());
/// let findings = detector.observe(&denied);
/// assert_eq!(findings[0].get_detail("rule"), Some(&"denial_burst".into()));
/// assert!(detector.observe(&denied).is_empty(), "once in a window");
/// ```
#[derive(Clone)]
pub struct Detector {
    rules: DetectionRules,
    names: Names,
    denials: DenialBursts,
    climbing: PrivilegeClimbing,
    targets: NewTargets,
    hours: OddHours,
    /// A bound of its own for each level, so that a flood of slight findings hides no grave one.
    quiet: BTreeMap<ThreatLevel, Quiet>,
}

impl Detector {
    /// Of nothing seen yet.
    #[must_use]
    pub fn new(rules: DetectionRules) -> Self {
        Self {
            names: Names::default(),
            denials: DenialBursts::new(&rules),
            climbing: PrivilegeClimbing::new(&rules),
            targets: NewTargets::new(&rules),
            hours: OddHours::new(&rules),
            quiet: BTreeMap::new(),
            rules,
        }
    }

    /// What an event shows together with those before it: mostly nothing, at most one finding of each rule.
    ///
    /// Findings, also those of others, show nothing: an event of class
    /// [`DetectionFinding`](EventClass::DetectionFinding) is passed over.
    #[must_use]
    pub fn observe(&mut self, event: &AuditEvent) -> Vec<AuditEvent> {
        if event.class == EventClass::DetectionFinding {
            return Vec::new();
        }
        let time = millis(event.time);
        let (names, rules) = (&self.names, &self.rules);
        let found = [
            self.denials.observe(event, time, names, rules),
            self.climbing.observe(event, time, names, rules),
            self.targets.observe(event, time, names, rules),
            self.hours.observe(event, time, names, rules),
        ];
        let mut findings = Vec::new();
        for found in found.into_iter().flatten() {
            let quiet = self.quiet.entry(found.threat).or_default();
            if let Some(held) = quiet.lets(time, rules.findings, rules.window_millis()) {
                findings.push(found.into_event(event, rules, held));
            }
        }
        findings
    }

    /// How many names and targets are remembered, of all rules together.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.of_rules().iter().map(|(remembered, _)| remembered).sum()
    }

    /// How many names and targets were forgotten to stay within the bounds.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.of_rules().iter().fold(0, |sum, (_, forgotten)| sum.saturating_add(*forgotten))
    }

    fn of_rules(&self) -> [(usize, u64); 4] {
        [
            self.denials.remembered(),
            self.climbing.remembered(),
            self.targets.remembered(),
            self.hours.remembered(),
        ]
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self::new(DetectionRules::new())
    }
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector")
            .field("rules", &self.rules)
            .field("remembered", &self.remembered())
            .finish_non_exhaustive()
    }
}

/// What a rule found.
struct Found {
    rule: &'static str,
    threat: ThreatLevel,
    reason: String,
    details: Vec<(&'static str, AuditValue)>,
}

impl Found {
    fn new(rule: &'static str, threat: ThreatLevel, reason: String) -> Self {
        Self { rule, threat, reason, details: Vec::new() }
    }

    fn detail(mut self, name: &'static str, value: impl Into<AuditValue>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    fn into_event(self, cause: &AuditEvent, rules: &DetectionRules, held_back: u64) -> AuditEvent {
        let mut event = AuditEvent::new(EventClass::DetectionFinding, "detect", shortened(&cause.resource))
            .at(cause.time)
            .actor(cause.actor.as_str())
            .threat(self.threat)
            .detail("rule", self.rule)
            .detail("reason", self.reason)
            .detail("window_s", rules.window.as_secs());
        event.agent.clone_from(&cause.agent);
        event.session.clone_from(&cause.session);
        event.operation = cause.operation;
        for (name, value) in self.details {
            event = event.detail(name, value);
        }
        if held_back > 0 { event.detail("held_back", held_back) } else { event }
    }
}

/// The beginning of a text.
fn shortened(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= SHOWN).last();
    format!("{}…", text.get(..end.unwrap_or_default()).unwrap_or_default())
}

/// A sink that records by another one, and records there also what a [`Detector`] finds in the events.
///
/// An event counts once it is recorded; what it shows is recorded right after it, by the same sink. Where a finding cannot be
/// recorded, the event is no less on record, and [`lost`](Self::lost) counts it. Put it around the sink that keeps the
/// events, and an [`AlertingSink`](super::AlertingSink) below it, so that findings are alerts too.
///
/// ```
/// use codegenie_security::{AuditEvent, AuditSink, DangerousNoAudit, DetectingSink, DetectionRules, EventClass};
///
/// let sink = DetectingSink::new(DangerousNoAudit, DetectionRules::new().denials(20));
/// sink.record(&AuditEvent::new(EventClass::Command, "execute", "git status").actor("alice"))?;
/// assert_eq!(sink.lost(), 0);
/// # Ok::<(), codegenie_security::AuditError>(())
/// ```
pub struct DetectingSink<S> {
    sink: S,
    detector: Mutex<Detector>,
    lost: AtomicU64,
}

impl<S: AuditSink> DetectingSink<S> {
    /// Records by `sink`, and finds by these rules.
    pub fn new(sink: S, rules: DetectionRules) -> Self {
        Self::with_detector(sink, Detector::new(rules))
    }

    /// As [`new`](Self::new), with a detector that has seen something already, such as what a log holds.
    pub fn with_detector(sink: S, detector: Detector) -> Self {
        Self { sink, detector: Mutex::new(detector), lost: AtomicU64::new(0) }
    }

    /// The sink that records.
    #[must_use]
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// How many findings could not be recorded.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many names and targets the detector forgot to stay within its bounds.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.detector.lock().unwrap_or_else(PoisonError::into_inner).forgotten()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: AuditSink> AuditSink for DetectingSink<S> {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        self.sink.record(event)?;
        // Recording takes its time, and others need not wait for it.
        let findings = self.detector.lock().unwrap_or_else(PoisonError::into_inner).observe(event);
        for finding in findings {
            if self.sink.record(&finding).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn retention(&self) -> Retention {
        self.sink.retention()
    }

    /// True for every class: what the sink leaves out counts all the same.
    fn enabled(&self, _class: EventClass) -> bool {
        true
    }

    fn flush(&self) -> Result<(), AuditError> {
        self.sink.flush()
    }
}

impl<S> fmt::Debug for DetectingSink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DetectingSink").field("lost", &self.lost).finish_non_exhaustive()
    }
}
