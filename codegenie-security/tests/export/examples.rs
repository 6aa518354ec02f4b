use std::time::{Duration, SystemTime};

use codegenie_security::export::{Exporter, Origin, Syslog, cef, ocsf_json};
use codegenie_security::{AuditEvent, AuditResult, EventClass, OperationId, StoredEvent, ThreatLevel};
use serde_json::{Value, json};

fn origin() -> Origin {
    Origin::of_product("Acme|Co", "Agent\\Host", "2.1").hostname("build-7.example.com")
}

fn command() -> StoredEvent {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    let event = AuditEvent::new(EventClass::Command, "execute", "grep a=b \"x]\" C:\\t\nend")
        .at(time)
        .actor("alice")
        .agent("coder")
        .session("s-1")
        .operation(OperationId::from_bytes([0xab; 16]))
        .result(AuditResult::Denied)
        .threat(ThreatLevel::High)
        .detail("exit_code", 3)
        .detail("enforced", vec!["landlock".to_owned(), "seccomp".to_owned()])
        .detail("weird name", f64::INFINITY);
    StoredEvent::new(41, event)
}

#[test]
fn cef_is_as_its_standard_says() {
    assert_eq!(
        cef(&origin(), &command()),
        r#"CEF:0|Acme\|Co|Agent\\Host|2.1|command|execute|8|rt=1700000000123 externalId=41 dvchost=build-7.example.com suser=alice act=execute outcome=denied msg=grep a\=b "x]" C:\\t\nend cs1Label=agent cs1=coder cs2Label=session cs2=s-1 cs3Label=operation cs3=abababababababababababababababab cs4Label=threat cs4=high cs5Label=details cs5={"enforced":["landlock","seccomp"],"exit_code":3,"weird name":null}"#
    );
    let bare = AuditEvent::new(EventClass::Approval, "ask|a\nb=", "").at(SystemTime::UNIX_EPOCH);
    assert_eq!(
        cef(&Origin::of_product("V", "P", "1"), &StoredEvent::new(0, bare)),
        r"CEF:0|V|P|1|approval|ask\|a b=|0|rt=0 externalId=0 act=ask|a\nb\= outcome=success msg= cs4Label=threat cs4=none"
    );
}

#[test]
fn syslog_is_as_rfc_5424_says() {
    let syslog = Syslog::new(origin()).process_id(77).enterprise_number(4242);
    assert_eq!(
        syslog.encode(&command()),
        r#"<107>1 2023-11-14T22:13:20.123456Z build-7.example.com Agent\Host 77 command [origin software="Agent\\Host" swVersion="2.1"][audit@4242 sequence="41" actor="alice" agent="coder" session="s-1" operation="abababababababababababababababab" action="execute" resource="grep a=b \"x\]\" C:\\t\nend" result="denied" threat="high"][details@4242 exit_code="3" enforced="landlock" enforced="seccomp" _name="weird name" _value="inf"] alice: execute grep a=b "x]" C:\t\nend: denied"#
    );
    // Not ASCII only: the message begins with a byte order mark. Times of five digits cannot be written.
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(300_000_000_000);
    let event = AuditEvent::new(EventClass::FileActivity, "write", "/é").at(far);
    assert_eq!(
        Syslog::new(Origin::of_product("V", "Ä b", "1")).encode(&StoredEvent::new(u64::MAX, event)),
        "<110>1 - - ??b - file_activity [origin software=\"Ä b\" swVersion=\"1\"][audit@32473 sequence=\"18446744073709551615\" action=\"write\" resource=\"/é\" result=\"success\" threat=\"none\"] \u{feff}nobody known: write /é: success"
    );
}

#[test]
fn ocsf_is_as_schema_1_8_says() {
    let found: Value = serde_json::from_str(&ocsf_json(&origin(), &command())).unwrap();
    let resource = "grep a=b \"x]\" C:\\t\nend";
    assert_eq!(
        found,
        json!({
            "activity_id": 1, "activity_name": "Launch",
            "category_uid": 1, "category_name": "System Activity",
            "class_uid": 1007, "class_name": "Process Activity",
            "type_uid": 100_701, "type_name": "Process Activity: Launch",
            "time": 1_700_000_000_123_i64,
            "severity_id": 4, "severity": "High",
            "status_id": 2, "status": "Failure", "status_detail": "denied",
            "message": format!("execute {resource}: denied"),
            "metadata": {
                "version": "1.8.0", "log_name": "audit", "sequence": 41, "event_code": "command",
                "correlation_uid": "abababababababababababababababab", "profiles": ["host"],
                "product": { "name": "Agent\\Host", "vendor_name": "Acme|Co", "version": "2.1" },
            },
            "actor": { "user": { "name": "alice" }, "app_name": "coder", "session": { "uid": "s-1" } },
            "device": { "hostname": "build-7.example.com", "type": "Unknown", "type_id": 0 },
            "process": { "cmd_line": resource, "uid": "abababababababababababababababab" },
            "exit_code": 3,
            "unmapped": {
                "action": "execute", "resource": resource,
                "details": { "exit_code": 3, "enforced": ["landlock", "seccomp"], "weird name": null },
            },
        })
    );
}

