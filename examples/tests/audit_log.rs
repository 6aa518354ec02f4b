//! `audit_log` as a program: what an operator and an auditor do with it, and its exit status.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Examples lie beside the folder of the tests. `cargo test` builds them, if it is not told to build this test alone.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/audit_log");
    assert!(built.is_file(), "{} is missing: run `cargo build --examples` first", built.display());
    built
}

/// Its exit status and what it says.
fn run(dir: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(program())
        .args(arguments)
        .arg("--dir")
        .arg(dir.join("audit"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn ok(dir: &Path, arguments: &[&str], input: &str) -> String {
    let (status, out, err) = run(dir, arguments, input);
    assert_eq!((status, err.as_str()), (0, ""), "{arguments:?}");
    out
}

const EVENTS: &str = r#"{"actor":"alice","agent":"coder","action":"execute","resource":"git push","result":"denied","threat":"high"}
{"actor":"bob","action":"read","resource":"notes","details":{"size":7,"tags":["a","b"]}}

{"action":"ping"}
"#;

#[test]
fn a_log_is_kept_asked_proved_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let anchor = dir.join("anchor");
    let anchor = anchor.to_str().unwrap();
    ok(dir, &["append", "--anchor", anchor], EVENTS);
    assert!(dir.join("audit.keys").is_dir());
    assert!(ok(dir, &["verify"], "").starts_with("Unanchored: 3 records"));
    let public = ok(dir, &["verify", "--public-only", "--anchor", anchor], "");
    assert!(public.starts_with("Anchored: 3 records"), "{public}");
    let found = ok(dir, &["query", "--json", "actor:alice threat:high"], "");
    let event: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((event["resource"].as_str(), event["sequence"].as_u64()), (Some("git push"), Some(0)));
    assert!(ok(dir, &["query", "actor:bob"], "").contains("notes"));

    let proof = dir.join("proof");
    std::fs::write(&proof, ok(dir, &["prove", "1"], "")).unwrap();
    let identity = ok(dir, &["identity"], "");
    let check = ["check", proof.to_str().unwrap(), "--identity", identity.trim()];
    assert!(ok(dir, &check, "").contains("notes"));

    for format in ["ocsf", "cef", "syslog"] {
        assert_eq!(ok(dir, &["export", "--format", format], "").lines().count(), 3, "{format}");
    }
    assert!(ok(dir, &["report"], "").contains("Unanchored"));
    assert_eq!(ok(dir, &["shred", "alice"], ""), "1 keys destroyed\n");
    assert_eq!(ok(dir, &["query", "--json", "actor:alice"], ""), "");
    assert!(
        ok(dir, &["verify", "--anchor", anchor], "").starts_with("Anchored: 4 records, 1 of them shredded")
    );
}

#[test]
fn what_is_wrong_is_one_line_and_a_status() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (status, _, said) = run(dir, &["verify"], "");
    assert!(status == 1 && said.lines().count() == 1, "{status} {said}");
    let (status, _, said) = run(dir, &["append"], "{\"action\":\"a\"}\n{\"actor\":1}\n");
    assert!(status == 1 && said.contains("line 2"), "{said}");
    assert!(ok(dir, &["verify"], "").starts_with("Unanchored: 1 records"), "the line before it is on record");

    let segment = dir.join("audit/segments/0000000000");
    let mut bytes = std::fs::read(&segment).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    for arguments in [&["verify"][..], &["verify", "--public-only"]] {
        let (status, said, _) = run(dir, arguments, "");
        assert_eq!(status, 2, "{said}");
        assert!(said.starts_with("Corrupt") && said.contains("segments/0000000000, byte"), "{said}");
        assert_eq!(said.lines().count(), 1);
    }
    assert_eq!(run(dir, &["append"], EVENTS).0, 1, "it is not written to any more");
}
