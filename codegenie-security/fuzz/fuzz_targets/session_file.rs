//! A file of sessions that was altered: it is refused, or it says what it said at some time, and nothing panics.
#![no_main]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use codegenie_security::{
    FileSessions, PersistenceError, SealingKey, SessionId, SessionPersistence, SessionRequest, SessionStore,
};
use libfuzzer_sys::arbitrary;

#[derive(arbitrary::Arbitrary, Debug)]
enum Alteration {
    Cut(u16),
    Zeros(u16),
    Append(Vec<u8>),
    Remove(u16, u8),
    Repeat(u16, u8),
    Move(u16, u16, u8),
    Xor(u16, u8),
}

type Open = BTreeSet<SessionId>;

fn path() -> PathBuf {
    std::env::temp_dir().join(format!("codegenie-fuzz-sessions-{}", std::process::id()))
}

fn read() -> Result<Open, PersistenceError> {
    let file = FileSessions::open(path(), &SealingKey::from_bytes([9; 32]))?;
    Ok(file.load()?.into_iter().map(|record| record.id).collect())
}

/// A file, and all that it has said.
static FILE: LazyLock<(Vec<u8>, Vec<Open>)> = LazyLock::new(|| {
    let _ = fs::remove_file(path());
    let file = FileSessions::open(path(), &SealingKey::from_bytes([9; 32])).unwrap();
    let store = SessionStore::new().with_persistence(file).unwrap();
    let mut open = Open::new();
    let mut said = vec![open.clone()];
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let (_, session) = store.open(SessionRequest::new("alice")).unwrap();
        open.insert(session.id());
        said.push(open.clone());
        sessions.push(session.id());
    }
    for id in &sessions[..2] {
        store.try_revoke(*id).unwrap();
        open.remove(id);
        said.push(open.clone());
    }
    (fs::read(path()).unwrap(), said)
});

libfuzzer_sys::fuzz_target!(|alterations: Vec<Alteration>| {
    let mut bytes = FILE.0.clone();
    for alteration in alterations.into_iter().take(8) {
        let len = bytes.len();
        let place = |place: u16| usize::from(place) % (len + 1);
        let range = |start: u16, count: u8| place(start)..(place(start) + usize::from(count)).min(len);
        match alteration {
            Alteration::Cut(at) => bytes.truncate(place(at)),
            Alteration::Zeros(from) => bytes[place(from)..].fill(0),
            Alteration::Append(more) => bytes.extend(more),
            Alteration::Remove(from, count) => drop(bytes.drain(range(from, count))),
            Alteration::Repeat(from, count) => bytes.extend_from_within(range(from, count)),
            Alteration::Move(from, to, count) => {
                let (moved, to) = (bytes[range(from, count)].to_vec(), place(to));
                bytes.splice(to..to, moved);
            }
            Alteration::Xor(at, by) => bytes.iter_mut().skip(place(at)).take(1).for_each(|byte| *byte ^= by),
        }
    }
    let _ = fs::remove_file(path());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path()).unwrap();
    file.write_all(&bytes).unwrap();
    drop(file);
    if let Ok(found) = read() {
        assert!(found.is_empty() || FILE.1.contains(&found));
        // It was repaired, if it had to be.
        assert_eq!(read().unwrap(), found);
    }
});
