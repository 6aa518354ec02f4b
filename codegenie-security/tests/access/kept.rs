//! Sessions that outlive the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::start;
use codegenie_security::{
    AccessControl, Attenuation, Condition, ManualClock, MemorySessions, OpenSessionError, Permission,
    PersistenceError, Policy, Role, SessionError, SessionId, SessionPersistence, SessionRecord,
    SessionRequest, SessionStore,
};
use proptest::prelude::*;

fn policy() -> Policy {
    Policy::builder().role(Role::new("r").allow("*:/src/**")).user("alice", ["r"]).build().unwrap()
}

pub(crate) fn at(
    now: SystemTime,
    kept: impl SessionPersistence + 'static,
) -> (AccessControl, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(now));
    let store = SessionStore::with_clock(clock.clone()).with_persistence(kept).unwrap();
    (AccessControl::with_sessions(policy(), store), clock)
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

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

/// Labels that were added come back with the session, and reach what is derived from it after that.
#[test]
fn labels_that_were_added_come_back() {
    let role = Role::new("r").allow("*:**").deny(
        Permission::new("connect:**").when(Condition::new().labels(["private-data", "untrusted-content"])),
    );
    let policy = || Policy::builder().role(role.clone()).user("alice", ["r"]).build().unwrap();
    let kept = Arc::new(MemorySessions::new());
    let access = AccessControl::with_sessions(policy(), store(&kept));
    let (token, root) = access.open_session(SessionRequest::new("alice").label("private-data")).unwrap();
    let (child_token, child) = access.attenuate(&root, Attenuation::new()).unwrap();
    child.add_label("untrusted-content").unwrap();
    let access = AccessControl::with_sessions(policy(), store(&kept));
    for token in [token, child_token] {
        let session = access.validate(&token).unwrap();
        assert_eq!(session.labels(), ["private-data", "untrusted-content"]);
        assert!(!access.permit(&session, "connect", "host").is_allowed());
    }
}

/// Counts what is put, and keeps nothing when told to fail.
#[derive(Clone, Default)]
struct Failing {
    kept: Arc<MemorySessions>,
    fails: Arc<AtomicBool>,
    puts: Arc<AtomicUsize>,
}

impl SessionPersistence for Failing {
    fn load(&self) -> Result<Vec<SessionRecord>, PersistenceError> {
        self.kept.load()
    }
    fn put(&self, record: &SessionRecord) -> Result<(), PersistenceError> {
        self.result()?;
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.kept.put(record)
    }
    fn remove(&self, id: SessionId) -> Result<(), PersistenceError> {
        self.result()?;
        self.kept.remove(id)
    }
    fn touch(&self, id: SessionId, now: SystemTime, at_least: Duration) -> Result<(), PersistenceError> {
        self.result()?;
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.kept.touch(id, now, at_least)
    }
}

impl Failing {
    fn result(&self) -> Result<(), PersistenceError> {
        match self.fails.load(Ordering::Relaxed) {
            true => Err(PersistenceError::new("the disk is full; make room")),
            false => Ok(()),
        }
    }

    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }
}

#[test]
fn what_cannot_be_kept_is_not_opened_and_what_cannot_be_ended_for_good_says_so() {
    let kept = Failing::default();
    let (access, _) = at(start(), kept.clone());
    let (token, session) = access.open_session(SessionRequest::new("alice")).unwrap();
    kept.fail(true);
    let error = access.open_session(SessionRequest::new("alice")).unwrap_err();
    assert!(
        matches!(error, OpenSessionError::NotStored { .. }) && error.to_string().contains("disk is full"),
        "{error}"
    );
    assert!(access.attenuate(&session, Attenuation::new()).is_err());
    let error = access.try_revoke(session.id()).unwrap_err();
    assert!(matches!(error, SessionError::NotStored { .. }), "{error}");
    assert!(
        matches!(access.validate(&token), Err(SessionError::Revoked { .. })),
        "it has ended here all the same"
    );
}

#[test]
fn ending_all_sessions_of_a_user_says_where_it_is_not_stored() {
    let kept = Failing::default();
    let (access, _) = at(start(), kept.clone());
    let open = || access.open_session(SessionRequest::new("alice")).unwrap().0;
    let tokens = [open(), open()];
    kept.fail(true);
    for _ in 0..2 {
        let error = access.sessions().try_revoke_user("alice").unwrap_err();
        assert!(matches!(error, SessionError::NotStored { .. }), "{error}");
    }
    for token in &tokens {
        assert!(matches!(access.validate(token), Err(SessionError::Revoked { .. })), "here they have ended");
    }
    assert_eq!(kept.kept.load().unwrap().len(), 2);
    kept.fail(false);
    assert_eq!(access.sessions().try_revoke_user("alice"), Ok(0));
    assert_eq!(kept.kept.load().unwrap(), []);
    assert_eq!(access.sessions().try_revoke_user("nobody"), Ok(0));
}

