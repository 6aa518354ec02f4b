//! Writes and syncs that fail without a crash.

use std::io::ErrorKind;

use super::super::*;
use super::crash_disk::{CrashDisk, Dice};
use super::power_cuts::{event, open, options, reader, resources};
use crate::{AuditEvent, EventClass};

fn numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

/// Alone, so that the log's files are the only ones.
fn started() -> (CrashDisk, CrashDisk, AuditLog, Dice) {
    let (disk, keys, mut dice) = (CrashDisk::default(), CrashDisk::default(), Dice(1));
    let log = open(&disk, &keys, options()).unwrap();
    // All actors have their keys.
    (0..20).for_each(|number| log.record(&event(number, &mut dice)).unwrap());
    (disk, keys, log, dice)
}

#[test]
fn a_write_or_a_sync_that_fails_ends_the_log_and_is_never_tried_again() {
    for (operation, kind) in [
        ("sync", ErrorKind::Other),
        ("sync", ErrorKind::StorageFull),
        ("append", ErrorKind::Other),
        ("append", ErrorKind::PermissionDenied),
        ("write at", ErrorKind::Other),
    ] {
        let (disk, keys, log, mut dice) = started();
        disk.fail(operation, 0, kind);
        let error = log.record(&event(20, &mut dice)).unwrap_err();
        let before = disk.operations();
        let later = log.record(&event(21, &mut dice)).unwrap_err();
        assert!(later.to_string().contains("stopped after an earlier write error"), "{later}");
        assert_eq!(later.kind(), error.kind());
        log.flush().unwrap_err();
        log.rotate().unwrap_err();
        log.shred("alice").unwrap_err();
        assert_eq!(disk.operations(), before, "{operation}: nothing is tried again");
        drop(log);
        // Opened again, it has all that was acknowledged, and perhaps the one that was not.
        let log = open(&disk, &keys, options()).unwrap();
        log.record(&event(22, &mut dice)).unwrap();
        drop(log);
        let found = resources(&disk).unwrap();
        let (with, without) = (numbers((0..21).chain([22])), numbers((0..20).chain([22])));
        assert!(found == with || found == without, "{operation}: {found:?}");
        assert!(reader(&disk).verify(&[]).unwrap().is_intact());
    }
}

#[test]
fn a_full_disk_is_told_and_the_log_goes_on_when_there_is_room() {
    let (disk, keys, log, mut dice) = started();
    disk.fail("append", 0, ErrorKind::StorageFull);
    assert_eq!(log.record(&event(20, &mut dice)).unwrap_err().kind(), AuditErrorKind::Full);
    log.record(&event(30, &mut dice)).unwrap();
    log.record(&event(31, &mut dice)).unwrap();
    drop(log);
    assert!(reader(&disk).verify(&[]).unwrap().is_intact());
    assert_eq!(resources(&disk).unwrap(), numbers((0..20).chain([30, 31])));
    drop(open(&disk, &keys, options()).unwrap());
}

#[test]
fn a_rotation_that_a_full_disk_stops_goes_on_when_there_is_room() {
    let mut stopped = 0;
    for (is_of_keys, operation, after) in [false, true].into_iter().flat_map(|is_of_keys| {
        let places = ["create", "append", "rename"].into_iter();
        places.flat_map(move |operation| (0..4).map(move |after| (is_of_keys, operation, after)))
    }) {
        let place = format!("{operation} {after}, keys {is_of_keys}");
        let (disk, keys, log, mut dice) = started();
        let full = if is_of_keys { &keys } else { &disk };
        full.fail(operation, after, ErrorKind::StorageFull);
        if let Err(error) = log.rotate() {
            stopped += 1;
            assert_eq!(error.kind(), AuditErrorKind::Full, "{place}: {error}");
            // Whatever happened so far, it is a log.
            assert!(reader(&disk).verify(&[]).unwrap().is_intact(), "{place}");
        }
        full.fail("none", 0, ErrorKind::Other);
        (20..24).for_each(|number| log.record(&event(number, &mut dice)).unwrap());
        log.rotate().unwrap();
        log.record(&event(24, &mut dice)).unwrap();
        drop(log);
        assert!(reader(&disk).verify(&[]).unwrap().is_intact(), "{place}");
        assert_eq!(resources(&disk).unwrap(), numbers(0..25), "{place}");
        assert!(disk.list("segments").unwrap().contains(&"0000000002".to_owned()), "{place}");
        // As after a crash at that time.
        let log = open(&disk, &keys, options()).unwrap();
        log.record(&event(25, &mut dice)).unwrap();
        drop(log);
        assert_eq!(resources(&disk).unwrap(), numbers(0..26), "{place}");
    }
    assert!(stopped >= 4, "a rotation was stopped {stopped} times");
}

/// Cut short where the disk is full, a rotation is ended by the next opening.
#[test]
fn a_log_that_is_closed_in_the_middle_of_a_rotation_is_opened_again() {
    for (operation, after) in [("create", 0), ("append", 0), ("append", 1), ("rename", 0), ("rename", 1)] {
        let (disk, keys, log, mut dice) = started();
        disk.fail(operation, after, ErrorKind::StorageFull);
        let outcome = log.rotate();
        drop(log);
        let log = open(&disk, &keys, options()).unwrap();
        log.record(&event(20, &mut dice)).unwrap();
        drop(log);
        assert!(reader(&disk).verify(&[]).unwrap().is_intact(), "{operation} {after}: {outcome:?}");
        assert_eq!(resources(&disk).unwrap(), numbers(0..21), "{operation} {after}");
    }
}

