//! `classify_commands` as a program: what it reads, what it prints, and how it fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Examples lie beside the folder of the tests. `cargo test` builds them, if it is not told to build this test alone.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/classify_commands");
    assert!(built.is_file(), "{} is missing: run `cargo build --examples` first", built.display());
    built
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// The lines that it prints, where it succeeds.
fn rows(arguments: &[&str], input: &str) -> Vec<Value> {
    let output = run(arguments, input.as_bytes());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What it says when it fails, where it fails.
fn failure(arguments: &[&str], input: &[u8]) -> String {
    let output = run(arguments, input);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("classify_commands: "), "{said}");
    said
}

#[test]
fn lines_and_objects_are_classified_in_order() {
    let input = "git status\n\n  \n{\"command\": \"rm -rf x\", \"id\": 7}\n{ ls; }\nsudo ls\n{\"command\":\"ls\\npwd\"}\nls |\n";
    let rows = rows(&[], input);
    let told = |row: &Value| (row["command"].clone(), row["decision"].clone(), row["class"].clone());
    assert_eq!(
        rows.iter().map(told).collect::<Vec<_>>(),
        [
            (json!("git status"), json!("allow"), json!("read_only")),
            (json!("rm -rf x"), json!("ask"), json!("destroys")),
            (json!("{ ls; }"), json!("allow"), json!("read_only")),
            (json!("sudo ls"), json!("deny"), json!("escalates")),
            (json!("ls\npwd"), json!("allow"), json!("read_only")),
            (json!("ls |"), json!("ask"), json!("unknown")),
        ]
    );
    for row in &rows {
        let fields: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["class", "command", "decision", "reason", "rule"]);
        assert!(
            row.as_object()
                .unwrap()
                .values()
                .all(|value| value.as_str().is_some_and(|text| !text.is_empty()))
        );
    }
    assert_eq!(rows[0]["rule"], "known: git status");
    assert_eq!(rows[3]["rule"], "refused: sudo");
    assert_eq!(rows[5]["rule"], "not parsed");
    assert_eq!(run(&[], b"").stdout, b"");
}

/// A line that begins with a brace is an object, or a command.
#[test]
fn braces_are_objects_or_groups() {
    let rows = rows(
        &[],
        "{ ls; }\n{ }\n{\"command\": 1}\n{\"a\": \"ls\"}\n{ls,-l}\n{\"command\": \"ls\"}\n[1]\nls\n",
    );
    let told = |row: &Value| (row["command"].clone(), row["decision"].clone());
    assert_eq!(
        rows.iter().map(told).collect::<Vec<_>>(),
        [
            (json!("{ ls; }"), json!("allow")),
            (json!("{ }"), json!("ask")),
            (json!("{\"command\": 1}"), json!("ask")),
            (json!("{\"a\": \"ls\"}"), json!("ask")),
            (json!("{ls,-l}"), json!("ask")),
            (json!("ls"), json!("allow")),
            (json!("[1]"), json!("ask")),
            (json!("ls"), json!("allow")),
        ]
    );
    for row in &rows[1..4] {
        assert_eq!(row["rule"], "not parsed");
        assert_eq!(row["reason"], "the object has no text named \"command\"");
    }
}

#[test]
fn a_policy_decides() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let toml =
        file("p.toml", "[[rules]]\nprefix = ['make']\ndecision = 'allow'\njustification = 'the build'\n");
    let json = file("p.json", r#"{"permissions": {"deny": ["Bash(git push:*)"]}}"#);
    let made = rows(&["--policy", &toml], "make all\n");
    assert_eq!((&made[0]["decision"], &made[0]["rule"]), (&json!("allow"), &json!("rule 1: make")));
    assert_eq!(made[0]["reason"], "the build");
    let pushed = rows(&["--policy", &json], "git push\nssh host git push\n");
    assert!(pushed.iter().all(|row| row["decision"] == "deny"), "{pushed:#?}");

    let bad = file("bad.toml", "default = 'allow'\n");
    assert!(failure(&["--policy", &bad], b"ls\n").contains("bad.toml: line 1"));
    assert!(failure(&["--policy", "missing.toml"], b"ls\n").contains("cannot be read"));
}

#[test]
fn a_tree_explains() {
    let output = run(&["--explain", "timeout 5 sort -o ../x a | wc -l"], b"");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "ask   timeout 5 sort -o ../x a | wc -l (writes_outside)");
    assert!(lines.contains(&"  allow timeout 5 sort -o ../x a"), "{text}");
    assert!(lines.contains(&"    ask   sort -o ../x a"), "the depth shows what stands in what: {text}");
    assert!(lines.contains(&"  allow wc -l"), "{text}");
    // Nothing that a terminal would obey.
    let escaped = run(&["--explain", "echo \u{1b}[2J"], b"").stdout;
    assert!(!escaped.contains(&0x1b) && escaped.starts_with(b"ask"));
    let refused = String::from_utf8(run(&["--explain", "ls |"], b"").stdout).unwrap();
    assert!(refused.contains("not parsed: "), "{refused}");
}

#[test]
fn bad_input_is_placed() {
    assert!(failure(&[], b"ls\n\xff\xfe\n").contains("line 2: "));
    assert!(failure(&["--policy"], b"").contains("--policy needs a value"));
    assert!(failure(&["--wrong"], b"").contains("--wrong is not known\nusage: "));
    let help = run(&["--help"], b"");
    assert!(help.status.success() && help.stdout.starts_with(b"usage: classify_commands"));
}
