//! When `record` returns, and what becomes of events that do not fit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codegenie_security::{
    AuditErrorKind, AuditLog, AuditLogOptions, AuditQuery, AuditReader, AuditSink, Durability, Retention,
    WhenFull,
};

use super::{Fixture, event, key, numbers, resources};

/// The frames of all segments: one for each commit.
fn commits(fixture: &Fixture) -> usize {
    let bytes = std::fs::read(fixture.path.join("segments/0000000000")).unwrap();
    let (mut place, mut frames) = (0, 0);
    while let Some(prefix) = bytes.get(place..place + 4) {
        place += 8 + u32::from_le_bytes(prefix.try_into().unwrap()) as usize;
        frames += 1;
    }
    frames - 1
}

#[test]
fn threads_share_commits_and_each_returns_when_its_event_is_on_the_disk() {
    let fixture = Fixture::new(&[]);
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..32_u64 {
            let (log, done, fixture) = (&log, &done, &fixture);
            scope.spawn(move || {
                for number in 0..10 {
                    log.record(&event(thread * 10 + number)).unwrap();
                    // It is signed for: the checkpoint on the disk knows of as many leaves.
                    let acknowledged = done.fetch_add(1, Ordering::SeqCst) + 1;
                    let note = std::fs::read_to_string(fixture.path.join("checkpoint")).unwrap();
                    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
                    assert!(size > acknowledged, "{size} leaves, {acknowledged} acknowledged");
                }
            });
        }
    });
    drop(log);
    let commits = commits(&fixture);
    assert!(commits < 200, "{commits} commits for 320 events");
    assert_eq!(resources(&fixture.path).len(), 320);
    assert!(AuditLog::verify(&fixture.path, &key()).unwrap().is_intact());
}

#[test]
fn accepted_events_are_durable_after_a_flush_and_at_the_end() {
    let fixture = Fixture::new(&[]);
    let options = AuditLogOptions::new().durability(Durability::dangerous_accepted(64, WhenFull::Wait));
    let log = options.clone().open(&fixture.path, &key()).unwrap();
    assert_eq!(log.retention(), Retention::Volatile);
    (0..500).for_each(|number| log.record(&event(number)).unwrap());
    log.flush().unwrap();
    assert_eq!(resources(&fixture.path), numbers(0..500));
    (500..510).for_each(|number| log.record(&event(number)).unwrap());
    drop(log);
    assert_eq!(resources(&fixture.path), numbers(0..510));
    assert!(commits(&fixture) < 510);
}

/// It waits for what was accepted before it, and not for all that comes.
#[test]
fn a_flush_ends_while_others_go_on() {
    use std::sync::atomic::AtomicBool;
    let fixture = Fixture::new(&[]);
    let options = AuditLogOptions::new().durability(Durability::dangerous_accepted(64, WhenFull::Wait));
    let log = options.open(&fixture.path, &key()).unwrap();
    let (flushed, gave_up) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let (log, flushed, gave_up) = (&log, &flushed, &gave_up);
            scope.spawn(move || {
                let begun = std::time::Instant::now();
                let mut number = thread * 1_000_000;
                while !flushed.load(Ordering::SeqCst) {
                    // So that a flush that waits for everybody ends as well, and is seen.
                    if begun.elapsed() > Duration::from_secs(20) {
                        return gave_up.store(true, Ordering::SeqCst);
                    }
                    log.record(&event(number)).unwrap();
                    number += 1;
                }
            });
        }
        std::thread::sleep(Duration::from_millis(50));
        (0..3).for_each(|_| log.flush().unwrap());
        flushed.store(true, Ordering::SeqCst);
    });
    assert!(!gave_up.load(Ordering::SeqCst), "the flush waited for events that came after it");
}

#[test]
fn what_does_not_fit_is_refused_or_lost_and_then_told() {
    let fixture = Fixture::new(&[]);
    let options = |when_full| AuditLogOptions::new().durability(Durability::dangerous_accepted(1, when_full));
    let log = options(WhenFull::Fail).open(&fixture.path, &key()).unwrap();
    let outcomes: Vec<_> = (0..200).map(|number| log.record(&event(number))).collect();
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.len() < 200);
    assert!(refused.iter().all(|error| error.kind() == AuditErrorKind::Full));
    drop(log);
    let kept = resources(&fixture.path).len();
    assert_eq!(kept + refused.len(), 200);

    let fixture = Fixture::new(&[]);
    let log = options(WhenFull::DangerousLose).open(&fixture.path, &key()).unwrap();
    (0..200).for_each(|number| log.record(&event(number)).unwrap());
    log.flush().unwrap();
    while log.lost() > 0 {
        log.record(&event(1000)).unwrap();
        log.flush().unwrap();
    }
    drop(log);
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let told = reader.query(&AuditQuery::new().action("lose_events").limit(1000)).unwrap().events;
    let lost: i64 = told
        .iter()
        .map(|stored| match stored.event.get_detail("lost") {
            Some(codegenie_security::AuditValue::Int(lost)) => *lost,
            other => panic!("{other:?}"),
        })
        .sum();
    let kept = resources(&fixture.path).iter().filter(|name| name.starts_with("command:")).count() as i64;
    assert!(lost > 0);
    assert!(kept + lost >= 200, "{kept} kept, {lost} lost");
}

#[test]
fn a_subscriber_sees_what_is_durable_and_holds_nobody_up() {
    let fixture = Fixture::new(&[]);
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    log.record(&event(0)).unwrap();
    let mut all = log.subscribe(100);
    let few = log.subscribe(2);
    (1..11).for_each(|number| log.record(&event(number)).unwrap());
    for number in 1..11 {
        let stored = all.next_within(Duration::from_secs(10)).unwrap();
        assert_eq!(
            (stored.sequence, stored.event.resource.as_str()),
            (number, format!("command:{number}").as_str())
        );
    }
    assert_eq!((all.missed(), few.missed()), (0, 8));
    assert_eq!(few.try_next().unwrap().sequence, 1);
    drop(few);
    log.record(&event(11)).unwrap();
    assert_eq!(all.next().unwrap().sequence, 11);
    drop(log);
    assert!(all.next().is_none(), "the log was closed");
}

/// What fits one commit is in one, however many record at once.
#[test]
fn what_is_recorded_together_is_in_one_commit() {
    let fixture = Fixture::new(&[]);
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    // No two of them fit into the same one.
    let events: Vec<_> = (0..30).map(|number| event(number).detail("blob", "x".repeat(100_000))).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..3).for_each(|_| log.record_all(&events).unwrap()));
        }
    });
    drop(log);
    assert_eq!(commits(&fixture), 12);
    assert_eq!(resources(&fixture.path), vec![numbers(0..30); 12].concat());
}

/// A file that is gone takes along what is recorded from then on, or lets another writer in.
#[test]
fn a_log_whose_files_are_deleted_under_it_stops() {
    for name in ["lock", "checkpoint", "segments/0000000000", "segments/0000000000.subjects"] {
        let fixture = Fixture::new(&[]);
        let log = AuditLog::open(&fixture.path, &key()).unwrap();
        log.record(&event(0)).unwrap();
        std::fs::remove_file(fixture.path.join(name)).unwrap();
        // The length of a checkpoint may change here, which makes the file anew: nothing is lost then.
        let outcome = (1..4).try_for_each(|number| log.record(&event(number)));
        let error = outcome.expect_err(name);
        assert_eq!(error.kind(), AuditErrorKind::Unavailable, "{name}: {error}");
        assert!(error.to_string().contains("deleted"), "{name}: {error}");
        log.record(&event(9)).unwrap_err();
    }
}
