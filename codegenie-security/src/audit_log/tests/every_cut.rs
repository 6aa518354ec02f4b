//! One small log, and a power cut at every place of its writing.

use super::super::*;
use super::crash_disk::{CrashDisk, Dice, Journal, Unsynced};
use super::power_cuts::{check, event, open, options, resources};
use crate::AuditEvent;

/// A call that records events: after how many changes it began, and after how many it was acknowledged.
struct Recorded {
    changes: std::ops::Range<usize>,
    events: Vec<String>,
}

/// A few small segments, of which retention keeps the last ones.
fn small() -> AuditLogOptions {
    options().certify_ahead(3).segment_bytes(2_200).retention(RetentionPolicy::forever().max_bytes(5_000))
}

/// Writes the log: commits of one record and of several, a small and a large one, rotations by hand and by size, and an end
/// and a new beginning.
fn write(journal: &Journal) -> Vec<Recorded> {
    let (disk, keys, mut dice) = (journal.disk(0), journal.disk(1), Dice(1));
    let (mut recorded, mut number) = (Vec::new(), 0);
    let mut record = |log: &AuditLog, count: u64| {
        let numbers = number..number + count;
        number += count;
        let events: Vec<AuditEvent> = numbers.clone().map(|number| event(number, &mut dice)).collect();
        let began = journal.len();
        log.record_all(&events).unwrap();
        let events = numbers.map(|number| number.to_string()).collect();
        recorded.push(Recorded { changes: began..journal.len(), events });
    };
    let log = open(&disk, &keys, small()).unwrap();
    record(&log, 1);
    record(&log, 3);
    log.rotate().unwrap();
    record(&log, 1);
    drop(log);
    let log = open(&disk, &keys, small()).unwrap();
    (0..4).for_each(|_| record(&log, 2));
    assert!(disk.read("pruned").unwrap().is_some(), "retention removed nothing");
    recorded
}

/// After each change and within each write at each border of a sector; with all that was not synced, with nothing of it, and
/// without that of any one file.
#[test]
fn wherever_the_power_is_cut_the_log_goes_on_from_what_it_acknowledged() {
    let journal = Journal::default();
    let recorded = write(&journal);
    let (mut tried, mut kept, mut lost) = (0, 0, 0);
    for cut in journal.cuts() {
        let is_told = |recorded: &&Recorded| recorded.changes.end <= cut.changes;
        let acknowledged: Vec<_> =
            recorded.iter().filter(is_told).flat_map(|recorded| recorded.events.clone()).collect();
        let uncertain = recorded.iter().find(|recorded| !is_told(recorded));
        let uncertain = uncertain.filter(|recorded| recorded.changes.start <= cut.changes);
        let uncertain = uncertain.map(|recorded| &recorded.events[..]).unwrap_or_default();
        for (unsynced, [disk, keys]) in journal.crashed_at(cut) {
            let place = format!("{cut:?}, {unsynced:?}");
            goes_on(&disk, &keys, &acknowledged, uncertain, &place, |is_there| {
                let is_whole = matches!(unsynced, Unsynced::All) && !uncertain.is_empty();
                kept += usize::from(is_whole && is_there);
                lost += usize::from(is_whole && !is_there);
            });
            tried += 1;
        }
    }
    assert!(tried > 500 && kept > 0 && lost > 0, "{tried} tried, {kept} kept, {lost} lost");
}

fn goes_on(
    disk: &CrashDisk,
    keys: &CrashDisk,
    acknowledged: &[String],
    uncertain: &[String],
    place: &str,
    told: impl FnOnce(bool),
) {
    let judge = || {
        // Without retention, so that nothing else is removed.
        let log = open(disk, keys, options().certify_ahead(3)).unwrap();
        log.record(&event(99, &mut Dice(9))).unwrap();
        drop(log);
        let ends = [uncertain, &["99".to_owned()]].concat();
        let is_there = resources(disk).unwrap().ends_with(&ends) && !uncertain.is_empty();
        let events = if is_there {
            [acknowledged, &ends].concat()
        } else {
            [acknowledged, &["99".to_owned()]].concat()
        };
        check(disk, &events, &[]);
        is_there
    };
    match catch_unwind(AssertUnwindSafe(judge)) {
        Ok(is_there) => told(is_there),
        Err(panicked) => {
            eprintln!("it was {place}");
            std::panic::resume_unwind(panicked);
        }
    }
}
