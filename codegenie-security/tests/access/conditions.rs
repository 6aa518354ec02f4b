//! Conditions, ends, grants to one user, and roles that are kept apart.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{control, start};
use codegenie_security::{
    AccessRequest, Condition, LintKind, OpenSessionError, Permission, Policy, PolicyError, Reason, Role,
    Separation, SessionRequest,
};

const HOUR: Duration = Duration::from_secs(3600);

fn policy_with(role: Role) -> Policy {
    Policy::builder().role(role).user("u", ["r"]).build().unwrap()
}

#[test]
fn hours_and_weekdays_are_of_the_zone_that_is_said() {
    let nine_to_five = || Condition::new().hours(9 * 60, 17 * 60);
    let allowed = |condition: Condition, at: SystemTime| {
        let policy = policy_with(Role::new("r").allow(Permission::new("a:x").when(condition)));
        let decision = policy.decide(&AccessRequest::new("u", "a", "x").at(at));
        assert!(decision.is_allowed() || matches!(decision.reason(), Reason::Unmet(_)), "{decision}");
        decision.is_allowed()
    };
    // It is eight o'clock on a Friday.
    assert!(!allowed(nine_to_five(), start()));
    assert!(allowed(nine_to_five(), start() + HOUR));
    assert!(allowed(nine_to_five(), start() + 9 * HOUR - Duration::from_secs(1)));
    assert!(!allowed(nine_to_five(), start() + 9 * HOUR), "the end is not part of it");
    assert!(allowed(nine_to_five().utc_offset(60), start()));
    assert!(!allowed(nine_to_five().utc_offset(-5 * 60), start() + HOUR));
    let night = || Condition::new().hours(22 * 60, 6 * 60);
    assert!(
        !allowed(night(), start())
            && allowed(night(), start() + 14 * HOUR)
            && allowed(night(), start() + 20 * HOUR)
    );
    let days = |text: &str| Condition::new().weekdays(text).unwrap();
    assert!(allowed(days("fri"), start()) && !allowed(days("mon-thu,sat"), start()));
    assert!(allowed(days("mon-fri"), start()) && !allowed(days("mon-fri"), start() + 24 * HOUR));
    assert!(allowed(days("fri-mon"), start() + 48 * HOUR));
    assert!(allowed(days("sat").utc_offset(16 * 60), start()), "there it is Saturday already");
    assert!(Condition::new().weekdays("someday").is_err() && Condition::new().weekdays("").is_err());
}

#[test]
fn tags_labels_and_levels_are_those_of_the_request() {
    let role = Role::new("r")
        .allow(Permission::new("deploy:**").when(Condition::new().level(2)))
        .allow(Permission::new("read:db").when(Condition::new().tag("network", "internal")))
        .allow("connect:**")
        .deny(
            Permission::new("connect:**")
                .when(Condition::new().labels(["untrusted-content", "private-data"])),
        );
    let policy = policy_with(role);
    let request = AccessRequest::new;
    let deploy = policy.decide(&request("u", "deploy", "prod").level(1));
    assert_eq!(
        deploy.to_string(),
        r#"denied: not met is the condition of allow deploy:** when session level 2 of role "r""#
    );
    assert!(policy.decide(&request("u", "deploy", "prod").level(2)).is_allowed());
    let tags = |value: &str| vec![("network".to_owned(), value.to_owned())];
    assert!(policy.decide(&request("u", "read", "db").tags(&tags("internal"))).is_allowed());
    assert!(!policy.decide(&request("u", "read", "db").tags(&tags("guest"))).is_allowed());
    let labels: Vec<Arc<str>> = vec!["private-data".into(), "untrusted-content".into()];
    assert!(policy.decide(&request("u", "connect", "h").labels(&labels[..1])).is_allowed());
    assert!(policy.decide(&request("u", "connect", "h").labels(&labels[1..])).is_allowed());
    assert!(matches!(
        policy.decide(&request("u", "connect", "h").labels(&labels)).reason(),
        Reason::Denied(_)
    ));
}

