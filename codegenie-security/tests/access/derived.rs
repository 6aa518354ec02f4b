//! Sessions for sub-agents: never wider than what they are derived from, and never longer.

use std::time::Duration;

use crate::control;
use codegenie_security::{
    AccessControl, Attenuation, Condition, OpenSessionError, Permission, Policy, Reason, Role, Separation,
    Session, SessionError, SessionRequest, SessionStore,
};
use proptest::prelude::*;

fn policy() -> Policy {
    Policy::builder()
        .role(Role::new("reader").allow("read:/src/**"))
        .role(
            Role::new("writer")
                .allow("write:/src/**")
                .allow(Permission::new("other:**").when(Condition::new().level(2))),
        )
        .role(Role::new("other").allow("*:**"))
        .user("alice", ["reader", "writer"])
        .user("bob", ["other"])
        .build()
        .unwrap()
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

#[test]
fn a_child_carries_its_line_and_ends_with_any_of_it() {
    let (access, clock) = control(policy());
    let (_, root) = access
        .open_session(SessionRequest::new("alice").agent("lead").tag("t", "v").lifetime(minutes(60)))
        .unwrap();
    let (child_token, child) =
        access.attenuate(&root, Attenuation::new().agent("helper").lifetime(minutes(600))).unwrap();
    let (token, grandchild) =
        access.attenuate(&child, Attenuation::new().roles(["reader"]).lifetime(minutes(5))).unwrap();
    assert_eq!(grandchild.lineage(), [root.id(), child.id(), grandchild.id()]);
    assert_eq!(
        (grandchild.user(), grandchild.agent(), grandchild.parent()),
        ("alice", Some("helper"), Some(&child))
    );
    assert_eq!(grandchild.tags(), [("t".to_owned(), "v".to_owned())]);
    assert_eq!(child.expires_at(), root.expires_at(), "no longer than its parent");
    clock.advance(minutes(5));
    assert!(matches!(access.validate(&token), Err(SessionError::Expired { .. })));
    access.validate(&child_token).unwrap();
    assert!(access.revoke(root.id()));
    let error = access.validate(&child_token).unwrap_err();
    assert!(matches!(error, SessionError::Revoked { .. }));
    assert!(matches!(access.permit(&child, "read", "/src/a").reason(), Reason::Session(_)));
    let error = access.attenuate(&child, Attenuation::new()).unwrap_err();
    assert!(matches!(error, OpenSessionError::Parent(SessionError::Revoked { .. })), "{error}");
}

#[test]
fn a_child_that_works_keeps_its_parent_awake_and_falls_asleep_with_it() {
    let (access, clock) = control(policy());
    let (root_token, root) =
        access.open_session(SessionRequest::new("alice").idle_timeout(minutes(10))).unwrap();
    let (token, _) = access.attenuate(&root, Attenuation::new()).unwrap();
    for _ in 0..5 {
        clock.advance(minutes(9));
        access.validate(&token).unwrap();
    }
    access.validate(&root_token).unwrap();
    clock.advance(minutes(10));
    assert!(matches!(access.validate(&token), Err(SessionError::Expired { .. })));
}

#[test]
fn what_is_wider_is_refused() {
    let (access, _) = control(policy());
    let (_, root) = access.open_session(SessionRequest::new("alice").roles(["reader"])).unwrap();
    let error = access.attenuate(&root, Attenuation::new().roles(["reader", "writer"])).unwrap_err();
    assert!(matches!(error, OpenSessionError::Wider { .. }), "{error}");
    assert!(Attenuation::new().only(["no colon"]).is_err());
    // A line has an end.
    let mut session = root;
    let error = loop {
        match access.attenuate(&session, Attenuation::new()) {
            Ok((_, child)) => session = child,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("line of 16"), "{error}");
    assert_eq!(session.lineage().len(), 16);
    assert!(access.permit(&session, "read", "/src/a").is_allowed());
}

#[test]
fn a_session_of_another_store_derives_nothing() {
    let (access, _) = control(policy());
    let other = AccessControl::with_sessions(policy(), SessionStore::new());
    let (_, foreign) = other.open_session(SessionRequest::new("bob")).unwrap();
    let error = access.attenuate(&foreign, Attenuation::new()).unwrap_err();
    assert!(matches!(error, OpenSessionError::Parent(SessionError::Unknown)));
}

#[test]
fn a_user_has_no_more_sessions_than_allowed_and_ended_ones_do_not_count() {
    let clock = std::sync::Arc::new(codegenie_security::ManualClock::new(crate::start()));
    let store = SessionStore::with_clock(clock.clone()).max_sessions_of_user(2);
    let access = AccessControl::with_sessions(policy(), store);
    let open = |user: &str| access.open_session(SessionRequest::new(user).lifetime(minutes(10)));
    let (_, first) = open("alice").unwrap();
    open("alice").unwrap();
    assert!(matches!(open("alice"), Err(OpenSessionError::TooManySessions { most: 2, .. })));
    open("bob").unwrap();
    // Derived ones are part of the one that they are derived from.
    access.attenuate(&first, Attenuation::new()).unwrap();
    access.revoke(first.id());
    open("alice").unwrap();
    assert!(open("alice").is_err());
    clock.advance(minutes(10));
    open("alice").unwrap();
}

#[test]
fn ending_all_sessions_of_a_user_ends_derived_ones_and_leaves_later_ones() {
    let (access, _) = control(policy());
    let (_, root) = access.open_session(SessionRequest::new("alice")).unwrap();
    let (token, _) = access.attenuate(&root, Attenuation::new()).unwrap();
    assert_eq!(access.sessions().revoke_user("alice"), 1);
    assert!(matches!(access.validate(&token), Err(SessionError::Revoked { .. })));
    let (later, _) = access.open_session(SessionRequest::new("alice")).unwrap();
    access.validate(&later).unwrap();
    assert_eq!(access.sessions().revoke_user("nobody"), 0);
}

#[test]
fn a_separation_that_comes_later_reaches_sessions_that_are_open() {
    let policy = |separated: bool| {
        let roles = Policy::builder()
            .role(Role::new("writer").allow("write:x"))
            .role(Role::new("approver").allow("approve:x"))
            .user("alice", ["writer", "approver"]);
        let separation = Separation::of(["writer", "approver"]).in_one_session();
        if separated { roles.separate(separation) } else { roles }.build().unwrap()
    };
    let (access, _) = control(policy(false));
    let (_, session) = access.open_session(SessionRequest::new("alice")).unwrap();
    assert!(access.permit(&session, "write", "x").is_allowed());
    access.replace_policy(policy(true));
    for action in ["write", "approve"] {
        let decision = access.permit(&session, action, "x");
        assert!(matches!(decision.reason(), Reason::SeparatedRoles { .. }), "{decision}");
        let shown = decision.to_string();
        assert!(shown.contains(r#""writer""#) && shown.contains(r#""approver""#), "{shown}");
    }
    // One that acts in one of them may.
    let (_, child) = access.attenuate(&session, Attenuation::new().roles(["writer"])).unwrap();
    assert!(access.permit(&child, "write", "x").is_allowed());
    access.replace_policy(policy(false));
    assert!(access.permit(&session, "approve", "x").is_allowed());
}

/// One step of narrowing: roles by bits, permissions, a lifetime, a level.
fn attenuation() -> impl Strategy<Value = (Option<u8>, Option<Vec<String>>, Option<u64>, Option<u8>)> {
    let permission = prop_oneof![
        Just("read:/src/**".to_owned()),
        Just("*:/src/a/**".to_owned()),
        Just("write:**".to_owned()),
        Just("read:/src/a/b".to_owned()),
        Just("*:**".to_owned()),
    ];
    (
        prop::option::of(0..4_u8),
        prop::option::of(prop::collection::vec(permission, 0..3)),
        prop::option::of(1..100_u64),
        prop::option::of(0..3_u8),
    )
}

proptest! {
    #[test]
    fn no_descendant_may_do_what_an_ancestor_may_not(
        steps in prop::collection::vec(attenuation(), 1..6),
        // Of which session of the line, from its end; to what level; for how many minutes; and so many later.
        raises in prop::collection::vec((0..6_usize, 0..4_u8, 0..60_u64, 0..20_u64), 0..6),
        later in 0..100_u64,
    ) {
        let (access, clock) = control(policy());
        let (_, root) = access.open_session(SessionRequest::new("alice").lifetime(minutes(50))).unwrap();
        let mut line: Vec<Session> = vec![root];
        let mut most = vec![u8::MAX];
        for (roles, only, lifetime, level) in steps {
            let mut attenuation = Attenuation::new();
            if let Some(bits) = roles {
                let named = ["reader", "writer"].into_iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
                attenuation = attenuation.roles(named.map(|(_, name)| name));
            }
            if let Some(only) = &only {
                attenuation = attenuation.only(only).unwrap();
            }
            if let Some(lifetime) = lifetime {
                attenuation = attenuation.lifetime(minutes(lifetime));
            }
            if let Some(level) = level {
                attenuation = attenuation.max_level(level);
            }
            // Refused when it asks for roles that the parent does not have.
            if let Ok((_, child)) = access.attenuate(line.last().unwrap(), attenuation) {
                line.push(child);
                most.push(level.unwrap_or(u8::MAX).min(*most.last().unwrap()));
            }
        }
        // Whoever is raised, those before it are not, and those after it are as far as they may be.
        let mut raised: Vec<Vec<(u8, u64)>> = vec![Vec::new(); line.len()];
        let mut now = 0;
        let expected = |raised: &[Vec<(u8, u64)>], now: u64| {
            let mut levels: Vec<u8> = Vec::new();
            for (own, most) in raised.iter().zip(&most) {
                let own = own.iter().filter(|raise| now < raise.1).map(|raise| raise.0);
                let level = own.chain(levels.last().copied()).max().unwrap_or(0);
                levels.push(level.min(*most));
            }
            levels
        };
        let levels = || line.iter().map(Session::level).collect::<Vec<_>>();
        for (from_end, level, lasts, minutes_later) in raises {
            let place = line.len() - 1 - from_end % line.len();
            if access.raise(&line[place], level, minutes(lasts)).is_ok() {
                raised[place].push((level, now + lasts));
            }
            prop_assert_eq!(levels(), expected(&raised, now));
            now += minutes_later;
            clock.advance(minutes(minutes_later));
            prop_assert_eq!(levels(), expected(&raised, now));
        }
        clock.advance(minutes(later));
        now += later;
        prop_assert_eq!(levels(), expected(&raised, now));
        for action in ["read", "write", "other"] {
            for resource in ["/src/a/b", "/src/a/c", "/src/x", "/etc/passwd"] {
                let allowed: Vec<bool> =
                    line.iter().map(|session| access.permit(session, action, resource).is_allowed()).collect();
                // What needs a level, one that was raised itself may do, and the one that it is derived from not.
                let needs_level = action == "other";
                let narrows = allowed.windows(2).zip(levels().windows(2)).all(|(allowed, levels)| {
                    allowed[0] >= allowed[1] || needs_level && levels[0] < 2 && levels[1] >= 2
                });
                prop_assert!(narrows, "{action} {resource}: {allowed:?}");
            }
        }
        prop_assert!(line.is_sorted_by(|parent, child| parent.expires_at() >= child.expires_at()));
    }
}

#[test]
fn a_policy_that_is_replaced_while_it_decides_is_never_mixed_with_another() {
    // In the first policy reading is allowed and writing is not, in the second it is the other way round.
    let one = || Policy::builder().role(Role::new("r").allow("read:**")).user("u", ["r"]).build().unwrap();
    let two = || {
        let roles = (0..50).fold(Policy::builder(), |builder, n| builder.role(Role::new(format!("x{n}"))));
        roles.role(Role::new("r").allow("write:**").deny("read:**")).user("u", ["r"]).build().unwrap()
    };
    let access = AccessControl::new(one());
    let (_, session) = access.open_session(SessionRequest::new("u")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // Each is allowed by one rule of one policy, or denied for a reason of one policy.
                    let read = access.permit(&session, "read", "x");
                    assert!(matches!(read.reason(), Reason::Allowed(_) | Reason::Denied(_)), "{read}");
                    let write = access.permit(&session, "write", "x");
                    assert!(matches!(write.reason(), Reason::Allowed(_) | Reason::NoRule), "{write}");
                }
            });
        }
        for _ in 0..200 {
            access.replace_policy(two());
            access.replace_policy(one());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(access.permit(&session, "read", "x").is_allowed());
}
