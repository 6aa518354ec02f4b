//! Whatever a crash leaves of what was not synced: no acknowledged event is lost, and nothing is believed that was
//! not written.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::super::*;
use super::crash_disk::{CrashDisk, Dice};
use crate::crypto::{Identity, RecipientKind};
use crate::{AuditEvent, EventClass};

/// One reader for all seeds, of the kind whose keys are made fastest.
pub(super) fn auditor() -> &'static Identity {
    static AUDITOR: OnceLock<Identity> = OnceLock::new();
    AUDITOR.get_or_init(|| Identity::generate(RecipientKind::X25519).unwrap())
}

pub(super) fn host() -> SealingKey {
    SealingKey::from_bytes([9; 32])
}

pub(super) fn options() -> AuditLogOptions {
    AuditLogOptions::new().auditor(auditor().recipient_key()).without_own_reader().certify_ahead(16)
}

pub(super) fn open(
    disk: &CrashDisk,
    keys: &CrashDisk,
    options: AuditLogOptions,
) -> Result<AuditLog, AuditLogError> {
    let (path, keys_path) = (Path::new("audit"), Path::new("audit.keys"));
    AuditLog::open_on(path, Arc::new(disk.clone()), Box::new(keys.clone()), keys_path, &host(), options, None)
}

pub(super) fn reader(disk: &CrashDisk) -> AuditReader {
    let secret = auditor().to_secret_bytes();
    let identity = Identity::from_secret_bytes(secret.expose()).unwrap();
    AuditReader::on_disk(Path::new("audit"), Arc::new(disk.clone()), Arc::new(identity))
}

pub(super) fn resources(disk: &CrashDisk) -> Result<Vec<String>, AuditLogError> {
    let events = reader(disk).records()?.map(|stored| Ok(stored?.event));
    let events: Result<Vec<_>, AuditLogError> = events.collect();
    Ok(events?.into_iter().filter(|event| event.action == "execute").map(|event| event.resource).collect())
}

pub(super) fn event(number: u64, dice: &mut Dice) -> AuditEvent {
    let actor = ["alice", "bob", ""][dice.below(3) as usize];
    let size = [0, 10, 600, 3_000][dice.below(4) as usize];
    AuditEvent::new(EventClass::Command, "execute", number.to_string())
        .actor(actor)
        .detail("blob", "x".repeat(size))
}

/// What a log is put through.
#[derive(Clone, Copy)]
struct Scenario {
    shreds: bool,
    prunes: bool,
}

/// What one run of the log had to say.
#[derive(Default)]
struct Told {
    acknowledged: Vec<String>,
    /// The events of the commit in which the power went off: all on the disk, or none.
    uncertain: Vec<String>,
}

fn run(
    disk: &CrashDisk,
    keys: &CrashDisk,
    dice: &mut Dice,
    number: &mut u64,
    scenario: Scenario,
) -> Result<Told, AuditLogError> {
    let mut told = Told::default();
    let mut options = options().segment_bytes(4_000 + dice.below(8_000));
    if scenario.prunes && dice.one_in(2) {
        options = options.retention(RetentionPolicy::forever().max_bytes(10_000 + dice.below(20_000)));
    }
    let log = open(disk, keys, options)?;
    for _ in 0..dice.below(16) {
        let count = if dice.one_in(3) { 2 + dice.below(5) } else { 1 };
        let numbers = *number + 1..=*number + count;
        *number += count;
        let events: Vec<_> = numbers.clone().map(|number| event(number, dice)).collect();
        let recorded = match &events[..] {
            [event] => log.record(event),
            events => log.record_all(events),
        };
        let names = numbers.map(|number| number.to_string());
        match recorded {
            Ok(()) => told.acknowledged.extend(names),
            Err(_) => {
                told.uncertain = names.collect();
                break;
            }
        }
        if dice.one_in(12) && log.rotate().is_err() {
            break;
        }
        if scenario.shreds && dice.one_in(15) && log.shred("bob").is_err() {
            break;
        }
    }
    Ok(told)
}

/// Compares a log with the events that it was told of, of which the last ones are there all or not at all. Returns whether
/// they are. What retention removed is missing at the beginning, as far as the log says so.
pub(super) fn check(disk: &CrashDisk, acknowledged: &[String], uncertain: &[String]) -> bool {
    let verification = reader(disk).verify(&[]).unwrap();
    assert!(verification.is_intact(), "{verification}");
    let found = resources(disk).unwrap();
    let first = verification.first_record() as usize;
    let with: Vec<_> = acknowledged.iter().chain(uncertain).cloned().collect();
    let is_there = !uncertain.is_empty() && found.last() == uncertain.last();
    let expected = if is_there { &with[..] } else { acknowledged };
    assert_eq!(found, expected[first..]);
    is_there
}