#[test]
fn after_untrusted_content_and_private_data_nothing_leaves() {
    let role = Role::new("r").allow("*:**").deny(
        Permission::new("connect:**").when(Condition::new().labels(["untrusted-content", "private-data"])),
    );
    let (access, _) = control(policy_with(role));
    let (_, lead) = access.open_session(SessionRequest::new("u").label("private-data")).unwrap();
    let (_, helper) = access.attenuate(&lead, Default::default()).unwrap();
    assert!(access.permit(&lead, "connect", "host").is_allowed());
    // What the helper reads reaches the one that gave it work.
    helper.add_label("untrusted-content").unwrap();
    helper.add_label("untrusted-content").unwrap();
    assert_eq!(lead.labels(), ["private-data", "untrusted-content"]);
    for session in [&lead, &helper] {
        assert!(matches!(access.permit(session, "connect", "host").reason(), Reason::Denied(_)));
        assert!(access.permit(session, "read", "file").is_allowed());
    }
    let (_, fresh) = access.open_session(SessionRequest::new("u")).unwrap();
    assert!(access.permit(&fresh, "connect", "host").is_allowed());
}

#[test]
fn permissions_and_roles_end_when_they_say() {
    let end = start() + HOUR;
    let policy = Policy::builder()
        .role(Role::new("base").allow("read:x"))
        .role(Role::new("admin").inherits("base").allow("write:x").deny("read:secret"))
        .role(Role::new("visitor").allow(Permission::new("look:x").until(end)).allow("read:secret"))
        .user("u", ["visitor"])
        .user_until("u", "admin", end)
        .build()
        .unwrap();
    let ask = |action, resource, at| policy.decide(&AccessRequest::new("u", action, resource).at(at));
    let before = end - Duration::from_secs(1);
    for action in ["read", "write", "look"] {
        assert!(ask(action, "x", before).is_allowed(), "{action}");
        assert!(matches!(ask(action, "x", end).reason(), Reason::Unmet(_)), "{action}");
    }
    assert!(!ask("read", "secret", before).is_allowed());
    assert!(ask("read", "secret", end).is_allowed(), "the prohibition ends with the role");
    // Given twice, the longer one counts.
    let twice =
        Policy::builder().role(Role::new("r").allow("a:x")).user_until("u", "r", start()).user("u", ["r"]);
    assert!(twice.build().unwrap().decide(&AccessRequest::new("u", "a", "x").at(end)).is_allowed());
}

