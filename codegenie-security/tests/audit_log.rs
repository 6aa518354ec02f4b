//! The file audit log through its public interface: order, locking, limits, and every kind of tampering.
#![cfg(all(unix, feature = "audit-log"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use std::path::{Path, PathBuf};

use codegenie_security::{
    AuditErrorKind, AuditEvent, AuditLog, AuditLogError, AuditSink, EventClass, Fault, FaultKind, FaultyFile,
    Retention, SealingKey, Verdict,
};

const HEADER: usize = 88;

fn key() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

fn event(number: u64) -> AuditEvent {
    AuditEvent::new(EventClass::Command, "execute", format!("command:{number}")).actor("alice")
}

/// A log in a directory of its own, and its two files' bytes.
struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
    log: Vec<u8>,
    head: Vec<u8>,
    /// Where each frame begins, and the end.
    frames: Vec<usize>,
}

impl Fixture {
    fn new(records: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let log = AuditLog::open(&path, &key()).unwrap();
        let mut frames = vec![HEADER];
        for number in 0..records {
            log.record(&event(number)).unwrap();
            frames.push(std::fs::metadata(&path).unwrap().len() as usize);
        }
        drop(log);
        let bytes = std::fs::read(&path).unwrap();
        let head = std::fs::read(head_path(&path)).unwrap();
        Self { _dir: dir, path, log: bytes, head, frames }
    }

    fn put(&self, log: &[u8], head: &[u8]) {
        std::fs::write(&self.path, log).unwrap();
        std::fs::write(head_path(&self.path), head).unwrap();
    }

    fn frame(&self, number: usize) -> &[u8] {
        &self.log[self.frames[number]..self.frames[number + 1]]
    }

    /// The fault that both reading and opening find in these bytes.
    fn fault(&self, log: &[u8], head: &[u8]) -> Option<Fault> {
        self.put(log, head);
        let verification = AuditLog::verify(&self.path, &key()).unwrap();
        let fault = verification.fault();
        if let Some(fault) = fault {
            let Err(AuditLogError::Tampered { fault: at_open, .. }) = AuditLog::open(&self.path, &key())
            else {
                panic!("verify found {fault}, and open did not mind")
            };
            assert_eq!(at_open, fault);
            let last = AuditLog::read(&self.path, &key()).map_or_else(Err, |records| records.last().unwrap());
            assert!(matches!(last, Err(AuditLogError::Tampered { .. })), "{last:?}");
            // Nothing was repaired away.
            assert_eq!(std::fs::read(&self.path).unwrap(), log);
            assert_eq!(std::fs::read(head_path(&self.path)).unwrap(), head);
        }
        fault
    }
}

fn head_path(path: &Path) -> PathBuf {
    path.with_file_name("audit.log.head")
}

fn resources(path: &Path) -> Vec<String> {
    AuditLog::read(path, &key()).unwrap().map(|stored| stored.unwrap().event.resource).collect()
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| format!("command:{number}")).collect()
}

#[test]
fn events_come_back_in_order_over_several_openings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    for round in 0..4 {
        let log = AuditLog::open(&path, &key()).unwrap();
        assert!(log.recovery().is_clean());
        assert_eq!(log.records(), round * 3);
        assert_eq!(log.retention(), Retention::Durable);
        for number in 0..3 {
            log.record(&event(round * 3 + number)).unwrap();
        }
        log.flush().unwrap();
    }
    let verification = AuditLog::verify(&path, &key()).unwrap();
    assert_eq!((verification.records(), verification.verdict()), (12, Verdict::Intact));
    assert_eq!(verification.to_string(), "12 records intact");
    assert_eq!(resources(&path), numbers(0..12));
    let sequences: Vec<_> =
        AuditLog::read(&path, &key()).unwrap().map(|stored| stored.unwrap().sequence).collect();
    assert_eq!(sequences, (0..12).collect::<Vec<_>>());
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let fixture = Fixture::new(1);
    let link = fixture.path.with_file_name("link");
    std::os::unix::fs::symlink(&fixture.path, &link).unwrap();
    for error in [AuditLog::open(&link, &key()).unwrap_err(), AuditLog::read(&link, &key()).unwrap_err()] {
        assert!(error.to_string().contains("is a symbolic link, which is refused"), "{error}");
    }
}

