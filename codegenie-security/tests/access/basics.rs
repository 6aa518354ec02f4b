//! Roles, decisions, sessions: what most hosts use.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codegenie_security::{
    AccessControl, AccessRequest, Effect, ManualClock, OpenSessionError, Policy, PolicyError, Reason, Role,
    SessionError, SessionId, SessionRequest, SessionStore, SessionToken,
};

fn policy() -> Policy {
    Policy::builder()
        .role(Role::new("reader").allow("read:/src/**").deny("*:/src/secrets/**"))
        .role(Role::new("developer").inherits("reader").allow("execute:command:*").deny("execute:command:rm"))
        .role(Role::new("cautious").deny("execute:command:curl"))
        .role(Role::new("admin").allow("*:**"))
        .user("alice", ["developer", "cautious"])
        .user("root", ["admin"])
        .user("eve", ["admin", "reader"])
        .user("nobody", [""; 0])
        .build()
        .unwrap()
}

fn control() -> (AccessControl, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)));
    (AccessControl::with_sessions(policy(), SessionStore::with_clock(clock.clone())), clock)
}

#[test]
fn decisions_name_the_rule_that_made_them() {
    let policy = policy();
    let ask = |user: &str, action: &str, resource: &str| {
        policy.decide(&AccessRequest::new(user, action, resource)).to_string()
    };
    let reader = r#"of role "reader""#;
    assert_eq!(ask("alice", "read", "/src/main.rs"), format!("allowed by allow read:/src/** {reader}"));
    assert_eq!(ask("alice", "read", "/src/secrets/k"), format!("denied by deny *:/src/secrets/** {reader}"));
    assert_eq!(
        ask("alice", "execute", "command:git"),
        r#"allowed by allow execute:command:* of role "developer""#
    );
    assert!(ask("alice", "execute", "command:rm").starts_with("denied by deny execute:command:rm"));
    assert!(ask("alice", "write", "/src/main.rs").starts_with("denied: no rule"));
    assert!(ask("nobody", "read", "/src/main.rs").starts_with("denied: no rule"));
    assert!(ask("mallory", "read", "/src/main.rs").starts_with("denied: the policy does not know the user"));
    assert!(ask("root", "anything", "at:all").starts_with("allowed by allow *:**"));
    // Deny overrides the widest allow, in whatever role it stands.
    assert!(ask("eve", "read", "/src/secrets/k").starts_with("denied by deny"));

    let decision = policy.decide(&AccessRequest::new("root", "read", "/etc/passwd"));
    let rule = decision.rule().unwrap();
    assert_eq!((rule.role(), rule.effect(), rule.action()), (Some("admin"), Effect::Allow, "*"));
    assert_eq!(rule.resource().as_str(), "**");
}

#[test]
fn names_that_are_not_canonical_are_denied_to_everybody() {
    let policy = policy();
    for resource in [
        "",
        "/src/../etc/passwd",
        "/src/.",
        "..",
        "//etc",
        "/a//b",
        "command:..",
        "a\0b",
        "file:./x",
        "/src/",
    ] {
        let decision = policy.decide(&AccessRequest::new("root", "read", resource));
        assert_eq!(decision.reason(), &Reason::NotCanonical, "{resource:?}");
    }
    for resource in ["/src/..a", "/src/.git", "a.b:c..d", "...", "/", "file:/"] {
        assert!(policy.decide(&AccessRequest::new("root", "read", resource)).is_allowed(), "{resource:?}");
    }
}

#[test]
fn a_session_in_fewer_roles_never_gets_more() {
    let (access, _) = control();
    let (_, session) = access.open_session(SessionRequest::new("alice").roles(["developer"])).unwrap();
    assert!(access.permit(&session, "execute", "command:git").is_allowed());
    // `cautious` is not active, and still denies.
    let decision = access.permit(&session, "execute", "command:curl");
    assert_eq!(decision.rule().unwrap().role(), Some("cautious"));

    let (_, session) = access.open_session(SessionRequest::new("alice").roles(["cautious"])).unwrap();
    assert_eq!(access.permit(&session, "execute", "command:git").reason(), &Reason::NoRule);
}

#[test]
fn sessions_carry_what_was_asked_for() {
    let (access, _) = control();
    let request = SessionRequest::new("alice").agent("coder").lifetime(Duration::from_secs(60));
    let (token, opened) = access.open_session(request).unwrap();
    let session = access.validate(&token).unwrap();
    assert_eq!(session, opened);
    assert_eq!((session.user(), session.agent()), ("alice", Some("coder")));
    assert_eq!(session.roles(), ["developer", "cautious"]);
    assert_eq!(session.expires_at(), session.opened_at() + Duration::from_secs(60));
    assert_eq!(SessionId::parse(&session.id().to_string()), Some(session.id()));

    // Also by its text, as it comes from elsewhere.
    assert_eq!(access.validate(token.expose()).unwrap(), session);
    assert_eq!(access.validate(SessionToken::from(token.expose().to_owned())).unwrap(), session);
}