#[test]
fn grants_and_revocations_are_of_one_user() {
    let policy = Policy::builder()
        .role(Role::new("dev").allow("read:/src/**"))
        .user("alice", ["dev"])
        .user("bob", ["dev"])
        .grant("alice", "write:/src/docs/**")
        .revoke("bob", "read:/src/secret/**")
        .grant("carol", "read:/src/readme")
        .build()
        .unwrap();
    let allowed =
        |user, action, resource| policy.decide(&AccessRequest::new(user, action, resource)).is_allowed();
    assert!(allowed("alice", "write", "/src/docs/a") && !allowed("bob", "write", "/src/docs/a"));
    assert!(allowed("alice", "read", "/src/secret/k") && !allowed("bob", "read", "/src/secret/k"));
    assert!(allowed("carol", "read", "/src/readme") && !allowed("carol", "read", "/src/a"));
    let refused = policy.decide(&AccessRequest::new("bob", "read", "/src/secret/k"));
    assert_eq!(refused.to_string(), r#"denied by deny read:/src/secret/** of user "bob""#);
    assert_eq!(refused.rule().unwrap().role(), None);
    // In whatever roles a session acts.
    let none: [String; 0] = [];
    let request = AccessRequest::new("alice", "write", "/src/docs/a").roles(&none);
    assert!(policy.decide(&request).is_allowed());
    assert!(!policy.decide(&AccessRequest::new("bob", "read", "/src/secret/k").roles(&none)).is_allowed());
}

#[test]
fn roles_are_kept_apart_by_inheritance_too() {
    let roles = || {
        Policy::builder()
            .role(Role::new("author").allow("write:**"))
            .role(Role::new("approver").allow("approve:**"))
            .role(Role::new("lead").inherits("approver"))
    };
    let error =
        roles().user("u", ["author", "lead"]).separate(Separation::of(["author", "approver"])).build();
    assert_eq!(
        error.unwrap_err().to_string(),
        r#"user "u" is given "author" and "approver", which are kept apart; take one of them away"#
    );
    let error = roles().separate(Separation::of(["author", "ghost"])).build().unwrap_err();
    assert!(matches!(error, PolicyError::UnknownRole { .. }));
    roles()
        .user("u", ["author"])
        .user("v", ["lead"])
        .separate(Separation::of(["author", "approver"]))
        .build()
        .unwrap();

    let policy = roles()
        .user("u", ["author", "lead"])
        .separate(Separation::of(["author", "approver"]).in_one_session());
    let (access, _) = control(policy.build().unwrap());
    let both = access.open_session(SessionRequest::new("u")).unwrap_err();
    assert!(matches!(both, OpenSessionError::SeparatedRoles { .. }), "{both}");
    let (_, author) = access.open_session(SessionRequest::new("u").roles(["author"])).unwrap();
    assert!(
        access.permit(&author, "write", "x").is_allowed()
            && !access.permit(&author, "approve", "x").is_allowed()
    );
}

#[test]
fn explanations_say_what_each_rule_came_to() {
    let policy = Policy::builder()
        .role(Role::new("a").allow("read:/x/**"))
        .role(Role::new("b").allow("read:/x/y").deny("read:/x/secret"))
        .role(Role::new("c").allow("*:**"))
        .user("u", ["a", "b"])
        .user("v", ["c"])
        .grant("v", "read:/x/y")
        .build()
        .unwrap();
    let acting = ["a".to_owned()];
    let explanation = policy.explain(&AccessRequest::new("u", "read", "/x/y").roles(&acting));
    assert_eq!(
        explanation.to_string(),
        "allowed by allow read:/x/** of role \"a\"\n  \
         allow read:/x/** of role \"a\": it counts\n  \
         allow read:/x/y of role \"b\": its role is not active\n  \
         allow *:** of role \"c\": the user does not have its role\n  \
         allow read:/x/y of user \"v\": it is another user's"
    );
    let denied = policy.explain(&AccessRequest::new("u", "read", "/x/secret").roles(&acting));
    assert!(denied.considered.iter().any(|one| one.counts && one.rule.role() == Some("b")));
}

#[test]
fn the_linter_finds_what_has_no_effect() {
    let now = start();
    let policy = Policy::builder()
        .actions(["read", "write"])
        .role(Role::new("base").deny("*:/secret/**"))
        .role(
            Role::new("dev")
                .inherits("base")
                .allow("read:/src/**")
                .allow("read:/src/a")
                .allow("read:/secret/k")
                .allow("raed:/x")
                .allow(Permission::new("read:/y").until(now))
                .allow(Permission::new("read:/z").when(Condition::new().hours(60, 60))),
        )
        .role(Role::new("unused").allow("read:/q"))
        .user("u", ["dev"])
        .user("idle", [""; 0])
        .user_until("u", "base", now)
        .build()
        .unwrap();
    let lints = policy.lint(now);
    let kinds: Vec<_> = lints.iter().map(codegenie_security::Lint::kind).collect();
    assert_eq!(
        kinds,
        [
            LintKind::NeverAllows,
            LintKind::Superfluous,
            LintKind::Expired,
            LintKind::Expired,
            LintKind::NeverHolds,
            LintKind::UnknownAction,
            LintKind::UnusedRole,
            LintKind::PowerlessUser,
        ],
        "{lints:#?}"
    );
    assert!(lints[0].to_string().contains("/secret/k") && lints[5].to_string().contains("raed"));
    let clean =
        Policy::builder().role(Role::new("dev").allow("read:/src/**").deny("read:/src/k")).user("u", ["dev"]);
    assert_eq!(clean.build().unwrap().lint(now), []);
}

#[test]
fn hours_past_the_day_are_refused_at_build() {
    let build = |from, to| {
        let permission = Permission::new("a:x").when(Condition::new().hours(from, to));
        Policy::builder().role(Role::new("r").deny(permission)).user("u", ["r"]).build()
    };
    for (from, to) in [(1500, 600), (0, 1500), (24 * 60, 600), (0, 24 * 60 + 1), (u16::MAX, u16::MAX)] {
        let error = build(from, to).unwrap_err();
        assert!(matches!(error, PolicyError::BadCondition { .. }), "{from}, {to}: {error}");
        assert!(error.to_string().contains("1440") && !error.to_string().contains('\n'), "{error}");
    }
    for (from, to) in [(0, 24 * 60), (1439, 0), (0, 0)] {
        build(from, to).unwrap();
    }
    // The linter is right about what is left.
    let lints = build(60, 60).unwrap().lint(start());
    assert!(lints.iter().any(|lint| lint.kind() == LintKind::NeverHolds), "{lints:#?}");
}

#[test]
fn a_role_that_a_separation_names_twice_is_named_once() {
    let policy = |separation: Separation| {
        let roles = Policy::builder().role(Role::new("a").allow("x:y")).role(Role::new("b").allow("x:z"));
        roles.user("alice", ["a"]).user("bob", ["a", "b"]).separate(separation).build()
    };
    assert!(matches!(policy(Separation::of(["a", "b", "a"])), Err(PolicyError::NotSeparated { .. })));
    let (access, _) = control(policy(Separation::of(["a", "a", "b"]).in_one_session()).unwrap());
    access.open_session(SessionRequest::new("alice")).unwrap();
    assert!(access.open_session(SessionRequest::new("bob")).is_err());
    // Of one role nothing is kept apart, which is probably not meant.
    let alone = policy(Separation::of(["a", "a"])).unwrap();
    let lints = alone.lint(start());
    assert!(lints.iter().any(|lint| lint.kind() == LintKind::SeparatesNothing), "{lints:#?}");
}

#[test]
fn the_linter_finds_a_grant_that_a_role_of_the_same_user_always_overrides() {
    let lint = |builder: codegenie_security::PolicyBuilder| -> Vec<_> {
        builder.build().unwrap().lint(start()).iter().map(codegenie_security::Lint::kind).collect()
    };
    let strict = || {
        Policy::builder()
            .role(Role::new("base").deny("a:**"))
            .role(Role::new("strict").inherits("base"))
            .grant("alice", "a:b")
    };
    assert_eq!(lint(strict().user("alice", ["strict"])), [LintKind::NeverAllows, LintKind::PowerlessUser]);
    assert_eq!(
        lint(strict().user("alice", ["strict"]).grant("alice", "other:x")),
        [LintKind::NeverAllows],
        "there is something left"
    );
    // Between two roles nothing is wrong with either, and yet this user can do nothing.
    let apart = strict().role(Role::new("dev").allow("a:c")).user("alice", ["strict", "dev"]);
    assert_eq!(lint(apart), [LintKind::NeverAllows, LintKind::PowerlessUser]);
    // A role that ends overrides only for a while.
    let later = start() + HOUR;
    assert_eq!(lint(strict().user_until("alice", "strict", later)), []);
}

#[test]
fn networks_are_of_the_address_that_the_session_was_opened_from() {
    let role = Role::new("r")
        .allow(
            Permission::new("read:db")
                .when(Condition::new().networks(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]).unwrap()),
        )
        .allow("write:**")
        .deny(Permission::new("write:db").when(Condition::new().networks(["192.0.2.0/24"]).unwrap()));
    let (access, _) = control(policy_with(role));
    let may = |address: Option<&str>, action: &str| {
        let request = SessionRequest::new("u");
        let request = match address {
            Some(address) => request.address(address.parse().unwrap()),
            None => request,
        };
        let (_, session) = access.open_session(request).unwrap();
        access.permit(&session, action, "db").is_allowed()
    };
    for inside in ["10.0.0.0", "10.255.255.255", "2001:db8:1::9", "192.0.2.7", "::ffff:10.1.2.3"] {
        assert!(may(Some(inside), "read"), "{inside}");
    }
    for outside in ["11.0.0.0", "9.255.255.255", "2001:db9::", "192.0.2.8", "::a00:1"] {
        assert!(!may(Some(outside), "read"), "{outside}");
    }
    assert!(may(Some("198.51.100.1"), "write") && !may(Some("192.0.2.255"), "write"));
    // Nobody said from where: what is permitted only from somewhere is not, what is denied from somewhere is.
    assert!(!may(None, "read") && !may(None, "write"));

    let whole = Condition::new().networks(["0.0.0.0/0", "::/0"]).unwrap();
    assert_eq!(whole.to_string(), "from 0.0.0.0/0 or ::/0");
    for bad in [
        "",
        "10.0.0.0/",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.1/8",
        "10.0.0.0/+8",
        "::ffff:10.0.0.0/104",
        "x/8",
        "10/8",
    ] {
        assert!(Condition::new().networks([bad]).is_err(), "{bad}");
    }
    let policy = Policy::parse(
        "[roles.r]\nallow = [{ permission = \"read:db\", when = { networks = [\"10.0.0.0/8\"] } }]\n[users.u]\nroles = [\"r\"]\n",
        codegenie_security::PolicyFormat::Toml,
    )
    .unwrap();
    let tags = [("address".to_owned(), "10.9.9.9".to_owned())];
    assert!(policy.decide(&AccessRequest::new("u", "read", "db").tags(&tags)).is_allowed());
    let error = Policy::parse(
        "[roles.r]\nallow = [{ permission = \"read:db\", when = { networks = [\"10.0.0.1/8\"] } }]\n",
        codegenie_security::PolicyFormat::Toml,
    );
    assert!(error.unwrap_err().to_string().contains("within a network"));
}

