//! The compliance report: what it says of a log, and that no event can say anything in its place.
#![cfg(all(unix, feature = "audit-log"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "support/events.rs"]
mod events;

use codegenie_security::{
    AuditEvent, AuditLog, AuditLogOptions, AuditQuery, AuditReader, AuditResult, AuditSink, ComplianceReport,
    DetectingSink, DetectionRules, EventClass, RetentionPolicy, SealingKey, ThreatLevel,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

fn key() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn event(seconds: u64, class: EventClass, action: &str, resource: &str) -> AuditEvent {
    AuditEvent::new(class, action, resource).actor("alice").agent("coder").at(at(seconds))
}

fn run(seconds: u64, enforced: &[&str], partly: &[&str]) -> AuditEvent {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    event(seconds, EventClass::Command, "execute", "cargo test")
        .detail("sandbox", "native")
        .detail("enforced", list(enforced))
        .detail("partly_enforced", list(partly))
        .detail("from_cache", enforced.is_empty())
}

fn answer(seconds: u64, approver: &str, result: AuditResult, waited: f64) -> AuditEvent {
    event(seconds, EventClass::Approval, "approve", "make deploy")
        .result(result)
        .detail("approver", approver)
        .detail("note", "as agreed")
        .detail("waited_ms", waited)
        .detail("scope", "Session(60s)")
}

fn log_of(path: &Path, events: &[AuditEvent]) -> AuditLog {
    let log = AuditLog::open(path, &key()).unwrap();
    log.record_all(events.iter()).unwrap();
    log
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    (dir, path)
}

fn report(path: &Path, query: &AuditQuery) -> ComplianceReport {
    ComplianceReport::make(&AuditReader::open(path, &key()).unwrap(), query, &[]).unwrap()
}

fn json_of(report: &ComplianceReport) -> Value {
    serde_json::from_str(&report.to_json()).unwrap()
}

#[test]
fn it_says_who_did_what_under_which_controls() {
    let (_dir, path) = place();
    let pending = event(0, EventClass::Command, "execute", "cargo test").result(AuditResult::Pending);
    let refused = event(9, EventClass::Command, "execute", "sudo sh")
        .result(AuditResult::Denied)
        .threat(ThreatLevel::High)
        .detail("rule", "no-sudo")
        .detail("reason", "gains privileges");
    let raise = event(10, EventClass::Authentication, "raise", "session").result(AuditResult::Denied);
    let events = [
        pending,
        run(1, &["landlock", "seccomp"], &["cgroup"]),
        run(2, &["landlock"], &[]).actor("bob"),
        run(3, &[], &[]),
        answer(4, "ada", AuditResult::Success, 500.0),
        answer(5, "ada", AuditResult::Denied, 1500.0),
        event(6, EventClass::Approval, "revoke grants", "user:alice"),
        event(7, EventClass::NetworkActivity, "connect", "crates.io:443"),
        event(8, EventClass::NetworkActivity, "connect", "x:1").result(AuditResult::Denied),
        refused,
        raise,
    ];
    let log = log_of(&path, &events);
    let identity = log.identity();
    drop(log);

    let report = report(&path, &AuditQuery::new()).title("March").made_at(at(100));
    assert!(report.is_complete());
    let found = json_of(&report);
    assert_eq!(found["format"], 1);
    assert_eq!((&found["title"], &found["made"]), (&json!("March"), &json!("2027-01-15T08:01:40.000000Z")));
    assert_eq!((&found["complete"], &found["problem"]), (&json!(true), &Value::Null));

    let integrity = &found["integrity"];
    assert_eq!((&integrity["verdict"], &integrity["intact"]), (&json!("Unanchored"), &json!(true)));
    assert_eq!((&integrity["records"], &integrity["decrypted"]), (&json!(11), &json!(true)));
    let head = report.verification().head().unwrap();
    let origin = identity.name().strip_suffix("/identity").unwrap();
    assert_eq!(
        integrity["checkpoint"],
        json!({
            "origin": origin, "size": head.size, "root": head.root.to_string(), "identity": identity.to_string(),
        })
    );

    let events = &found["events"];
    assert_eq!((&events["count"], &events["last_record"]), (&json!(11), &json!(10)));
    assert_eq!(events["first_time"], "2027-01-15T08:00:00.000000Z");
    assert_eq!(events["last_time"], "2027-01-15T08:00:10.000000Z");
    assert_eq!((&events["by_class"]["command"], &events["by_result"]["denied"]), (&json!(5), &json!(4)));
    assert_eq!(events["actors"][0], json!({ "name": "alice", "at_least": 10, "at_most": 10 }));
    assert_eq!(events["actions"][0]["name"], "execute");

    let approvals = &found["approvals"];
    for (name, count) in [("answers", 2), ("granted", 1), ("denied", 1), ("other_events", 1)] {
        assert_eq!(approvals[name], count, "{name}");
    }
    assert_eq!(approvals["approvers"][0], json!({ "name": "ada", "at_least": 2, "at_most": 2 }));
    assert_eq!(approvals["scopes"][0]["name"], "Session");
    assert_eq!(approvals["waited_ms"], json!({ "count": 2, "mean": 1000.0, "longest": 1500.0 }));
    assert_eq!(approvals["raises"], json!({ "granted": 0, "denied": 1 }));
    assert_eq!(approvals["newest"][1]["approver"], "ada");
    assert_eq!(approvals["newest"][1]["record"], 5);

    let controls = &found["controls"];
    for (name, count) in [
        ("runs", 3),
        ("runs_without_layers", 1),
        ("runs_from_cache", 1),
        ("commands_refused", 1),
        ("runs_with_refusals", 0),
    ] {
        assert_eq!(controls[name], count, "{name}");
    }
    assert_eq!(controls["enforced"][0], json!({ "name": "landlock", "at_least": 2, "at_most": 2 }));
    assert_eq!(controls["partly_enforced"][0]["name"], "cgroup");
    assert_eq!(controls["refused_by_rule"][0]["name"], "no-sudo");
    assert_eq!(controls["connections"], json!({ "made": 1, "denied": 1 }));

    assert_eq!(found["high_threat"].as_array().unwrap().len(), 1);
    assert_eq!(found["high_threat"][0]["reason"], "gains privileges");

    let page = report.to_markdown();
    for line in [
        "# March",
        "| Verdict | Unanchored |",
        "| alice | 10 |",
        "| Granted | 1 |",
        "| Mean wait for an answer | 1000 ms |",
        "| landlock | 2 |",
        "| no-sudo | 1 |",
        "| 9 | 2027-01-15T08:00:09.000000Z | alice | coder | execute | sudo sh | denied | high | gains privileges |",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

#[test]
fn a_query_filters_events_and_not_the_verdict() {
    let (_dir, path) = place();
    drop(log_of(&path, &[run(1, &["landlock"], &[]), run(2, &["landlock"], &[]).actor("bob")]));
    let found = json_of(&report(&path, &AuditQuery::new().actor("bob").limit(1)));
    assert_eq!((&found["events"]["count"], &found["controls"]["runs"]), (&json!(1), &json!(1)));
    assert_eq!(found["integrity"]["records"], 2);
}

#[test]
fn detections_are_listed_by_their_rules() {
    let (_dir, path) = place();
    let rules = DetectionRules::new().denials(2).new_targets(0).odd_hours(false);
    let sink = DetectingSink::new(AuditLog::open(&path, &key()).unwrap(), rules);
    for n in 0..5 {
        sink.record(&run(n, &[], &[]).result(AuditResult::Denied)).unwrap();
    }
    drop(sink);
    let report = report(&path, &AuditQuery::new());
    let found = json_of(&report);
    assert_eq!(found["detections"]["count"], 1);
    assert_eq!(found["detections"]["rules"][0]["name"], "denial_burst");
    assert_eq!(found["detections"]["newest"][0]["reason"], "2 denials within 300 s");
    assert!(report.to_markdown().contains("| denial&#95;burst | 1 |"));
}

#[test]
fn shreddings_and_retention_are_told() {
    let (_dir, path) = place();
    let log = log_of(&path, &[run(1, &[], &[]), run(2, &[], &[]).actor("bob")]);
    log.shred("alice").unwrap();
    drop(log);
    let found = json_of(&report(&path, &AuditQuery::new().actor("bob")));
    assert_eq!(found["shreddings"]["count"], 1, "whatever the query is");
    assert_eq!(found["shreddings"]["keys_destroyed"], 1);
    assert_eq!(found["shreddings"]["records_shredded"], 1);

    let (_dir, path) = place();
    let options = AuditLogOptions::new().retention(RetentionPolicy::forever().max_bytes(1));
    for n in 0..4 {
        let log = options.clone().open(&path, &key()).unwrap();
        log.record(&run(n, &[], &[])).unwrap();
    }
    let report = report(&path, &AuditQuery::new());
    let first = report.verification().first_record();
    assert!(first > 0);
    assert_eq!(json_of(&report)["retention"], json!({ "first_record": first, "records_removed": first }));
    assert_eq!(report.summary().sequences().unwrap().0, first);
}

#[test]
fn a_log_that_was_tampered_with_gets_a_report_that_says_so() {
    let (_dir, path) = place();
    for n in 0..3 {
        drop(log_of(&path, &[run(n, &["landlock"], &[])]));
    }
    let mut segments: Vec<_> =
        std::fs::read_dir(path.join("segments")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_none());
    segments.sort();
    let last = segments.last().unwrap();
    let mut bytes = std::fs::read(last).unwrap();
    let end = bytes.len() - 20;
    bytes[end] ^= 1;
    std::fs::write(last, bytes).unwrap();
    let report = report(&path, &AuditQuery::new());
    assert!(!report.verification().is_intact());
    let found = json_of(&report);
    assert_eq!(
        (&found["integrity"]["verdict"], &found["integrity"]["intact"]),
        (&json!("Corrupt"), &json!(false))
    );
    assert_eq!(found["integrity"]["fault"]["record"], 2);
    assert_eq!(found["events"]["count"], 2);
    assert!(report.to_markdown().contains("| Verdict | Corrupt |"));
}

#[test]
fn an_empty_log_has_a_report() {
    let (_dir, path) = place();
    drop(AuditLog::open(&path, &key()).unwrap());
    let report = report(&path, &AuditQuery::new());
    let found = json_of(&report);
    assert_eq!((&found["events"]["count"], &found["events"]["first_time"]), (&json!(0), &Value::Null));
    assert_eq!(found["approvals"]["waited_ms"]["longest"], Value::Null);
    assert!(report.to_markdown().contains("| Events | 0 |"));
}

#[test]
fn lists_are_bounded_and_counts_are_not() {
    let (_dir, path) = place();
    let long = "x".repeat(5000);
    let events: Vec<_> =
        (0..250).map(|n| answer(n, &long, AuditResult::Success, 1.0).threat(ThreatLevel::High)).collect();
    drop(log_of(&path, &events));
    let report = report(&path, &AuditQuery::new());
    let found = json_of(&report);
    assert_eq!(found["approvals"]["answers"], 250);
    let newest = found["approvals"]["newest"].as_array().unwrap();
    assert_eq!((newest.len(), &newest[0]["record"]), (100, &json!(150)));
    assert!(newest[0]["approver"].as_str().unwrap().len() < 600);
    assert_eq!(found["high_threat"].as_array().unwrap().len(), 100);
    assert!(report.to_markdown().contains("The newest 100 of 250:"));
}

#[test]
fn what_stands_in_an_event_stays_text() {
    let (_dir, path) = place();
    let hostile = "a | b\n# c\r\n`d` <img src=x onerror=e> [f](https://g) ![h](i) *j* www.k.l @m $n$ \u{202e}o\u{1b}[0m &amp; \\";
    let event =
        answer(1, hostile, AuditResult::Denied, f64::NAN).threat(ThreatLevel::Critical).agent(hostile);
    drop(log_of(&path, &[event.actor(hostile).detail("reason", hostile)]));
    let report = report(&path, &AuditQuery::new()).title(hostile);
    let page = report.to_markdown();
    assert!(page.starts_with("# a &#124; b &#35; c"), "{page}");
    for gone in ["`", "<", "[f]", "](", "https:", "www.", "@", "$", "*", "\u{202e}", "\u{1b}", "&amp;", "\\"]
    {
        assert!(!page.contains(gone), "{gone:?} in {page}");
    }
    assert!(!report.to_json().contains(['\u{202e}', '\u{1b}', '\n']));
    assert_eq!(json_of(&report)["high_threat"][0]["actor"], hostile);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the events are: every line of a table has as many cells as its head, and nothing means anything.
    #[test]
    fn tables_stay_tables(events in prop::collection::vec(events::event(), 0..20)) {
        let (_dir, path) = place();
        drop(log_of(&path, &events));
        let report = report(&path, &AuditQuery::new());
        prop_assert!(report.is_complete());
        prop_assert_eq!(report.summary().events(), events.len() as u64);
        serde_json::from_str::<Value>(&report.to_json()).unwrap();
        let mut cells = None;
        for line in report.to_markdown().split('\n') {
            prop_assert!(!line.contains(['`', '<', '>', '\\', '\r', '@', '*', '[', '\u{202e}', '\u{2028}', '\0']), "{}", line);
            if line.is_empty() {
                cells = None;
            } else if line.starts_with('|') {
                let now = line.matches('|').count();
                prop_assert_eq!(*cells.get_or_insert(now), now, "{}", line);
            } else {
                prop_assert!(line.starts_with("# ") || line.starts_with("## ") || line.starts_with("The newest "), "{}", line);
            }
        }
    }
}
