//! What does not run, and why.

use super::*;

#[tokio::test]
async fn unknown_session() {
    let world = World::new();
    let error = world.executor().execute("not a token", &shell("ls")).await.unwrap_err();
    assert!(matches!(error, ExecError::Session { .. }), "{error}");
    world.assert_nothing_ran();
    world.assert_recorded(EventClass::Authentication, AuditResult::Denied, ThreatLevel::Medium);
}

#[tokio::test]
async fn expired_session() {
    let world = World::new();
    let executor = world.executor();
    executor.execute(&world.token, &shell("ls")).await.unwrap();
    world.audit.events.lock().unwrap().clear();
    world.clock.advance(SessionRequest::DEFAULT_LIFETIME);
    let error = executor.execute(&world.token, &shell("ls")).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    assert_eq!(world.sandbox.starts(), 1);
    world.assert_recorded(EventClass::Authentication, AuditResult::Denied, ThreatLevel::Medium);
}

#[tokio::test]
async fn revoked_session() {
    let world = World::new();
    world.access.revoke(world.session);
    let error = world.executor().execute(&world.token, &shell("ls")).await.unwrap_err();
    assert!(error.to_string().contains("revoked"), "{error}");
    world.assert_nothing_ran();
    world.assert_recorded(EventClass::Authentication, AuditResult::Denied, ThreatLevel::Medium);
}

#[tokio::test]
async fn program_that_is_not_permitted() {
    for text in ["forbidden", "ls | forbidden x", "( ls; forbidden )", "if ls; then forbidden; fi"] {
        let world = World::new();
        let approver = approve_with(|_: &ApprovalRequest| Approval::granted("bob"));
        let error = world.approved_by(approver).execute(&world.token, &shell(text)).await.unwrap_err();
        assert!(
            matches!(&error, ExecError::NotPermitted { resource, .. } if resource == "command:forbidden")
        );
        world.assert_nothing_ran();
        world.assert_recorded(EventClass::Authorization, AuditResult::Denied, ThreatLevel::Medium);
    }
}

/// Who may execute `git` only, may not execute what cannot be known.
#[tokio::test]
async fn programs_that_are_not_known_need_a_permission_of_their_own() {
    for text in ["git log $(x)", "$x", "f() { git log; }; f", "./git log", "git log & x"] {
        let world = World::new();
        world.access.replace_policy(permissions("execute:command:git"));
        let approver = approve_with(|_: &ApprovalRequest| Approval::granted("bob"));
        let error = world.approved_by(approver).execute(&world.token, &shell(text)).await.unwrap_err();
        assert!(matches!(error, ExecError::NotPermitted { .. }), "{text}: {error}");
        world.assert_nothing_ran();
    }
}

#[tokio::test]
async fn text_that_is_no_command() {
    let world = World::new();
    let error = world.executor().execute(&world.token, &shell("ls |")).await.unwrap_err();
    assert!(matches!(error, ExecError::Unparsable { .. }), "{error}");
    world.assert_nothing_ran();
    world.assert_recorded(EventClass::Command, AuditResult::Denied, ThreatLevel::Low);
}

#[tokio::test]
async fn denied_by_policy_even_with_an_approver() {
    let world = World::new();
    let approver = approve_with(|_: &ApprovalRequest| Approval::granted("bob"));
    let error = world.approved_by(approver).execute(&world.token, &shell("ls; sudo ls")).await.unwrap_err();
    assert_eq!(error.verdict().unwrap().rule, "refused: sudo");
    assert!(matches!(error, ExecError::Denied { .. }), "{error}");
    world.assert_nothing_ran();
    world.assert_recorded(EventClass::Command, AuditResult::Denied, ThreatLevel::High);
}

#[tokio::test]
async fn asked_without_an_approver() {
    let world = World::new();
    let error = world.executor().execute(&world.token, &shell("make")).await.unwrap_err();
    assert!(error.to_string().contains("no approver is wired in"), "{error}");
    world.assert_nothing_ran();
    let operation = world.assert_recorded(EventClass::Command, AuditResult::Denied, ThreatLevel::Medium);
    assert!(matches!(error, ExecError::NotApproved { operation: of, .. } if of == operation));
    let events = world.audit.events();
    assert_eq!((events[0].class, events[0].result), (EventClass::Approval, AuditResult::Denied));
}

struct Silent;
impl Approver for Silent {
    async fn decide(&self, _: &ApprovalRequest) -> Approval {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_approver_that_never_answers() {
    let world = World::new();
    let error = world.approved_by(Silent).execute(&world.token, &shell("make")).await.unwrap_err();
    assert!(matches!(&error, ExecError::NotApproved { approval, .. } if !approval.granted), "{error}");
    assert!(error.to_string().contains("no answer"), "{error}");
    world.assert_nothing_ran();
    world.assert_recorded(EventClass::Command, AuditResult::Denied, ThreatLevel::Medium);
}

#[tokio::test]
async fn a_session_that_ends_while_the_approver_thinks() {
    let world = World::new();
    let (access, session) = (world.access.clone(), world.session);
    let approver = approve_with(move |_: &ApprovalRequest| {
        access.revoke(session);
        Approval::granted("bob")
    });
    let error = world.approved_by(approver).execute(&world.token, &shell("make")).await.unwrap_err();
    assert!(matches!(error, ExecError::Session { .. }), "{error}");
    world.assert_nothing_ran();
    world.assert_recorded(EventClass::Authentication, AuditResult::Denied, ThreatLevel::Medium);
}

#[tokio::test]
async fn a_permission_that_is_taken_away_while_the_approver_thinks() {
    let world = World::new();
    let access = world.access.clone();
    let approver = approve_with(move |_: &ApprovalRequest| {
        access.replace_policy(permissions("execute:command:ls"));
        Approval::granted("bob")
    });
    let error = world.approved_by(approver).execute(&world.token, &shell("make")).await.unwrap_err();
    assert!(matches!(error, ExecError::NotPermitted { .. }), "{error}");
    world.assert_nothing_ran();
    world.assert_recorded(EventClass::Authorization, AuditResult::Denied, ThreatLevel::Medium);
}

#[tokio::test]
async fn a_program_that_the_sandbox_does_not_run() {
    let world = World::new();
    let approver = approve_with(|_: &ApprovalRequest| Approval::granted("bob"));
    let error = world.approved_by(approver).execute(&world.token, &shell("missing")).await.unwrap_err();
    assert!(matches!(error, ExecError::Sandbox { .. }), "{error}");
    world.assert_recorded(EventClass::Command, AuditResult::Failure, ThreatLevel::None);
}
