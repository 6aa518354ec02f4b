//! The wiring: what is checked, what is on record, and what comes back.
#![cfg(all(feature = "access", feature = "audit-log", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use codegenie_security::{
    AccessControl, Attenuation, AuditError, AuditEvent, AuditResult, AuditSink, KeyFile, Keyset, LoginError,
    LoginThrottle, ManualClock, MemorySessions, OperationError, PasswordError, PasswordHasher, Policy,
    Retention, Role, SealingKey, SecurityFramework, SessionError, SessionRequest, SessionStore,
};

/// Keeps events, until told to fail from some event on.
#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<AuditEvent>>>, Arc<AtomicUsize>);

impl AuditSink for Events {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        let mut events = self.0.lock().unwrap();
        if self.1.load(Ordering::Relaxed) == events.len() + 1 {
            return Err(AuditError::unavailable("the disk is full"));
        }
        events.push(event.clone());
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::Volatile
    }
}

impl Events {
    fn results(&self) -> Vec<(String, AuditResult)> {
        self.0.lock().unwrap().iter().map(|event| (event.action.clone(), event.result)).collect()
    }

    /// The next but `count` is not recorded.
    fn fail_after(&self, count: usize) {
        self.1.store(self.0.lock().unwrap().len() + count + 1, Ordering::Relaxed);
    }
}

fn policy() -> Policy {
    Policy::builder().role(Role::new("dev").allow("deploy:staging")).user("alice", ["dev"]).build().unwrap()
}

fn framework() -> (SecurityFramework<Events>, Events) {
    let events = Events::default();
    let keys = Keyset::generate(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let security = SecurityFramework::with_parts(AccessControl::new(policy()), events.clone(), keys);
    (security.passwords(PasswordHasher::new().log_n(10)), events)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An error that is to come back as it is.
#[derive(Debug, PartialEq)]
struct Own(u8);

impl std::fmt::Display for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "own error {}", self.0)
    }
}

impl std::error::Error for Own {}

#[test]
fn operations_are_checked_and_on_record_and_return_what_they_return() {
    let (security, events) = framework();
    let (token, session) = security.open_session(SessionRequest::new("alice").agent("a")).unwrap();
    let context = security.enter(&token).unwrap();
    let run = |resource: &'static str, result: Result<u8, Own>, ran: &AtomicUsize| {
        block_on(security.secure_operation(&context, "deploy", resource, async {
            ran.fetch_add(1, Ordering::Relaxed);
            result
        }))
    };
    let ran = AtomicUsize::new(0);
    assert_eq!(run("staging", Ok(7), &ran).unwrap(), 7);
    assert!(matches!(run("staging", Err(Own(3)), &ran), Err(OperationError::Operation(Own(3)))));
    assert_eq!(ran.load(Ordering::Relaxed), 2);
    let denied = run("production", Ok(7), &ran).unwrap_err();
    assert!(matches!(&denied, OperationError::Denied(decision) if !decision.is_allowed()));
    assert_eq!(ran.load(Ordering::Relaxed), 2, "it did not run");

    let recorded = events.0.lock().unwrap().clone();
    let results: Vec<_> = recorded.iter().map(|event| event.result).collect();
    use AuditResult::{Denied, Failure, Pending, Success};
    assert_eq!(results, [Success, Pending, Success, Pending, Failure, Denied]);
    assert_eq!(recorded[1].operation, recorded[2].operation);
    assert_ne!(recorded[1].operation, recorded[3].operation);
    assert_eq!(recorded[4].get_detail("error").unwrap().to_string(), "own error 3");
    for event in &recorded {
        assert_eq!((event.actor.as_str(), event.agent.as_deref()), ("alice", Some("a")));
        assert_eq!(event.session, Some(session.id().to_string()));
    }
    assert!(recorded[5].get_detail("decision").unwrap().to_string().contains("no rule"));
}

