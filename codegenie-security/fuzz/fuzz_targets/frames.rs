//! Files of an audit log with any bytes in them: no panic, and nothing is believed that the log did not write.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use codegenie_security::{
    AuditEvent, AuditLog, AuditLogOptions, AuditQuery, AuditReader, AuditSink, EventClass, Identity,
    RecipientKind, SealingKey,
};

struct Log {
    _dir: tempfile::TempDir,
    path: PathBuf,
    reader: AuditReader,
    files: Vec<(PathBuf, Vec<u8>)>,
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        // In memory where there is such a place.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let dir = dir.unwrap();
        let path = dir.path().join("audit");
        let auditor = Identity::from_secret_bytes(&[[1].as_slice(), &[7; 32]].concat()).unwrap();
        assert_eq!(auditor.recipient_key().kind(), RecipientKind::X25519);
        let options = AuditLogOptions::new().auditor(auditor.recipient_key()).without_own_reader();
        let log = options.open(&path, &SealingKey::from_bytes([7; 32])).unwrap();
        for (actor, command) in [("alice", "git status"), ("", "ls"), ("bob", "make")] {
            log.record(&AuditEvent::new(EventClass::Command, "execute", command).actor(actor)).unwrap();
        }
        let identity = log.identity();
        drop(log);
        let names =
            ["segments/0000000000", "segments/0000000000.subjects", "index/0000000000", "checkpoint", "log"];
        let files = names.map(|name| (path.join(name), std::fs::read(path.join(name)).unwrap())).to_vec();
        Log { _dir: dir, reader: AuditReader::with_key(&path, auditor, Some(identity)), path, files }
    })
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
}

libfuzzer_sys::fuzz_target!(|input: (u8, u16, u16, &[u8])| {
    let (which, start, removed, bytes) = input;
    let log = log();
    let (file, original) = &log.files[usize::from(which) % log.files.len()];
    let start = usize::from(start) % (original.len() + 1);
    let end = (start + usize::from(removed)).min(original.len());
    let altered = [&original[..start], bytes, &original[end..]].concat();
    std::fs::write(file, &altered).unwrap();
    let verification = log.reader.verify(&[]);
    let public = AuditLog::verify_public(&log.path, None, &[]);
    let page = log.reader.query(&AuditQuery::new());
    std::fs::write(file, original).unwrap();
    for verification in [verification, public] {
        let intact = verification.is_ok_and(|verification| verification.is_intact());
        // Zeros at the end of a segment are what a writer writes ahead.
        let same = altered == *original
            || file.ends_with("segments/0000000000") && trimmed(&altered) == trimmed(original);
        assert!(!intact || same, "{file:?} was altered, and nobody noticed");
    }
    if let Ok(page) = page {
        let known = ["git status", "ls", "make"];
        assert!(page.events.iter().all(|stored| known.contains(&stored.event.resource.as_str())));
    }
});
