//! The Open Cybersecurity Schema Framework, version 1.8.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::Origin;
use super::activity::{Activity, activity};
use super::finding::{self, finding_info};
use super::text::{epoch_millis, is_unsafe, push_safe};
use crate::{AuditEvent, AuditResult, AuditValue, EventClass, StoredEvent, ThreatLevel};

const VERSION: &str = "1.8.0";

/// The event as one line of JSON in the [Open Cybersecurity Schema Framework](https://schema.ocsf.io/1.8.0/),
/// version 1.8.0, with the profile `host`.
///
/// - The class is [`ocsf_class_uid`](EventClass::ocsf_class_uid) (but see below for vulnerabilities), and `metadata.event_code` names ours, since two
///   of ours share one. The activity comes from the action; one that the class does not have is 99 with the
///   action as its name.
/// - `time` is in milliseconds since 1970, rounded down; `metadata.sequence` gives the order.
/// - `severity_id` is 1 to 5 for the threat levels from none to critical. `status_id` is 1 for success, 2 for
///   failure and denied, 99 for pending, and of a finding 1 (new) or 4 (resolved); `status_detail` is the result
///   as we name it.
/// - `actor.user.name` is empty where nobody is known; `actor.app_name` is the agent, `actor.session.uid` the
///   session, `metadata.correlation_uid` the operation.
/// - Where the class wants a host and the [`Origin`] has none, it is `localhost`.
/// - `unmapped` has the action and the resource as they are, and all `details`: of a name that repeats, a list of
///   its values. A number that is not finite is null.
/// - The class of authorizations (Authorize Session) is about privileges that were given; ours reports also
///   those that were not, with a failure.
/// - A vulnerability is named by the details `cve` (`CVE-2026-1`), or else `advisory` (`RUSTSEC-2026-0001`, `GHSA-…`), or
///   else `cwe` (`CWE-79`, or 79), just one of which the schema takes: there is one vulnerability per value, and the
///   `cwe` of a single one stands in it as `related_cwes`. Without any of them an event cannot be of the class
///   Vulnerability Finding (2002): it is a Detection Finding (2004) with the type `Vulnerability`, and
///   `metadata.event_code` still says `vulnerability_finding`.
#[must_use]
pub fn ocsf_json(origin: &Origin, stored: &StoredEvent) -> String {
    let event = &stored.event;
    let vulnerabilities = finding::vulnerabilities(event);
    let class = match event.class {
        EventClass::VulnerabilityFinding if vulnerabilities.is_empty() => EventClass::DetectionFinding,
        class => class,
    };
    let (activity_id, activity_name): Activity<'_> = activity(event);
    let class_uid = class.ocsf_class_uid();
    let (severity_id, severity) = severity(event.threat);
    let (status_id, status) = status(event);
    let host = origin.hostname.as_deref().unwrap_or("localhost");

    let mut line = json!({
        "activity_id": activity_id,
        "activity_name": activity_name,
        "actor": actor(event),
        "category_name": category_name(class_uid / 1000),
        "category_uid": class_uid / 1000,
        "class_name": class_name(class),
        "class_uid": class_uid,
        "device": { "hostname": host, "type": "Unknown", "type_id": 0 },
        "message": format!("{} {}: {}", event.action, event.resource, event.result),
        "metadata": {
            "event_code": event.class.as_str(),
            "log_name": "audit",
            "product": {
                "name": origin.product,
                "vendor_name": origin.vendor,
                "version": origin.version,
            },
            "profiles": ["host"],
            "sequence": stored.sequence,
            "version": VERSION,
        },
        "severity": severity,
        "severity_id": severity_id,
        "status": status,
        "status_detail": event.result.as_str(),
        "status_id": status_id,
        "time": epoch_millis(event.time),
        "type_name": format!("{}: {activity_name}", class_name(class)),
        "type_uid": class_uid * 100 + activity_id,
        "unmapped": {
            "action": event.action,
            "details": details(event),
            "resource": event.resource,
        },
    });
    if let (Some(operation), Some(metadata)) =
        (event.operation, line.get_mut("metadata").and_then(Value::as_object_mut))
    {
        metadata.insert("correlation_uid".to_owned(), operation.to_string().into());
    }
    if let (Some(line), Value::Object(own)) =
        (line.as_object_mut(), of_class(stored, class, vulnerabilities, host))
    {
        line.extend(own);
    }
    escape(&line.to_string())
}

/// JSON escapes C0 only. What else is unsafe is not ASCII or is DEL, so it stands inside of strings.
pub(crate) fn escape(json: &str) -> String {
    if !json.contains(is_unsafe) {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() + 16);
    json.chars().for_each(|c| push_safe(&mut out, c));
    out
}

/// The details as a JSON object: of a name that repeats, a list of its values.
pub(super) fn details(event: &AuditEvent) -> Value {
    let mut values: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, value) in &event.details {
        values.entry(name).or_default().push(json_value(value));
    }
    let one = |mut all: Vec<Value>| match all.pop() {
        Some(only) if all.is_empty() => only,
        last => all.into_iter().chain(last).collect(),
    };
    values.into_iter().map(|(name, all)| (name.to_owned(), one(all))).collect::<Map<_, _>>().into()
}

