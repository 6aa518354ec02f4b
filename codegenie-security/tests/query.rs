//! Queries and summaries, beside naive ones over a `Vec`.
#![cfg(feature = "audit-log")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "support/events.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod events;
#[path = "query/filters.rs"]
mod filters;
#[path = "query/pages.rs"]
mod pages;
#[path = "query/summaries.rs"]
mod summaries;
#[path = "query/words.rs"]
mod words;

use codegenie_security::{AuditEvent, AuditValue, EventClass, OperationId, StoredEvent};
use proptest::option;
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Few different names, so that filters find something.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "B", "ab", "ß", "ΑΣ", "aς b"]).prop_map(str::to_owned)
}

fn few() -> impl Strategy<Value = AuditEvent> {
    let names = (name(), option::of(name()), option::of(name()), name(), name());
    let class = prop::sample::select(EventClass::ALL[..3].to_vec());
    let how =
        (prop::sample::select(events::RESULTS.to_vec()), prop::sample::select(events::THREATS.to_vec()));
    let value = prop_oneof![
        name().prop_map(AuditValue::from),
        prop::collection::vec(name(), 0..3).prop_map(AuditValue::from),
        any::<bool>().prop_map(AuditValue::from),
    ];
    (names, class, how, 0..10_u64, prop::collection::vec((name(), value), 0..3)).prop_map(
        |((actor, agent, session, action, resource), class, (result, threat), time, details)| {
            let event = AuditEvent::new(class, action, resource).actor(actor).result(result).threat(threat);
            let mut event = event.at(at(time)).operation(OperationId::from_bytes([0; 16]));
            event.agent = agent;
            event.session = session;
            event.details = details;
            event
        },
    )
}

/// Events in order, with gaps between their numbers.
fn stored() -> impl Strategy<Value = Vec<StoredEvent>> {
    prop::collection::vec((few(), 1..3_u64), 0..60).prop_map(|events| {
        let mut sequence = 0;
        events
            .into_iter()
            .map(|(event, step)| {
                sequence += step;
                StoredEvent::new(sequence, event)
            })
            .collect()
    })
}
