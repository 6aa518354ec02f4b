//! Segments and epochs: rotation, retention, and what a thief of the process cannot do.

use std::time::Duration;

use codegenie_security::{
    AuditLog, AuditLogError, AuditLogOptions, AuditReader, AuditSink, FaultKind, RetentionPolicy, SealingKey,
};

use super::{Fixture, event, files, key, numbers, put, resources};

fn segments(fixture: &Fixture) -> Vec<String> {
    let names = std::fs::read_dir(fixture.path.join("segments")).unwrap();
    let mut names: Vec<_> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.contains('.'));
    names.sort();
    names
}

#[test]
fn a_segment_is_followed_by_the_next_when_it_is_full_or_old() {
    let fixture = Fixture::new(&[]);
    let log = AuditLogOptions::new().segment_bytes(3_000).open(&fixture.path, &key()).unwrap();
    (0..20).for_each(|number| log.record(&event(number)).unwrap());
    assert!(segments(&fixture).len() > 2, "{:?}", segments(&fixture));
    drop(log);
    let before = segments(&fixture).len();
    let log = AuditLogOptions::new().segment_age(Duration::ZERO).open(&fixture.path, &key()).unwrap();
    (20..23).for_each(|number| log.record(&event(number)).unwrap());
    drop(log);
    // One by opening, and one by each event but the first, since a segment without records is not left.
    assert_eq!(segments(&fixture).len(), before + 3);
    assert!(AuditLog::verify(&fixture.path, &key()).unwrap().is_intact());
    assert_eq!(resources(&fixture.path), numbers(0..23));
}

#[test]
fn retention_removes_whole_segments_and_what_is_kept_still_verifies() {
    let fixture = Fixture::new(&[]);
    let options =
        || AuditLogOptions::new().segment_bytes(3_000).retention(RetentionPolicy::forever().max_bytes(9_000));
    let log = options().open(&fixture.path, &key()).unwrap();
    (0..60).for_each(|number| log.record(&event(number)).unwrap());
    let identity = log.identity();
    drop(log);
    let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
    assert!(verification.is_intact(), "{verification}");
    assert_eq!(verification.records(), 60);
    let first = verification.first_record();
    assert!(first > 20, "{first}");
    assert!(AuditLog::verify_public(&fixture.path, Some(&identity), &[]).unwrap().is_intact());
    assert_eq!(resources(&fixture.path), numbers(first..60));
    // It goes on, and removes more.
    let log = options().open(&fixture.path, &key()).unwrap();
    (60..80).for_each(|number| log.record(&event(number)).unwrap());
    drop(log);
    let later = AuditLog::verify(&fixture.path, &key()).unwrap();
    assert!(later.is_intact() && later.first_record() > first, "{later}");

    // Nobody else can remove a segment, nor say that one was.
    let original = files(&fixture.path);
    let oldest = segments(&fixture).remove(0);
    std::fs::remove_file(fixture.path.join("segments").join(oldest)).unwrap();
    let fault = AuditLog::verify_public(&fixture.path, Some(&identity), &[]).unwrap();
    assert_eq!(fault.fault().unwrap().kind(), FaultKind::SegmentMissing);
    put(&fixture.path, &original);
    let note = std::fs::read_to_string(fixture.path.join("pruned")).unwrap();
    let number = note.lines().nth(2).unwrap().to_owned();
    let forged =
        note.replacen(&format!("\n{number}\n"), &format!("\n{}\n", number.parse::<u64>().unwrap() + 1), 1);
    std::fs::write(fixture.path.join("pruned"), forged).unwrap();
    let fault = AuditLog::verify_public(&fixture.path, Some(&identity), &[]).unwrap();
    assert_eq!(fault.fault().unwrap().kind(), FaultKind::HeaderAltered);
}

#[test]
fn segments_older_than_the_policy_keeps_are_removed_at_the_next_opening() {
    let fixture = Fixture::new(&[1, 1, 1]);
    std::thread::sleep(Duration::from_millis(30));
    let policy = RetentionPolicy::forever().max_age(Duration::from_millis(20));
    let log = AuditLogOptions::new().retention(policy).open(&fixture.path, &key()).unwrap();
    log.record(&event(3)).unwrap();
    drop(log);
    let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
    assert!(verification.is_intact(), "{verification}");
    assert!(verification.first_record() >= 2, "{verification}");
}

