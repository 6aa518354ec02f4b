//! Levels, one-time codes, and slowing down whoever guesses.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{control, start};
use codegenie_security::{
    Attenuation, Condition, LoginThrottle, ManualClock, Permission, Policy, Role, SessionRequest, TotpError,
    TotpVerifier,
};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// RFC 6238, appendix B, for SHA-1: the last six of its eight digits.
#[test]
fn the_vectors_of_rfc_6238_are_taken() {
    let vectors = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];
    for (time, code) in vectors {
        let verifier = TotpVerifier::from_secret(b"12345678901234567890").unwrap();
        verifier.verify(code, at(time)).unwrap();
        assert_eq!(verifier.verify(code, at(time)), Err(TotpError::Refused), "a code counts once");
    }
}

#[test]
fn codes_of_the_step_before_and_after_are_taken_and_older_ones_are_not() {
    let verifier = || TotpVerifier::from_secret(b"12345678901234567890").unwrap();
    for (offset, taken) in [(-60_i64, false), (-30, true), (0, true), (30, true), (60, false)] {
        let now = 1_111_111_111_u64.checked_add_signed(offset).unwrap();
        assert_eq!(verifier().verify("050471", at(now)).is_ok(), taken, "{offset}");
    }
    // After a newer code, an older one that was not used does not count either.
    let verifier = verifier();
    verifier.verify("050471", at(1_111_111_111)).unwrap();
    assert_eq!(verifier.verify("081804", at(1_111_111_111)), Err(TotpError::Refused));
}

#[test]
fn guessing_codes_is_slowed_down_and_malformed_ones_count() {
    let verifier = TotpVerifier::from_secret(b"12345678901234567890").unwrap();
    let now = at(1_111_111_111);
    for code in ["000000", "", "05047", "0504711", "ſ50471"] {
        assert_eq!(verifier.verify(code, now), Err(TotpError::Refused), "{code}");
    }
    let error = verifier.verify("050471", now).unwrap_err();
    assert!(matches!(error, TotpError::Throttled { .. }), "also the right one: {error}");
    assert!(verifier.verify("050471", now + 30 * SECOND).is_ok());
    for secret in [&b"short"[..], &[0; 129]] {
        assert!(matches!(TotpVerifier::from_secret(secret), Err(TotpError::BadSecret { .. })));
    }
    let new = TotpVerifier::generate().unwrap();
    assert_eq!(new.secret().len(), 20);
    let uri = new.uri("Code Genie", "a@b");
    assert!(uri.starts_with("otpauth://totp/Code%20Genie:a%40b?secret="), "{uri}");
    assert!(!format!("{new:?}").contains(&new.secret_base32()));
}

#[test]
fn a_code_raises_a_session_for_a_while_and_no_further_than_it_may() {
    let role = Role::new("r").allow(Permission::new("deploy:**").when(Condition::new().level(2)));
    let (access, clock) = control(Policy::builder().role(role).user("u", ["r"]).build().unwrap());
    let (_, session) = access.open_session(SessionRequest::new("u")).unwrap();
    let (_, child) = access.attenuate(&session, Attenuation::new()).unwrap();
    let (_, capped) = access.attenuate(&session, Attenuation::new().max_level(1)).unwrap();
    let verifier = TotpVerifier::generate().unwrap();
    let minute = 60 * SECOND;
    assert!(access.raise_by_code(&session, &verifier, "000000", 2, minute).is_err());
    assert!(!access.permit(&session, "deploy", "x").is_allowed());
    let code = {
        // The one that its owner's app would show.
        let twin = totp_rs::Builder::new().with_algorithm(totp_rs::Algorithm::SHA1);
        let twin = twin.with_secret(totp_rs::Secret::from(verifier.secret().to_vec())).build().unwrap();
        twin.generate(start().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).to_string()
    };
    access.raise_by_code(&session, &verifier, &code, 2, minute).unwrap();
    assert!(access.permit(&session, "deploy", "x").is_allowed());
    assert!(access.permit(&child, "deploy", "x").is_allowed());
    assert!(!access.permit(&capped, "deploy", "x").is_allowed(), "its parent is raised, and it is not");
    assert_eq!((session.level(), child.level(), capped.level()), (2, 2, 1));
    clock.advance(minute);
    assert!(!access.permit(&session, "deploy", "x").is_allowed());
    access.revoke(session.id());
    assert!(matches!(
        access.raise_by_code(&session, &verifier, &code, 2, minute),
        Err(TotpError::Session(_))
    ));
}

#[test]
fn a_raise_is_of_the_session_and_of_what_is_derived_from_it_only() {
    let policy = Policy::builder().role(Role::new("r").allow("a:b")).user("u", ["r"]).build().unwrap();
    let (access, clock) = control(policy);
    let (_, root) = access.open_session(SessionRequest::new("u")).unwrap();
    let derive = |parent, narrow| access.attenuate(parent, narrow).unwrap().1;
    let (child, sibling) = (derive(&root, Attenuation::new()), derive(&root, Attenuation::new()));
    let grandchild = derive(&child, Attenuation::new());
    let capped = derive(&child, Attenuation::new().max_level(1));
    let of_capped = derive(&capped, Attenuation::new());
    let levels =
        || [&root, &child, &sibling, &grandchild, &capped, &of_capped].map(|session| session.level());
    access.raise(&child, 3, 60 * SECOND).unwrap();
    assert_eq!(levels(), [0, 3, 0, 3, 1, 1]);
    // No further than any session of its line may be.
    access.raise(&of_capped, 9, 60 * SECOND).unwrap();
    assert_eq!(levels(), [0, 3, 0, 3, 1, 1]);
    access.raise(&root, 2, 90 * SECOND).unwrap();
    assert_eq!(levels(), [2, 3, 2, 3, 1, 1]);
    clock.advance(60 * SECOND);
    assert_eq!(levels(), [2, 2, 2, 2, 1, 1]);
    clock.advance(30 * SECOND);
    assert_eq!(levels(), [0; 6]);
    // What a session was raised to can be taken back, and what it inherits cannot.
    access.raise(&root, 2, 60 * SECOND).unwrap();
    access.raise(&child, 3, 60 * SECOND).unwrap();
    access.lower(&child).unwrap();
    assert_eq!(levels(), [2, 2, 2, 2, 1, 1]);
    access.lower(&root).unwrap();
    assert_eq!(levels(), [0; 6]);
    access.revoke(root.id());
    assert!(access.lower(&child).is_err() && access.raise(&child, 1, SECOND).is_err());
}

