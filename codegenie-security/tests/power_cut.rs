//! Real file systems whose power is cut, and that are full. As root: they are mounted for it.
#![cfg(all(target_os = "linux", feature = "audit-log"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use codegenie_security::{
    AuditErrorKind, AuditEvent, AuditLog, AuditLogOptions, AuditSink, EventClass, SealingKey,
};

fn key() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

fn event(number: u64) -> AuditEvent {
    let size = (number % 7 * 300) as usize;
    AuditEvent::new(EventClass::Command, "execute", number.to_string())
        .actor(if number.is_multiple_of(3) { "alice" } else { "" })
        .detail("blob", "x".repeat(size))
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A mount that ends with the test, however that ends.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, arguments: &[&str]) -> Self {
        run("mount", &[arguments, &[at.to_str().unwrap()]].concat());
        Self(at.to_owned())
    }

    fn end(self) {
        run("umount", &[self.0.to_str().unwrap()]);
        std::mem::forget(self);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// FS_IOC_SHUTDOWN (linux/fs.h) without a flush of the journal: from now on nothing reaches the disk.
fn cut_power(mount: &Path) {
    let program = "import fcntl, os, struct, sys\n\
                   fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
    run("python3", &["-c", program, mount.to_str().unwrap()]);
}

fn recorded(path: &Path) -> Vec<u64> {
    let records = AuditLog::read(path, &key()).unwrap();
    records.map(|stored| stored.unwrap().event.resource.parse().unwrap()).collect()
}

/// As often as `CODEGENIE_CUTS` says, or 200 times.
#[test]
#[ignore = "needs root, loop devices, mkfs.ext4 and python3"]
fn no_acknowledged_event_is_lost_when_the_power_of_an_ext4_is_cut() {
    let cuts: u64 = std::env::var("CODEGENIE_CUTS").map_or(200, |cuts| cuts.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (image, at) = (dir.path().join("image"), dir.path().join("mount"));
    std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]);
    std::fs::create_dir(&at).unwrap();
    // Whoever made a mount namespace meanwhile keeps the file system that was shut down for as long as that lives, and it is
    // then what is mounted.
    let mount = || {
        for _ in 0..600 {
            let mounted = Mount::new(&at, &["-o", "loop", image.to_str().unwrap()]);
            if std::fs::write(at.join("alive"), "").is_ok() {
                return mounted;
            }
            mounted.end();
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("somebody keeps the file system that was shut down");
    };
    let path = at.join("audit");
    let (mut acknowledged, mut lost_tails) = (Vec::new(), 0);
    let mut number = 0;
    for cut in 0..cuts {
        let mounted = mount();
        if cut % 5 == 0 {
            for old in [&path, &at.join("audit.keys")] {
                let _ = std::fs::remove_dir_all(old);
            }
            acknowledged.clear();
        }
        let options = AuditLogOptions::new().segment_bytes(30_000).certify_ahead(16);
        let log = options.clone().open(&path, &key()).unwrap();
        lost_tails += u64::from(log.recovery().truncated_bytes > 0);
        let told = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (log, told, first) = (&log, &told, number + thread * 100_000);
                scope.spawn(move || {
                    for number in first.. {
                        if log.record(&event(number)).is_err() {
                            break;
                        }
                        told.lock().unwrap().push(number);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(3 + cut * 7 % 20));
            cut_power(&at);
        });
        number += 1_000_000;
        drop(log);
        mounted.end();
        acknowledged.extend(told.into_inner().unwrap());

        let mounted = mount();
        drop(options.open(&path, &key()).unwrap_or_else(|error| panic!("cut {cut}: {error}")));
        let verification = AuditLog::verify_public(&path, None, &[]).unwrap();
        assert!(verification.is_intact(), "cut {cut}: {verification}");
        let found: std::collections::HashSet<u64> = recorded(&path).into_iter().collect();
        let lost: Vec<_> = acknowledged.iter().filter(|number| !found.contains(number)).collect();
        assert!(lost.is_empty(), "cut {cut}: lost {lost:?}");
        mounted.end();
    }
    println!("{cuts} cuts, {lost_tails} commits cut short");
}

#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn a_full_file_system_is_told_and_the_log_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let _mounted = Mount::new(dir.path(), &["-t", "tmpfs", "-o", "size=600k", "tmpfs"]);
    let path = dir.path().join("audit");
    let filler = dir.path().join("filler");
    std::fs::write(&filler, vec![0; 300 << 10]).unwrap();
    let log = AuditLog::open(&path, &key()).unwrap();
    log.record(&event(0)).unwrap();
    let (mut kept, mut number) = (vec![0], 0);
    let error = loop {
        number += 1;
        match log.record(&event(number)) {
            Ok(()) => kept.push(number),
            Err(error) => break error,
        }
        assert!(number < 10_000, "the file system is never full");
    };
    assert_eq!(error.kind(), AuditErrorKind::Full, "{error}");
    assert!(error.to_string().contains("make room"), "{error}");
    assert!(log.record(&event(number).detail("more", "x".repeat(9_000))).is_err(), "there is still no room");
    assert_eq!(recorded(&path), kept, "the log is intact");
    assert!(AuditLog::verify(&path, &key()).unwrap().is_intact());

    std::fs::remove_file(filler).unwrap();
    for _ in 0..10 {
        number += 1;
        log.record(&event(number)).unwrap();
        kept.push(number);
    }
    drop(log);
    assert_eq!(recorded(&path), kept);
    assert!(AuditLog::verify(&path, &key()).unwrap().is_intact());
}
