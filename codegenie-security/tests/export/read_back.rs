use std::collections::BTreeMap;

use codegenie_security::export::{Origin, Syslog, cef, ocsf_json};
use codegenie_security::{AuditEvent, AuditValue, EventClass, StoredEvent};
use proptest::prelude::*;
use serde_json::Value;

use crate::events::{event, text};
use crate::parsers;

fn origin() -> impl Strategy<Value = Origin> {
    (text(), text(), text(), proptest::option::of(text())).prop_map(|(vendor, product, version, host)| {
        let origin = Origin::of_product(vendor, product, version);
        host.into_iter().fold(origin, Origin::hostname)
    })
}

/// Nothing that any reader takes for the end of a line, or that a screen would follow.
fn assert_one_line(line: &str) {
    let bad = |c: char| {
        c.is_control() || "\u{2028}\u{2029}\u{202a}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}".contains(c)
    };
    assert!(!line.contains(bad), "{line:?}");
}

fn nanos(event: &AuditEvent) -> i128 {
    match event.time.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(error) => -(error.duration().as_nanos() as i128),
    }
}

fn millis(event: &AuditEvent) -> i128 {
    nanos(event).div_euclid(1_000_000).clamp(i64::MIN.into(), i64::MAX.into())
}

fn assert_value(found: &Value, value: &AuditValue) {
    match value {
        AuditValue::Bool(value) => assert_eq!(found.as_bool(), Some(*value)),
        AuditValue::Int(value) => assert_eq!(found.as_i64(), Some(*value)),
        AuditValue::Float(value) if value.is_finite() => {
            assert_eq!(found.as_f64().map(f64::to_bits), Some(value.to_bits()));
        }
        AuditValue::Float(_) => assert!(found.is_null()),
        AuditValue::Text(value) => assert_eq!(found.as_str(), Some(value.as_str())),
        AuditValue::List(values) => assert_eq!(found, &Value::from(values.as_slice())),
        other => panic!("a value of another kind: {other:?}"),
    }
}

fn assert_details(found: &Value, event: &AuditEvent) {
    let mut by_name: BTreeMap<&str, Vec<&AuditValue>> = BTreeMap::new();
    for (name, value) in &event.details {
        by_name.entry(name).or_default().push(value);
    }
    assert_eq!(found.as_object().unwrap().len(), by_name.len());
    for (name, values) in by_name {
        match *values.as_slice() {
            [only] => assert_value(&found[name], only),
            ref several => {
                let found = found[name].as_array().unwrap();
                assert_eq!(found.len(), several.len());
                found.iter().zip(several).for_each(|(found, value)| assert_value(found, value));
            }
        }
    }
}

/// What a syslog reader is to find of the details.
fn details_as_params(event: &AuditEvent) -> Vec<(String, String)> {
    let mut params = Vec::new();
    for (name, value) in &event.details {
        let plain = (1..=32).contains(&name.len())
            && !name.starts_with('_')
            && name.bytes().all(|byte| (33..=126).contains(&byte) && !b"=]\"".contains(&byte));
        let key = if plain { name.clone() } else { "_value".to_owned() };
        if !plain {
            params.push(("_name".to_owned(), name.clone()));
        }
        match value {
            AuditValue::List(values) => params.extend(values.iter().map(|one| (key.clone(), one.clone()))),
            other => params.push((key, other.to_string())),
        }
    }
    params
}