#[test]
fn sessions_are_refused_to_unknown_users_and_for_roles_not_given() {
    let (access, _) = control();
    let refused = |request| access.open_session(request).unwrap_err();
    assert!(matches!(refused(SessionRequest::new("mallory")), OpenSessionError::UnknownUser { .. }));
    let error = refused(SessionRequest::new("alice").roles(["developer", "admin"]));
    assert!(matches!(error, OpenSessionError::RoleNotGiven { .. }));
    assert_eq!(
        error.to_string(),
        r#"user "alice" is not given role "admin"; ask for fewer roles, or give it in the policy"#
    );
    let error = refused(SessionRequest::new("alice").lifetime(Duration::MAX));
    assert!(matches!(error, OpenSessionError::LifetimeTooLong { .. }));
}

#[test]
fn tokens_are_random_url_safe_and_hidden() {
    let (access, _) = control();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let (token, session) = access.open_session(SessionRequest::new("alice")).unwrap();
        let text = token.expose();
        assert_eq!(text.len(), 47);
        assert!(text.starts_with("cgs_"));
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')), "{text}");
        assert!(seen.insert(text.to_owned()));
        let shown = format!("{token:?} {session:?} {:?}", access.sessions());
        assert!(!shown.contains(text) && !shown.contains(&text[4..20]), "{shown}");
    }
}

#[test]
fn unknown_expired_and_revoked_sessions_are_told_apart() {
    let (access, clock) = control();
    let minute = Duration::from_secs(60);
    let (unused, _) = AccessControl::new(policy()).open_session(SessionRequest::new("alice")).unwrap();
    for token in ["", "cgs_", "x", &"y".repeat(10_000), unused.expose()] {
        let error = access.validate(token).unwrap_err();
        assert_eq!(error, SessionError::Unknown);
        assert!(error.to_string().contains("open a session"), "{error}");
    }

    let (token, session) = access.open_session(SessionRequest::new("alice").lifetime(minute)).unwrap();
    clock.advance(minute - Duration::from_millis(1));
    access.validate(&token).unwrap();
    clock.advance(Duration::from_millis(1));
    let error = access.validate(&token).unwrap_err();
    assert!(matches!(error, SessionError::Expired { .. }));
    assert_eq!(error.to_string(), format!("session {} has expired; open a new session", session.id()));
    assert_eq!(access.permit(&session, "read", "/src/a").reason(), &Reason::Session(error));

    let (token, session) = access.open_session(SessionRequest::new("alice")).unwrap();
    assert!(access.revoke(session.id()));
    assert!(!access.revoke(session.id()), "only once");
    let error = access.validate(&token).unwrap_err();
    assert!(matches!(error, SessionError::Revoked { .. }));
    assert!(error.to_string().contains("was revoked"));
    assert!(!access.permit(&session, "read", "/src/a").is_allowed());

    // Of a session of another store nothing is known.
    let other = AccessControl::new(policy());
    let (_, foreign) = other.open_session(SessionRequest::new("root")).unwrap();
    assert_eq!(access.permit(&foreign, "read", "/x").reason(), &Reason::Session(SessionError::Unknown));
}

#[test]
fn an_idle_session_expires_and_a_used_one_does_not() {
    let (access, clock) = control();
    let minute = Duration::from_secs(60);
    let request = SessionRequest::new("alice").lifetime(10 * minute).idle_timeout(minute);
    let (token, session) = access.open_session(request.clone()).unwrap();
    for _ in 0..10 {
        access.validate(&token).unwrap();
        clock.advance(minute - Duration::from_secs(1));
    }
    assert!(access.validate(&token).is_ok(), "590 s of 600 s");
    clock.advance(minute);
    assert!(matches!(access.validate(&token), Err(SessionError::Expired { .. })), "used, but too old");

    let (token, session_2) = access.open_session(request).unwrap();
    clock.advance(minute);
    assert!(matches!(access.validate(&token), Err(SessionError::Expired { .. })), "not used");
    assert!(!access.permit(&session_2, "read", "/src/a").is_allowed());
    assert_ne!(session.id(), session_2.id());
}

#[test]
fn ended_sessions_are_forgotten_in_the_end() {
    let (access, clock) = control();
    let hour = Duration::from_secs(3600);
    let open = || access.open_session(SessionRequest::new("alice").lifetime(hour)).unwrap();
    let (token, _) = open();
    clock.advance(hour);
    access.sessions().forget_ended();
    assert!(matches!(access.validate(&token), Err(SessionError::Expired { .. })), "still remembered");
    clock.advance(hour);
    access.sessions().forget_ended();
    assert_eq!(access.validate(&token), Err(SessionError::Unknown));
    assert!(access.sessions().is_empty());

    // Opening sweeps by itself: the number does not grow without bound.
    for _ in 0..10 {
        (0..500).for_each(|_| drop(open()));
        clock.advance(2 * hour);
    }
    assert!(access.sessions().len() <= 2048, "{}", access.sessions().len());
}

