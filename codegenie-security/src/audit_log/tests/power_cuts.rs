//! Whatever a crash leaves of what was not synced: no acknowledged event is lost, and nothing is believed that was
//! not written.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::super::*;
use super::crash_disk::{CrashDisk, Dice};
use crate::crypto::{Identity, RecipientKind};
use crate::{AuditEvent, EventClass};

/// One reader for all seeds, of the kind whose keys are made fastest.
fn auditor() -> &'static Identity {
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

/// What one run of the log had to say.
struct Told {
    acknowledged: Vec<String>,
    /// The event in whose recording the power went off: on the disk or not.
    uncertain: Option<String>,
}

fn run(
    disk: &CrashDisk,
    keys: &CrashDisk,
    dice: &mut Dice,
    number: &mut u64,
    shredded: bool,
) -> Result<Told, AuditLogError> {
    let mut told = Told { acknowledged: Vec::new(), uncertain: None };
    let log = open(disk, keys, options().segment_bytes(4_000 + dice.below(8_000)))?;
    for _ in 0..dice.below(20) {
        *number += 1;
        match log.record(&event(*number, dice)) {
            Ok(()) => told.acknowledged.push(number.to_string()),
            Err(_) => {
                told.uncertain = Some(number.to_string());
                break;
            }
        }
        if dice.one_in(12) && log.rotate().is_err() {
            break;
        }
        if shredded && dice.one_in(15) && log.shred("bob").is_err() {
            break;
        }
    }
    Ok(told)
}

fn seeds(default: u64) -> u64 {
    std::env::var("CODEGENIE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

#[test]
fn no_acknowledged_event_is_lost_in_a_power_cut() {
    for seed in 0..seeds(500) {
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
            let told = run(&disk, &keys, &mut dice, &mut number, false);
            (disk, keys) = (disk.after_a_crash(&mut dice), keys.after_a_crash(&mut dice));
            let told = told.unwrap_or(Told { acknowledged: Vec::new(), uncertain: None });
            expected.extend(told.acknowledged);

            let log = open(&disk, &keys, options());
            let log = log.unwrap_or_else(|error| panic!("seed {seed}, round {round}: {error}"));
            drop(log);
            let found =
                resources(&disk).unwrap_or_else(|error| panic!("seed {seed}, round {round}: {error}"));
            if let Some(uncertain) = told.uncertain
                && found.last() == Some(&uncertain)
            {
                expected.push(uncertain);
            }
            assert_eq!(found, expected, "seed {seed}, round {round}");
            let verification = reader(&disk).verify(&[]).unwrap();
            assert!(verification.is_intact(), "seed {seed}, round {round}: {verification}");
        }
    }
}

/// A shredding that was cut short is finished, and no other actor's events go with it.
#[test]
fn a_shredding_survives_a_power_cut() {
    for seed in 0..seeds(60) {
        let mut dice = Dice(seed);
        let (mut disk, mut keys) = (CrashDisk::default(), CrashDisk::default());
        let mut number = 0;
        for round in 0..3 {
            disk.cut_after(30 + dice.below(90));
            if dice.one_in(3) {
                keys.cut_after(4 + dice.below(14));
            }
            let _ = run(&disk, &keys, &mut dice, &mut number, true);
            (disk, keys) = (disk.after_a_crash(&mut dice), keys.after_a_crash(&mut dice));
            let log = open(&disk, &keys, options());
            drop(log.unwrap_or_else(|error| panic!("seed {seed}, round {round}: {error}")));
            let verification = reader(&disk).verify(&[]).unwrap();
            assert!(verification.is_intact(), "seed {seed}, round {round}: {verification}");
        }
    }
}

/// Where a disk says that it has synced and has not, what is missing cannot be told from what was cut off by hand: the
/// log may be refused. But it never shows what was not written.
#[test]
fn on_a_disk_that_lies_nothing_is_believed_that_was_not_written() {
    let (mut refused, mut opened) = (0, 0);
    for seed in 0..seeds(120) {
        let mut dice = Dice(seed);
        let (disk, keys) = (CrashDisk::default(), CrashDisk::default());
        let mut number = 0;
        let first = run(&disk, &keys, &mut dice, &mut number, false).unwrap();
        disk.lie();
        disk.cut_after(4 + dice.below(60));
        let told = run(&disk, &keys, &mut dice, &mut number, false);
        let told = told.unwrap_or(Told { acknowledged: Vec::new(), uncertain: None });
        let written: Vec<_> =
            first.acknowledged.into_iter().chain(told.acknowledged).chain(told.uncertain).collect();
        let (disk, keys) = (disk.after_a_crash(&mut dice), keys.after_a_crash(&mut dice));
        match open(&disk, &keys, options()) {
            Err(AuditLogError::Tampered { .. }) => refused += 1,
            Err(other) => panic!("seed {seed}: {other}"),
            Ok(log) => {
                drop(log);
                opened += 1;
                let found = resources(&disk).unwrap();
                assert_eq!(found, written[..found.len()], "seed {seed}");
            }
        }
    }
    assert!(refused > 0 && opened > 0, "{refused} refused, {opened} opened");
}
