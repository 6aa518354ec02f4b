//! OTLP logs: the OpenTelemetry protocol 1.x, in its JSON encoding.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Origin;
use super::ocsf::escape;
use super::text::epoch_nanos;
use crate::{AuditEvent, AuditValue, StoredEvent, ThreatLevel};

/// Events as one `ExportLogsServiceRequest` of the [OpenTelemetry protocol](https://opentelemetry.io/docs/specs/otlp/) 1.x in
/// its JSON encoding, on one line: the body of a `POST` to `/v1/logs` with `Content-Type: application/json`, or a line of
/// a file that a collector reads (`otlpjsonfile`).
///
/// - The resource has `service.name`, `service.version` and `service.namespace` from the [`Origin`]'s product, version
///   and vendor, and `host.name` where it names a machine. The scope is this crate.
/// - `timeUnixNano` and `observedTimeUnixNano` are the event's time; 0 (unknown) before 1970 and after 2554. As all 64-bit
///   integers they are strings.
/// - `severityNumber` is 9 (INFO), 12 (INFO4), 13 (WARN), 17 (ERROR) and 21 (FATAL) for the threat levels from none to
///   critical, and `severityText` the level as we name it. `eventName` is `audit.` and the class.
/// - The body is the message as in [`ocsf_json`](super::ocsf_json).
/// - Attributes are `user.name` (where somebody is known), `session.id`, and `audit.sequence`, `audit.class`, `audit.action`,
///   `audit.resource`, `audit.result`, `audit.agent`, `audit.operation`; and `audit.detail.` with the name of each detail: of a
///   name that repeats, an array of its values. Numbers that are not finite are `"NaN"`, `"Infinity"` and `"-Infinity"`.
///
/// There are no traces: an operation is an attribute and no `traceId`. What is not done is sending: retries, back-off and
/// compression are those of the host's HTTP client, as is the limit on the size of a request, and the binary encoding and gRPC
/// are left to a collector.
#[must_use]
pub fn otlp_logs(origin: &Origin, events: &[StoredEvent]) -> String {
    let mut resource = vec![
        attribute("service.name", text(&origin.product)),
        attribute("service.namespace", text(&origin.vendor)),
        attribute("service.version", text(&origin.version)),
    ];
    resource.extend(origin.hostname.as_deref().map(|name| attribute("host.name", text(name))));
    let request = json!({
        "resourceLogs": [{
            "resource": { "attributes": resource },
            "scopeLogs": [{
                "scope": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
                "logRecords": events.iter().map(record).collect::<Value>(),
            }],
        }],
    });
    escape(&request.to_string())
}

fn record(stored: &StoredEvent) -> Value {
    let event = &stored.event;
    let time = u64::try_from(epoch_nanos(event.time)).unwrap_or_default().to_string();
    json!({
        "timeUnixNano": time,
        "observedTimeUnixNano": time,
        "severityNumber": severity_number(event.threat),
        "severityText": event.threat.as_str(),
        "eventName": format!("audit.{}", event.class),
        "body": text(&format!("{} {}: {}", event.action, event.resource, event.result)),
        "attributes": attributes(stored),
    })
}

/// In the middle or at the end of the ranges that OpenTelemetry gives these names.
fn severity_number(threat: ThreatLevel) -> u32 {
    match threat {
        ThreatLevel::None => 9,
        ThreatLevel::Low => 12,
        ThreatLevel::Medium => 13,
        ThreatLevel::High => 17,
        ThreatLevel::Critical => 21,
    }
}

fn attributes(stored: &StoredEvent) -> Value {
    let event = &stored.event;
    // One that does not fit is a text, as a wrong number would be worse.
    let sequence = i64::try_from(stored.sequence).map_or_else(|_| text(&stored.sequence.to_string()), int);
    let mut all = vec![
        attribute("audit.sequence", sequence),
        attribute("audit.class", text(event.class.as_str())),
        attribute("audit.action", text(&event.action)),
        attribute("audit.resource", text(&event.resource)),
        attribute("audit.result", text(event.result.as_str())),
    ];
    if !event.actor.is_empty() {
        all.push(attribute("user.name", text(&event.actor)));
    }
    all.extend(event.session.as_deref().map(|session| attribute("session.id", text(session))));
    all.extend(event.agent.as_deref().map(|agent| attribute("audit.agent", text(agent))));
    all.extend(event.operation.map(|operation| attribute("audit.operation", text(&operation.to_string()))));
    all.extend(details(event));
    Value::Array(all)
}

/// Keys of attributes may not repeat.
fn details(event: &AuditEvent) -> impl Iterator<Item = Value> {
    let mut values: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, value) in &event.details {
        values.entry(name).or_default().push(any_value(value));
    }
    values.into_iter().map(|(name, mut all)| {
        let value = match all.pop() {
            Some(only) if all.is_empty() => only,
            last => {
                all.extend(last);
                array(all)
            }
        };
        attribute(&format!("audit.detail.{name}"), value)
    })
}

fn attribute(key: &str, value: Value) -> Value {
    json!({ "key": key, "value": value })
}

fn any_value(value: &AuditValue) -> Value {
    match value {
        AuditValue::Bool(value) => json!({ "boolValue": value }),
        AuditValue::Int(value) => int(*value),
        AuditValue::Float(value) => json!({ "doubleValue": double(*value) }),
        AuditValue::Text(value) => text(value),
        AuditValue::List(values) => array(values.iter().map(|value| text(value)).collect()),
    }
}

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

fn int(value: i64) -> Value {
    json!({ "intValue": value.to_string() })
}

fn array(values: Vec<Value>) -> Value {
    json!({ "arrayValue": { "values": values } })
}

/// As Protocol Buffers write it in JSON.
fn double(value: f64) -> Value {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.into()
    } else {
        value.into()
    }
}
