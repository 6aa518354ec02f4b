//! Shredding: what was recorded of an actor is gone, and nothing else.

use codegenie_security::{AuditEvent, AuditLog, AuditQuery, AuditReader, AuditSink, EventClass, FaultKind};

use super::{Fixture, files, key, put};

fn of(actor: &str, number: u64) -> AuditEvent {
    AuditEvent::new(EventClass::Command, "execute", format!("{actor}:{number}")).actor(actor)
}

fn read(fixture: &Fixture) -> Vec<String> {
    let records = AuditLog::read(&fixture.path, &key()).unwrap();
    let events = records.map(|stored| stored.unwrap().event);
    events.filter(|event| event.action == "execute").map(|event| event.resource).collect()
}

#[test]
fn a_shredded_actor_is_forgotten_and_the_log_still_verifies() {
    let fixture = Fixture::new(&[]);
    for round in 0..3 {
        let log = AuditLog::open(&fixture.path, &key()).unwrap();
        log.record(&of("alice", round)).unwrap();
        log.record(&of("bob", round)).unwrap();
    }
    let before = AuditLog::verify(&fixture.path, &key()).unwrap();
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    log.record(&of("alice", 3)).unwrap();
    assert_eq!(log.shred("alice").unwrap().keys, 4);
    // Nothing is left to destroy, and a name that never was is no error.
    assert_eq!(log.shred("alice").unwrap().keys, 0);
    assert_eq!(log.shred("nobody").unwrap().keys, 0);
    // What she does from now on is recorded anew.
    log.record(&of("alice", 4)).unwrap();
    let identity = log.identity();
    drop(log);

    let after = AuditLog::verify(&fixture.path, &key()).unwrap();
    assert!(after.is_intact(), "{after}");
    assert_eq!((after.shredded_records(), before.shredded_records()), (4, 0));
    assert_eq!(after.records(), before.records() + 3);
    assert!(AuditLog::verify_public(&fixture.path, Some(&identity), &[]).unwrap().is_intact());
    assert_eq!(read(&fixture), ["bob:0", "bob:1", "bob:2", "alice:4"]);
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let found = reader.query(&AuditQuery::new().actor("alice")).unwrap().events;
    assert_eq!(found.iter().map(|stored| stored.event.resource.as_str()).collect::<Vec<_>>(), ["alice:4"]);
    let mut records = reader.records().unwrap();
    while records.next().is_some() {}
    assert_eq!(records.shredded(), 4);
    // It is on record, by a pseudonym.
    let told = reader.query(&AuditQuery::new().action("shred_subject")).unwrap().events;
    assert_eq!(told.len(), 1);
    assert!(told[0].event.resource.starts_with("subject:") && !told[0].event.resource.contains("alice"));
    // A record that is gone can still be proved to have been.
    let proof = reader.prove(0).unwrap();
    assert!(proof.event().is_none());
    proof.verify(&identity).unwrap();
}

#[test]
fn a_key_that_the_log_did_not_destroy_is_missed() {
    let fixture = Fixture::new(&[2]);
    // With its keys, which would know of a later segment.
    let dir = fixture.path.parent().unwrap();
    let original = files(dir);
    let path = fixture.path.join("segments/0000000000.subjects");
    let slots = std::fs::read(&path).unwrap();
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();

    // Somebody who knows the format puts a shredded slot there, as the log makes it.
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    log.shred("alice").unwrap();
    drop(log);
    let shredded = std::fs::read(&path).unwrap();
    put(dir, &original);
    std::fs::write(&path, &shredded).unwrap();
    let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
    let fault = verification.fault().unwrap();
    assert_eq!((fault.kind(), fault.file()), (FaultKind::SubjectAltered, "segments/0000000000.subjects"));
    // Without a key it looks like any shredding, as the documentation says.
    assert!(AuditLog::verify_public(&fixture.path, Some(&identity), &[]).unwrap().is_intact());

    std::fs::write(&path, &slots[..slots.len() - 96]).unwrap();
    for verification in [
        AuditLog::verify(&fixture.path, &key()).unwrap(),
        AuditLog::verify_public(&fixture.path, Some(&identity), &[]).unwrap(),
    ] {
        assert_eq!(verification.fault().unwrap().kind(), FaultKind::SubjectAltered, "{verification}");
    }
}

/// The old bytes of a key are overwritten in place, and not only no longer referred to.
#[test]
fn the_bytes_of_the_key_are_gone_from_the_file() {
    let fixture = Fixture::new(&[]);
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    log.record(&of("alice", 0)).unwrap();
    log.record(&of("bob", 0)).unwrap();
    let path = fixture.path.join("segments/0000000000.subjects");
    let before = std::fs::read(&path).unwrap();
    log.shred("alice").unwrap();
    let after = std::fs::read(&path).unwrap();
    assert_eq!(before.len(), after.len());
    assert_ne!(before[16..88], after[16..88]);
    assert!(after[16..88].iter().all(|byte| *byte == 0));
    assert_eq!(before[96..], after[96..], "the key of another actor");
}