#[test]
fn all_sessions_of_a_user_end_at_once() {
    let (access, _) = control();
    let tokens: Vec<_> =
        (0..3).map(|_| access.open_session(SessionRequest::new("alice")).unwrap().0).collect();
    let (other, _) = access.open_session(SessionRequest::new("root")).unwrap();
    assert_eq!(access.sessions().revoke_user("alice"), 3);
    assert!(tokens.iter().all(|token| matches!(access.validate(token), Err(SessionError::Revoked { .. }))));
    access.validate(&other).unwrap();
}

#[test]
fn a_replaced_policy_holds_for_open_sessions() {
    let (access, _) = control();
    let (token, session) = access.open_session(SessionRequest::new("alice")).unwrap();
    assert!(access.permit(&session, "execute", "command:git").is_allowed());
    let less = Policy::builder()
        .role(Role::new("reader").allow("read:/src/**"))
        .role(Role::new("developer").allow("execute:command:*"))
        .user("alice", ["reader"])
        .build()
        .unwrap();
    access.replace_policy(less);
    let session_now = access.validate(&token).unwrap();
    // The session acts as developer, which alice is not any more; and it never asked for reader.
    assert!(!access.permit(&session_now, "execute", "command:git").is_allowed());
    assert!(!access.permit(&session_now, "read", "/src/a").is_allowed());
    access.replace_policy(Policy::builder().build().unwrap());
    assert_eq!(access.permit(&session, "read", "/src/a").reason(), &Reason::UnknownUser);
}

#[test]
fn bad_policies_are_refused_at_build() {
    let build = |roles: Vec<Role>| {
        roles.into_iter().fold(Policy::builder(), |builder, role| builder.role(role)).build().unwrap_err()
    };
    let error =
        build(vec![Role::new("a").inherits("b"), Role::new("b").inherits("c"), Role::new("c").inherits("b")]);
    assert_eq!(
        error.to_string(),
        "role inheritance goes in a circle: b -> c -> b; remove one of these steps"
    );
    assert!(matches!(build(vec![Role::new("a").inherits("a")]), PolicyError::Cycle { .. }));
    let error = build(vec![Role::new("a").inherits("ghost")]);
    assert_eq!(
        error.to_string(),
        r#"role "a" names role "ghost", which is not defined; define it, or correct the name"#
    );
    assert!(matches!(build(vec![Role::new("a"), Role::new("a")]), PolicyError::DuplicateRole { .. }));
    let error = Policy::builder().user("alice", ["ghost"]).build().unwrap_err();
    assert!(error.to_string().starts_with(r#"user "alice" names role "ghost""#), "{error}");

    for permission in ["", "read", ":x", "re ad:x", "re*:x", "re/ad:x"] {
        let error = build(vec![Role::new("a").allow(permission)]);
        assert!(matches!(error, PolicyError::BadPermission { .. }), "{permission:?}: {error}");
    }
    for permission in [
        "read:",
        "read:/a**",
        "read:/**a",
        "read:***",
        "read:/a/../b",
        "read:/a//b",
        "read:x\\",
        "*:a/.",
        "*:a***",
    ] {
        let error = build(vec![Role::new("a").deny(permission)]);
        assert!(matches!(error, PolicyError::BadResource { .. }), "{permission:?}: {error}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn diamonds_and_long_chains_of_roles_are_fine() {
    let diamond = Policy::builder()
        .role(Role::new("top").inherits("left").inherits("right"))
        .role(Role::new("left").inherits("base"))
        .role(Role::new("right").inherits("base"))
        .role(Role::new("base").allow("read:x"))
        .user("u", ["top"])
        .build()
        .unwrap();
    assert!(diamond.decide(&AccessRequest::new("u", "read", "x")).is_allowed());

    let chain = (0..1000)
        .fold(Policy::builder().role(Role::new("1000").allow("read:x")), |builder, number| {
            builder.role(Role::new(number.to_string()).inherits((number + 1).to_string()))
        });
    let chain = chain.user("u", ["0"]).build().unwrap();
    assert!(chain.decide(&AccessRequest::new("u", "read", "x")).is_allowed());
}

/// Far more roles than anybody has, each inheriting from the next: what is kept grows with the roles, not with the
/// square of them, or this would take gigabytes.
#[test]
fn a_very_long_inheritance_takes_no_more_than_its_roles() {
    const COUNT: usize = 100_000;
    let name = |number: usize| format!("r{number}");
    let roles = (1..COUNT)
        .fold(Policy::builder().role(Role::new(name(0)).allow("a:b")), |builder, number| {
            builder.role(Role::new(name(number)).inherits(name(number - 1)))
        });
    let policy = roles.clone().user("u", [name(COUNT - 1)]).build().unwrap();
    assert!(policy.decide(&AccessRequest::new("u", "a", "b")).is_allowed());
    let circle =
        roles.role(Role::new("first").inherits("second")).role(Role::new("second").inherits("first"));
    assert!(matches!(circle.build().unwrap_err(), PolicyError::Cycle { .. }));
}
