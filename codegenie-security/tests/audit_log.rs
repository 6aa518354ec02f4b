//! The audit log through its public interface: order, locking, epochs, shredding, and every kind of tampering.
#![cfg(all(unix, feature = "audit-log"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "audit_log/anchors.rs"]
mod anchors;
#[path = "audit_log/auditors.rs"]
mod auditors;
#[path = "audit_log/basics.rs"]
mod basics;
#[path = "audit_log/beside_a_writer.rs"]
mod beside_a_writer;
#[path = "audit_log/commits.rs"]
mod commits;
#[path = "audit_log/epochs.rs"]
mod epochs;
#[path = "audit_log/go.rs"]
mod go;
#[path = "audit_log/proofs.rs"]
mod proofs;
#[path = "audit_log/pruned.rs"]
mod pruned;
#[path = "audit_log/reading.rs"]
mod reading;
#[path = "audit_log/shredding.rs"]
mod shredding;
#[path = "audit_log/tampering.rs"]
mod tampering;
#[path = "audit_log/verdicts.rs"]
mod verdicts;
#[cfg(feature = "witness")]
#[path = "audit_log/witness.rs"]
mod witness;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use codegenie_security::{AuditEvent, AuditLog, AuditLogOptions, AuditSink, EventClass, SealingKey};

fn key() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

fn event(number: u64) -> AuditEvent {
    AuditEvent::new(EventClass::Command, "execute", format!("command:{number}")).actor("alice")
}

fn resources(path: &Path) -> Vec<String> {
    AuditLog::read(path, &key()).unwrap().map(|stored| stored.unwrap().event.resource).collect()
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| format!("command:{number}")).collect()
}

/// All files below a directory, by their paths in it.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(dir: &Path) -> Files {
    let mut files = Files::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(current) = dirs.pop() {
        for entry in std::fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => dirs.push(path),
                false => {
                    files.insert(path.strip_prefix(dir).unwrap().to_owned(), std::fs::read(&path).unwrap());
                }
            }
        }
    }
    files
}

fn put(dir: &Path, files: &Files) {
    std::fs::remove_dir_all(dir).unwrap();
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// A log in a directory of its own.
struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Fixture {
    /// A log of one segment for each of the counts.
    fn new(segments: &[u64]) -> Self {
        Self::with(AuditLogOptions::new(), segments)
    }

    fn with(options: AuditLogOptions, segments: &[u64]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let mut number = 0;
        for count in segments {
            let log = options.clone().open(&path, &key()).unwrap();
            for _ in 0..*count {
                log.record(&event(number)).unwrap();
                number += 1;
            }
        }
        Self { _dir: dir, path }
    }

    fn keys(&self) -> PathBuf {
        self.path.with_file_name("audit.keys")
    }
}
