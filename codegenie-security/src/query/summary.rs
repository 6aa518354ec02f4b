//! A summary of many events in bounded memory.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::NameCounts;
use crate::{AuditResult, EventClass, StoredEvent, ThreatLevel};

const DEFAULT_NAMES: usize = 10_000;
const DEFAULT_EVENTS: usize = 100;

/// What happened, in numbers: of a log, of what a [query](crate::AuditQuery) lets pass, or of a window of time.
///
/// Summaries of windows that do not overlap [add up](Self::merge).
///
/// ```
/// use codegenie_security::{AuditEvent, AuditQuery, AuditSummary, EventClass, StoredEvent, ThreatLevel};
///
/// let events = ["alice", "bob", "alice"].into_iter().enumerate().map(|(number, actor)| {
///     StoredEvent::new(number as u64, AuditEvent::new(EventClass::Command, "execute", "ls").actor(actor))
/// });
/// let commands = AuditQuery::new().class(EventClass::Command);
/// let mut summary = AuditSummary::new();
/// events.filter(|stored| commands.matches(stored)).for_each(|stored| summary.add(&stored));
///
/// assert_eq!(summary.events(), 3);
/// assert_eq!(summary.by_threat(ThreatLevel::None), 3);
/// let top = &summary.actors().top(1)[0];
/// assert_eq!((top.name.as_str(), top.at_least), ("alice", 2));
/// assert!(summary.actors().is_exact());
/// ```
#[derive(Clone, Debug)]
pub struct AuditSummary {
    events: u64,
    threats: [u64; 5],
    classes: [u64; 10],
    results: [u64; 4],
    actors: NameCounts,
    agents: NameCounts,
    times: Option<(SystemTime, SystemTime)>,
    sequences: Option<(u64, u64)>,
    high_threat: VecDeque<StoredEvent>,
    kept_events: usize,
}

impl AuditSummary {
    /// Of nothing yet, with room for 10,000 actors, as many agents, and 100 events of a high threat level.
    #[must_use]
    pub fn new() -> Self {
        Self::with_bounds(DEFAULT_NAMES, DEFAULT_EVENTS)
    }

    /// Of nothing yet, with room for `names` actors and as many agents (at least 2), and `events` events of a
    /// high threat level.
    #[must_use]
    pub fn with_bounds(names: usize, events: usize) -> Self {
        Self {
            events: 0,
            threats: [0; 5],
            classes: [0; 10],
            results: [0; 4],
            actors: NameCounts::with_bound(names),
            agents: NameCounts::with_bound(names),
            times: None,
            sequences: None,
            high_threat: VecDeque::new(),
            kept_events: events,
        }
    }

    /// Counts an event.
    pub fn add(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        self.events += 1;
        count(&mut self.threats, threat_index(event.threat), 1);
        count(&mut self.classes, class_index(event.class), 1);
        count(&mut self.results, result_index(event.result), 1);
        self.actors.add(&event.actor);
        event.agent.iter().for_each(|agent| self.agents.add(agent));
        self.times = widest(self.times, Some((event.time, event.time)));
        self.sequences = widest(self.sequences, Some((stored.sequence, stored.sequence)));
        if event.threat >= ThreatLevel::High {
            self.keep(stored.clone());
        }
    }

    /// Counts all of them, as from [`AuditLog::read`](crate::AuditLog::read), up to the first error.
    pub fn add_all<E>(&mut self, events: impl IntoIterator<Item = Result<StoredEvent, E>>) -> Result<(), E> {
        events.into_iter().try_for_each(|stored| {
            self.add(&stored?);
            Ok(())
        })
    }

    /// Adds what another summary counted, with the larger bounds of the two. What both counted is counted twice.
    pub fn merge(&mut self, other: Self) {
        self.events += other.events;
        let add = |into: &mut [u64], from: &[u64]| {
            from.iter().enumerate().for_each(|(index, by)| count(into, index, *by));
        };
        add(&mut self.threats, &other.threats);
        add(&mut self.classes, &other.classes);
        add(&mut self.results, &other.results);
        self.actors.merge(other.actors);
        self.agents.merge(other.agents);
        self.times = widest(self.times, other.times);
        self.sequences = widest(self.sequences, other.sequences);
        self.kept_events = self.kept_events.max(other.kept_events);
        other.high_threat.into_iter().for_each(|stored| self.keep(stored));
    }

    /// Keeps the newest, in order.
    fn keep(&mut self, stored: StoredEvent) {
        let place = self.high_threat.partition_point(|kept| kept.sequence <= stored.sequence);
        self.high_threat.insert(place, stored);
        if self.high_threat.len() > self.kept_events {
            self.high_threat.pop_front();
        }
    }

    /// How many events were counted.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many of them had this threat level.
    #[must_use]
    pub fn by_threat(&self, threat: ThreatLevel) -> u64 {
        self.threats.get(threat_index(threat)).copied().unwrap_or_default()
    }

    /// How many of them were of this class.
    #[must_use]
    pub fn by_class(&self, class: EventClass) -> u64 {
        self.classes.get(class_index(class)).copied().unwrap_or_default()
    }

    /// How many of them ended so.
    #[must_use]
    pub fn by_result(&self, result: AuditResult) -> u64 {
        self.results.get(result_index(result)).copied().unwrap_or_default()
    }

    /// How many were of which actor; the empty name is nobody.
    #[must_use]
    pub fn actors(&self) -> &NameCounts {
        &self.actors
    }

    /// How many were of which agent. Events without one are not among them.
    #[must_use]
    pub fn agents(&self) -> &NameCounts {
        &self.agents
    }

    /// The earliest and the latest time, by what the events claim.
    #[must_use]
    pub fn times(&self) -> Option<(SystemTime, SystemTime)> {
        self.times
    }

    /// The lowest and the highest sequence number.
    #[must_use]
    pub fn sequences(&self) -> Option<(u64, u64)> {
        self.sequences
    }

    /// The newest events of a high or critical threat level, oldest first, as many as there is room for.
    /// [`by_threat`](Self::by_threat) counts all.
    pub fn high_threat(&self) -> impl ExactSizeIterator<Item = &StoredEvent> {
        self.high_threat.iter()
    }
}

impl Default for AuditSummary {
    fn default() -> Self {
        Self::new()
    }
}

fn count(counts: &mut [u64], index: usize, by: u64) {
    if let Some(count) = counts.get_mut(index) {
        *count += by;
    }
}

fn widest<T: Ord>(one: Option<(T, T)>, other: Option<(T, T)>) -> Option<(T, T)> {
    match (one, other) {
        (Some((first, last)), Some((other_first, other_last))) => {
            Some((first.min(other_first), last.max(other_last)))
        }
        (one, other) => one.or(other),
    }
}

fn threat_index(threat: ThreatLevel) -> usize {
    match threat {
        ThreatLevel::None => 0,
        ThreatLevel::Low => 1,
        ThreatLevel::Medium => 2,
        ThreatLevel::High => 3,
        ThreatLevel::Critical => 4,
    }
}

fn class_index(class: EventClass) -> usize {
    EventClass::ALL.iter().position(|one| *one == class).unwrap_or_default()
}

fn result_index(result: AuditResult) -> usize {
    match result {
        AuditResult::Pending => 0,
        AuditResult::Success => 1,
        AuditResult::Failure => 2,
        AuditResult::Denied => 3,
    }
}
