//! Anchors: what shows that a log was put back to an earlier state, and that it has two histories.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use codegenie_security::{
    Anchor, AnchorError, AnchorObjection, AnchorStatus, AnchoredCheckpoint, AuditLog, AuditLogError,
    AuditLogOptions, AuditReader, AuditSink, CallbackAnchor, FaultKind, FileAnchor, Verdict,
};

use super::{Fixture, event, files, key, put};

/// A log and its keys, which lie in one directory, before and after.
fn state(fixture: &Fixture) -> super::Files {
    files(fixture.path.parent().unwrap())
}

fn put_back(fixture: &Fixture, state: &super::Files) {
    put(fixture.path.parent().unwrap(), state);
}

/// The keys know that the log went on, and the anchor knows how far.
#[test]
fn a_log_that_was_put_back_beside_its_keys_is_called_rolled_back_where_an_anchor_knows_it() {
    let fixture = Fixture::new(&[2]);
    let earlier = files(&fixture.path);
    let elsewhere = tempfile::tempdir().unwrap();
    let anchor = Arc::new(FileAnchor::new(elsewhere.path().join("anchor")));
    let log = AuditLogOptions::new().anchor(anchor.clone()).open(&fixture.path, &key()).unwrap();
    log.record(&event(2)).unwrap();
    log.flush_anchors();
    let identity = log.identity().clone();
    drop(log);
    let anchored = [anchor.latest().unwrap().unwrap()];
    put(&fixture.path, &earlier);
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let found = reader.verify(&anchored).unwrap();
    let public = AuditLog::verify_public(&fixture.path, Some(&identity), &anchored).unwrap();
    assert!(matches!(found.verdict(), Verdict::RolledBack { .. }), "{found}");
    assert_eq!(found.verdict(), public.verdict());
    let Verdict::Corrupt(fault) = reader.verify(&[]).unwrap().verdict().clone() else {
        panic!("it was believed")
    };
    assert_eq!(fault.kind(), FaultKind::RolledBack);
}

#[test]
fn a_log_that_was_put_back_with_its_keys_is_seen_by_its_anchor() {
    let elsewhere = tempfile::tempdir().unwrap();
    let anchor = Arc::new(FileAnchor::new(elsewhere.path().join("anchor")));
    let fixture = Fixture::new(&[2]);
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    let earlier = state(&fixture);
    let open = || AuditLogOptions::new().anchor(anchor.clone()).open(&fixture.path, &key());
    let log = open().unwrap();
    log.record(&event(2)).unwrap();
    let status = log.flush_anchors();
    assert_eq!((status.failures, status.last_size), (0, log.head().size));
    drop(log);
    let anchored = [anchor.latest().unwrap().unwrap()];
    let judge = || {
        let with_key = AuditReader::open(&fixture.path, &key()).unwrap().verify(&anchored).unwrap();
        let public = AuditLog::verify_public(&fixture.path, Some(&identity), &anchored).unwrap();
        assert_eq!(with_key.verdict(), public.verdict());
        public.verdict().clone()
    };
    assert_eq!(judge(), Verdict::Anchored);
    let later = state(&fixture);

    put_back(&fixture, &earlier);
    assert!(AuditLog::verify(&fixture.path, &key()).unwrap().is_intact(), "by itself it looks fine");
    assert!(matches!(judge(), Verdict::RolledBack { .. }), "{:?}", judge());
    let Err(AuditLogError::Tampered { fault, .. }) = open() else { panic!("it was opened") };
    assert_eq!(fault.kind(), FaultKind::RolledBack);

    // Another history from there on, as long as the first.
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    (0..5).for_each(|number| log.record(&event(100 + number)).unwrap());
    drop(log);
    assert!(matches!(judge(), Verdict::Forked { .. }), "{:?}", judge());
    let Err(AuditLogError::Tampered { fault, .. }) = open() else { panic!("it was opened") };
    assert_eq!(fault.kind(), FaultKind::Forked);

    put_back(&fixture, &later);
    open().unwrap();
}