#[test]
fn what_cannot_be_recorded_is_not_begun_and_an_end_that_cannot_be_is_told() {
    let (security, events) = framework();
    let (token, _) = security.open_session(SessionRequest::new("alice")).unwrap();
    let context = security.enter(&token).unwrap();
    let ran = AtomicUsize::new(0);
    let run = || {
        block_on(security.secure_operation(&context, "deploy", "staging", async {
            ran.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Own>(7)
        }))
    };
    events.fail_after(0);
    assert!(matches!(run(), Err(OperationError::NotRecorded(_))));
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    events.fail_after(1);
    let error = run().unwrap_err();
    assert!(matches!(error, OperationError::EndNotRecorded { result: Ok(7), .. }), "{error}");
    events.fail_after(0);
    let sessions = security.access().sessions().len();
    assert!(matches!(security.open_session(SessionRequest::new("alice")), Err(LoginError::NotRecorded(_))));
    assert_eq!(security.access().sessions().len(), sessions + 1);
    let (_, open) = security.access().open_session(SessionRequest::new("alice")).unwrap();
    let user_may = security.access().permit(&open, "deploy", "staging").is_allowed();
    assert!(user_may, "other sessions are not touched");
}

#[test]
fn a_future_that_is_dropped_has_an_end_on_record() {
    let (security, events) = framework();
    let (token, _) = security.open_session(SessionRequest::new("alice")).unwrap();
    let context = security.enter(&token).unwrap();
    block_on(async {
        let endless = std::future::pending::<Result<u8, Own>>();
        let operation = security.secure_operation(&context, "deploy", "staging", endless);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), operation).await.is_err());
    });
    let last = events.0.lock().unwrap().last().cloned().unwrap();
    assert_eq!(last.result, AuditResult::Failure);
    assert!(last.get_detail("error").unwrap().to_string().contains("cancelled"));
}

#[test]
fn logins_are_verified_throttled_and_told_apart_only_on_record() {
    let (security, events) = framework();
    let stored = PasswordHasher::new().log_n(10).hash(&"right".into()).unwrap();
    let login = |user: &str, password: &str, stored: Option<&str>| {
        security.login(SessionRequest::new(user), &password.into(), stored, None)
    };
    login("alice", "right", Some(&stored)).unwrap();
    let wrong = login("alice", "wrong", Some(&stored)).unwrap_err();
    let unknown = login("mallory", "right", None).unwrap_err();
    assert_eq!(wrong.to_string(), unknown.to_string());
    assert!(matches!(login("alice", "x", Some("plain text")), Err(LoginError::Password(_))));
    for _ in 0..LoginThrottle::FREE_FAILURES {
        let _ = login("mallory", "x", None);
    }
    assert!(matches!(login("mallory", "right", Some(&stored)), Err(LoginError::Throttled(_))));
    assert!(
        events.results().iter().any(|(action, result)| action == "login" && *result == AuditResult::Denied)
    );
}

#[test]
fn ended_sessions_do_not_enter_and_that_is_on_record() {
    let (security, events) = framework();
    let (token, session) = security.open_session(SessionRequest::new("alice")).unwrap();
    let context = security.enter(&token).unwrap();
    let (child_token, child) = security.attenuate(&context, Attenuation::new().agent("helper")).unwrap();
    assert!(security.revoke(session.id()).unwrap());
    assert!(!security.revoke(session.id()).unwrap());
    let error = security.enter(&child_token).unwrap_err();
    assert!(matches!(error, LoginError::Token(SessionError::Revoked { .. })), "{error}");
    assert!(matches!(security.enter("nonsense"), Err(LoginError::Token(SessionError::Unknown))));
    let recorded = events.0.lock().unwrap().clone();
    let entered = recorded.iter().rev().nth(1).unwrap();
    assert_eq!((entered.action.as_str(), entered.session.clone()), ("enter", Some(child.id().to_string())));
    assert!(entered.get_detail("lineage").unwrap().to_string().contains(&session.id().to_string()));
}