/// A log that is written for long certifies more, and forgets the identity again.
#[test]
fn more_epochs_are_certified_without_opening_again() {
    let fixture = Fixture::new(&[]);
    let log = AuditLogOptions::new().certify_ahead(2).open(&fixture.path, &key()).unwrap();
    for number in 0..6 {
        let (epoch, end) = log.epochs();
        assert_eq!(end - epoch, 2);
        log.record(&event(number)).unwrap();
        log.rotate().unwrap();
        assert_eq!(log.epochs(), (epoch + 1, end));
        assert!(log.certify(&SealingKey::from_bytes([1; 32])).is_err());
        assert_eq!(log.epochs(), (epoch + 1, end));
        log.certify(&key()).unwrap();
    }
    drop(log);
    assert!(AuditLog::verify(&fixture.path, &key()).unwrap().is_intact());

    // The identity of another log certifies nothing here.
    let other = Fixture::new(&[]);
    drop(AuditLog::open(&other.path, &key()).unwrap());
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    let identity = |of: &Fixture| of.path.with_extension("keys").join("identity");
    std::fs::copy(identity(&other), identity(&fixture)).unwrap();
    let error = log.certify(&key()).unwrap_err();
    assert!(matches!(error, AuditLogError::BadKeys { .. }), "{error}");
}

/// When the identity has certified no more epochs, the log stops rather than going on in the old one.
#[test]
fn without_a_certified_epoch_the_log_stops() {
    let fixture = Fixture::new(&[]);
    let log = AuditLogOptions::new().certify_ahead(2).open(&fixture.path, &key()).unwrap();
    assert_eq!(log.epochs(), (0, 2));
    log.record(&event(0)).unwrap();
    log.rotate().unwrap();
    log.record(&event(1)).unwrap();
    let error = log.rotate().unwrap_err();
    assert!(error.to_string().contains("certified no more epochs"), "{error}");
    assert!(log.record(&event(2)).is_err());
    drop(log);
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    log.record(&event(2)).unwrap();
    drop(log);
    assert_eq!(resources(&fixture.path), numbers(0..3));
}

/// A segment of epoch 3 in the place of an earlier one, as it is: its header has another number. Who signs it anew needs the
/// keys, and the tests of the module refuse him as well.
#[test]
fn a_later_segment_in_the_place_of_an_earlier_one_is_refused() {
    let fixture = Fixture::new(&[2, 2, 2]);
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    // Of the next epoch, made by the real writer.
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    log.record(&event(66)).unwrap();
    drop(log);
    let newest = files(&fixture.path);
    let later = &newest[std::path::Path::new("segments/0000000003")];
    for victim in 0..3 {
        put(&fixture.path, &newest);
        std::fs::write(fixture.path.join(format!("segments/000000000{victim}")), later).unwrap();
        let verification = AuditLog::verify_public(&fixture.path, Some(&identity), &[]).unwrap();
        let fault = verification.fault().unwrap();
        assert_eq!(fault.kind(), FaultKind::HeaderAltered, "{fault}");
        assert_eq!(fault.sequence(), 2 * victim, "{fault}");
    }
    // And with the segments between left out, as if there had never been an epoch 2.
    put(&fixture.path, &newest);
    std::fs::remove_file(fixture.path.join("segments/0000000002")).unwrap();
    std::fs::rename(fixture.path.join("segments/0000000003"), fixture.path.join("segments/0000000002"))
        .unwrap();
    std::fs::remove_file(fixture.path.join("segments/0000000003.subjects")).unwrap();
    let verification = AuditLog::verify_public(&fixture.path, Some(&identity), &[]).unwrap();
    assert_eq!(verification.fault().unwrap().kind(), FaultKind::HeaderAltered);
}

#[test]
fn the_keys_of_another_log_open_nothing() {
    let (one, other) = (Fixture::new(&[1]), Fixture::new(&[1]));
    let reader = AuditReader::open_with_keys(&one.path, other.keys(), &key()).unwrap();
    assert_eq!(reader.verify(&[]).unwrap().fault().unwrap().kind(), FaultKind::AnotherLog);
    let opened = AuditLogOptions::new().keys(other.keys()).open(&one.path, &key());
    assert!(matches!(opened, Err(AuditLogError::Tampered { .. })), "{opened:?}");
}
