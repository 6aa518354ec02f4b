//! Sessions that outlive the process.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::start;
use codegenie_security::{
    AccessControl, Attenuation, ManualClock, MemorySessions, OpenSessionError, PersistenceError, Policy,
    Role, SessionError, SessionId, SessionPersistence, SessionRecord, SessionRequest, SessionStore,
};
use proptest::prelude::*;

fn policy() -> Policy {
    Policy::builder().role(Role::new("r").allow("*:/src/**")).user("alice", ["r"]).build().unwrap()
}

fn at(now: SystemTime, kept: impl SessionPersistence + 'static) -> (AccessControl, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(now));
    let store = SessionStore::with_clock(clock.clone()).with_persistence(kept).unwrap();
    (AccessControl::with_sessions(policy(), store), clock)
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn sessions_come_back_with_their_line_and_their_bounds() {
    let kept = Arc::new(MemorySessions::new());
    let (access, _) = at(start(), kept.clone());
    let request = SessionRequest::new("alice").agent("lead").tag("a", "b").label("l").lifetime(60 * MINUTE);
    let (root_token, root) = access.open_session(request).unwrap();
    let narrow = Attenuation::new().agent("helper").only(["read:/src/a"]).unwrap().max_level(1);
    let (token, child) = access.attenuate(&root, narrow).unwrap();
    let (gone_token, gone) = access.open_session(SessionRequest::new("alice")).unwrap();
    access.revoke(gone.id());
    drop(access);

    let (access, clock) = at(start() + 10 * MINUTE, kept.clone());
    let again = access.validate(&token).unwrap();
    assert_eq!((again.id(), again.lineage(), again.agent()), (child.id(), child.lineage(), Some("helper")));
    assert_eq!((again.tags(), again.labels()), (root.tags(), vec!["l".to_owned()]));
    assert_eq!((again.opened_at(), again.expires_at()), (child.opened_at(), child.expires_at()));
    assert!(access.permit(&again, "read", "/src/a").is_allowed());
    assert!(
        !access.permit(&again, "write", "/src/a").is_allowed()
            && !access.permit(&again, "read", "/src/b").is_allowed()
    );
    assert_eq!(access.validate(&gone_token), Err(SessionError::Unknown), "it was revoked");
    clock.advance(50 * MINUTE);
    assert!(matches!(access.validate(&root_token), Err(SessionError::Expired { .. })));
    drop(access);

    // Without its parent, a child is nothing.
    kept.remove(root.id()).unwrap();
    let (access, _) = at(start(), kept);
    assert_eq!(access.validate(&token), Err(SessionError::Unknown));
}

#[test]
fn idleness_goes_on_across_a_restart() {
    let kept = Arc::new(MemorySessions::new());
    let (access, clock) = at(start(), kept.clone());
    let request = || SessionRequest::new("alice").idle_timeout(10 * MINUTE);
    let (unused, _) = access.open_session(request()).unwrap();
    let (used, _) = access.open_session(request()).unwrap();
    clock.advance(6 * MINUTE);
    let session = access.validate(&used).unwrap();
    access.sessions().store_use(&session).unwrap();
    drop(access);
    let (access, clock) = at(start() + 12 * MINUTE, kept);
    assert_eq!(access.validate(&unused), Err(SessionError::Unknown));
    access.validate(&used).unwrap();
    clock.advance(9 * MINUTE);
    access.validate(&used).unwrap();
}

/// Keeps nothing when told to fail.
struct Failing(Arc<std::sync::atomic::AtomicBool>);

impl SessionPersistence for Failing {
    fn load(&self) -> Result<Vec<SessionRecord>, PersistenceError> {
        Ok(Vec::new())
    }
    fn put(&self, _record: &SessionRecord) -> Result<(), PersistenceError> {
        self.result()
    }
    fn remove(&self, _id: SessionId) -> Result<(), PersistenceError> {
        self.result()
    }
}

impl Failing {
    fn result(&self) -> Result<(), PersistenceError> {
        match self.0.load(std::sync::atomic::Ordering::Relaxed) {
            true => Err(PersistenceError::new("the disk is full; make room")),
            false => Ok(()),
        }
    }
}

#[test]
fn what_cannot_be_kept_is_not_opened_and_what_cannot_be_ended_for_good_says_so() {
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (access, _) = at(start(), Failing(fails.clone()));
    let (token, session) = access.open_session(SessionRequest::new("alice")).unwrap();
    fails.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = access.open_session(SessionRequest::new("alice")).unwrap_err();
    assert!(
        matches!(error, OpenSessionError::NotStored { .. }) && error.to_string().contains("disk is full"),
        "{error}"
    );
    assert!(access.attenuate(&session, Attenuation::new()).is_err());
    let error = access.sessions().try_revoke(session.id()).unwrap_err();
    assert!(matches!(error, SessionError::NotStored { .. }), "{error}");
    assert!(
        matches!(access.validate(&token), Err(SessionError::Revoked { .. })),
        "it has ended here all the same"
    );
}

fn record() -> impl Strategy<Value = SessionRecord> {
    // Through the store, since records are made by it alone.
    (
        "[a-z]{0,9}",
        prop::option::of("[a-z]{0,9}"),
        prop::collection::vec("[a-z]{0,5}", 0..4),
        prop::option::of(1..9999_u64),
    )
        .prop_map(|(tag, agent, labels, idle)| {
            let kept = Arc::new(MemorySessions::new());
            let (access, _) = at(start(), kept.clone());
            let mut request = SessionRequest::new("alice").tag("t", tag);
            if let Some(agent) = agent {
                request = request.agent(agent);
            }
            if let Some(idle) = idle {
                request = request.idle_timeout(Duration::from_millis(idle));
            }
            request = labels.into_iter().fold(request, SessionRequest::label);
            let (_, root) = access.open_session(request).unwrap();
            access.attenuate(&root, Attenuation::new().only(["a:b"]).unwrap()).unwrap();
            kept.load().unwrap().into_iter().find(|record| record.parent.is_some()).unwrap()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn records_are_the_same_after_bytes(record in record(), junk in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = record.to_bytes();
        prop_assert_eq!(SessionRecord::from_bytes(&bytes), Some(record));
        for len in 0..bytes.len() {
            prop_assert_eq!(SessionRecord::from_bytes(&bytes[..len]), None);
        }
        prop_assert_eq!(SessionRecord::from_bytes(&[&bytes[..], &[0]].concat()), None);
        let _ = SessionRecord::from_bytes(&[&[1][..], &junk].concat());
    }
}

#[cfg(all(feature = "crypto", unix))]
mod file {
    use super::*;
    use codegenie_security::{FileSessions, SealingKey};
    use std::collections::BTreeSet;
    use std::path::Path;

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

    /// Cut at every byte: what was there before the change that was cut is there, and nothing else.
    #[test]
    fn a_crash_at_any_byte_leaves_the_changes_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions");
        let mut states = vec![(0, BTreeSet::new())];
        {
            let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
            let mut open = BTreeSet::new();
            let mut note = |open: &BTreeSet<SessionId>| {
                states.push((std::fs::metadata(&path).unwrap().len() as usize, open.clone()));
            };
            let mut sessions = Vec::new();
            for _ in 0..3 {
                let (_, session) = access.open_session(SessionRequest::new("alice")).unwrap();
                open.insert(session.id());
                note(&open);
                sessions.push(session);
            }
            access.revoke(sessions[1].id());
            open.remove(&sessions[1].id());
            note(&open);
        }
        let whole = std::fs::read(&path).unwrap();
        let cut_path = dir.path().join("cut");
        for len in 0..=whole.len() {
            for tail in [&[][..], &[0; 7]] {
                std::fs::write(&cut_path, [&whole[..len], tail].concat()).unwrap();
                let expected = &states.iter().rev().find(|(end, _)| *end <= len).unwrap().1;
                match ids(&cut_path) {
                    Ok(found) => assert_eq!(&found, expected, "cut at {len}"),
                    // Zeros in the middle of an entry complete it, if at all, to one that is refused.
                    Err(error) => assert!(!tail.is_empty(), "cut at {len}: {error}"),
                }
                if tail.is_empty() {
                    assert_eq!(&ids(&cut_path).unwrap(), expected, "and it is repaired for good");
                }
            }
        }
    }

    #[test]
    fn every_flipped_bit_and_every_moved_entry_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions");
        let mut ends = vec![0];
        {
            let (access, _) = at(start(), FileSessions::open(&path, &key()).unwrap());
            for _ in 0..3 {
                access.open_session(SessionRequest::new("alice")).unwrap();
                ends.push(std::fs::metadata(&path).unwrap().len() as usize);
            }
        }
        let whole = std::fs::read(&path).unwrap();
        let all = ids(&path).unwrap();
        let altered_path = dir.path().join("altered");
        let read = |bytes: &[u8]| {
            std::fs::write(&altered_path, bytes).unwrap();
            ids(&altered_path)
        };
        for bit in 0..whole.len() * 8 {
            let mut altered = whole.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            // A length that is altered upwards looks like an entry that was not finished: what follows is lost,
            // and that is not told from a crash. Nothing else passes.
            let is_length = ends.iter().any(|end| (*end..end + 4).contains(&(bit / 8)));
            match read(&altered) {
                Err(_) => {}
                Ok(found) => {
                    assert!(is_length && found.len() < all.len() && found.is_subset(&all), "bit {bit}")
                }
            }
        }
        let entry = |n: usize| &whole[ends[n]..ends[n + 1]];
        assert!(read(&[entry(1), entry(0), entry(2)].concat()).is_err(), "moved");
        assert!(read(&[entry(0), entry(2)].concat()).is_err(), "missing");
        assert!(read(&[entry(0), entry(1), entry(1), entry(2)].concat()).is_err(), "repeated");
    }
}
