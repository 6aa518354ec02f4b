//! The report as JSON.

use serde_json::{Map, Value, json};

use super::approvals::text;
use super::newest::Newest;
use super::{ComplianceReport, SHOWN};
use crate::export::escape_json;
use crate::export::text::rfc3339_micros;
use crate::query::NameCounts;
use crate::{AuditResult, AuditValue, EventClass, StoredEvent, ThreatLevel};

pub(super) const THREATS: [ThreatLevel; 5] =
    [ThreatLevel::Critical, ThreatLevel::High, ThreatLevel::Medium, ThreatLevel::Low, ThreatLevel::None];
pub(super) const RESULTS: [AuditResult; 4] =
    [AuditResult::Pending, AuditResult::Success, AuditResult::Failure, AuditResult::Denied];

pub(super) fn render(report: &ComplianceReport) -> String {
    let complete = report.is_complete();
    let whole = json!({
        "format": 1,
        "title": report.title,
        "made": rfc3339_micros(report.made),
        "complete": complete,
        "problem": report.unread,
        "integrity": integrity(report),
        "retention": {
            "first_record": report.verification.first_record(),
            "records_removed": report.verification.first_record(),
        },
        "events": events(report),
        "approvals": approvals(report),
        "controls": controls(report),
        "high_threat": report.summary.high_threat().map(event).collect::<Value>(),
        "detections": {
            "count": report.detections.seen(),
            "rules": names(&report.detection_rules),
            "newest": list(&report.detections),
        },
        "shreddings": {
            "count": report.shreddings.seen(),
            "keys_destroyed": report.shredded_keys,
            "records_shredded": report.verification.shredded_records(),
            "newest": list(&report.shreddings),
        },
    });
    escape_json(&whole.to_string())
}

fn integrity(report: &ComplianceReport) -> Value {
    let verification = &report.verification;
    let head = verification.head();
    json!({
        "verdict": verification.verdict().name(),
        "intact": verification.is_intact(),
        "statement": verification.to_string(),
        "decrypted": verification.was_decrypted(),
        "records": verification.records(),
        "unsigned_records": verification.unsigned_records(),
        "torn_bytes": verification.torn_bytes(),
        "clock_regressions": verification.clock_regressions(),
        "fault": verification.fault().map(|fault| json!({
            "kind": fault.kind().to_string(),
            "file": fault.file(),
            "record": fault.sequence(),
        })),
        "checkpoint": {
            "origin": report.origin(),
            "size": head.map(|head| head.size),
            "root": head.map(|head| head.root.to_string()),
            "identity": verification.identity().map(ToString::to_string),
        },
    })
}

fn events(report: &ComplianceReport) -> Value {
    let summary = &report.summary;
    let object = |counts: Vec<(&'static str, u64)>| -> Value {
        counts.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect::<Map<_, _>>().into()
    };
    json!({
        "count": summary.events(),
        "first_time": summary.times().and_then(|(first, _)| rfc3339_micros(first)),
        "last_time": summary.times().and_then(|(_, last)| rfc3339_micros(last)),
        "first_record": summary.sequences().map(|(first, _)| first),
        "last_record": summary.sequences().map(|(_, last)| last),
        "by_class": object(EventClass::ALL.map(|class| (class.as_str(), summary.by_class(class))).to_vec()),
        "by_result": object(RESULTS.map(|result| (result.as_str(), summary.by_result(result))).to_vec()),
        "by_threat": object(THREATS.map(|threat| (threat.as_str(), summary.by_threat(threat))).to_vec()),
        "actors": names(summary.actors()),
        "agents": names(summary.agents()),
        "actions": names(&report.actions),
    })
}

fn approvals(report: &ComplianceReport) -> Value {
    let approvals = &report.approvals;
    json!({
        "answers": approvals.answers,
        "granted": approvals.granted,
        "denied": approvals.denied,
        "other_events": approvals.other,
        "approvers": names(&approvals.approvers),
        "scopes": names(&approvals.scopes),
        "waited_ms": {
            "count": approvals.waits.count,
            "mean": approvals.waits.mean(),
            "longest": (approvals.waits.count > 0).then_some(approvals.waits.longest),
        },
        "raises": { "granted": approvals.raises_granted, "denied": approvals.raises_denied },
        "newest": list(&approvals.newest),
    })
}

fn controls(report: &ComplianceReport) -> Value {
    let controls = &report.controls;
    json!({
        "runs": controls.runs,
        "runs_without_layers": controls.runs_without_layers,
        "runs_from_cache": controls.from_cache,
        "runs_with_refusals": controls.runs_with_refusals,
        "sandboxes": names(&controls.sandboxes),
        "enforced": names(&controls.enforced),
        "partly_enforced": names(&controls.partly_enforced),
        "commands_refused": controls.refused,
        "refused_by_rule": names(&controls.refused_by_rule),
        "connections": { "made": controls.connections, "denied": controls.connections_denied },
    })
}

fn names(counts: &NameCounts) -> Value {
    let one = |count: crate::NameCount| json!({ "name": count.name, "at_least": count.at_least, "at_most": count.at_most });
    counts.top(SHOWN).into_iter().map(one).collect()
}

fn list(newest: &Newest) -> Value {
    newest.iter().map(event).collect()
}

fn event(stored: &StoredEvent) -> Value {
    let event = &stored.event;
    let number = |name: &str| match event.get_detail(name) {
        Some(AuditValue::Float(value)) => json!(value),
        Some(AuditValue::Int(value)) => json!(value),
        _ => Value::Null,
    };
    json!({
        "record": stored.sequence,
        "time": rfc3339_micros(event.time),
        "class": event.class.as_str(),
        "actor": event.actor,
        "agent": event.agent,
        "session": event.session,
        "operation": event.operation.map(|operation| operation.to_string()),
        "action": event.action,
        "resource": event.resource,
        "result": event.result.as_str(),
        "threat": event.threat.as_str(),
        "rule": text(event, "rule"),
        "reason": text(event, "reason"),
        "approver": text(event, "approver"),
        "note": text(event, "note"),
        "scope": text(event, "scope"),
        "waited_ms": number("waited_ms"),
    })
}
