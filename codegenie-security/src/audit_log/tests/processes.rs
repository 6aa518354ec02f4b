//! A log in a process that did not open it: a forked child has the files and the keys of its parent, and would fork the chain.

use super::super::*;
use super::crash_disk::{CrashDisk, Dice};
use super::power_cuts::{event, open, options, reader, resources};

#[test]
fn a_log_that_another_process_opened_writes_nothing() {
    for durability in [Durability::Durable, Durability::dangerous_accepted(10, WhenFull::Wait)] {
        let (disk, keys, mut dice) = (CrashDisk::default(), CrashDisk::default(), Dice(1));
        let mut log = open(&disk, &keys, options().durability(durability)).unwrap();
        (0..3).for_each(|number| log.record(&event(number, &mut dice)).unwrap());
        log.flush().unwrap();
        let own = log.process;
        log.process = own.wrapping_add(1);
        let (before, head) = (disk.operations() + keys.operations(), log.head());
        let refused = [
            log.record(&event(3, &mut dice)).unwrap_err(),
            log.record_all(&[event(4, &mut dice), event(5, &mut dice)]).unwrap_err(),
            log.flush().unwrap_err(),
            log.rotate().unwrap_err(),
            log.shred("alice").unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), AuditErrorKind::Unavailable);
            assert!(error.to_string().contains("open a log in each"), "{error}");
        }
        assert_eq!((disk.operations() + keys.operations(), log.head()), (before, head));
        // The parent goes on.
        log.process = own;
        log.record(&event(6, &mut dice)).unwrap();
        log.flush().unwrap();
        assert_eq!(resources(&disk).unwrap(), ["0", "1", "2", "6"]);
        // And the end of the child is no end of the log.
        log.process = own.wrapping_add(1);
        let before = disk.operations();
        drop(log);
        assert_eq!(disk.operations(), before);
        assert!(reader(&disk).verify(&[]).unwrap().is_intact());
    }
}