/// What fails while the key of a new actor is written ends the log as well, unless the disk is full.
#[test]
fn a_write_that_fails_when_an_actor_is_new_ends_the_log() {
    let new = |number: u64| {
        AuditEvent::new(EventClass::Command, "execute", number.to_string()).actor(format!("actor {number}"))
    };
    for operation in ["append", "sync"] {
        let (disk, keys, log, mut dice) = started();
        disk.fail(operation, 0, ErrorKind::Other);
        log.record(&new(20)).unwrap_err();
        let before = disk.operations();
        log.record(&event(21, &mut dice)).unwrap_err();
        log.record(&new(22)).unwrap_err();
        assert_eq!(disk.operations(), before, "{operation}");
        drop(log);
        let log = open(&disk, &keys, options()).unwrap();
        log.record(&new(23)).unwrap();
        drop(log);
        assert_eq!(resources(&disk).unwrap(), numbers((0..20).chain([23])), "{operation}");
        assert!(reader(&disk).verify(&[]).unwrap().is_intact(), "{operation}");
    }
}

/// The key of a new actor does not fit.
#[test]
fn a_disk_that_is_full_when_an_actor_is_new_loses_nothing() {
    let (disk, keys, log, mut dice) = started();
    let new = |number: u64| {
        AuditEvent::new(EventClass::Command, "execute", number.to_string()).actor(format!("actor {number}"))
    };
    disk.fail("append", 0, ErrorKind::StorageFull);
    assert_eq!(log.record(&new(20)).unwrap_err().kind(), AuditErrorKind::Full);
    log.record(&new(21)).unwrap();
    log.record(&event(22, &mut dice)).unwrap();
    drop(log);
    assert!(reader(&disk).verify(&[]).unwrap().is_intact());
    drop(open(&disk, &keys, options()).unwrap());
    assert_eq!(resources(&disk).unwrap(), numbers((0..20).chain([21, 22])));
}

/// Nothing is said and nothing done, and both happen when there is room.
#[test]
fn a_disk_that_is_full_at_a_shredding_ends_nothing() {
    let mut stopped = 0;
    for (is_of_keys, operation) in [(true, "append"), (true, "rename"), (false, "append")] {
        let (disk, keys, log, mut dice) = started();
        let full = if is_of_keys { &keys } else { &disk };
        full.fail(operation, 0, ErrorKind::StorageFull);
        let error = log.shred("alice").unwrap_err();
        stopped += 1;
        assert_eq!(error.kind(), AuditErrorKind::Full, "{operation}: {error}");
        assert!(reader(&disk).verify(&[]).unwrap().is_intact(), "{operation}");
        assert_eq!(resources(&disk).unwrap(), numbers(0..20), "{operation}: nobody was shredded");
        log.record(&event(20, &mut dice)).unwrap();
        // Another opening has nothing to finish.
        drop(log);
        let log = open(&disk, &keys, options()).unwrap();
        assert!(!log.recovery().finished_shredding, "{operation}");
        assert!(log.shred("alice").unwrap().keys > 0);
        drop(log);
        assert!(reader(&disk).verify(&[]).unwrap().is_intact(), "{operation}");
        assert!(resources(&disk).unwrap().len() < 21, "{operation}");
    }
    assert_eq!(stopped, 3);
}

/// What was said before a crash is done at an opening or later, and never forgotten.
#[test]
fn a_shredding_that_was_said_survives_an_opening_on_a_full_disk() {
    let (disk, keys, log, mut dice) = started();
    // It goes off while the key is overwritten.
    disk.fail("write at", 1, ErrorKind::Other);
    log.shred("alice").unwrap_err();
    drop(log);
    let (disk, keys) = (disk.after_a_crash(&mut dice), keys.after_a_crash(&mut dice));
    disk.fail("append", 3, ErrorKind::StorageFull);
    let outcome = open(&disk, &keys, options());
    assert!(outcome.is_err() || outcome.is_ok_and(|log| log.recovery().finished_shredding));
    disk.fail("none", 0, ErrorKind::Other);
    drop(open(&disk, &keys, options()).unwrap());
    assert!(
        !KeyStore::new(Box::new(keys), std::path::Path::new("audit.keys"), &super::power_cuts::host())
            .is_shredding()
    );
    let verification = reader(&disk).verify(&[]).unwrap();
    assert!(verification.is_intact(), "{verification}");
    assert!(verification.shredded_records() > 0);
}

/// No nonce is used for two frames: what is written after a failed commit differs from it from its first byte on.
#[test]
fn after_a_failed_commit_the_same_event_is_encrypted_otherwise() {
    let (disk, _keys, log, mut dice) = started();
    let event = event(20, &mut dice);
    let end = |bytes: &[u8]| {
        let mut end = 0;
        while let Some(range) = frame::frame_at(bytes, end) {
            end = range.end;
        }
        end
    };
    let before = end(&disk.read("segments/0000000000").unwrap().unwrap());
    disk.fail("append", 0, ErrorKind::StorageFull);
    log.record(&event).unwrap_err();
    log.record(&event).unwrap();
    let bytes = disk.read("segments/0000000000").unwrap().unwrap();
    // The count of failed commits stands behind the number of the first record.
    let failed = before + 8 + 1 + 4 + 4 + 4 + 8;
    assert_eq!(bytes[failed..failed + 4], 1_u32.to_le_bytes());
}
