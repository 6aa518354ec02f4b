//! What a log is for: events come back, in their order, and nobody else sees them.

use codegenie_security::{
    AuditErrorKind, AuditEvent, AuditLog, AuditLogError, AuditLogOptions, AuditSink, EventClass, Retention,
    SealingKey, Verdict,
};

use super::{Fixture, event, files, key, numbers, resources};

#[test]
fn events_come_back_in_order_over_several_openings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    for round in 0..4 {
        let log = AuditLog::open(&path, &key()).unwrap();
        assert!(log.recovery().is_clean(), "{:?}", log.recovery());
        assert_eq!(log.records(), round * 3);
        assert_eq!(log.retention(), Retention::Durable);
        for number in 0..3 {
            log.record(&event(round * 3 + number)).unwrap();
        }
        log.flush().unwrap();
    }
    let verification = AuditLog::verify(&path, &key()).unwrap();
    assert_eq!((verification.records(), verification.verdict()), (12, &Verdict::Unanchored));
    assert_eq!(verification.to_string(), "Unanchored: 12 records");
    let public = AuditLog::verify_public(&path, verification.identity(), &[]).unwrap();
    assert!(public.is_intact());
    assert_eq!(public.to_string(), "Unanchored: 12 records, verified without a key");
    assert_eq!(public.head(), verification.head());
    assert_eq!(resources(&path), numbers(0..12));
    let sequences: Vec<_> =
        AuditLog::read(&path, &key()).unwrap().map(|stored| stored.unwrap().sequence).collect();
    assert_eq!(sequences, (0..12).collect::<Vec<_>>());
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let fixture = Fixture::new(&[1]);
    for name in ["log", "checkpoint", "segments", "segments/0000000000", "lock"] {
        let file = fixture.path.join(name);
        let moved = fixture.path.with_file_name("moved");
        std::fs::rename(&file, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &file).unwrap();
        let error = AuditLog::open(&fixture.path, &key()).unwrap_err();
        assert!(error.to_string().contains("is a symbolic link, which is refused"), "{name}: {error}");
        std::fs::remove_file(&file).unwrap();
        std::fs::rename(&moved, &file).unwrap();
    }
}

#[test]
fn nothing_of_an_event_stands_in_the_clear() {
    let fixture = Fixture::new(&[1]);
    let dir = fixture.path.parent().unwrap();
    for (name, bytes) in files(dir) {
        for needle in ["alice", "execute", "command:0"] {
            let seen = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!seen, "{needle} in {name:?}");
        }
    }
}

#[test]
fn all_files_are_for_their_owner_only() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new(&[1, 1]);
    let dir = fixture.path.parent().unwrap();
    for name in files(dir).keys() {
        let mode = std::fs::metadata(dir.join(name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name:?}");
    }
    for dir in [&fixture.path, &fixture.path.join("segments"), &fixture.keys()] {
        assert_eq!(std::fs::metadata(dir).unwrap().mode() & 0o777, 0o700, "{dir:?}");
    }
}

#[test]
fn threads_that_record_at_once_are_all_kept_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let log = AuditLog::open(&path, &key()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let log = &log;
            scope.spawn(move || (0..20).for_each(|n| log.record(&event(thread * 100 + n)).unwrap()));
        }
        // Reading beside the writers never raises a false alarm.
        for _ in 0..10 {
            let verification = AuditLog::verify(&path, &key()).unwrap();
            assert!(verification.fault().is_none(), "{verification}");
            let public = AuditLog::verify_public(&path, None, &[]).unwrap();
            assert!(public.fault().is_none(), "{public}");
            log.rotate().unwrap();
        }
    });
    let found = resources(&path);
    assert_eq!(found.len(), 160);
    for thread in 0..8 {
        let of_thread = numbers(thread * 100..thread * 100 + 20);
        let kept: Vec<_> = found.iter().filter(|resource| of_thread.contains(resource)).cloned().collect();
        assert_eq!(kept, of_thread);
    }
    drop(log);
    assert!(AuditLog::verify(&path, &key()).unwrap().is_intact());
}

#[test]
fn a_second_writer_is_kept_out() {
    let fixture = Fixture::new(&[1]);
    let first = AuditLog::open(&fixture.path, &key()).unwrap();
    let error = AuditLog::open(&fixture.path, &key()).unwrap_err();
    assert!(matches!(error, AuditLogError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("open for writing elsewhere"));
    drop(first);
    AuditLog::open(&fixture.path, &key()).unwrap();
}

#[test]
fn an_event_that_is_too_large_is_rejected_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let log = AuditLog::open(&path, &key()).unwrap();
    log.record(&event(0)).unwrap();
    let error = log.record(&event(1).detail("blob", "x".repeat(1 << 20))).unwrap_err();
    assert_eq!(error.kind(), AuditErrorKind::Rejected);
    assert!(error.to_string().contains("1 MiB"), "{error}");
    log.record(&event(1).detail("blob", "x".repeat((1 << 20) - 200))).unwrap();
    log.record(&event(2)).unwrap();
    drop(log);
    assert_eq!(resources(&path), numbers(0..3));
}