/// Class, activity, result; type_uid, and a pointer to something that only this class has.
#[test]
fn every_class_of_ocsf_has_its_own_attributes() {
    use AuditResult::{Denied, Failure, Pending, Success};
    for (class, action, resource, result, type_uid, place, value) in [
        (EventClass::Authentication, "login", "session", Success, 300_201, "/service/name", json!("session")),
        (EventClass::Authentication, "revoke", "session:1", Success, 300_202, "/user/name", json!("u")),
        (EventClass::Authentication, "raise", "session", Denied, 300_299, "/activity_name", json!("raise")),
        (EventClass::Authorization, "read", "file:a", Denied, 300_399, "/privileges/0", json!("read:file:a")),
        (EventClass::Approval, "ask", "rm", Pending, 600_399, "/api/operation", json!("ask")),
        (EventClass::ApiActivity, "create", "user", Success, 600_301, "/resources/0/name", json!("user")),
        (EventClass::ApiActivity, "x", "", Success, 600_399, "/src_endpoint/hostname", json!("localhost")),
        (EventClass::Command, "terminate", "sleep 1", Success, 100_702, "/process/uid", json!("9")),
        (EventClass::FileActivity, "write", "/a/b.c", Success, 100_103, "/file/name", json!("b.c")),
        (EventClass::FileActivity, "rename", "C:\\a\\b", Failure, 100_105, "/file/name", json!("b")),
        (EventClass::FileActivity, "delete", "/", Success, 100_104, "/file/name", json!("/")),
        (
            EventClass::NetworkActivity,
            "connect",
            "a.b:443",
            Success,
            400_101,
            "/dst_endpoint/port",
            json!(443),
        ),
        (
            EventClass::NetworkActivity,
            "connect",
            "[::1]:1",
            Denied,
            400_105,
            "/dst_endpoint/ip",
            json!("::1"),
        ),
        (EventClass::NetworkActivity, "connect", "a b", Failure, 400_104, "/dst_endpoint/name", json!("a b")),
        (EventClass::Configuration, "load", "policy", Success, 501_901, "/state", json!("load")),
        (EventClass::DetectionFinding, "detect", "x", Success, 200_401, "/is_alert", json!(false)),
    ] {
        let event = AuditEvent::new(class, action, resource).actor("u").result(result);
        let line: Value =
            serde_json::from_str(&ocsf_json(&Origin::new(), &StoredEvent::new(9, event))).unwrap();
        assert_eq!(line["type_uid"], type_uid, "{line}");
        assert_eq!(
            line["class_uid"].as_u64().unwrap() * 100 + line["activity_id"].as_u64().unwrap(),
            type_uid
        );
        assert_eq!(line["class_uid"], class.ocsf_class_uid());
        assert_eq!(line["category_uid"], class.ocsf_class_uid() / 1000);
        assert_eq!(line.pointer(place), Some(&value), "{line}");
    }
}

#[test]
fn details_that_repeat_are_all_there() {
    let event = AuditEvent::new(EventClass::VulnerabilityFinding, "find", "dep")
        .detail("cve", "CVE-2026-1")
        .detail("a", 1)
        .detail("a", vec!["x".to_owned()]);
    let line: Value = serde_json::from_str(&ocsf_json(&Origin::new(), &StoredEvent::new(0, event))).unwrap();
    assert_eq!(line["unmapped"]["details"], json!({ "cve": "CVE-2026-1", "a": [1, ["x"]] }));
    assert_eq!(line["vulnerabilities"], json!([{ "title": "find dep", "cve": { "uid": "CVE-2026-1" } }]));
}

#[test]
fn every_format_writes_lines() {
    for exporter in
        [Exporter::OcsfJson(origin()), Exporter::Cef(origin()), Exporter::Syslog(Syslog::new(origin()))]
    {
        let mut out = Vec::new();
        for _ in 0..2 {
            exporter.write(&command(), &mut out).unwrap();
        }
        let expected = format!("{0}\n{0}\n", exporter.encode(&command()));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