/// Also where nobody asks: an end that was not stored is, once that works.
#[test]
fn an_end_that_was_not_stored_is_stored_when_sessions_are_opened() {
    let kept = Failing::default();
    let (access, _) = at(start(), kept.clone());
    let (ended, session) = access.open_session(SessionRequest::new("alice")).unwrap();
    kept.fail(true);
    assert!(access.revoke(session.id()));
    kept.fail(false);
    let (open, _) = access.open_session(SessionRequest::new("alice")).unwrap();
    let (access, _) = at(start(), kept);
    assert_eq!(access.validate(&ended), Err(SessionError::Unknown));
    access.validate(&open).unwrap();
}

#[test]
fn a_label_that_cannot_be_kept_counts_and_says_so() {
    let kept = Failing::default();
    let (access, _) = at(start(), kept.clone());
    let (token, root) = access.open_session(SessionRequest::new("alice")).unwrap();
    let (_, child) = access.attenuate(&root, Attenuation::new()).unwrap();
    kept.fail(true);
    let error = child.add_label("l").unwrap_err();
    assert!(matches!(&error, SessionError::LabelNotStored { id, .. } if *id == root.id()), "{error}");
    assert!(child.add_label("l").is_err(), "still not kept");
    assert_eq!(root.labels(), ["l"]);
    kept.fail(false);
    child.add_label("l").unwrap();
    let puts = kept.puts.load(Ordering::Relaxed);
    child.add_label("l").unwrap();
    root.add_label("l").unwrap();
    assert_eq!(kept.puts.load(Ordering::Relaxed), puts, "one that is kept costs nothing");
    drop(access);
    assert!(root.add_label("m").is_err(), "its store is gone");
    let (access, _) = at(start(), kept);
    assert_eq!(access.validate(&token).unwrap().labels(), ["l"]);
}

#[test]
fn a_label_brings_no_ended_session_back() {
    for _ in 0..50 {
        let kept = Arc::new(MemorySessions::new());
        let (access, _) = at(start(), kept.clone());
        let (_, one) = access.open_session(SessionRequest::new("alice")).unwrap();
        let (_, other) = access.open_session(SessionRequest::new("alice")).unwrap();
        std::thread::scope(|threads| {
            for session in [&one, &other] {
                threads.spawn(|| {
                    // Until it is told that the session has ended.
                    for n in 0.. {
                        if session.add_label(&n.to_string()).is_err() {
                            break;
                        }
                    }
                });
            }
            threads.spawn(|| {
                access.revoke(one.id());
                access.sessions().revoke_user("alice");
            });
        });
        assert_eq!(kept.load().unwrap(), []);
        assert!(matches!(one.add_label("x"), Err(SessionError::Revoked { .. })));
    }
}

/// What is used keeps awake what it is derived from, and that comes back after a restart; written now and then.
#[test]
fn the_use_of_a_derived_session_is_stored_for_its_line() {
    let kept = Failing::default();
    let (access, clock) = at(start(), kept.clone());
    let (_, root) = access.open_session(SessionRequest::new("alice").idle_timeout(8 * MINUTE)).unwrap();
    let (token, _) = access.attenuate(&root, Attenuation::new()).unwrap();
    let written = kept.puts.load(Ordering::Relaxed);
    for _ in 0..60 {
        clock.advance(MINUTE);
        let session = access.validate(&token).unwrap();
        access.sessions().store_use(&session).unwrap();
        access.sessions().store_use(&session).unwrap();
    }
    assert_eq!(kept.puts.load(Ordering::Relaxed) - written, 30, "once in each quarter of eight minutes");
    let restarted = |later: Duration| {
        // A copy, so that what ends for one clock does not for another.
        let copy = MemorySessions::new();
        kept.kept.load().unwrap().iter().for_each(|record| copy.put(record).unwrap());
        at(start() + later, copy).0.validate(&token)
    };
    restarted(67 * MINUTE).unwrap();
    assert_eq!(restarted(68 * MINUTE), Err(SessionError::Unknown));
}

#[test]
fn where_sessions_are_kept_is_said_before_any_is_opened() {
    let store = SessionStore::new();
    let (_, session) = store.open(SessionRequest::new("alice")).unwrap();
    let error = store.with_persistence(MemorySessions::new()).unwrap_err();
    assert!(error.to_string().contains("before any is opened"), "{error}");
    drop(session);
}

/// A store that has its clock at the beginning, and what is kept there.
fn store(kept: &Arc<MemorySessions>) -> SessionStore {
    let clock = Arc::new(ManualClock::new(start()));
    SessionStore::with_clock(clock).with_persistence(Arc::clone(kept)).unwrap()
}

#[test]
fn ending_all_sessions_of_a_user_reaches_those_that_came_back() {
    let kept = Arc::new(MemorySessions::new());
    let (token, root) = store(&kept).open(SessionRequest::new("alice")).unwrap();
    drop(root);
    let again = store(&kept);
    let (child_token, _) = again.attenuate(&again.validate(&token).unwrap(), Attenuation::new()).unwrap();
    assert_eq!(again.revoke_user("alice"), 1);
    assert!(matches!(again.validate(&token), Err(SessionError::Revoked { .. })));
    let again = store(&kept);
    for token in [token, child_token] {
        assert_eq!(again.validate(&token), Err(SessionError::Unknown), "it stays ended");
    }
    assert_eq!(kept.load().unwrap(), []);
}

