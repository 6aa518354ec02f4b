//! Failing writes, through the storage seam. What the files hold is tested in tests/audit_log.rs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::storage::Files;
use super::*;

/// Fails one kind of call once it has succeeded a number of times, leaving half of a frame.
struct Failing {
    inner: Files,
    at: &'static str,
    after: usize,
    with: io::ErrorKind,
    calls: Arc<AtomicUsize>,
}

impl Failing {
    fn fails(&mut self, call: &'static str) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if call == self.at {
            self.after = self.after.checked_sub(1).ok_or(self.with)?;
        }
        Ok(())
    }
}

impl Storage for Failing {
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        match self.fails("append") {
            Ok(()) => self.inner.append(frame),
            Err(error) => {
                self.inner.append(&frame[..frame.len() / 2])?;
                Err(error)
            }
        }
    }
    fn sync_log(&mut self) -> io::Result<()> {
        self.fails("sync log")?;
        self.inner.sync_log()
    }
    fn write_head(&mut self, slot: &[u8], offset: u64) -> io::Result<()> {
        match self.fails("write head") {
            Ok(()) => self.inner.write_head(slot, offset),
            Err(error) => {
                self.inner.write_head(&slot[..slot.len() / 2], offset)?;
                Err(error)
            }
        }
    }
    fn sync_head(&mut self) -> io::Result<()> {
        self.fails("sync head")?;
        self.inner.sync_head()
    }
}

fn event(name: &str) -> AuditEvent {
    AuditEvent::new(EventClass::Command, "execute", name)
}

fn failing_log(
    path: &Path,
    key: &SealingKey,
    at: &'static str,
    with: io::ErrorKind,
) -> (AuditLog, Arc<AtomicUsize>) {
    let Opened { storage, keys, chain, length, recovery } =
        open::open(path, key, Mode::OpenOrCreate).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let storage = Failing { inner: storage, at, after: 2, with, calls: calls.clone() };
    (AuditLog::with_storage(path, Box::new(storage), keys, chain, length, recovery), calls)
}

#[test]
fn an_error_ends_the_log_and_opening_it_again_recovers_all_that_was_acknowledged() {
    // What is left after the third record failed: half a record, or a whole one that is not
    // acknowledged.
    for (at, torn, adopted, head) in [
        ("append", true, 0, false),
        ("sync log", false, 1, false),
        ("write head", false, 1, true),
        ("sync head", false, 0, false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let key = SealingKey::generate().unwrap();
        let (log, calls) = failing_log(&path, &key, at, io::ErrorKind::Other);
        log.record(&event("0")).unwrap();
        log.record(&event("1")).unwrap();
        let error = log.record(&event("2")).unwrap_err();
        assert_eq!(error.kind(), AuditErrorKind::Unavailable, "{at}");
        assert!(!error.to_string().contains('\n'));

        let calls_before = calls.load(Ordering::Relaxed);
        let later = log.record(&event("3")).unwrap_err();
        assert!(later.to_string().contains("stopped after an earlier write error"), "{later}");
        log.flush().unwrap_err();
        assert_eq!(calls.load(Ordering::Relaxed), calls_before, "{at}: nothing is tried again");
        drop(log);

        let verification = AuditLog::verify(&path, &key).unwrap();
        assert!(verification.fault().is_none(), "{at}: {verification}");
        let clean = !torn && adopted == 0 && !head;
        assert_eq!(verification.verdict() == Verdict::Intact, clean, "{at}");

        let log = AuditLog::open(&path, &key).unwrap();
        let recovery = log.recovery();
        assert_eq!(recovery.truncated_bytes > 0, torn, "{at}: {recovery:?}");
        assert_eq!(recovery.adopted_records, adopted, "{at}: {recovery:?}");
        assert_eq!(recovery.repaired_head, head, "{at}: {recovery:?}");
        assert_eq!(recovery.is_clean(), clean);
        log.record(&event("last")).unwrap();
        drop(log);

        assert_eq!(AuditLog::verify(&path, &key).unwrap().verdict(), Verdict::Intact);
        let resources: Vec<_> =
            AuditLog::read(&path, &key).unwrap().map(|stored| stored.unwrap().event.resource).collect();
        let kept = if torn { vec!["0", "1", "last"] } else { vec!["0", "1", "2", "last"] };
        assert_eq!(resources, kept, "{at}");
    }
}

#[test]
fn a_full_disk_is_told_apart() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let key = SealingKey::generate().unwrap();
        let (log, _) = failing_log(&path, &key, "append", kind);
        log.record(&event("0")).unwrap();
        log.record(&event("1")).unwrap();
        for _ in 0..2 {
            assert_eq!(log.record(&event("2")).unwrap_err().kind(), AuditErrorKind::Full);
        }
    }
}