proptest! {
    #[test]
    fn ocsf(origin in origin(), event in event(), sequence in any::<u64>()) {
        let line = ocsf_json(&origin, &StoredEvent::new(sequence, event.clone()));
        assert_one_line(&line);
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["metadata"]["sequence"].as_u64(), Some(sequence));
        assert_eq!(json["metadata"]["event_code"], event.class.as_str());
        assert_eq!(json["metadata"]["correlation_uid"].as_str(), event.operation.map(|id| id.to_string()).as_deref());
        assert_eq!(i128::from(json["time"].as_i64().unwrap()), millis(&event));
        let class = match event.class {
            EventClass::VulnerabilityFinding if json.get("vulnerabilities").is_none() => EventClass::DetectionFinding,
            class => class,
        };
        assert_eq!(json["type_uid"].as_u64().unwrap(), u64::from(class.ocsf_class_uid()) * 100 + json["activity_id"].as_u64().unwrap());
        assert_eq!(json["actor"]["user"]["name"], event.actor);
        assert_eq!(json["actor"]["app_name"].as_str(), event.agent.as_deref());
        assert_eq!(json["actor"]["session"]["uid"].as_str(), event.session.as_deref());
        assert_eq!(json["unmapped"]["action"], event.action);
        assert_eq!(json["unmapped"]["resource"], event.resource);
        assert_eq!(json["status_detail"], event.result.as_str());
        assert_eq!(json["severity_id"].as_u64().unwrap(), event.threat as u64 + 1);
        assert_details(&json["unmapped"]["details"], &event);
    }

    #[test]
    fn cef_lines(origin in origin(), event in event(), sequence in any::<u64>()) {
        let line = cef(&origin, &StoredEvent::new(sequence, event.clone()));
        assert_one_line(&line);
        let found = parsers::cef(&line);
        assert_eq!(found.header[0], "0");
        assert_eq!(found.header[4], event.class.as_str());
        assert!(found.header[6].parse::<u8>().unwrap() <= 10);
        let extension = |key: &str| found.extension.get(key).map(String::as_str);
        assert_eq!(extension("rt").unwrap().parse::<i128>().unwrap(), millis(&event));
        assert_eq!(extension("externalId").unwrap(), sequence.to_string());
        assert_eq!(extension("suser").unwrap_or_default(), event.actor);
        assert_eq!(extension("act"), Some(event.action.as_str()));
        assert_eq!(extension("outcome"), Some(event.result.as_str()));
        assert_eq!(extension("msg"), Some(event.resource.as_str()));
        assert_eq!(extension("cs1"), event.agent.as_deref());
        assert_eq!(extension("cs2"), event.session.as_deref());
        assert_eq!(extension("cs3"), event.operation.map(|id| id.to_string()).as_deref());
        assert_eq!(extension("cs4"), Some(event.threat.as_str()));
        match extension("cs5") {
            Some(details) => assert_details(&serde_json::from_str(details).unwrap(), &event),
            None => assert!(event.details.is_empty()),
        }
    }

    #[test]
    fn syslog(origin in origin(), event in event(), sequence in any::<u64>()) {
        let line = Syslog::new(origin).encode(&StoredEvent::new(sequence, event.clone()));
        assert_one_line(&line);
        let found = parsers::syslog(&line);
        assert_eq!(u64::from(found.priority), 13 * 8 + 6 - event.threat as u64);
        assert_eq!(found.header[4], event.class.as_str());

        let names: Vec<_> = found.data.iter().map(|(id, _)| id.as_str()).collect();
        let expected = ["origin", "audit@32473", "details@32473"];
        assert_eq!(names, expected[..if event.details.is_empty() { 2 } else { 3 }]);
        let audit: BTreeMap<_, _> = found.data[1].1.iter().cloned().collect();
        let param = |name: &str| audit.get(name).map(String::as_str);
        assert_eq!(param("sequence").unwrap(), sequence.to_string());
        assert_eq!(param("actor").unwrap_or_default(), event.actor);
        assert_eq!(param("agent"), event.agent.as_deref());
        assert_eq!(param("session"), event.session.as_deref());
        assert_eq!(param("operation"), event.operation.map(|id| id.to_string()).as_deref());
        assert_eq!(param("action"), Some(event.action.as_str()));
        assert_eq!(param("resource"), Some(event.resource.as_str()));
        assert_eq!(param("result"), Some(event.result.as_str()));
        assert_eq!(param("threat"), Some(event.threat.as_str()));
        if let Some((_, params)) = found.data.get(2) {
            assert_eq!(params, &details_as_params(&event));
        }
        assert!(found.message.ends_with(event.result.as_str()));
    }

    /// A parser of somebody else's finds the same elements and, but for our escapes, the same values.
    #[test]
    fn syslog_by_a_peer(event in event(), sequence in any::<u64>()) {
        let line = Syslog::new(Origin::new().hostname("h")).process_id(7).encode(&StoredEvent::new(sequence, event.clone()));
        let ours = parsers::syslog(&line);
        let peer = syslog_loose::parse_message_with_year_exact(&line, |_| 2026, syslog_loose::Variant::RFC5424).unwrap();
        assert_eq!(peer.protocol, syslog_loose::Protocol::RFC5424(1));
        assert_eq!(peer.facility, Some(syslog_loose::SyslogFacility::LOG_AUDIT));
        assert_eq!(peer.severity.map(|severity| severity as u8), Some(ours.priority % 8));
        assert_eq!(peer.hostname, Some("h"));
        assert_eq!(peer.appname, Some("codegenie-security"));
        assert_eq!(peer.msgid, Some(event.class.as_str()));
        match peer.timestamp {
            Some(time) => assert_eq!(i128::from(time.timestamp_micros()), nanos(&event).div_euclid(1000)),
            None => assert_eq!(ours.header[0], "-"),
        }
        assert_eq!(peer.structured_data.len(), ours.data.len());
        for (peer, (id, params)) in peer.structured_data.iter().zip(&ours.data) {
            assert_eq!(peer.id, id);
            let found: Vec<_> = peer.params().collect();
            assert_eq!(found.len(), params.len());
            for ((name, value), (our_name, our_value)) in found.into_iter().zip(params) {
                assert_eq!(name, our_name);
                if !our_value.contains(|c: char| c.is_control() && c != '\n') && our_value.is_ascii() {
                    assert_eq!(&value, our_value);
                }
            }
        }
    }
}