fn json_value(value: &AuditValue) -> Value {
    match value {
        AuditValue::Bool(value) => (*value).into(),
        AuditValue::Int(value) => (*value).into(),
        AuditValue::Float(value) => (*value).into(),
        AuditValue::Text(value) => value.as_str().into(),
        AuditValue::List(values) => values.as_slice().into(),
    }
}

fn actor(event: &AuditEvent) -> Value {
    let mut actor = Map::new();
    actor.insert("user".to_owned(), json!({ "name": event.actor }));
    if let Some(agent) = &event.agent {
        actor.insert("app_name".to_owned(), agent.as_str().into());
    }
    if let Some(session) = &event.session {
        actor.insert("session".to_owned(), json!({ "uid": session }));
    }
    Value::Object(actor)
}

/// What only this class has.
fn of_class(stored: &StoredEvent, class: EventClass, vulnerabilities: Vec<Value>, host: &str) -> Value {
    let event = &stored.event;
    let resource = event.resource.as_str();
    let mut own = match class {
        EventClass::Authentication => {
            json!({ "service": { "name": resource }, "user": { "name": event.actor } })
        }
        EventClass::Authorization => json!({
            "privileges": [format!("{}:{resource}", event.action)],
            "user": { "name": event.actor },
        }),
        EventClass::Approval | EventClass::ApiActivity => json!({
            "api": { "operation": event.action },
            "resources": [{ "name": resource }],
            "src_endpoint": { "hostname": host },
        }),
        EventClass::Command => json!({ "process": process(stored) }),
        EventClass::FileActivity => json!({
            "file": {
                "name": resource.rsplit(['/', '\\']).find(|name| !name.is_empty()).unwrap_or(resource),
                "path": resource,
                "type": "Unknown",
                "type_id": 0,
            },
        }),
        EventClass::NetworkActivity => {
            json!({ "dst_endpoint": endpoint(resource), "src_endpoint": { "hostname": host } })
        }
        EventClass::Configuration => json!({ "state": event.action, "state_id": 99 }),
        EventClass::VulnerabilityFinding => json!({
            "finding_info": finding_info(stored, class),
            "resources": [{ "name": resource }],
            "vulnerabilities": vulnerabilities,
        }),
        EventClass::DetectionFinding => json!({
            "finding_info": finding_info(stored, class),
            "is_alert": event.threat >= ThreatLevel::High,
            "resources": [{ "name": resource }],
        }),
    };
    if let Some(own) = own.as_object_mut() {
        if let (EventClass::Authentication | EventClass::Authorization, Some(session)) =
            (event.class, &event.session)
        {
            own.insert("session".to_owned(), json!({ "uid": session }));
        }
        if let (EventClass::Command, Some(AuditValue::Int(code))) =
            (event.class, event.get_detail("exit_code"))
        {
            own.insert("exit_code".to_owned(), (*code).into());
        }
    }
    own
}

/// A process has a pid or an id of the producer's choice: we have the operation, or else the event.
fn process(stored: &StoredEvent) -> Value {
    let event = &stored.event;
    let uid = event.operation.map_or_else(|| stored.sequence.to_string(), |operation| operation.to_string());
    match event.get_detail("pid") {
        Some(AuditValue::Int(pid)) => json!({ "cmd_line": event.resource, "pid": pid, "uid": uid }),
        _ => json!({ "cmd_line": event.resource, "uid": uid }),
    }
}

fn endpoint(resource: &str) -> Value {
    if let Ok(address) = resource.parse::<SocketAddr>() {
        return json!({ "ip": address.ip().to_string(), "name": resource, "port": address.port() });
    }
    let is_host = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    match resource.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(port))) if is_host(host) => {
            json!({ "hostname": host, "name": resource, "port": port })
        }
        _ => json!({ "name": resource }),
    }
}

fn severity(threat: ThreatLevel) -> (u32, &'static str) {
    match threat {
        ThreatLevel::None => (1, "Informational"),
        ThreatLevel::Low => (2, "Low"),
        ThreatLevel::Medium => (3, "Medium"),
        ThreatLevel::High => (4, "High"),
        ThreatLevel::Critical => (5, "Critical"),
    }
}

/// Of a finding, the status is where its handling stands.
fn status(event: &AuditEvent) -> (u32, &'static str) {
    match (event.class, event.result) {
        (EventClass::VulnerabilityFinding | EventClass::DetectionFinding, _) => match activity(event) {
            (3, _) => (4, "Resolved"),
            _ => (1, "New"),
        },
        (_, AuditResult::Success) => (1, "Success"),
        (_, AuditResult::Failure | AuditResult::Denied) => (2, "Failure"),
        (_, AuditResult::Pending) => (99, "Pending"),
    }
}

fn category_name(category: u32) -> &'static str {
    match category {
        1 => "System Activity",
        2 => "Findings",
        3 => "Identity & Access Management",
        4 => "Network Activity",
        5 => "Discovery",
        _ => "Application Activity",
    }
}

fn class_name(class: EventClass) -> &'static str {
    match class {
        EventClass::Authentication => "Authentication",
        EventClass::Authorization => "Authorize Session",
        EventClass::Approval | EventClass::ApiActivity => "API Activity",
        EventClass::Command => "Process Activity",
        EventClass::FileActivity => "File System Activity",
        EventClass::NetworkActivity => "Network Activity",
        EventClass::Configuration => "Device Config State Change",
        EventClass::VulnerabilityFinding => "Vulnerability Finding",
        EventClass::DetectionFinding => "Detection Finding",
    }
}