/// Together they are more than one commit takes.
#[test]
fn many_large_events_at_once_are_all_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let log = AuditLog::open(&path, &key()).unwrap();
    std::thread::scope(|scope| {
        for number in 0..12 {
            let log = &log;
            scope.spawn(move || log.record(&event(number).detail("blob", "x".repeat(1_000_000))).unwrap());
        }
    });
    drop(log);
    let mut found = resources(&path);
    found.sort_by_key(|resource| resource[8..].parse::<u64>().unwrap());
    assert_eq!(found, numbers(0..12));
}

#[test]
fn what_is_missing_or_sealed_with_another_key_is_said() {
    let fixture = Fixture::new(&[1]);
    let other = SealingKey::from_bytes([8; 32]);
    for error in [
        AuditLog::verify(&fixture.path, &other).unwrap_err(),
        AuditLog::read(&fixture.path, &other).unwrap_err(),
        AuditLog::open(&fixture.path, &other).unwrap_err(),
    ] {
        assert!(matches!(error, AuditLogError::WrongKey { .. }), "{error}");
        assert!(error.to_string().contains(&key().id().to_string()), "{error}");
    }
    let nowhere = fixture.path.with_file_name("nowhere");
    for error in [
        AuditLog::verify(&nowhere, &key()).unwrap_err(),
        AuditLog::read(&nowhere, &key()).unwrap_err(),
        AuditLog::open_existing(&nowhere, &key()).unwrap_err(),
    ] {
        assert!(matches!(error, AuditLogError::Missing { .. }), "{error}");
    }
    assert!(!nowhere.exists());
    let file = fixture.path.with_file_name("file");
    std::fs::write(&file, "something").unwrap();
    let error = AuditLog::open(&file, &key()).unwrap_err();
    assert!(matches!(error, AuditLogError::Io { .. }), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"something");
}

#[test]
fn a_name_that_no_log_may_have_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for origin in ["", "two words", "a+b", "line\nbreak", &"x".repeat(151)] {
        let opened = AuditLogOptions::new().origin(origin).open(dir.path().join("audit"), &key());
        assert!(matches!(opened, Err(AuditLogError::BadOrigin { .. })), "{origin:?}: {opened:?}");
    }
    let log =
        AuditLogOptions::new().origin("example.com/log").open(dir.path().join("audit"), &key()).unwrap();
    assert_eq!(log.origin(), "example.com/log");
}

/// What is written to a deleted file is gone when the writer ends: it must not be acknowledged.
#[test]
fn a_log_that_was_deleted_acknowledges_nothing() {
    let fixture = Fixture::new(&[]);
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    log.record(&event(0)).unwrap();
    std::fs::remove_dir_all(&fixture.path).unwrap();
    let error = log.record(&event(1)).unwrap_err().to_string();
    assert!(error.contains("was deleted"), "{error}");
    let later = log.record(&event(2)).unwrap_err().to_string();
    assert!(later.contains("stopped after an earlier write error"), "{later}");
}

/// Log and keys belong together: a log whose files were deleted is not made anew in silence.
#[test]
fn a_deleted_log_is_seen_by_its_keys() {
    let fixture = Fixture::new(&[2]);
    std::fs::remove_dir_all(&fixture.path).unwrap();
    let error = AuditLog::open(&fixture.path, &key()).unwrap_err();
    assert!(matches!(error, AuditLogError::Tampered { .. }), "{error}");
    let keys = Fixture::new(&[2]);
    std::fs::remove_dir_all(keys.keys()).unwrap();
    let error = AuditLog::open(&keys.path, &key()).unwrap_err();
    assert!(matches!(error, AuditLogError::NoKeys { .. }), "{error}");
}

#[test]
fn secrets_are_taken_out_unless_the_host_wants_them() {
    let secret = "curl https://ada:hunter2@example.org/";
    let recorded = |options: AuditLogOptions| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let log = options.open(&path, &key()).unwrap();
        log.record(&AuditEvent::new(EventClass::Command, "execute", secret)).unwrap();
        drop(log);
        resources(&path).pop().unwrap()
    };
    assert_eq!(recorded(AuditLogOptions::new().dangerous_keep_secrets()), secret);
    assert_eq!(recorded(AuditLogOptions::new()), "curl https://ada:[redacted]@example.org/");
}
