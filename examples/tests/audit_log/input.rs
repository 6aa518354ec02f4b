//! Lines of events: when they are durable, how long they may be, and that nothing of them changes on the way.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ok, program, run};

#[test]
fn what_has_arrived_is_on_record_while_the_input_pauses() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut child = Command::new(program())
        .args(["append", "--dir"])
        .arg(dir.join("audit"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // Of the last line only the beginning has come.
    for (sent, most) in [("{\"action\":\"a\"}\n", 1), ("{\"action\":\"b\"}\n\n{\"action\":\"c\"}\n{\"act", 3)]
    {
        pipe.write_all(sent.as_bytes()).unwrap();
        let start = Instant::now();
        let found = || run(dir, &["query", "--json"], "").1.lines().count();
        while found() < most {
            assert!(start.elapsed() < Duration::from_secs(20), "{most} events are not on record");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(found(), most);
    }
    pipe.write_all(b"ion\":\"d\"}").unwrap();
    drop(pipe);
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.starts_with("4 records, "), "{said}");
}

/// A leaf per event, and one per commit.
#[test]
fn a_large_input_goes_in_large_commits() {
    let dir = tempfile::tempdir().unwrap();
    let events: String = (0..20_000).map(|n| format!("{{\"action\":\"a{n}\"}}\n")).collect();
    let file = dir.path().join("events");
    std::fs::write(&file, events).unwrap();
    let mut child = Command::new(program());
    child.args(["append", "--dir"]).arg(dir.path().join("audit")).stdin(std::fs::File::open(file).unwrap());
    let said = String::from_utf8(child.output().unwrap().stdout).unwrap();
    let leaves = said.strip_prefix("20000 records, ").and_then(|rest| rest.split(' ').next());
    let leaves: u64 = leaves.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    assert!((20_020..20_200).contains(&leaves), "{said}");
}

#[test]
fn a_line_has_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // The longest form of an event that the log takes.
    let written_long = "\\u0061".repeat((1 << 20) - 100);
    ok(dir, &["append"], format!("{{\"action\":\"a\",\"resource\":\"{written_long}\"}}\n"));

    let mut child = Command::new(program())
        .args(["append", "--dir"])
        .arg(dir.join("audit"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"{\"action\":\"a\"}\n{\"action\":\"").unwrap();
    let part = vec![b'x'; 1 << 20];
    let taken = (0..64).take_while(|_| pipe.write_all(&part).is_ok()).count();
    drop(pipe);
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("line 2: longer than 8 MiB") && said.contains("on record"), "{said}");
    assert!(taken < 16, "it took {taken} MiB of the line");
    assert!(ok(dir, &["verify"], "").starts_with("Unanchored: 2 records"));
}

#[test]
fn numbers_are_recorded_as_they_were_given() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let event = r#"{"action":"a","details":{"least":-9223372036854775808,"most":9223372036854775807,
        "more":9223372036854775808,"id":18446744073709551615,"far":-123456789012345678901234567890,"float":1e300,
        "exact":0.30000000000000004,"list":[1,18446744073709551615],"in":{"id":18446744073709551615,"n":-1.5}}}"#;
    ok(dir, &["append"], event.replace('\n', ""));
    let found: Value = serde_json::from_str(&ok(dir, &["query", "--json"], "")).unwrap();
    assert_eq!(
        found["details"],
        json!({
            "least": i64::MIN, "most": i64::MAX, "more": "9223372036854775808", "id": "18446744073709551615",
            "far": "-123456789012345678901234567890", "float": 1e300, "exact": 0.1 + 0.2,
            "list": r#"[1,"18446744073709551615"]"#, "in": r#"{"id":"18446744073709551615","n":-1.5}"#,
        })
    );
    let number = "{\"action\":\"a\"}\n{\"action\":\"a\",\"actor\":18446744073709551615}";
    let (status, _, said) = run(dir, &["append"], number);
    assert!(status == 1 && said.contains("line 2: actor is 18446744073709551615, not a text"), "{said}");
}

#[test]
fn a_name_that_is_given_twice_is_refused() {
    for bad in [
        r#"{"action":"a","actor":"alice","actor":"bob"}"#,
        r#"{"action":"a","actor":"alice","\u0061ctor":"bob"}"#,
        r#"{"action":"a","details":{"actor":1,"actor":2}}"#,
        r#"{"action":"a","details":{"in":[{"actor":1,"actor":1}]}}"#,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let (status, _, said) = run(dir, &["append"], format!("{{\"action\":\"a\"}}\n{bad}\n"));
        assert_eq!((status, said.lines().count()), (1, 1), "{said}");
        assert!(said.contains("line 2: ") && said.contains("\"actor\" is given twice"), "{said}");
        assert!(ok(dir, &["verify"], "").starts_with("Unanchored: 1 records"));
    }
}

#[test]
fn what_is_no_object_is_a_bad_line() {
    let dir = tempfile::tempdir().unwrap();
    let deep =
        format!("{{\"action\":\"a\",\"details\":{{\"in\":{}}}}}", "[".repeat(9000) + &"]".repeat(9000));
    for (bad, why) in [
        ("[1]", "not a JSON object"),
        ("\"a\"", "not a JSON object"),
        ("{\"action\":\"a\"", "EOF"),
        ("{\"action\":\"a\"} x", "trailing characters"),
        ("action", "expected"),
        (&deep, "details: nested more than 128 deep"),
    ] {
        let (status, _, said) = run(dir.path(), &["append"], bad);
        assert!(status == 1 && said.contains("line 1: ") && said.contains(why), "{bad}: {said}");
    }
}
