//! `audit_log` as a program: what an operator and an auditor do with it, and its exit status.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "audit_log/input.rs"]
mod input;
#[path = "audit_log/places.rs"]
mod places;
#[path = "audit_log/shown.rs"]
mod shown;

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
fn run(dir: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> (i32, String, String) {
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
    let _ = child.stdin.take().unwrap().write_all(input.as_ref());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn ok(dir: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> String {
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

#[test]
fn a_line_that_cannot_be_recorded_is_named_and_those_before_it_stay() {
    let good: String = (0..500).map(|n| format!("{{\"action\":\"a{n}\"}}\n")).collect();
    let long = format!("{{\"action\":\"a\",\"resource\":\"{}\"}}\n", "x".repeat((1 << 20) + 1));
    let latin = b"{\"action\":\"\xe9\"}\n".to_vec();
    for (bad, why) in [(long.into_bytes(), "1 MiB"), (latin, "not UTF-8 from byte 12")] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let input = [good.as_bytes(), &bad, good.as_bytes()].concat();
        let (status, _, said) = run(dir, &["append"], input);
        assert_eq!((status, said.lines().count()), (1, 1), "{said}");
        assert!(said.contains("line 501: ") && said.contains(why), "{said}");
        assert!(ok(dir, &["verify"], "").starts_with("Unanchored: 500 records"));
    }
}

#[test]
fn what_a_command_does_not_take_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    ok(dir, &["append"], EVENTS);
    for (arguments, why) in [
        (&["verify", "--json"][..], "verify does not take --json"),
        (&["verify", "more"], "not 1"),
        (&["identity", "more"], "not 1"),
        (&["tiles", "--public-only"], "does not take --public-only"),
        (&["query", "--anchor", "x"], "does not take --anchor"),
        (&["prove", "1", "2"], "not 2"),
        (&["append", "--format", "cef"], "does not take --format"),
        (&["verify", "--public-only", "--public-only"], "twice"),
        (&["shred", ""], "name of an actor"),
        (&["query", "alice threat:grave"], "(\"threat:grave\")"),
        (&["frobnicate"], "is no command"),
    ] {
        let (status, _, said) = run(dir, arguments, "");
        assert_eq!(status, 1, "{arguments:?}");
        assert!(said.lines().next().unwrap().contains(why), "{arguments:?}: {said}");
    }
    assert!(ok(dir, &["verify"], "").starts_with("Unanchored: 3 records"));
}

#[test]
fn an_identity_is_held_against_the_log_with_its_keys_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, other) = (dir.path(), tempfile::tempdir().unwrap());
    ok(dir, &["append"], EVENTS);
    ok(other.path(), &["append"], EVENTS);
    let (own, foreign) = (ok(dir, &["identity"], ""), ok(other.path(), &["identity"], ""));
    for public in [&["--public-only"][..], &[]] {
        let verify =
            |identity: &str| run(dir, &[&["verify", "--identity", identity.trim()], public].concat(), "");
        assert_eq!(verify(&own).0, 0);
        let (status, said, _) = verify(&foreign);
        assert!(status == 2 && said.contains("another one"), "{said}");
    }
}

#[test]
fn a_log_that_is_gone_and_a_file_that_is_none_are_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let anchor = dir.join("anchor");
    let with_anchor = ["verify", "--anchor", anchor.to_str().unwrap()];
    ok(dir, &["append", "--anchor", anchor.to_str().unwrap()], EVENTS);
    let log = dir.join("audit");
    let checkpoint = std::fs::read(log.join("checkpoint")).unwrap();
    std::fs::remove_file(log.join("checkpoint")).unwrap();
    std::fs::create_dir(log.join("checkpoint")).unwrap();
    for arguments in [&["verify"][..], &["verify", "--public-only"], &with_anchor] {
        let (status, said, _) = run(dir, arguments, "");
        assert_eq!(status, 2, "{said}");
        assert!(said.starts_with("Corrupt") && said.contains("(checkpoint, byte 0)"), "{said}");
    }
    std::fs::remove_dir(log.join("checkpoint")).unwrap();
    std::fs::write(log.join("checkpoint"), checkpoint).unwrap();
    assert_eq!(run(dir, &with_anchor, "").0, 0);

    std::fs::remove_dir_all(&log).unwrap();
    for _ in 0..2 {
        let (status, said, _) = run(dir, &with_anchor, "");
        assert!(status == 2 && said.starts_with("RolledBack"), "{status} {said}");
        let (status, _, said) = run(dir, &["verify"], "");
        assert!(status == 1 && said.contains("does not exist") && !said.contains("KeyFile"), "{said}");
        // Also when the keys are gone with it.
        let _ = std::fs::remove_dir_all(dir.join("audit.keys"));
    }
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit");
    ok(dir.path(), &["append"], EVENTS);
    for command in [
        &["verify"][..],
        &["query"],
        &["query", "--json"],
        &["summary"],
        &["prove", "0"],
        &["export", "--format", "cef"],
        &["identity"],
        &["report"],
    ] {
        let ran = |out: Stdio| {
            let mut child = Command::new(program());
            child.args(command).arg("--dir").arg(&log).stdout(out).output().unwrap()
        };
        let full = ran(std::fs::File::options().write(true).open("/dev/full").unwrap().into());
        assert_eq!(full.status.code(), Some(1), "{command:?}");
        assert!(
            String::from_utf8(full.stderr).unwrap().starts_with("audit_log: No space left"),
            "{command:?}"
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = ran(writer.into());
        assert_eq!((closed.status.code(), closed.stderr), (Some(1), Vec::new()), "{command:?}");
    }
}

#[test]
fn keys_never_lie_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    std::fs::create_dir(&log).unwrap();
    let run = |given: &str| {
        let mut child = Command::new(program());
        let child = child.args(["append", "--dir", given]).current_dir(&log).stdin(Stdio::null());
        child.output().unwrap().status.code()
    };
    for given in [".", "./", "../log/"] {
        assert_eq!(run(given), Some(0), "{given}");
        assert!(dir.path().join("log.keys/host.key").is_file(), "{given}");
        let names = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| !name.to_str().unwrap().contains("keys")), "{given}");
    }
}

#[test]
fn a_proof_says_no_more_than_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    ok(dir, &["append"], EVENTS);
    let identity = ok(dir, &["identity"], "");
    let check = |proof: &str| {
        let file = dir.join("proof");
        std::fs::write(&file, proof).unwrap();
        ok(dir, &["check", file.to_str().unwrap(), "--identity", identity.trim()], "")
    };
    let proof = ok(dir, &["prove", "0"], "");
    let said = check(&proof);
    let event: Value = serde_json::from_str(said.lines().nth(1).unwrap()).unwrap();
    assert_eq!((event.get("sequence"), event["claimed_sequence"].as_u64()), (None, Some(0)));
    // Of a record that was shredded there is nothing else, so it is told the same way as one whose opening was cut off.
    ok(dir, &["shred", "alice"], "");
    let said = check(&ok(dir, &["prove", "0"], ""));
    assert!(said.contains("not opened: leaf 1 ") && !said.contains("alice"), "{said}");
}