#[test]
fn sessions_that_came_back_count_towards_the_limit_of_a_user() {
    let kept = Arc::new(MemorySessions::new());
    let open = || store(&kept).max_sessions_of_user(2).open(SessionRequest::new("alice"));
    open().unwrap();
    open().unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error, OpenSessionError::TooManySessions { most: 2, .. }), "{error}");
}

#[test]
fn what_ended_is_not_kept_for_good() {
    let kept = Arc::new(MemorySessions::new());
    let (access, clock) = at(start(), kept.clone());
    for _ in 0..20 {
        let request = SessionRequest::new("alice").lifetime(MINUTE);
        let (_, session) = access.open_session(request).unwrap();
        access.attenuate(&session, Attenuation::new()).unwrap();
    }
    clock.advance(62 * MINUTE);
    access.sessions().forget_ended();
    assert_eq!((access.sessions().len(), kept.load().unwrap().len()), (0, 0));
    // Nor what ended while there was no process, with all that is derived from it.
    let (_, session) = access.open_session(SessionRequest::new("alice").lifetime(MINUTE)).unwrap();
    access.attenuate(&session, Attenuation::new()).unwrap();
    at(start() + 90 * MINUTE, kept.clone());
    assert_eq!(kept.load().unwrap(), []);
}

#[test]
fn what_was_revoked_is_forgotten_an_hour_later() {
    let (access, clock) = at(start(), MemorySessions::new());
    let year = SessionRequest::new("alice").lifetime(365 * 24 * 60 * MINUTE);
    let (_, one) = access.open_session(year.clone()).unwrap();
    access.attenuate(&one, Attenuation::new()).unwrap();
    access.revoke(one.id());
    access.open_session(year.clone()).unwrap();
    clock.advance(MINUTE);
    access.sessions().revoke_user("alice");
    access.open_session(year).unwrap();
    for (later, left) in [(58, 4), (1, 2), (1, 1), (600, 1)] {
        clock.advance(later * MINUTE);
        access.sessions().forget_ended();
        assert_eq!(access.sessions().len(), left, "{later} minutes later");
    }
}

/// A clock that was ahead made it: nobody shall profit.
#[test]
fn a_session_from_the_future_does_not_come_back() {
    let kept = Arc::new(MemorySessions::new());
    let day = 24 * 60 * MINUTE;
    let (ahead, _) = at(start() + day, kept.clone());
    let request = SessionRequest::new("alice").lifetime(10 * MINUTE).idle_timeout(MINUTE);
    let (opened_ahead, _) = ahead.open_session(request).unwrap();
    drop(ahead);
    let (access, _) = at(start(), kept.clone());
    assert_eq!(access.validate(&opened_ahead), Err(SessionError::Unknown));
    // Clocks of a machine may differ by a little.
    let (opened, _) = access.open_session(SessionRequest::new("alice")).unwrap();
    drop(access);
    at(start() - Duration::from_secs(1), kept.clone()).0.validate(&opened).unwrap();
    drop(at(start() - 60 * MINUTE, kept.clone()));
    assert_eq!(kept.load().unwrap(), [], "and not later, when another clock is right again");
}

#[test]
fn what_shows_sessions_shows_no_hashes() {
    let kept = Arc::new(MemorySessions::new());
    store(&kept).open(SessionRequest::new("alice")).unwrap();
    let record = kept.load().unwrap().remove(0);
    for shown in [format!("{kept:?}"), format!("{record:?}")] {
        assert!(shown.contains("alice") && !shown.contains("hash"), "{shown}");
        assert!(!shown.contains(&format!("{:?}", record.token_hash)), "{shown}");
    }
}

/// Sessions are derived by many while all end: what was derived before has ended, here and after a restart.
#[test]
fn nothing_that_is_derived_meanwhile_outlives_the_end_of_all() {
    for _ in 0..20 {
        let kept = Arc::new(MemorySessions::new());
        let store_one = store(&kept);
        let (root_token, root) = store_one.open(SessionRequest::new("alice")).unwrap();
        let tokens = std::sync::Mutex::new(vec![root_token]);
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    let mut parent = root.clone();
                    // Until it has ended, or its line is full.
                    while let Ok((token, child)) = store_one.attenuate(&parent, Attenuation::new()) {
                        tokens.lock().unwrap().push(token);
                        parent = child;
                    }
                });
            }
            threads.spawn(|| store_one.revoke_user("alice"));
        });
        let after_restart = store(&kept);
        for token in tokens.into_inner().unwrap() {
            assert!(matches!(store_one.validate(&token), Err(SessionError::Revoked { .. })));
            assert_eq!(after_restart.validate(&token), Err(SessionError::Unknown));
        }
        assert_eq!(kept.load().unwrap(), []);
    }
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