#[test]
fn an_anchor_that_fails_does_not_stop_the_log_and_is_told_again() {
    let fixture = Fixture::new(&[]);
    let kept: Arc<Mutex<Vec<AnchoredCheckpoint>>> = Arc::default();
    let fails = Arc::new(AtomicBool::new(true));
    let (to, failing) = (Arc::clone(&kept), Arc::clone(&fails));
    let anchor = CallbackAnchor::new(
        move |anchored: &AnchoredCheckpoint| {
            if failing.load(Ordering::SeqCst) {
                return Err(AnchorError::new("the other side does not answer"));
            }
            to.lock().unwrap().push(anchored.clone());
            Ok(())
        },
        || Err(AnchorError::new("the other side does not answer")),
    );
    let anchor: Arc<dyn Anchor> = Arc::new(anchor);
    let options = || AuditLogOptions::new().anchor(anchor.clone()).anchor_interval(Duration::from_millis(1));
    let error = options().require_anchors().open(&fixture.path, &key()).unwrap_err();
    assert!(error.to_string().contains("the other side does not answer"), "{error}");
    let log = options().open(&fixture.path, &key()).unwrap();
    log.record(&event(0)).unwrap();
    let status = log.flush_anchors();
    assert!(status.failures > 0 && status.published == 0, "{status:?}");
    assert_eq!(status.last_error.as_deref(), Some("the other side does not answer"));
    fails.store(false, Ordering::SeqCst);
    log.record(&event(1)).unwrap();
    while log.flush_anchors().last_size != log.head().size {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(log.anchors().failures, 0);
    let head = log.head();
    let last = kept.lock().unwrap().last().unwrap().clone();
    assert_eq!(last.open(log.origin(), &log.identity()), Some(head));
    assert_eq!(AnchoredCheckpoint::parse(&last.to_string()), Ok(last.clone()));
    // By another identity it is not believed.
    let other = AuditLog::verify(&Fixture::new(&[1]).path, &key()).unwrap().identity().unwrap().clone();
    assert_eq!(last.open(log.origin(), &other), None);
}

#[test]
fn the_last_checkpoint_is_told_when_the_log_is_closed() {
    let fixture = Fixture::new(&[]);
    let elsewhere = tempfile::tempdir().unwrap();
    let anchor = Arc::new(FileAnchor::new(elsewhere.path().join("anchor")));
    let options = AuditLogOptions::new().anchor(anchor.clone()).anchor_interval(Duration::from_secs(3600));
    let log = options.open(&fixture.path, &key()).unwrap();
    (0..3).for_each(|number| log.record(&event(number)).unwrap());
    let (origin, identity, head) = (log.origin().to_owned(), log.identity(), log.head());
    drop(log);
    assert_eq!(anchor.latest().unwrap().unwrap().open(&origin, &identity), Some(head));
}

#[test]
fn a_damaged_anchor_is_an_error_and_not_an_older_log() {
    let fixture = Fixture::new(&[1]);
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("anchor");
    std::fs::write(&path, "something").unwrap();
    let anchor = Arc::new(FileAnchor::new(&path));
    assert!(anchor.latest().is_err());
    let opened = AuditLogOptions::new().anchor(anchor).require_anchors().open(&fixture.path, &key());
    assert!(matches!(opened, Err(AuditLogError::Anchor { .. })), "{opened:?}");
}

/// What an anchor says that was not there a moment ago: a publication may be on its way that does not see it yet.
fn objecting(log: &AuditLog) -> AnchorStatus {
    let begun = Instant::now();
    loop {
        let status = log.flush_anchors();
        if status.objection.is_some() || begun.elapsed() > Duration::from_secs(20) {
            return status;
        }
    }
}

/// The disk of the anchor is not there when a log is opened that was put back, and comes back when that has grown.
#[test]
fn an_anchor_file_that_comes_back_is_not_overwritten_by_another_history() {
    for grown in [1, 5] {
        let elsewhere = tempfile::tempdir().unwrap();
        let (disk, away) = (elsewhere.path().join("disk"), elsewhere.path().join("away"));
        std::fs::create_dir(&disk).unwrap();
        let path = disk.join("anchor");
        let anchor = Arc::new(FileAnchor::new(&path));
        let fixture = Fixture::new(&[1]);
        let earlier = state(&fixture);
        let options = AuditLogOptions::new().anchor(anchor).anchor_interval(Duration::ZERO);
        let log = options.clone().open(&fixture.path, &key()).unwrap();
        (1..4).for_each(|number| log.record(&event(number)).unwrap());
        assert_eq!(log.flush_anchors().last_error, None);
        let anchored = log.head().size;
        drop(log);
        let held = std::fs::read(&path).unwrap();

        put_back(&fixture, &earlier);
        std::fs::rename(&disk, &away).unwrap();
        let log = options.open(&fixture.path, &key()).unwrap();
        (10..10 + grown).for_each(|number| log.record(&event(number)).unwrap());
        let grew_beyond = log.head().size >= anchored;
        std::fs::rename(&away, &disk).unwrap();
        let status = objecting(&log);
        let objection = status.objection.unwrap_or_else(|| panic!("{status:?}"));
        let expected = match grew_beyond {
            true => AnchorObjection::forked(anchored),
            false => AnchorObjection::rolled_back(anchored),
        };
        assert_eq!((objection, grew_beyond), (expected, grown > 1), "{status:?}");
        assert!(status.last_error.unwrap().contains("anchor"));
        drop(log);
        assert_eq!(std::fs::read(&path).unwrap(), held, "the evidence stays");
    }
}

#[test]
fn an_anchor_of_another_log_keeps_what_it_holds() {
    let elsewhere = tempfile::tempdir().unwrap();
    let (disk, away) = (elsewhere.path().join("disk"), elsewhere.path().join("away"));
    std::fs::create_dir(&disk).unwrap();
    let path = disk.join("anchor");
    let options = AuditLogOptions::new().anchor(Arc::new(FileAnchor::new(&path)));
    let (one, other) = (Fixture::with(options.clone(), &[2]), Fixture::new(&[3]));
    let held = std::fs::read(&path).unwrap();
    std::fs::rename(&disk, &away).unwrap();
    let log = options.open(&other.path, &key()).unwrap();
    std::fs::rename(&away, &disk).unwrap();
    let status = objecting(&log);
    assert_eq!(status.objection, Some(AnchorObjection::forked(0)));
    assert!(status.last_error.unwrap().contains("another log"));
    drop(log);
    assert_eq!(std::fs::read(&path).unwrap(), held);
    // Its own log goes on with it.
    let log =
        AuditLogOptions::new().anchor(Arc::new(FileAnchor::new(&path))).open(&one.path, &key()).unwrap();
    assert_eq!(log.flush_anchors().last_error, None);
}

#[test]
fn a_required_anchor_that_is_not_there_is_an_error_except_for_a_new_log() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("anchor");
    let options = AuditLogOptions::new().anchor(Arc::new(FileAnchor::new(&path))).require_anchors();
    let fixture = Fixture::with(options.clone(), &[1, 1]);
    std::fs::remove_file(&path).unwrap();
    let error = options.open(&fixture.path, &key()).unwrap_err();
    assert!(matches!(error, AuditLogError::Anchor { .. }), "{error}");
    assert!(error.to_string().contains("knows nothing"), "{error}");
    assert!(!path.exists());
}
