//! OTLP logs, against the JSON encoding that the protocol's specification and examples show.

use std::time::{Duration, SystemTime};

use codegenie_security::export::{Exporter, Origin, otlp_logs};
use codegenie_security::{
    AuditEvent, AuditResult, AuditValue, EventClass, OperationId, StoredEvent, ThreatLevel,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::events;

fn origin() -> Origin {
    Origin::of_product("Acme", "agent-host", "2.1").hostname("build-7.example.com")
}

fn parsed(events: &[StoredEvent]) -> Value {
    serde_json::from_str(&otlp_logs(&origin(), events)).unwrap()
}

#[test]
fn a_request_is_as_the_protocol_says() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    let event = AuditEvent::new(EventClass::Command, "execute", "git push")
        .at(time)
        .actor("alice")
        .agent("coder")
        .session("s-1")
        .operation(OperationId::from_bytes([0xab; 16]))
        .result(AuditResult::Denied)
        .threat(ThreatLevel::High)
        .detail("count", i64::MIN)
        .detail("share", 0.25)
        .detail("nan", f64::NAN)
        .detail("least", f64::NEG_INFINITY)
        .detail("cached", true)
        .detail("enforced", vec!["landlock".to_owned(), "seccomp".to_owned()])
        .detail("a", 1)
        .detail("a", "x");
    let attribute = |key: &str, value: Value| json!({ "key": key, "value": value });
    let text = |key: &str, value: &str| attribute(key, json!({ "stringValue": value }));
    assert_eq!(
        parsed(&[StoredEvent::new(41, event)]),
        json!({ "resourceLogs": [{
            "resource": { "attributes": [
                text("service.name", "agent-host"),
                text("service.namespace", "Acme"),
                text("service.version", "2.1"),
                text("host.name", "build-7.example.com"),
            ] },
            "scopeLogs": [{
                "scope": { "name": "codegenie-security", "version": env!("CARGO_PKG_VERSION") },
                "logRecords": [{
                    "timeUnixNano": "1700000000123456789",
                    "observedTimeUnixNano": "1700000000123456789",
                    "severityNumber": 17,
                    "severityText": "high",
                    "eventName": "audit.command",
                    "body": { "stringValue": "execute git push: denied" },
                    "attributes": [
                        attribute("audit.sequence", json!({ "intValue": "41" })),
                        text("audit.class", "command"),
                        text("audit.action", "execute"),
                        text("audit.resource", "git push"),
                        text("audit.result", "denied"),
                        text("user.name", "alice"),
                        text("session.id", "s-1"),
                        text("audit.agent", "coder"),
                        text("audit.operation", "abababababababababababababababab"),
                        attribute("audit.detail.a", json!({ "arrayValue": { "values": [
                            { "intValue": "1" }, { "stringValue": "x" },
                        ] } })),
                        attribute("audit.detail.cached", json!({ "boolValue": true })),
                        attribute("audit.detail.count", json!({ "intValue": "-9223372036854775808" })),
                        attribute("audit.detail.enforced", json!({ "arrayValue": { "values": [
                            { "stringValue": "landlock" }, { "stringValue": "seccomp" },
                        ] } })),
                        attribute("audit.detail.least", json!({ "doubleValue": "-Infinity" })),
                        attribute("audit.detail.nan", json!({ "doubleValue": "NaN" })),
                        attribute("audit.detail.share", json!({ "doubleValue": 0.25 })),
                    ],
                }],
            }],
        }] })
    );
}

#[test]
fn levels_and_times_keep_to_their_ranges() {
    for (threat, number) in [
        (ThreatLevel::None, 9),
        (ThreatLevel::Low, 12),
        (ThreatLevel::Medium, 13),
        (ThreatLevel::High, 17),
        (ThreatLevel::Critical, 21),
    ] {
        let event = AuditEvent::new(EventClass::ApiActivity, "x", "").threat(threat);
        let found = parsed(&[StoredEvent::new(u64::MAX, event)]);
        let record = &found["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["severityNumber"], number);
        assert_eq!(record["attributes"][0]["value"], json!({ "stringValue": u64::MAX.to_string() }));
    }
    let before = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_nanos(1)).unwrap();
    let after = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000_000_000);
    for time in [before, after] {
        let found = parsed(&[StoredEvent::new(0, AuditEvent::new(EventClass::Command, "x", "").at(time))]);
        assert_eq!(found["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["timeUnixNano"], "0");
    }
}

fn value_of(value: &Value) -> AuditValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "boolValue" => AuditValue::Bool(value.as_bool().unwrap()),
        "intValue" => AuditValue::Int(value.as_str().unwrap().parse().unwrap()),
        "doubleValue" => match value.as_str() {
            Some("NaN") => AuditValue::Float(f64::NAN),
            Some("Infinity") => AuditValue::Float(f64::INFINITY),
            Some("-Infinity") => AuditValue::Float(f64::NEG_INFINITY),
            Some(other) => panic!("{other}"),
            None => AuditValue::Float(value.as_f64().unwrap()),
        },
        "stringValue" => AuditValue::Text(value.as_str().unwrap().to_owned()),
        "arrayValue" => AuditValue::List(
            value["values"]
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v["stringValue"].as_str().unwrap().to_owned())
                .collect(),
        ),
        other => panic!("{other}"),
    }
}

proptest! {
    /// Every event is one line, has all of its parts in order, and no key of an attribute twice.
    #[test]
    fn any_event_is_read_back(all in prop::collection::vec(events::event(), 0..4)) {
        let stored: Vec<_> = (0..).zip(all).map(|(sequence, event)| StoredEvent::new(sequence, event)).collect();
        let line = otlp_logs(&origin(), &stored);
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}');
        prop_assert!(!line.contains(breaks));
        let found = parsed(&stored);
        let records = found["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap();
        prop_assert_eq!(records.len(), stored.len());
        for (record, stored) in records.iter().zip(&stored) {
            let attributes = record["attributes"].as_array().unwrap();
            let get = |key: &str| {
                let mut found = attributes.iter().filter(|attribute| attribute["key"] == key);
                let first = found.next().map(|attribute| &attribute["value"]);
                assert!(found.next().is_none(), "{key} twice");
                first
            };
            let event = &stored.event;
            prop_assert_eq!(get("audit.sequence"), Some(&json!({ "intValue": stored.sequence.to_string() })));
            prop_assert_eq!(get("audit.resource").unwrap()["stringValue"].as_str(), Some(event.resource.as_str()));
            prop_assert_eq!(get("user.name").is_some(), !event.actor.is_empty());
            prop_assert_eq!(get("session.id").map(|v| v["stringValue"].as_str().unwrap()), event.session.as_deref());
            for (name, value) in &event.details {
                let found = get(&format!("audit.detail.{name}")).unwrap();
                if event.details.iter().filter(|(other, _)| other == name).count() > 1 {
                    continue;
                }
                match (value_of(found), value) {
                    (AuditValue::Float(a), AuditValue::Float(b)) if a.is_nan() => prop_assert!(b.is_nan()),
                    (found, value) => prop_assert_eq!(&found, value),
                }
            }
        }
    }
}

#[test]
fn a_line_of_a_file_is_a_request() {
    let stored = StoredEvent::new(0, AuditEvent::new(EventClass::Command, "execute", "two\nlines"));
    let mut out = Vec::new();
    Exporter::Otlp(origin()).write(&stored, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, format!("{}\n", otlp_logs(&origin(), std::slice::from_ref(&stored))));
    assert_eq!(text.matches('\n').count(), 1);
}
