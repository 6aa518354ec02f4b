//! The file of sessions: what a crash leaves of it, and what was altered.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use crate::kept::{MINUTE, at};
use crate::start;
use codegenie_security::{
    Attenuation, FileSessions, PersistenceError, SealingKey, SessionError, SessionId, SessionPersistence,
    SessionRequest,
};
use proptest::prelude::*;

fn key() -> SealingKey {
    SealingKey::from_bytes([9; 32])
}

fn ids(path: &Path) -> Result<BTreeSet<SessionId>, PersistenceError> {
    Ok(FileSessions::open(path, &key())?.load()?.into_iter().map(|record| record.id).collect())
}

#[test]
fn a_file_keeps_sessions_for_its_owner_and_one_process() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
    let (token, session) =
        access.open_session(SessionRequest::new("alice").idle_timeout(60 * MINUTE)).unwrap();
    let (child_token, _) = access.attenuate(&session, Attenuation::new()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let error = FileSessions::open(&path, &key()).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    let bytes = std::fs::read(&path).unwrap();
    for secret in [token.expose(), "alice"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    drop(access);
    let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
    access.validate(&child_token).unwrap();
    access.sessions().try_revoke(session.id()).unwrap();
    drop(access);
    let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
    assert_eq!(access.validate(&token), Err(SessionError::Unknown));
    drop(access);
    let error = FileSessions::open(&path, &SealingKey::from_bytes([8; 32])).unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
}

#[test]
fn a_file_does_not_grow_with_the_sessions_that_have_been() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
    let (kept, _) = access.open_session(SessionRequest::new("alice")).unwrap();
    for _ in 0..600 {
        let (_, session) = access.open_session(SessionRequest::new("alice")).unwrap();
        access.revoke(session.id());
    }
    drop(access);
    assert!(std::fs::metadata(&path).unwrap().len() < 150_000);
    let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
    access.validate(&kept).unwrap();
    assert_eq!(access.sessions().len(), 1);
}

#[test]
fn a_session_that_is_too_large_is_refused_and_others_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
    let (before, _) = access.open_session(SessionRequest::new("alice")).unwrap();
    let huge = SessionRequest::new("alice").tag("t", "x".repeat(2 << 20));
    let error = access.open_session(huge).unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
    let (after, _) = access.open_session(SessionRequest::new("alice")).unwrap();
    drop(access);
    let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
    access.validate(&before).unwrap();
    access.validate(&after).unwrap();
    assert_eq!(access.sessions().len(), 2);
}

/// At which lengths of a file which sessions are open.
type States = Vec<(usize, BTreeSet<SessionId>)>;

/// A file with some changes in it: the bytes, and after how many of them which sessions are open.
fn with_changes(path: &Path) -> (Vec<u8>, States) {
    let (access, _) = at(start(), FileSessions::open(path, &key()).unwrap());
    let mut open = BTreeSet::new();
    let length = || std::fs::metadata(path).unwrap().len() as usize;
    let mut states = vec![(length(), open.clone())];
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let (_, session) = access.open_session(SessionRequest::new("alice")).unwrap();
        open.insert(session.id());
        states.push((length(), open.clone()));
        sessions.push(session);
    }
    for revoked in [1, 0] {
        access.revoke(sessions[revoked].id());
        open.remove(&sessions[revoked].id());
        states.push((length(), open.clone()));
    }
    (std::fs::read(path).unwrap(), states)
}

/// Writes a file that is readable by its owner only, and says which sessions are read from it.
fn read_as(path: &Path, bytes: &[u8]) -> Result<BTreeSet<SessionId>, PersistenceError> {
    drop(std::fs::remove_file(path));
    write_private(path, bytes);
    ids(path)
}

fn write_private(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap().write_all(bytes).unwrap();
}

/// Cut at every byte, as it is or with what a file system leaves that had made room: what was there before the change
/// that was cut is there, and nothing else.
#[test]
fn a_crash_at_any_byte_leaves_the_changes_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, states) = with_changes(&dir.path().join("sessions"));
    let cut_path = dir.path().join("cut");
    for len in states[0].0..whole.len() {
        let (written, expected) = states.iter().rev().find(|(end, _)| *end <= len).unwrap();
        let room = states.iter().find(|(end, _)| *end > len).unwrap().0 - len;
        // Room was made for all of the entry, or for some. Where only a part of the tag at the end is missing, that is
        // not told from an alteration.
        let zeros = match len % 4 {
            1 => 1.min(room - 1),
            2 => room / 2,
            3 if room >= 16 => room,
            _ => 0,
        };
        let left = [&whole[..len], &vec![0; zeros]].concat();
        assert_eq!(&read_as(&cut_path, &left).unwrap(), expected, "cut at {len}, and {zeros} zeros");
        let repaired = std::fs::metadata(&cut_path).unwrap().len();
        assert_eq!(repaired as usize, *written, "it is repaired for good");
    }
    // What is made after the repair is as good as what was made before.
    let (access, _) = at(start(), FileSessions::open(&cut_path, &key()).unwrap());
    let (token, _) = access.open_session(SessionRequest::new("alice")).unwrap();
    drop(access);
    at(start(), FileSessions::open(&cut_path, &key()).unwrap()).0.validate(&token).unwrap();
}

