//! Hints at what looks suspicious: each rule, what it takes for ordinary, and its bounds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "detection/climbing.rs"]
mod climbing;
#[path = "detection/denials.rs"]
mod denials;
#[path = "detection/learned.rs"]
mod learned;
#[path = "detection/sink.rs"]
mod sink;

use codegenie_security::{
    AuditEvent, AuditResult, AuditValue, DetectionRules, Detector, EventClass, ThreatLevel,
};
use std::time::{Duration, SystemTime};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// So many seconds after a midnight.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * DAY + seconds)
}

fn event(seconds: u64) -> AuditEvent {
    AuditEvent::new(EventClass::Command, "execute", "ls").actor("alice").at(at(seconds))
}

fn denied(seconds: u64) -> AuditEvent {
    event(seconds).result(AuditResult::Denied)
}

fn text<'a>(finding: &'a AuditEvent, name: &str) -> &'a str {
    match finding.get_detail(name) {
        Some(AuditValue::Text(text)) => text,
        other => panic!("{name} is {other:?}"),
    }
}

/// The rules that found something, event by event, with the number of the event.
fn found(detector: &mut Detector, events: impl IntoIterator<Item = AuditEvent>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, event) in events.into_iter().enumerate() {
        for finding in detector.observe(&event) {
            assert_eq!(finding.class, EventClass::DetectionFinding);
            assert!(finding.threat > ThreatLevel::None);
            assert_eq!((finding.time, &finding.actor), (event.time, &event.actor));
            assert_eq!((&finding.agent, finding.operation), (&event.agent, event.operation));
            found.push((number, text(&finding, "rule").to_owned()));
        }
    }
    found
}

fn rule(number: usize, name: &str) -> (usize, String) {
    (number, name.to_owned())
}

/// Nothing but this rule.
fn only_denials() -> DetectionRules {
    DetectionRules::new().escalations(0).climbs(0).widenings(0).new_targets(0).odd_hours(false)
}