fn seeds(default: u64) -> u64 {
    std::env::var("CODEGENIE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

/// Each seed on a thread of as many as there are cores. Says which one failed.
fn for_each_seed(seeds: u64, run: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            if let Err(panicked) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
                eprintln!("it was seed {seed}");
                next.store(seeds, Ordering::Relaxed);
                std::panic::resume_unwind(panicked);
            }
        }
    };
    std::thread::scope(|scope| {
        (1..std::thread::available_parallelism().map_or(1, usize::from)).for_each(|_| {
            scope.spawn(work);
        });
        work();
    });
}

#[test]
fn no_acknowledged_event_is_lost_in_a_power_cut() {
    let (many, pruned) = (AtomicU64::new(0), AtomicU64::new(0));
    for_each_seed(seeds(500).max(40), |seed| {
        let mut dice = Dice(seed);
        let (mut disk, mut keys) = (CrashDisk::default(), CrashDisk::default());
        let (mut expected, mut number) = (Vec::new(), 0);
        for round in 0..4 {
            // Now and then the power stays on, goes off at the opening, or much later.
            if !dice.one_in(5) {
                disk.cut_after(1 + dice.below(90));
            }
            if dice.one_in(3) {
                keys.cut_after(1 + dice.below(14));
            }
            let told = run(&disk, &keys, &mut dice, &mut number, Scenario { shreds: false, prunes: true });
            (disk, keys) = (disk.after_a_crash(&mut dice), keys.after_a_crash(&mut dice));
            let told = told.unwrap_or_default();
            expected.extend(told.acknowledged);

            let log = open(&disk, &keys, options());
            drop(log.unwrap_or_else(|error| panic!("round {round}: {error}")));
            if check(&disk, &expected, &told.uncertain) {
                many.fetch_add(u64::from(told.uncertain.len() > 1), Ordering::Relaxed);
                expected.extend(told.uncertain);
            }
        }
        pruned.fetch_add(u64::from(disk.read("pruned").unwrap().is_some()), Ordering::Relaxed);
    });
    let drawn = [many.into_inner(), pruned.into_inner()];
    assert!(
        drawn.iter().all(|count| *count > 0),
        "commits of several that a crash kept, and pruned logs: {drawn:?}"
    );
}

/// A shredding that was cut short is finished, and no other actor's events go with it.
#[test]
fn a_shredding_survives_a_power_cut() {
    for_each_seed((seeds(500) / 8).max(20), |seed| {
        let mut dice = Dice(seed);
        let (mut disk, mut keys) = (CrashDisk::default(), CrashDisk::default());
        let mut number = 0;
        for round in 0..3 {
            disk.cut_after(30 + dice.below(90));
            if dice.one_in(3) {
                keys.cut_after(4 + dice.below(14));
            }
            let _ = run(&disk, &keys, &mut dice, &mut number, Scenario { shreds: true, prunes: true });
            (disk, keys) = (disk.after_a_crash(&mut dice), keys.after_a_crash(&mut dice));
            let log = open(&disk, &keys, options());
            drop(log.unwrap_or_else(|error| panic!("round {round}: {error}")));
            let verification = reader(&disk).verify(&[]).unwrap();
            assert!(verification.is_intact(), "round {round}: {verification}");
        }
    });
}

/// Where a disk says that it has synced and has not, what is missing cannot be told from what was cut off by hand: the
/// log may be refused. But it never shows what was not written.
#[test]
fn on_a_disk_that_lies_nothing_is_believed_that_was_not_written() {
    let (refused, opened) = (AtomicU64::new(0), AtomicU64::new(0));
    for_each_seed((seeds(500) / 4).max(40), |seed| {
        let mut dice = Dice(seed);
        let (disk, keys) = (CrashDisk::default(), CrashDisk::default());
        let mut number = 0;
        let scenario = Scenario { shreds: false, prunes: false };
        let first = run(&disk, &keys, &mut dice, &mut number, scenario).unwrap();
        disk.lie();
        disk.cut_after(4 + dice.below(60));
        let told = run(&disk, &keys, &mut dice, &mut number, scenario).unwrap_or_default();
        let written: Vec<_> =
            first.acknowledged.into_iter().chain(told.acknowledged).chain(told.uncertain).collect();
        let (disk, keys) = (disk.after_a_crash(&mut dice), keys.after_a_crash(&mut dice));
        match open(&disk, &keys, options()) {
            Err(AuditLogError::Tampered { .. }) => refused.fetch_add(1, Ordering::Relaxed),
            Err(other) => panic!("{other}"),
            Ok(log) => {
                drop(log);
                let found = resources(&disk).unwrap();
                assert_eq!(found, written[..found.len()]);
                opened.fetch_add(1, Ordering::Relaxed)
            }
        };
    });
    let (refused, opened) = (refused.into_inner(), opened.into_inner());
    assert!(refused > 0 && opened > 0, "{refused} refused, {opened} opened");
}
