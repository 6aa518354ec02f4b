//! What people see of events that were written to deceive them.

use serde_json::Value;

use super::{ok, run};

const TRICKS: [char; 12] = [
    '\u{1b}',
    '\u{7f}',
    '\u{9b}',
    '\u{ad}',
    '\u{61c}',
    '\u{200b}',
    '\u{200f}',
    '\u{2028}',
    '\u{202e}',
    '\u{2066}',
    '\u{feff}',
    '\u{e0041}',
];

fn is_bare(text: &str) -> bool {
    !text.contains(TRICKS)
}

#[test]
fn what_is_not_seen_is_shown_as_an_escape() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let tricks: String = TRICKS.iter().collect();
    let event = |name: &str, text: &str| {
        serde_json::json!({ "action": "a", "threat": "high", name: text }).to_string()
    };
    for name in ["actor", "agent", "resource"] {
        ok(dir, &["append"], event(name, &format!("<{tricks}>")));
    }
    for command in [
        &["query"][..],
        &["summary"],
        &["query", "--json"],
        &["summary", "--json"],
        &["report"],
        &["report", "--format", "json"],
    ] {
        let said = ok(dir, command, "");
        assert!(is_bare(&said), "{command:?}: {said:?}");
    }
    let report = ok(dir, &["report", "--format", "json"], "");
    assert!(serde_json::from_str::<Value>(&report).is_ok(), "{report}");
    let found = ok(dir, &["query", "--json"], "");
    let found: Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    assert_eq!(found["resource"], format!("<{tricks}>"), "JSON has what was recorded");

    // What other scripts are written with stays, and an escape cannot be imitated.
    ok(dir, &["append"], event("resource", "नि é\u{301} 日本 C:\\u{202e}"));
    ok(dir, &["append"], event("actor", "\u{202e}eve"));
    let table = ok(dir, &["query"], "");
    assert!(table.contains("नि é\u{301} 日本") && table.contains("C:\\\\u{202e}"), "{table}");
    assert!(table.contains("\\u{202e}eve") && ok(dir, &["summary"], "").contains("\\u{202e}eve"), "{table}");
}

#[test]
fn errors_proofs_and_verdicts_are_shown_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (_, _, said) = run(dir, &["append"], "{\"action\":\"a\",\"actor\":[\"\u{202e}eve\"]}");
    assert!(is_bare(&said) && said.contains("\\u{202e}eve"), "{said:?}");
    ok(dir, &["append"], "{\"action\":\"a\",\"actor\":\"\u{202e}eve\"}");
    let proof = dir.join("proof");
    std::fs::write(&proof, ok(dir, &["prove", "0"], "")).unwrap();
    let identity = ok(dir, &["identity"], "");
    let said = ok(dir, &["check", proof.to_str().unwrap(), "--identity", identity.trim()], "");
    assert!(is_bare(&said), "{said:?}");
    let event: Value = serde_json::from_str(said.lines().nth(1).unwrap()).unwrap();
    assert_eq!(event["actor"], "\u{202e}eve");

    // A verdict names the file that is one too many.
    std::fs::write(dir.join("audit/segments/\u{202e}0"), "").unwrap();
    let (_, said, _) = run(dir, &["verify"], "");
    assert!(is_bare(&said), "{said:?}");
}