/// A file is refused where what follows its last good entry is not the beginning of one more, and not cut.
#[test]
fn what_no_crash_leaves_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, states) = with_changes(&dir.path().join("sessions"));
    let path = dir.path().join("altered");
    for (place, (end, _)) in states.iter().enumerate().skip(1) {
        for tail in [&b"some text that is longer than the head of an entry is"[..], b"12345678", &[255; 64]] {
            let altered = [&whole[..*end], tail].concat();
            let error = read_as(&path, &altered).unwrap_err();
            assert!(error.to_string().contains(&format!("at entry {place}")), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), altered);
        }
    }
    let too_many_zeros = [whole.as_slice(), &vec![0; 2 << 20]].concat();
    read_as(&path, &too_many_zeros).unwrap_err();
}

#[test]
fn every_flipped_bit_and_every_moved_entry_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, states) = with_changes(&dir.path().join("sessions"));
    let path = dir.path().join("altered");
    // Of the header and the first entry, and of the last one, which a crash can leave unfinished.
    let last = states[states.len() - 2].0;
    for bit in (0..states[1].0 * 8).chain(last * 8..whole.len() * 8) {
        let mut altered = whole.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(read_as(&path, &altered).is_err(), "bit {bit}");
        assert_eq!(std::fs::read(&path).unwrap(), altered, "and nothing is cut off");
    }
    let head = &whole[..states[0].0];
    let entry = |n: usize| &whole[states[n].0..states[n + 1].0];
    let joined = |order: &[usize]| {
        let entries: Vec<&[u8]> = order.iter().map(|n| entry(*n)).collect();
        read_as(&path, &[head, &entries.concat()].concat())
    };
    joined(&[0, 1, 2, 3, 4]).unwrap();
    assert!(joined(&[1, 0, 2, 3, 4]).is_err(), "moved");
    assert!(joined(&[0, 2, 3, 4]).is_err(), "missing");
    assert!(joined(&[0, 1, 1, 2, 3, 4]).is_err(), "repeated");
    assert!(joined(&[0, 1, 2, 4]).is_err(), "the end of a session is missing");
}

/// A length that is made larger would have what follows pass for an entry that was not finished.
#[test]
fn an_altered_length_brings_no_ended_session_back() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, states) = with_changes(&dir.path().join("sessions"));
    let path = dir.path().join("altered");
    for (start, _) in &states[..states.len() - 1] {
        for (byte, length) in [(0, 255), (1, 1), (2, 1), (2, 15), (3, 255)] {
            let mut altered = whole.clone();
            altered[start + byte] = altered[start + byte].wrapping_add(length);
            assert!(read_as(&path, &altered).is_err(), "byte {byte} of the entry at {start}");
        }
    }
}

/// The file is written anew now and then. What was in it before is of another file.
#[test]
fn an_entry_from_before_the_file_was_written_anew_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    let length = || std::fs::metadata(&path).unwrap().len() as usize;
    let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
    let (_, session) = access.open_session(SessionRequest::new("alice")).unwrap();
    let mut ends = vec![length()];
    let old = loop {
        let before = std::fs::read(&path).unwrap();
        let (_, other) = access.open_session(SessionRequest::new("alice")).unwrap();
        access.revoke(other.id());
        match length() {
            len if len < before.len() => break before,
            len => ends.push(len),
        }
    };
    // Entries of the same number: in the new file it is the end of the session, in the old one another's.
    let before = length();
    access.sessions().try_revoke(session.id()).unwrap();
    let after = length();
    let (_, later) = access.open_session(SessionRequest::new("alice")).unwrap();
    drop(access);
    let new = std::fs::read(&path).unwrap();
    assert_eq!(ids(&path).unwrap(), [later.id()].into());
    let altered = dir.path().join("altered");
    for pair in ends.windows(2) {
        let mixed = [&new[..before], &old[pair[0]..pair[1]], &new[after..]].concat();
        assert!(read_as(&altered, &mixed).is_err());
        assert!(read_as(&altered, &[&new[..before], &old[pair[0]..pair[1]]].concat()).is_err());
    }
}

/// As at every time that the file is written anew: it is another one then.
#[test]
fn the_file_is_in_use_also_when_another_one_has_taken_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    let used = FileSessions::open(&path, &key()).unwrap();
    let copy = dir.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::rename(&copy, &path).unwrap();
    let error = FileSessions::open(&path, &key()).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    drop(used);
    FileSessions::open(&path, &key()).unwrap();
}

