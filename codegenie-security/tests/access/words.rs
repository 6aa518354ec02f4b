//! Actions are plain words, and where the policy lists them they are those of the list.

use codegenie_security::{
    AccessRequest, Attenuation, Policy, PolicyError, PolicyFormat, Reason, Role, SessionRequest,
};

use crate::control;

#[test]
fn an_action_that_no_policy_could_name_slips_past_no_prohibition() {
    let policy = Policy::builder()
        .role(Role::new("d").allow("*:x/**").allow("*:exact").deny("delete:x/**").deny("delete:exact"))
        .user("alice", ["d"])
        .build()
        .unwrap();
    let odd = [
        "*",
        "",
        "Delete",
        "DELETE",
        "delete ",
        " delete",
        "delete\0",
        "delete:x",
        "dele\u{442}e",
        "delete/",
    ];
    for resource in ["x/1", "exact"] {
        let ask = |action| policy.decide(&AccessRequest::new("alice", action, resource));
        assert!(matches!(ask("delete").reason(), Reason::Denied(_)));
        for action in ["read", "read_all", "v2.read-all"] {
            assert!(ask(action).is_allowed(), "{action}");
        }
        for action in odd {
            assert_eq!(ask(action).reason(), &Reason::NotCanonical, "{action:?}");
        }
    }
    let explanation = policy.explain(&AccessRequest::new("alice", "Delete", "x/1"));
    assert!(!explanation.decision.is_allowed() && explanation.considered.is_empty(), "{explanation}");
}

#[test]
fn a_session_is_asked_by_the_same_words() {
    let role = Role::new("d").allow("*:**").deny("delete:**");
    let (access, _) = control(Policy::builder().role(role).user("alice", ["d"]).build().unwrap());
    let (_, session) = access.open_session(SessionRequest::new("alice")).unwrap();
    let (_, child) = access.attenuate(&session, Attenuation::new().only(["*:**"]).unwrap()).unwrap();
    for session in [&session, &child] {
        assert!(access.permit(session, "read", "x").is_allowed());
        assert_eq!(access.permit(session, "Delete", "x").reason(), &Reason::NotCanonical);
    }
    assert!(Attenuation::new().only(["Delete:**"]).is_err());
}

#[test]
fn an_action_outside_the_list_of_the_policy_is_denied() {
    let policy = Policy::builder()
        .actions(["read", "delete"])
        .role(Role::new("d").allow("*:x").allow("wipe:x").deny("delete:x"))
        .user("alice", ["d"])
        .build()
        .unwrap();
    let ask = |action| policy.decide(&AccessRequest::new("alice", action, "x"));
    assert!(ask("read").is_allowed());
    assert_eq!(ask("remove").reason(), &Reason::UnknownAction);
    assert_eq!(ask("wipe").reason(), &Reason::UnknownAction, "a rule about it does not declare it");
    assert!(ask("remove").to_string().contains("actions"), "{}", ask("remove"));
    // A list that is there and empty permits nothing.
    let none = Policy::builder().actions([""; 0]).role(Role::new("d").allow("*:x")).user("alice", ["d"]);
    assert!(!none.build().unwrap().decide(&AccessRequest::new("alice", "read", "x")).is_allowed());
}

#[test]
fn words_that_could_never_be_asked_for_are_refused_at_build() {
    for word in ["", "*", "Read", "re ad", "l\u{e9}se"] {
        let error = Policy::builder().actions(["read", word]).build().unwrap_err();
        assert!(matches!(error, PolicyError::BadAction { .. }), "{word:?}: {error}");
    }
    let error = Policy::builder().role(Role::new("d").allow("Read:x")).build().unwrap_err();
    assert!(matches!(error, PolicyError::BadPermission { .. }), "{error}");
    let error = Policy::parse("actions = [\"read\",\n\"Write\"]\n", PolicyFormat::Toml).unwrap_err();
    assert_eq!(error.line(), Some(2), "{error}");
}
