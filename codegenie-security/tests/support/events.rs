//! Events of every kind, and with every kind of text.

use std::time::{Duration, SystemTime};

use codegenie_security::{AuditEvent, AuditResult, AuditValue, EventClass, OperationId, ThreatLevel};
use proptest::option;
use proptest::prelude::*;

pub(crate) const RESULTS: [AuditResult; 4] =
    [AuditResult::Pending, AuditResult::Success, AuditResult::Failure, AuditResult::Denied];
pub(crate) const THREATS: [ThreatLevel; 5] =
    [ThreatLevel::None, ThreatLevel::Low, ThreatLevel::Medium, ThreatLevel::High, ThreatLevel::Critical];

/// Everyday texts, any text, and what the formats give a meaning to.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "\\", "|", "=", "\"", "]", "[", "\n", "\r", "\r\n", "\0", "\t", " ", "\\n", "\\u000a", "\u{7f}",
        "\u{85}", "\u{2028}", "\u{202e}", "\u{feff}", "é", "𝄞", "a", "cs1=x", "#012", "CEF:0|", "<13>1 ",
    ]);
    prop_oneof![
        "[a-z:/.]{0,12}",
        any::<String>(),
        prop::collection::vec(special, 0..6).prop_map(|parts| parts.concat()),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = AuditValue> {
    prop_oneof![
        any::<bool>().prop_map(AuditValue::Bool),
        any::<i64>().prop_map(AuditValue::Int),
        (any::<f64>() | prop::num::f64::ANY).prop_map(AuditValue::Float),
        text().prop_map(AuditValue::Text),
        prop::collection::vec(text(), 0..3).prop_map(AuditValue::List),
    ]
}

pub(crate) fn time() -> impl Strategy<Value = SystemTime> {
    let seconds = prop_oneof![0..4_000_000_000_i64, -70_000_000_000..300_000_000_000_i64, any::<i64>()];
    (seconds, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| {
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let base = match seconds {
            ..0 => SystemTime::UNIX_EPOCH.checked_sub(whole),
            _ => SystemTime::UNIX_EPOCH.checked_add(whole),
        };
        base.and_then(|base| base.checked_add(Duration::new(0, nanos))).unwrap_or(SystemTime::UNIX_EPOCH)
    })
}

pub(crate) fn event() -> impl Strategy<Value = AuditEvent> {
    let names = (text(), option::of(text()), option::of(text()), option::of(any::<[u8; 16]>()));
    let what = (prop::sample::select(EventClass::ALL.to_vec()), text(), text());
    let how = (prop::sample::select(RESULTS.to_vec()), prop::sample::select(THREATS.to_vec()));
    let name = prop_oneof![text(), Just("pid".to_owned()), Just("exit_code".to_owned()), "[ab]"];
    (names, what, how, time(), prop::collection::vec((name, value()), 0..5)).prop_map(
        |((actor, agent, session, operation), (class, action, resource), (result, threat), time, details)| {
            let mut event =
                AuditEvent::new(class, action, resource).actor(actor).result(result).threat(threat).at(time);
            event.agent = agent;
            event.session = session;
            event.operation = operation.map(OperationId::from_bytes);
            event.details = details;
            event
        },
    )
}
