//! A witness that is not ours, on `golang.org/x/mod/sumdb` (`tests/peer/witness.go`).

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codegenie_security::{AuditLog, AuditLogOptions, AuditReader, AuditSink, HttpWitness, Verdict};

use crate::{Fixture, event, files, key, put};

#[test]
#[ignore = "needs Go and golang-golang-x-mod-dev"]
fn go_signs_what_goes_on_and_refuses_the_rest() {
    let fixture = Fixture::new(&[3]);
    let dir = fixture.path.parent().unwrap().to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    let log_key = AuditLog::open(&fixture.path, &key()).unwrap().witness_key();
    let program = elsewhere.path().join("witness");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/witness.go"))
        // Debian keeps the sources of libraries there.
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")])
        .env("GOCACHE", elsewhere.path().join("cache"))
        .output()
        .expect("go runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut server = Command::new(&program)
        .arg(log_key.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let (url, verifier) = (lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap());

    let file = elsewhere.path().join("kept");
    let witness = || Arc::new(HttpWitness::new(&url, verifier.parse().unwrap(), &file).unwrap());
    let open = || AuditLogOptions::new().anchor(witness()).anchor_interval(Duration::ZERO);
    let verdict = || {
        let reader = AuditReader::open(&fixture.path, &key()).unwrap();
        reader.verify_against(&[&witness()]).unwrap().verdict().clone()
    };
    let earlier = files(&dir);
    let since = SystemTime::now() - Duration::from_secs(2);
    let log = open().open(&fixture.path, &key()).unwrap();
    for number in 3..300 {
        log.record(&event(number)).unwrap();
        if number % 7 == 0 {
            assert_eq!(log.flush_anchors().last_error, None);
        }
        if number % 50 == 0 {
            log.rotate().unwrap();
        }
    }
    assert_eq!(log.flush_anchors().last_size, log.head().size);
    let cosigned = witness().cosigned().unwrap().unwrap();
    assert!(cosigned.time() > since && cosigned.note().open(&[log_key]).is_ok());
    drop(log);
    assert_eq!(verdict(), Verdict::Anchored);

    put(&dir, &earlier);
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(verdict(), Verdict::RolledBack { .. }), "{:?}", verdict());
    std::fs::remove_file(&file).unwrap();
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    (0..700).for_each(|number| log.record(&event(1000 + number)).unwrap());
    drop(log);
    assert!(matches!(verdict(), Verdict::Forked { .. }), "{:?}", verdict());
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}