#[test]
fn a_file_that_others_can_read_or_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    drop(FileSessions::open(&path, &key()).unwrap());
    for mode in [0o666, 0o620, 0o604, 0o640] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = FileSessions::open(&path, &key()).unwrap_err().to_string();
        assert!(error.contains(&format!("{mode:04o}")) && error.contains("chmod 600"), "{error}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    FileSessions::open(&path, &key()).unwrap();
    let empty = dir.path().join("empty");
    std::fs::write(&empty, b"").unwrap();
    std::fs::set_permissions(&empty, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(FileSessions::open(&empty, &key()).is_err(), "also one that has nothing in it");
    assert!(FileSessions::open(dir.path(), &key()).is_err(), "nor is a directory one");
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A file of version 2 that was written once: two sessions, of which one has ended, and one derived.
#[test]
fn the_committed_vector_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    write_private(&path, &unhex(include_str!("../vectors/sessions-v2.hex")));
    let file = FileSessions::open(&path, &key()).unwrap();
    let records = file.load().unwrap();
    let [root, child] = match &records[..] {
        [one, other] if other.parent.is_some() => [one, other],
        [one, other] => [other, one],
        _ => panic!("{records:?}"),
    };
    assert_eq!(
        (root.user.as_str(), root.agent.as_deref(), child.parent),
        ("alice", Some("lead"), Some(root.id))
    );
    assert_eq!(root.tags, [("network".to_owned(), "internal".to_owned())]);
    assert_eq!(root.labels, ["private-data", "untrusted-content"]);
    assert_eq!((child.only.as_deref(), child.max_level), (Some(&["read:/src/**".to_owned()][..]), 1));
    assert_eq!((root.opened_at, root.idle), (start(), Some(30 * MINUTE)));
    drop(file);
    let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
    let token = include_str!("../vectors/sessions-v2.token").trim();
    let session = access.validate(token).unwrap();
    assert!(access.permit(&session, "read", "/src/a").is_allowed());
}

/// Written by hand, as the documentation has it.
#[test]
fn the_format_is_the_documented_one() {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::{Digest, Sha256};

    let kept = std::sync::Arc::new(codegenie_security::MemorySessions::new());
    let (access, _) = at(start(), kept.clone());
    for _ in 0..3 {
        access.open_session(SessionRequest::new("alice")).unwrap();
    }
    let records = kept.load().unwrap();

    let outer = [9; 32];
    let hkdf = |key: &[u8], salt: Option<&[u8]>, info: &[u8], out: &mut [u8]| {
        hkdf::Hkdf::<Sha256>::new(salt, key).expand(info, out).unwrap()
    };
    let mut k = [0; 32];
    hkdf(&outer, None, b"codegenie derived key v1\0codegenie sessions v2", &mut k);
    let file_id = [5; 32];
    let mut m = [0; 64];
    hkdf(&k, Some(&file_id), b"codegenie session file mac v2", &mut m);
    let k = SealingKey::from_bytes(k);
    let mac = |parts: &[&[u8]]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&m).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    };
    let bound = [b"CGSESSN\x02".as_slice(), &file_id].concat();
    let mut chain = mac(&[&bound]);
    let mut file = [bound, chain.clone()].concat();
    let puts = records.iter().map(|record| [&[1], record.to_bytes().as_slice()].concat());
    let ends = std::iter::once([&[2], records[0].id.as_bytes().as_slice()].concat());
    for content in puts.chain(ends) {
        let sealed = k.seal(&[b"codegenie sessions v2\0".as_slice(), &chain].concat(), &content).unwrap();
        let len = (sealed.len() as u32).to_le_bytes();
        let entry = [len.as_slice(), &mac(&[&chain, &len]), &sealed].concat();
        chain = Sha256::new().chain_update(&chain).chain_update(&entry).finalize().to_vec();
        file.extend(entry);
    }
    let dir = tempfile::tempdir().unwrap();
    let found = read_as(&dir.path().join("sessions"), &file).unwrap();
    assert_eq!(found, records[1..].iter().map(|record| record.id).collect());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Whatever is done to a file, it is refused, or it says what it said at some time.
    #[test]
    fn an_altered_file_says_nothing_that_it_never_said(
        alterations in prop::collection::vec((any::<u16>(), any::<u8>(), 0..6_u8), 1..5),
    ) {
        static FILE: LazyLock<(Vec<u8>, States)> =
            LazyLock::new(|| with_changes(&tempfile::tempdir().unwrap().path().join("sessions")));
        let (mut bytes, states) = (FILE.0.clone(), &FILE.1);
        for (place, value, kind) in alterations {
            let place = usize::from(place) % (bytes.len() + 1);
            let end = (place + usize::from(value)).min(bytes.len());
            match kind {
                0 => bytes.truncate(place),
                1 => bytes[place..].fill(0),
                2 => bytes.extend(vec![value; place % 64]),
                3 => drop(bytes.drain(place..end)),
                4 => bytes.extend_from_within(place..end),
                _ => bytes[place..end].iter_mut().for_each(|byte| *byte ^= value),
            }
        }
        let dir = tempfile::tempdir().unwrap();
        if let Ok(found) = read_as(&dir.path().join("altered"), &bytes) {
            prop_assert!(found.is_empty() || states.iter().any(|(_, open)| *open == found), "{found:?}");
        }
    }
}