#[test]
fn a_directory_holds_all_of_it_across_processes_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("security");
    let (token, sealed) = {
        let security = SecurityFramework::open(&path, policy()).unwrap();
        let (token, _) = security.open_session(SessionRequest::new("alice")).unwrap();
        (token.expose().to_owned(), security.keys().seal(b"", b"kept").unwrap())
    };
    for entry in std::fs::read_dir(&path).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    let security = SecurityFramework::open(&path, policy()).unwrap();
    let context = security.enter(&token).unwrap();
    assert_eq!(context.session().user(), "alice");
    assert_eq!(security.keys().open(b"", &sealed).unwrap(), b"kept");
    assert!(security.audit().records() >= 1);
    drop(security);

    let error =
        SecurityFramework::open_with_key(&path, policy(), &SealingKey::from_bytes([1; 32])).unwrap_err();
    assert!(error.to_string().contains("opens with"), "{error}");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    let error = SecurityFramework::open(&path, policy()).unwrap_err();
    assert!(error.to_string().contains("others can write"), "{error}");
}

#[test]
fn passwords_that_cannot_be_looked_at_do_not_count_as_wrong() {
    let (security, _) = framework();
    let hasher = PasswordHasher::new().log_n(10).at_once(1, 0);
    let stored = hasher.hash(&"right".into()).unwrap();
    let security = security.passwords(hasher.clone());
    let slow = PasswordHasher::new().log_n(15).hash(&"x".into()).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut busy = 0;
    // A stranger keeps the one place taken.
    let stranger = hasher.clone().max_log_n(15);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = stranger.verify(&"y".into(), &slow);
            }
        });
        while busy < 3 * LoginThrottle::FREE_FAILURES {
            match security.login(SessionRequest::new("alice"), &"right".into(), Some(&stored), None) {
                Err(LoginError::Password(PasswordError::Busy)) => busy += 1,
                Err(error) => panic!("{error}"),
                Ok(_) => {}
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn spellings_of_a_name_share_their_failures_and_a_right_password_is_told_to_nobody() {
    let (security, _) = framework();
    let stored = PasswordHasher::new().log_n(10).hash(&"right".into()).unwrap();
    let login = |user: &str, password: &str, from: Option<&str>| {
        security
            .login(SessionRequest::new(user), &password.into(), Some(&stored), from)
            .map(|login| login.session)
    };
    let error = login("AlIcE", "right", None).unwrap_err();
    assert!(matches!(error, LoginError::Refused), "{error}");
    for name in ["alice", "ALICE", "Alice ", "aLICE"] {
        assert!(matches!(login(name, "wrong", None), Err(LoginError::Refused)));
    }
    assert!(matches!(login("alice", "right", None), Err(LoginError::Throttled(_))));
    // From one address many names are guessed at; a right one in between frees none of it.
    let (security, _) = framework();
    let login = |user: &str, password: &str| {
        security
            .login(SessionRequest::new(user), &password.into(), Some(&stored), Some("192.0.2.1"))
            .map(drop)
    };
    for n in 0..LoginThrottle::FREE_FAILURES {
        assert!(matches!(login(&format!("user {n}"), "wrong"), Err(LoginError::Refused)));
    }
    assert!(matches!(login("alice", "right"), Err(LoginError::Throttled(_))));
}

#[test]
fn a_login_gives_the_new_hash_where_the_old_one_took_fewer_rounds() {
    let (security, _) = framework();
    let old = PasswordHasher::new().log_n(10).hash(&"right".into()).unwrap();
    let security = security.passwords(PasswordHasher::new().log_n(11));
    let login = |stored: &str| {
        security.login(SessionRequest::new("alice"), &"right".into(), Some(stored), None).unwrap().store
    };
    let new = login(&old).unwrap();
    assert!(new.starts_with("$scrypt$ln=11,"));
    assert_eq!(login(&new), None);
}

#[test]
fn a_host_may_drop_its_keys_and_change_the_master_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("security");
    let token = {
        let security = SecurityFramework::open(&path, policy()).unwrap();
        security.open_session(SessionRequest::new("alice")).unwrap().0.expose().to_owned()
    };
    let master = KeyFile::load(path.join("master.key")).unwrap();
    let mut keys = Keyset::load(path.join("keys"), &[&master]).unwrap();
    let old = keys.primary_id();
    keys.rotate(std::time::SystemTime::now()).unwrap();
    keys.remove(old).unwrap();
    keys.save(path.join("keys"), &[&master]).unwrap();
    let other = SealingKey::from_bytes([7; 32]);
    SecurityFramework::rewrap(&path, &[&master], &[&other]).unwrap();
    let security = SecurityFramework::open_with_key(&path, policy(), &other).unwrap();
    assert_eq!(security.enter(&token).unwrap().session().user(), "alice");
    drop(security);
    assert!(SecurityFramework::open(&path, policy()).is_err());
    assert!(SecurityFramework::rewrap(&path, &[&master], &[&master]).is_err());
}

/// A session that is used does not end by a restart, as if nobody had.
#[test]
fn the_use_of_a_session_outlives_the_process() {
    let clock = Arc::new(ManualClock::new(std::time::SystemTime::UNIX_EPOCH));
    let kept = Arc::new(MemorySessions::new());
    let start = || {
        let sessions = SessionStore::with_clock(clock.clone()).with_persistence(kept.clone()).unwrap();
        let keys = Keyset::generate(std::time::SystemTime::UNIX_EPOCH).unwrap();
        SecurityFramework::with_parts(
            AccessControl::with_sessions(policy(), sessions),
            Events::default(),
            keys,
        )
    };
    let minute = std::time::Duration::from_secs(60);
    let security = start();
    let request = SessionRequest::new("alice").idle_timeout(10 * minute);
    let (token, _) = security.open_session(request).unwrap();
    for _ in 0..4 {
        clock.advance(4 * minute);
        security.enter(&token).unwrap();
    }
    let security = start();
    security.enter(&token).unwrap();
    clock.advance(10 * minute);
    drop(security);
    assert!(start().enter(&token).is_err());
}

#[test]
fn raising_ending_and_replacing_are_on_record_and_not_done_where_they_cannot_be() {
    use codegenie_security::{Condition, Permission, TotpVerifier};
    let needs_level = |action: &str| {
        let permission = Permission::new(action).when(Condition::new().level(2));
        Policy::builder().role(Role::new("dev").allow(permission)).user("alice", ["dev"]).build().unwrap()
    };
    let (security, events) = framework();
    security.replace_policy(needs_level("deploy:staging"), "root").unwrap();
    let (token, _) = security.open_session(SessionRequest::new("alice")).unwrap();
    let context = security.enter(&token).unwrap();
    let may = |security: &SecurityFramework<Events>| {
        security.access().permit(context.session(), "deploy", "staging").is_allowed()
    };
    let minute = std::time::Duration::from_secs(60);

    events.fail_after(0);
    assert!(matches!(security.raise(&context, 2, minute, "ada"), Err(LoginError::NotRecorded(_))));
    assert!(!may(&security));
    events.0.lock().unwrap().clear();
    events.1.store(0, Ordering::Relaxed);
    security.raise(&context, 2, minute, "ada").unwrap();
    assert!(may(&security));
    let raised = events.0.lock().unwrap().last().cloned().unwrap();
    assert_eq!((raised.action.as_str(), raised.result), ("raise", AuditResult::Success));
    assert_eq!(raised.get_detail("approver").unwrap().to_string(), "ada");

    let verifier = TotpVerifier::generate().unwrap();
    let refused = security.raise_by_code(&context, &verifier, "no code", 3, minute).unwrap_err();
    assert!(matches!(refused, LoginError::Code(_)), "{refused}");
    assert_eq!(events.results().last().unwrap(), &("raise".to_owned(), AuditResult::Denied));

    security.replace_policy(needs_level("deploy:production"), "root").unwrap();
    assert!(!may(&security));
    assert_eq!(security.revoke_user("alice").unwrap(), 1);
    assert!(security.enter(&token).is_err());
    let actions: Vec<String> = events.results().into_iter().map(|(action, _)| action).collect();
    assert!(["replace_policy", "revoke_user"].iter().all(|action| actions.iter().any(|done| done == action)));
}
