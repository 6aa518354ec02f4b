use std::collections::BTreeMap;
use std::convert::Infallible;

use codegenie_security::{AuditEvent, AuditSummary, EventClass, NameCounts, StoredEvent, ThreatLevel};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{events, stored};

fn summary(events: &[StoredEvent], names: usize, kept: usize) -> AuditSummary {
    let mut summary = AuditSummary::with_bounds(names, kept);
    summary.add_all(events.iter().cloned().map(Ok::<_, Infallible>)).unwrap();
    summary
}

fn counted<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

/// Most often first, then by name.
fn assert_exact(found: &NameCounts, expected: BTreeMap<&str, u64>) {
    let mut expected: Vec<_> = expected.into_iter().collect();
    expected.sort_by_key(|(name, count)| (u64::MAX - count, *name));
    assert!(found.is_exact());
    let top = found.top(usize::MAX);
    assert!(top.iter().all(|one| one.at_least == one.at_most));
    assert_eq!(top.iter().map(|one| (one.name.as_str(), one.at_least)).collect::<Vec<_>>(), expected);
    assert_eq!(found.top(1).as_slice(), &top[..top.len().min(1)]);
}

fn assert_summary(found: &AuditSummary, all: &[StoredEvent], kept: usize) {
    assert_eq!(found.events(), all.len() as u64);
    let count = |passes: &dyn Fn(&AuditEvent) -> bool| {
        all.iter().filter(|stored| passes(&stored.event)).count() as u64
    };
    for threat in events::THREATS {
        assert_eq!(found.by_threat(threat), count(&|event| event.threat == threat));
    }
    for class in EventClass::ALL {
        assert_eq!(found.by_class(class), count(&|event| event.class == class));
    }
    for result in events::RESULTS {
        assert_eq!(found.by_result(result), count(&|event| event.result == result));
    }
    assert_exact(found.actors(), counted(all.iter().map(|stored| stored.event.actor.as_str())));
    assert_exact(found.agents(), counted(all.iter().filter_map(|stored| stored.event.agent.as_deref())));
    let times = || all.iter().map(|stored| stored.event.time);
    assert_eq!(found.times(), times().min().zip(times().max()));
    let sequences = || all.iter().map(|stored| stored.sequence);
    assert_eq!(found.sequences(), sequences().min().zip(sequences().max()));
    let high: Vec<_> = all.iter().filter(|stored| stored.event.threat >= ThreatLevel::High).collect();
    assert!(found.high_threat().eq(high[high.len().saturating_sub(kept)..].iter().copied()));
}

proptest! {
    #[test]
    fn a_summary_counts_what_there_is(events in stored(), kept in 0..5_usize) {
        assert_summary(&summary(&events, 100, kept), &events, kept);
    }

    #[test]
    fn windows_add_up_in_any_order(events in stored(), cuts in vec(0..60_usize, 0..4), kept in 0..5_usize) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(events.len())).collect();
        cuts.extend([0, events.len()]);
        cuts.sort_unstable();
        let windows: Vec<_> = cuts.windows(2).map(|cut| summary(&events[cut[0]..cut[1]], 100, kept)).collect();
        for order in [windows.clone(), windows.into_iter().rev().collect()] {
            let mut all = AuditSummary::with_bounds(2, 0);
            order.into_iter().for_each(|window| all.merge(window));
            assert_summary(&all, &events, kept);
        }
    }

    /// With more names than there is room for, the counts are within what they say, merged or not.
    #[test]
    fn counts_that_are_not_exact_say_so(
        names in vec(prop_oneof![2 => 0..3_u32, 1 => 0..200_u32], 0..400),
        bound in 0..12_usize,
        parts in 1..4_usize,
    ) {
        let all: Vec<_> = names
            .iter()
            .map(|name| AuditEvent::new(EventClass::Command, "a", "b").actor(name.to_string()))
            .enumerate()
            .map(|(sequence, event)| StoredEvent::new(sequence as u64, event))
            .collect();
        let mut merged = AuditSummary::with_bounds(bound, 0);
        for part in all.chunks(all.len() / parts + 1) {
            merged.merge(summary(part, bound, 0));
        }
        let names: Vec<String> = names.iter().map(u32::to_string).collect();
        let truth = counted(names.iter().map(String::as_str));
        let bound = bound.max(2);
        for found in [merged.actors(), summary(&all, bound, 0).actors()] {
            let top = found.top(usize::MAX);
            assert!(top.len() <= bound);
            assert!(found.uncertainty() <= all.len() as u64 / (bound as u64 / 2 + 1));
            assert!(found.is_exact() || truth.len() > bound);
            for one in &top {
                let true_count = truth[one.name.as_str()];
                assert!((one.at_least..=one.at_most).contains(&true_count), "{one:?} {true_count}");
                assert_eq!(one.at_most - one.at_least, found.uncertainty());
            }
            for (name, true_count) in &truth {
                assert!(*true_count <= found.uncertainty() || top.iter().any(|one| one.name == *name), "{name}");
            }
        }
    }
}

#[test]
fn long_names_are_cut() {
    let mut summary = AuditSummary::new();
    for (sequence, end) in ["x", "y"].into_iter().enumerate() {
        let actor = format!("a{}{end}", "é".repeat(200));
        let event = AuditEvent::new(EventClass::Command, "a", "b").actor(actor);
        summary.add(&StoredEvent::new(sequence as u64, event));
    }
    let top = summary.actors().top(9);
    assert_eq!(top.len(), 1);
    assert_eq!(top[0].name, format!("a{}…", "é".repeat(127)));
    assert_eq!(top[0].at_least, 2);
}

#[test]
fn an_error_ends_a_summary_with_what_came_before() {
    let stored = StoredEvent::new(0, AuditEvent::new(EventClass::Command, "a", "b"));
    let mut summary = AuditSummary::new();
    assert_eq!(summary.add_all([Ok(stored.clone()), Err("broken"), Ok(stored)]), Err("broken"));
    assert_eq!(summary.events(), 1);
}