#[test]
fn nothing_of_an_event_stands_in_the_clear() {
    let fixture = Fixture::new(1);
    for needle in ["alice", "execute", "command:0"] {
        assert!(!fixture.log.windows(needle.len()).any(|window| window == needle.as_bytes()));
    }
}

#[test]
fn both_files_are_for_their_owner_only() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new(1);
    for path in [fixture.path.clone(), head_path(&fixture.path)] {
        assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn threads_that_record_at_once_are_all_kept_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let log = AuditLog::open(&path, &key()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let log = &log;
            scope.spawn(move || (0..10).for_each(|n| log.record(&event(thread * 100 + n)).unwrap()));
        }
        // Reading beside the writers never raises a false alarm.
        for _ in 0..10 {
            let verification = AuditLog::verify(&path, &key()).unwrap();
            assert!(verification.fault().is_none(), "{verification}");
        }
    });
    let found = resources(&path);
    assert_eq!(found.len(), 40);
    for thread in 0..4 {
        let of_thread = numbers(thread * 100..thread * 100 + 10);
        let kept: Vec<_> = found.iter().filter(|resource| of_thread.contains(resource)).cloned().collect();
        assert_eq!(kept, of_thread);
    }
}

#[test]
fn a_second_writer_is_kept_out() {
    let fixture = Fixture::new(1);
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
    let path = dir.path().join("audit.log");
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

#[test]
fn what_is_missing_or_sealed_with_another_key_is_said() {
    let fixture = Fixture::new(1);
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
    let error = AuditLog::open(fixture.path.parent().unwrap(), &key()).unwrap_err();
    assert!(matches!(error, AuditLogError::Io { .. }), "{error}");
}

#[test]
fn every_altered_byte_of_the_log_is_found_at_its_place() {
    let fixture = Fixture::new(3);
    for place in 0..fixture.log.len() {
        for bits in [0x01, 0xff] {
            let mut log = fixture.log.clone();
            log[place] ^= bits;
            let fault = fixture.fault(&log, &fixture.head);
            let fault = fault.unwrap_or_else(|| panic!("byte {place} ^ {bits:#x} was not noticed"));
            assert_eq!(fault.file(), FaultyFile::Log);
            if place < HEADER {
                assert_eq!((fault.kind(), fault.sequence()), (FaultKind::HeaderAltered, 0), "byte {place}");
                assert!(fault.offset() <= place as u64 && (fault.offset() as usize) < HEADER);
            } else {
                let record = fixture.frames.iter().rposition(|start| *start <= place).unwrap();
                assert_eq!(fault.sequence(), record as u64, "byte {place}");
                assert_eq!(fault.offset(), fixture.frames[record] as u64, "byte {place}");
            }
        }
    }
}

#[test]
fn every_altered_byte_of_the_head_is_found() {
    let fixture = Fixture::new(3);
    for place in 0..fixture.head.len() {
        // The long run of zeros between the slots is sampled.
        if (200..4000).contains(&place) && place % 397 != 0 {
            continue;
        }
        let mut head = fixture.head.clone();
        head[place] ^= 0x10;
        fixture.put(&fixture.log, &head);
        let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
        // The newest slot (of count 3, the second) may also have been torn by a crash.
        if place >= 4096 {
            let Verdict::Interrupted(left) = verification.verdict() else {
                panic!("byte {place} was not noticed")
            };
            assert!(left.repaired_head && left.adopted_records == 1 && left.truncated_bytes == 0);
        } else {
            let fault = verification.fault().unwrap_or_else(|| panic!("byte {place} was not noticed"));
            assert_eq!((fault.kind(), fault.file()), (FaultKind::HeadAltered, FaultyFile::Head));
            assert!(fault.offset() <= place as u64 && place as u64 - fault.offset() < 88, "byte {place}");
        }
    }
}

#[test]
fn deleted_swapped_and_repeated_records_are_found_at_their_place() {
    let fixture = Fixture::new(4);
    let [a, b, c, d] = [0, 1, 2, 3].map(|number| fixture.frame(number));
    let header = &fixture.log[..HEADER];
    let fault = |frames: &[&[u8]]| {
        let log = [&[header], frames].concat().concat();
        let fault = fixture.fault(&log, &fixture.head).unwrap();
        (fault.kind(), fault.sequence(), fault.offset() as usize)
    };
    let out = FaultKind::RecordOutOfPlace;
    assert_eq!(fault(&[b, c, d]), (out, 0, HEADER), "first deleted");
    assert_eq!(fault(&[a, c, d]), (out, 1, fixture.frames[1]), "second deleted");
    assert_eq!(fault(&[a, b, d]), (out, 2, fixture.frames[2]), "third deleted");
    assert_eq!(fault(&[b, a, c, d]), (out, 0, HEADER), "first two swapped");
    assert_eq!(fault(&[a, b, d, c]), (out, 2, fixture.frames[2]), "last two swapped");
    assert_eq!(fault(&[a, b, b, c, d]), (out, 2, fixture.frames[2]), "second repeated");
    assert_eq!(fault(&[a, b, c, d, d]), (out, 4, fixture.frames[4]), "last repeated");
}

#[test]
fn a_cut_tail_is_found_wherever_it_is_cut() {
    let fixture = Fixture::new(3);
    for len in 0..fixture.log.len() {
        let fault = fixture.fault(&fixture.log[..len], &fixture.head);
        let fault = fault.unwrap_or_else(|| panic!("a cut at byte {len} was not noticed"));
        if len < HEADER {
            assert_eq!((fault.sequence(), fault.offset()), (0, len as u64));
            continue;
        }
        let record = fixture.frames.iter().rposition(|start| *start <= len).unwrap();
        let kind = match fixture.frames.contains(&len) {
            true => FaultKind::RecordsMissing,
            false => FaultKind::RecordCut,
        };
        assert_eq!((fault.kind(), fault.sequence()), (kind, record as u64), "cut at byte {len}");
        assert_eq!(fault.offset(), fixture.frames[record] as u64, "cut at byte {len}");
    }
}

#[test]
fn files_put_back_from_elsewhere_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let files = || (std::fs::read(&path).unwrap(), std::fs::read(head_path(&path)).unwrap());
    let record = |range: std::ops::Range<u64>| {
        let log = AuditLog::open(&path, &key()).unwrap();
        range.for_each(|number| log.record(&event(number)).unwrap());
    };
    record(0..2);
    let (log_2, head_2) = files();
    record(2..5);
    let (log_5, head_5) = files();
    // Another history from the same beginning.
    std::fs::write(&path, &log_2).unwrap();
    std::fs::write(head_path(&path), &head_2).unwrap();
    record(12..15);
    let (fork_5, fork_head_5) = files();

    let fixture = Fixture::new(2);
    let put = Fixture { path, ..fixture };
    let kind = |log: &[u8], head: &[u8]| put.fault(log, head).unwrap().kind();
    assert_eq!(kind(&log_2, &head_5), FaultKind::RecordsMissing, "older log");
    assert_eq!(kind(&log_5, &head_2), FaultKind::HeadBehind, "older head");
    assert_eq!(kind(&fork_5, &head_5), FaultKind::HeadDisagrees, "log of another history");
    assert_eq!(kind(&log_5, &fork_head_5), FaultKind::HeadDisagrees, "head of another history");
    assert_eq!(kind(&put.log, &head_2), FaultKind::HeadAltered, "another log");
    assert_eq!(kind(&log_2, &put.head), FaultKind::HeadAltered, "head of another log");
    // The limit that the documentation states: an older pair that once matched.
    assert_eq!(put.fault(&log_2, &head_2), None);
}

