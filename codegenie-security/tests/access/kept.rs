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
