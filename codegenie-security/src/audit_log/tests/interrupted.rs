//! A log whose creation the power cut short.

use std::path::Path;

use super::super::*;
use super::crash_disk::{CrashDisk, Dice};
use super::power_cuts::{host, open, options, reader};

/// Nothing was acknowledged yet, and so nothing is missing: whoever has the keys is not told of a log that was altered.
#[test]
fn a_creation_that_was_cut_short_is_no_altered_log_to_who_has_its_keys() {
    let (mut verified, mut whole) = (0, false);
    for cut in 1..100 {
        for seed in 0..8 {
            let (disk, keys, mut dice) = (CrashDisk::default(), CrashDisk::default(), Dice(seed));
            disk.cut_after(cut);
            whole |= open(&disk, &keys, options()).is_ok();
            let (disk, keys) = (disk.after_a_crash(&mut dice), keys.after_a_crash(&mut dice));
            let store = KeyStore::new(Box::new(keys.clone()), Path::new("audit.keys"), &host());
            match reader(&disk).with_host(store).verify(&[]) {
                Ok(verification) => {
                    verified += 1;
                    let verdict = verification.verdict();
                    assert_eq!(*verdict, Verdict::Unanchored, "cut {cut}, seed {seed}: {verification}");
                    assert_eq!(verification.records(), 0);
                }
                Err(error) => assert!(matches!(error, AuditLogError::Missing { .. }), "{cut}: {error}"),
            }
            drop(open(&disk, &keys, options()).unwrap());
            assert!(reader(&disk).verify(&[]).unwrap().is_intact(), "cut {cut}, seed {seed}");
        }
    }
    assert!(whole && verified > 8, "{verified}");
}

/// Without a segment a log that was signed is another matter.
#[test]
fn a_log_that_lost_everything_is_an_altered_one() {
    let (disk, keys) = (CrashDisk::default(), CrashDisk::default());
    drop(open(&disk, &keys, options()).unwrap());
    for name in ["checkpoint", "segments/0000000000"] {
        disk.remove(name).unwrap();
    }
    let store = KeyStore::new(Box::new(keys), Path::new("audit.keys"), &host());
    let verification = reader(&disk).with_host(store).verify(&[]).unwrap();
    assert!(matches!(verification.verdict(), Verdict::Corrupt(_)), "{verification}");
}