#[test]
fn a_missing_file_is_found() {
    let fixture = Fixture::new(2);
    std::fs::remove_file(head_path(&fixture.path)).unwrap();
    let fault = AuditLog::verify(&fixture.path, &key()).unwrap().fault().unwrap();
    assert_eq!(fault.kind(), FaultKind::HeadMissing);
    assert!(matches!(AuditLog::open(&fixture.path, &key()), Err(AuditLogError::Tampered { .. })));

    fixture.put(&fixture.log, &fixture.head);
    std::fs::remove_file(&fixture.path).unwrap();
    let error = AuditLog::open(&fixture.path, &key()).unwrap_err();
    let AuditLogError::Tampered { fault, .. } = &error else { panic!("{error}") };
    assert_eq!((fault.kind(), fault.sequence()), (FaultKind::RecordsMissing, 0));
    assert!(
        error.to_string().contains("was tampered with: records at the end are missing at record 0"),
        "{error}"
    );
}

#[test]
fn a_torn_tail_after_the_head_is_repaired_and_reported() {
    let fixture = Fixture::new(3);
    // The head of count 3 is in the second slot, and that of count 2 still in the first.
    let mut head_of_2 = fixture.head.clone();
    head_of_2[4096..].fill(0);
    // Record 2 was written whole, and the write of head 3 was torn.
    fixture.put(&fixture.log, &head_of_2);
    let verdict = AuditLog::verify(&fixture.path, &key()).unwrap().verdict();
    assert!(matches!(verdict, Verdict::Interrupted(_)), "{verdict:?}");
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    assert_eq!((log.recovery().adopted_records, log.recovery().repaired_head), (1, true));
    drop(log);
    assert_eq!(AuditLog::verify(&fixture.path, &key()).unwrap().verdict(), Verdict::Intact);

    // Half a record after the last that the head counts.
    let tail = &fixture.frame(1)[..20];
    for rest in [tail, &tail[..3], &[0; 64]] {
        fixture.put(&[fixture.log.as_slice(), rest].concat(), &fixture.head);
        let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
        let Verdict::Interrupted(left) = verification.verdict() else { panic!("{verification}") };
        assert_eq!((verification.records(), left.truncated_bytes), (3, rest.len() as u64));
        assert_eq!(resources(&fixture.path), numbers(0..3));
        let log = AuditLog::open(&fixture.path, &key()).unwrap();
        assert_eq!(log.recovery().truncated_bytes, rest.len() as u64);
        log.record(&event(3)).unwrap();
        drop(log);
        assert_eq!(resources(&fixture.path), numbers(0..4));
        assert_eq!(AuditLog::verify(&fixture.path, &key()).unwrap().verdict(), Verdict::Intact);
    }
}

#[test]
fn a_creation_that_a_crash_interrupted_is_done_again() {
    let fixture = Fixture::new(0);
    for len in [0, 1, HEADER - 1] {
        fixture.put(&fixture.log[..len], &fixture.head);
        let verification = AuditLog::verify(&fixture.path, &key()).unwrap();
        assert_eq!(verification.records(), 0);
        assert!(matches!(verification.verdict(), Verdict::Interrupted(_)), "{verification}");
        let log = AuditLog::open(&fixture.path, &key()).unwrap();
        log.record(&event(0)).unwrap();
        drop(log);
        assert_eq!(resources(&fixture.path), numbers(0..1));
    }
}

/// What is written to a deleted file is gone when the writer ends: it must not be acknowledged.
#[test]
fn a_log_that_was_deleted_acknowledges_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("audit.log");
    let log = AuditLog::open(&path, &SealingKey::from_bytes([7; 32])).unwrap();
    let event = AuditEvent::new(EventClass::Command, "execute", "true");
    log.record(&event).unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = log.record(&event).unwrap_err().to_string();
    assert!(error.contains("was deleted"), "{error}");
    assert!(log.record(&event).is_err());
}
