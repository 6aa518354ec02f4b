//! Looking at a log that is being written, rotated, pruned and shredded: it is never called altered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use codegenie_security::{AuditLog, AuditLogOptions, AuditQuery, AuditReader, AuditSink, RetentionPolicy};

use super::{Fixture, event, key};

/// Runs `look` many times beside a writer that does `also` now and then.
fn beside(options: AuditLogOptions, also: impl Fn(&AuditLog, u64) + Sync, look: impl Fn(&AuditReader, u32)) {
    let fixture = Fixture::new(&[]);
    let log = options.certify_ahead(4000).open(&fixture.path, &key()).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // No more than can be looked at soon, however slow the machine is.
            for number in 0..600 {
                if is_over.load(Ordering::Relaxed) || log.epochs().0 + 2 > log.epochs().1 {
                    break;
                }
                log.record(&event(number).actor(format!("actor {}", number % 50))).unwrap();
                also(&log, number);
                // So that whoever looks is not left behind without end.
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let reader = AuditReader::open(&fixture.path, &key()).unwrap();
            (0..10).for_each(|round| look(&reader, round));
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = ran {
            std::panic::resume_unwind(panic);
        }
    });
}

fn verified(reader: &AuditReader, round: u32) {
    let verification = reader.verify(&[]).unwrap();
    assert_eq!(verification.fault(), None, "look {round}: {verification}");
}

fn queried(reader: &AuditReader, round: u32) {
    let page = reader.query(&AuditQuery::new().actor("actor 7").limit(1000));
    page.unwrap_or_else(|error| panic!("look {round}: {error}"));
}

fn read(reader: &AuditReader, round: u32) {
    for stored in reader.records().unwrap() {
        stored.unwrap_or_else(|error| panic!("look {round}: {error}"));
    }
}

#[test]
fn a_log_that_rotates_is_whole() {
    let rotating = || AuditLogOptions::new().segment_bytes(6_000);
    beside(rotating(), |_, _| (), verified);
    beside(rotating(), |_, _| (), queried);
    beside(rotating(), |_, _| (), read);
}

#[test]
fn a_log_that_forgets_actors_is_whole() {
    let shredding = |log: &AuditLog, number: u64| {
        if number % 20 == 19 {
            log.shred(&format!("actor {}", number / 20 % 50)).unwrap();
        }
    };
    let rotating = || AuditLogOptions::new().segment_bytes(60_000);
    beside(rotating(), shredding, verified);
    beside(rotating(), shredding, queried);
}

#[test]
fn a_log_that_retention_shortens_is_whole() {
    let pruning = || {
        AuditLogOptions::new().segment_bytes(6_000).retention(RetentionPolicy::forever().max_bytes(40_000))
    };
    beside(pruning(), |_, _| (), verified);
    beside(pruning(), |_, _| (), queried);
}