#[test]
fn a_session_s_decision_is_explained_by_what_the_session_is_now() {
    let role = Role::new("r")
        .allow(Permission::new("deploy:**").when(Condition::new().level(2)))
        .deny(Permission::new("deploy:prod").when(Condition::new().labels(["tainted"])));
    let (access, _) = control(policy_with(role));
    let (_, session) = access.open_session(SessionRequest::new("u")).unwrap();
    let explain = |session| access.explain(session, "deploy", "prod");
    let shown = explain(&session).to_string();
    assert!(
        shown.contains("its condition does not hold") && !explain(&session).decision.is_allowed(),
        "{shown}"
    );
    access.raise(&session, 2, HOUR).unwrap();
    assert!(explain(&session).decision.is_allowed());
    session.add_label("tainted").unwrap();
    let tainted = explain(&session);
    assert!(!tainted.decision.is_allowed() && tainted.considered.iter().all(|rule| rule.counts), "{tainted}");
    let narrowed = codegenie_security::Attenuation::new().only(["read:**"]).unwrap();
    let (_, child) = access.attenuate(&session, narrowed).unwrap();
    assert_eq!(access.explain(&child, "deploy", "dev").decision.reason(), &Reason::Narrowed);
    access.revoke(session.id());
    assert!(matches!(explain(&session).decision.reason(), Reason::Session(_)));
}