#[test]
fn a_lower_or_shorter_raise_takes_nothing_from_a_higher_and_later_one() {
    let policy = Policy::builder().role(Role::new("r").allow("a:b")).user("u", ["r"]).build().unwrap();
    let (access, clock) = control(policy);
    let (_, root) = access.open_session(SessionRequest::new("u")).unwrap();
    let (_, child) = access.attenuate(&root, Attenuation::new()).unwrap();
    access.raise(&root, 3, 60 * SECOND).unwrap();
    access.raise(&root, 1, SECOND).unwrap();
    access.raise(&child, 1, SECOND).unwrap();
    access.raise(&root, 3, SECOND).unwrap();
    access.raise(&root, 0, 600 * SECOND).unwrap();
    clock.advance(59 * SECOND);
    assert_eq!((root.level(), child.level()), (3, 3));
    clock.advance(SECOND);
    assert_eq!((root.level(), child.level()), (0, 0));
    // Of a higher one and a later one, each counts for its time.
    access.raise(&root, 1, 60 * SECOND).unwrap();
    access.raise(&root, 3, 10 * SECOND).unwrap();
    assert_eq!(root.level(), 3);
    clock.advance(10 * SECOND);
    assert_eq!(root.level(), 1);
    clock.advance(50 * SECOND);
    assert_eq!(root.level(), 0);
}

#[test]
fn failures_make_each_further_attempt_wait_longer() {
    let clock = Arc::new(ManualClock::new(start()));
    let throttle = LoginThrottle::with_clock(clock.clone());
    for _ in 0..LoginThrottle::FREE_FAILURES {
        throttle.attempt("alice").unwrap();
    }
    let mut wait = SECOND;
    for _ in 0..15 {
        let error = throttle.attempt("alice").unwrap_err();
        assert_eq!(error.retry_after(), wait.min(3600 * SECOND));
        throttle.attempt("bob").ok();
        clock.advance(error.retry_after() - Duration::from_millis(1));
        assert!(throttle.attempt("alice").is_err(), "not a moment before");
        clock.advance(Duration::from_millis(1));
        throttle.attempt("alice").unwrap();
        wait *= 2;
    }
    throttle.succeeded("alice");
    throttle.attempt("alice").unwrap();
    for _ in 0..20 {
        let _ = throttle.attempt("carol");
    }
    clock.advance(24 * 3600 * SECOND);
    for _ in 0..LoginThrottle::FREE_FAILURES {
        throttle.attempt("carol").unwrap();
    }
    // Keys of any length and form; strangers choose them.
    throttle.attempt(&"é".repeat(10_000)).unwrap();
    throttle.attempt("").unwrap();
}

#[test]
fn a_code_counts_once_for_the_next_verifier_too() {
    let (old, now) = (TotpVerifier::from_secret(b"12345678901234567890").unwrap(), at(59));
    assert_eq!(old.last_step(), None);
    old.verify("287082", now).unwrap();
    let kept = old.last_step().unwrap();
    let new = TotpVerifier::from_secret(b"12345678901234567890").unwrap().used_until(kept);
    assert_eq!(new.verify("287082", now), Err(TotpError::Refused));
    assert!(TotpVerifier::from_secret(b"12345678901234567890").unwrap().verify("287082", now).is_ok());
}

#[test]
fn a_throttle_is_bounded_and_shows_no_names() {
    let clock = Arc::new(ManualClock::new(start()));
    let throttle = LoginThrottle::with_clock(clock.clone());
    for _ in 0..LoginThrottle::FREE_FAILURES {
        throttle.attempt("hunter2").unwrap();
    }
    assert!(throttle.attempt("hunter2").is_err());
    let shown = format!("{throttle:?}");
    assert!(!shown.contains("hunter2") && shown.contains("keys: 1"), "{shown}");
    clock.advance(SECOND / 2);
    // Strangers make up names; whoever failed last is remembered.
    for n in 0..200_000 {
        let _ = throttle.attempt(&format!("nobody {n}"));
        if n % 10_000 == 0 {
            assert!(throttle.attempt("hunter2").is_err() || n > 60_000, "{n}");
        }
        if n % 1000 == 0 {
            clock.advance(Duration::from_millis(1));
        }
    }
    let keys: usize =
        format!("{throttle:?}").split(|c: char| !c.is_ascii_digit()).find_map(|n| n.parse().ok()).unwrap();
    assert!(keys <= 1 << 16, "{keys}");
}

#[test]
fn an_attempt_that_was_not_made_does_not_count() {
    let throttle = LoginThrottle::new();
    for _ in 0..100 {
        throttle.attempt("alice").unwrap();
        throttle.not_made("alice");
    }
    throttle.not_made("never seen");
}
