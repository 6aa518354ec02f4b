//! What is missing or was put back is a verdict, and not one that sounds harmless.

use std::path::Path;
use std::sync::Arc;

use codegenie_security::{
    Anchor, AnchorError, AnchoredCheckpoint, AuditLog, AuditLogError, AuditLogOptions, AuditReader,
    AuditSink, CallbackAnchor, FaultKind, FileAnchor, Verdict, Verification,
};

use super::{Fixture, event, files, key, put};

fn anchored(fixture: &Fixture) -> (tempfile::TempDir, FileAnchor) {
    let elsewhere = tempfile::tempdir().unwrap();
    let anchor = FileAnchor::new(elsewhere.path().join("anchor"));
    drop(AuditLogOptions::new().anchor(Arc::new(anchor.clone())).open(&fixture.path, &key()).unwrap());
    (elsewhere, anchor)
}

fn kind(verification: &Verification) -> FaultKind {
    verification.fault().unwrap_or_else(|| panic!("{verification}")).kind()
}

#[test]
fn a_log_that_was_put_back_does_not_get_by_without_the_file_of_its_epoch() {
    let fixture = Fixture::new(&[1]);
    let earlier = files(&fixture.path);
    drop(AuditLog::open(&fixture.path, &key()).unwrap());
    put(&fixture.path, &earlier);
    assert_eq!(kind(&AuditLog::verify(&fixture.path, &key()).unwrap()), FaultKind::RolledBack);
    let epoch = fixture.keys().join("epoch");
    std::fs::remove_file(&epoch).unwrap();
    let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
    assert_eq!(kind(&verification), FaultKind::KeysDisagree);
    assert_eq!(Path::new(verification.fault().unwrap().file()), epoch);
    assert!(AuditLog::open(&fixture.path, &key()).is_err());
}

#[test]
fn a_destroyed_key_that_is_there_again_is_seen() {
    for later in [false, true] {
        let fixture = Fixture::new(&[2, 1]);
        let path = fixture.path.join("segments/0000000000.subjects");
        let slots = std::fs::read(&path).unwrap();
        let log = AuditLog::open(&fixture.path, &key()).unwrap();
        log.shred("alice").unwrap();
        if later {
            log.record(&event(3)).unwrap();
        }
        drop(log);
        assert!(AuditLog::verify(&fixture.path, &key()).unwrap().is_intact());
        std::fs::write(&path, &slots).unwrap();
        let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
        assert_eq!(kind(&verification), FaultKind::SubjectAltered);
        assert_eq!(verification.fault().unwrap().file(), "segments/0000000000.subjects");
        assert!(verification.to_string().contains("put back after it was destroyed"), "{verification}");
    }
}

#[test]
fn a_log_that_is_gone_is_rolled_back_where_an_anchor_knows_it() {
    let fixture = Fixture::new(&[2]);
    let (_elsewhere, anchor) = anchored(&fixture);
    let held = [anchor.latest().unwrap().unwrap()];
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    let size = held[0].open(anchor_origin(&held[0]), &identity).unwrap().size;
    let foreign = Fixture::new(&[1]);
    let (_other_dir, other) = anchored(&foreign);
    let other = [other.latest().unwrap().unwrap()];

    std::fs::remove_dir_all(&fixture.path).unwrap();
    let gone = |found: Verification| matches!(found.verdict(), Verdict::RolledBack { anchored, .. } if *anchored == size);
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    assert!(gone(reader.verify(&held).unwrap()));
    assert!(gone(reader.verify_against(&[&anchor]).unwrap()));
    for identity in [Some(&identity), None] {
        assert!(gone(AuditLog::verify_public(&fixture.path, identity, &held).unwrap()));
    }
    // Nobody knows of it, or only of another.
    for anchored in [&[][..], &other] {
        let error = AuditLog::verify_public(&fixture.path, Some(&identity), anchored).unwrap_err();
        assert!(matches!(error, AuditLogError::Missing { .. }), "{error}");
    }
}

fn anchor_origin(anchored: &AnchoredCheckpoint) -> &str {
    anchored.checkpoint().unverified_text().lines().next().unwrap()
}

#[test]
fn a_file_that_something_else_took_the_place_of_is_named() {
    let fixture = Fixture::new(&[2, 1]);
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    AuditReader::open(&fixture.path, &key()).unwrap().write_tiles().unwrap();
    let original = files(&fixture.path);
    let all = ["segments", "index", "tile"].into_iter().map(str::to_owned);
    let all = all.chain(original.keys().map(|name| name.to_str().unwrap().to_owned()));
    for name in all.filter(|name| name != "lock") {
        let path = fixture.path.join(&name);
        let is_dir = path.is_dir();
        for by in ["directory", "pipe", "link", "file"] {
            match is_dir {
                true => std::fs::remove_dir_all(&path).unwrap(),
                false => std::fs::remove_file(&path).unwrap(),
            }
            match by {
                "directory" if !is_dir => std::fs::create_dir(&path).unwrap(),
                "pipe" => {
                    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
                }
                // To the very bytes that were there.
                "link" if !is_dir => {
                    let bytes = fixture.path.with_file_name("bytes");
                    std::fs::write(&bytes, &original[Path::new(&name)]).unwrap();
                    std::os::unix::fs::symlink(&bytes, &path).unwrap();
                }
                "file" if is_dir => std::fs::write(&path, "").unwrap(),
                _ => {}
            }
            for verification in [
                AuditLog::verify(&fixture.path, &key()),
                AuditLog::verify_public(&fixture.path, Some(&identity), &[]),
            ] {
                let verification = verification.unwrap_or_else(|error| panic!("{name} by {by}: {error}"));
                // Indexes and tiles may be gone: they can be made again.
                let may_miss = !path.exists() && (name.starts_with("index") || name.starts_with("tile"));
                match verification.fault() {
                    Some(fault) => {
                        assert!(fault.file().starts_with(&name) || may_miss, "{name} by {by}: {fault}")
                    }
                    None => assert!(may_miss, "{name} by {by}: {verification}"),
                }
            }
            if path.is_dir() {
                std::fs::remove_dir(&path).unwrap();
            }
            put(&fixture.path, &original);
        }
    }
}

#[test]
fn why_an_anchor_says_nothing_is_told() {
    let fixture = Fixture::new(&[1]);
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("anchor");
    std::fs::write(&path, "something").unwrap();
    let silent = CallbackAnchor::new(|_: &AnchoredCheckpoint| Ok(()), || Err(AnchorError::new("no route")));
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let verification = reader.verify_against(&[&FileAnchor::new(&path), &silent]).unwrap();
    assert_eq!(*verification.verdict(), Verdict::Unanchored);
    let [one, other] = verification.anchor_errors() else { panic!("{verification}") };
    assert!(one.contains("not a checkpoint") && other == "no route", "{one} {other}");
    assert!(verification.to_string().ends_with("no word of an anchor: no route"), "{verification}");
    assert_eq!(verification.to_string().lines().count(), 1);
}

#[test]
fn an_anchor_of_another_log_is_told_as_such() {
    let (one, other) = (Fixture::new(&[1]), Fixture::new(&[1]));
    let (_elsewhere, anchor) = anchored(&other);
    let verification = AuditReader::open(&one.path, &key()).unwrap().verify_against(&[&anchor]).unwrap();
    assert!(matches!(verification.verdict(), Verdict::Forked { anchored: 0, .. }), "{verification}");
    let said = verification.to_string();
    assert!(said.contains("of another log") && !said.contains("root"), "{said}");
}
