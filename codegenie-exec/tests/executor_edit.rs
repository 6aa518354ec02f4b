//! Edits by way of the executor: who may, what the policy says, what is asked, what is on record.

#![cfg(all(feature = "executor", feature = "edit", feature = "native", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by panicking"
)]

use codegenie_exec::{
    AccessControl, Approval, ApprovalRequest, Approver, AuditSink, BuildError, CommandPolicy, ContentGate,
    ContentHash, DangerousNoSandbox, Edit, EditError, Editor, ExecError, GateFinding, GateSeverity, Refusal,
    SandboxPolicy, SecureExecutor, approve_with,
};
use codegenie_security::{
    AuditError, AuditEvent, AuditResult, AuditValue, EventClass, Policy, Retention, Role, SessionId,
    SessionRequest, ThreatLevel,
};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tempfile::TempDir;

/// A sink that keeps events, but for those that it is told to fail on.
struct Memory {
    events: Mutex<Vec<AuditEvent>>,
    fails_on: fn(&AuditEvent) -> bool,
}

impl Memory {
    fn results(&self) -> Vec<(EventClass, AuditResult)> {
        self.events.lock().unwrap().iter().map(|event| (event.class, event.result)).collect()
    }

    fn last(&self) -> AuditEvent {
        self.events.lock().unwrap().last().unwrap().clone()
    }
}

impl AuditSink for Memory {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        if (self.fails_on)(event) {
            return Err(AuditError::unavailable("the disk is full"));
        }
        self.events.lock().unwrap().push(event.clone());
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::Volatile
    }
}

/// Whoever is allowed what stands in each test by its policy; this is what the access control says.
struct World {
    workspace: TempDir,
    state: TempDir,
    access: Arc<AccessControl>,
    token: String,
    session: SessionId,
    audit: Arc<Memory>,
}

type Executor = SecureExecutor<DangerousNoSandbox, Arc<Memory>>;

impl World {
    fn new() -> Self {
        Self::with(|_| false)
    }

    fn with(fails_on: fn(&AuditEvent) -> bool) -> Self {
        let role = Role::new("developer").allow("edit:file:**").deny("edit:file:locked/**");
        let policy = Policy::builder().role(role).user("alice", ["developer"]).user("eve", [""; 0]);
        let access = Arc::new(AccessControl::new(policy.build().unwrap()));
        let (token, session) = access.open_session(SessionRequest::new("alice").agent("coder")).unwrap();
        let workspace = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::create_dir(workspace.path().join("src")).unwrap();
        fs::write(workspace.path().join("src/lib.rs"), "one\ntwo\n").unwrap();
        Self {
            workspace,
            state: tempfile::tempdir_in("/var/tmp").unwrap(),
            access,
            token: token.as_ref().to_owned(),
            session: session.id(),
            audit: Arc::new(Memory { events: Mutex::default(), fails_on }),
        }
    }

    fn editor(&self) -> Editor {
        Editor::open(self.workspace.path(), self.state.path().join("edits")).unwrap()
    }

    fn executor(&self, policy: &str, approver: impl Approver + 'static) -> Executor {
        self.executor_over(self.editor(), policy, approver)
    }

    fn executor_over(&self, editor: Editor, policy: &str, approver: impl Approver + 'static) -> Executor {
        self.builder(editor, policy, approver).build().unwrap()
    }

    fn builder(
        &self,
        editor: Editor,
        policy: &str,
        approver: impl Approver + 'static,
    ) -> codegenie_exec::ExecutorBuilder<DangerousNoSandbox, Arc<Memory>, codegenie_perf::NoCache> {
        let confinement = SandboxPolicy::workspace_write(self.workspace.path());
        SecureExecutor::builder(DangerousNoSandbox, self.access.clone(), confinement)
            .audit(self.audit.clone())
            .command_policy(CommandPolicy::from_json(policy).unwrap())
            .approver(approver)
            .approval_deadline(Duration::from_secs(20))
            .editor(editor)
    }

    fn content(&self) -> String {
        fs::read_to_string(self.workspace.path().join("src/lib.rs")).unwrap()
    }
}

fn two_becomes(text: &str) -> [Edit; 1] {
    [Edit::replace("src/lib.rs", "two", text)]
}

fn yes() -> impl Approver {
    approve_with(|_: &ApprovalRequest| Approval::granted("bob"))
}

const ASKS: &str = r#"{"sandbox_mode": "read-only"}"#;

fn text_of(event: &AuditEvent) -> String {
    format!("{event:?}")
}

fn undo_of(event: &AuditEvent) -> Option<&AuditValue> {
    event.details.iter().find(|(name, _)| name == "undo").map(|(_, value)| value)
}

#[tokio::test]
async fn an_edit_within_the_workspace_is_made_recorded_and_taken_back() {
    let world = World::new();
    let executor = world.executor("{}", codegenie_exec::RefuseAll);
    let edited = executor.edit(&world.token, &two_becomes("a secret of the file")).await.unwrap();
    assert_eq!(world.content(), "one\na secret of the file\n");
    assert_eq!(edited.approval, None);

    let activity = EventClass::FileActivity;
    assert_eq!(world.audit.results(), [(activity, AuditResult::Pending), (activity, AuditResult::Success)]);
    let event = world.audit.last();
    assert_eq!((event.operation, event.action.as_str()), (Some(edited.operation), "edit"));
    assert_eq!((event.actor.as_str(), event.agent.as_deref()), ("alice", Some("coder")));
    assert!(!text_of(&event).contains("a secret of the file"), "{event:?}");
    assert!(
        text_of(&event).contains(&ContentHash::of(b"one\na secret of the file\n").to_string()),
        "{event:?}"
    );
    assert!(matches!(undo_of(&event), Some(AuditValue::Text(id)) if *id == edited.applied.undo.to_string()));

    executor.undo_edit(&world.token, &edited.applied.undo).await.unwrap();
    assert_eq!(world.content(), "one\ntwo\n");
    assert_eq!(world.audit.last().action, "undo");
    let again = executor.undo_edit(&world.token, &edited.applied.undo).await.unwrap_err();
    assert!(
        matches!(&again, ExecError::Edit { error, .. } if matches!(**error, EditError::NothingToUndo(_)))
    );
}

#[tokio::test]
async fn who_may_not_edit_a_file_edits_none_of_the_transaction() {
    let world = World::new();
    let executor = world.executor("{}", yes());
    let edits =
        [Edit::replace("src/lib.rs", "two", "2"), Edit::rename("src/lib.rs", "./locked//../locked/lib.rs")];
    let error = executor.edit(&world.token, &edits).await.unwrap_err();
    assert!(matches!(&error, ExecError::Edit { .. }), "`..` is refused before: {error}");
    let edits = [Edit::replace("src/lib.rs", "two", "2"), Edit::rename("src/lib.rs", "./locked//lib.rs")];
    let error = executor.edit(&world.token, &edits).await.unwrap_err();
    assert!(
        matches!(&error, ExecError::NotPermitted { action: "edit", resource, .. } if resource == "file:locked/lib.rs"),
        "{error}"
    );
    assert_eq!(world.content(), "one\ntwo\n");
    let event = world.audit.last();
    assert_eq!((event.class, event.threat), (EventClass::Authorization, ThreatLevel::Medium));

    // An absolute path is the same file.
    let absolute = world.workspace.path().canonicalize().unwrap().join("locked/new");
    let error = executor.edit(&world.token, &[Edit::create(absolute, "")]).await.unwrap_err();
    assert!(matches!(error, ExecError::NotPermitted { .. }), "{error}");

    let (token, _) = world.access.open_session(SessionRequest::new("eve")).unwrap();
    let error = executor.edit(&token, &two_becomes("2")).await.unwrap_err();
    assert!(matches!(error, ExecError::NotPermitted { .. }), "{error}");
    let error = executor.edit("no token", &two_becomes("2")).await.unwrap_err();
    assert!(matches!(error, ExecError::Session { .. }), "{error}");
    assert_eq!(world.content(), "one\ntwo\n");
}

#[tokio::test]
async fn taking_back_needs_the_permission_for_the_files() {
    let world = World::new();
    let executor = world.executor("{}", yes());
    let edited = executor.edit(&world.token, &two_becomes("2")).await.unwrap();
    let (token, _) = world.access.open_session(SessionRequest::new("eve")).unwrap();
    let error = executor.undo_edit(&token, &edited.applied.undo).await.unwrap_err();
    assert!(matches!(error, ExecError::NotPermitted { action: "edit", .. }), "{error}");
    assert_eq!(world.content(), "one\n2\n");
}

#[tokio::test]
async fn rules_of_the_policy_hold_for_edits() {
    // Permissions, whether it is made, and whether somebody is asked.
    let cases: &[(&str, bool, bool)] = &[
        ("{}", true, false),
        (r#"{"permissions": {"deny": ["Edit(src/**)"]}}"#, false, false),
        (r#"{"permissions": {"deny": ["Edit(lib.rs)"]}}"#, false, false),
        (r#"{"permissions": {"deny": ["Write"]}}"#, false, false),
        (r#"{"permissions": {"deny": ["Read(src/lib.rs)"]}}"#, false, false),
        (r#"{"permissions": {"deny": ["Edit(//var/tmp/**)"]}}"#, false, false),
        (r#"{"permissions": {"deny": ["Edit(src/*.py)", "Bash(rm *)"]}}"#, true, false),
        (r#"{"permissions": {"ask": ["Edit(src/**)"]}}"#, true, true),
        (r#"{"permissions": {"ask": ["Edit(src/**)"], "allow": ["Edit"]}}"#, true, true),
        (r#"{"permissions": {"ask": ["Edit(src/**)"]}, "approval_policy": "never"}"#, false, false),
        (ASKS, true, true),
        (r#"{"sandbox_mode": "read-only", "permissions": {"allow": ["Edit(src/**)"]}}"#, true, false),
        (r#"{"sandbox_mode": "read-only", "permissions": {"allow": ["Read(src/**)"]}}"#, true, true),
        // Another folder of that name, elsewhere, is not what was allowed.
        (r#"{"sandbox_mode": "read-only", "permissions": {"allow": ["Edit(tmp/**)"]}}"#, true, true),
        (r#"{"sandbox_mode": "read-only", "approval_policy": "never"}"#, false, false),
        (r#"{"approval_policy": "untrusted"}"#, true, true),
    ];
    for (policy, made, asked) in cases {
        let world = World::new();
        let edited = world.executor(policy, yes()).edit(&world.token, &two_becomes("2")).await;
        assert_eq!(edited.is_ok(), *made, "{policy}: {edited:?}");
        assert_eq!(world.content() == "one\n2\n", *made, "{policy}");
        assert_eq!(edited.is_ok_and(|edited| edited.approval.is_some()), *asked, "{policy}");
    }
}

#[tokio::test]
async fn the_approver_sees_the_diff_and_a_refusal_holds() {
    let world = World::new();
    let seen = Arc::new(Mutex::new(String::new()));
    let shown = Arc::clone(&seen);
    let approver = approve_with(move |asked: &ApprovalRequest| {
        *shown.lock().unwrap() = asked.diff.clone().unwrap();
        Approval::refused("bob", "not now")
    });
    let error = world.executor(ASKS, approver).edit(&world.token, &two_becomes("2")).await.unwrap_err();
    assert!(
        matches!(&error, ExecError::NotApproved { .. }) && error.to_string().contains("not now"),
        "{error}"
    );
    assert!(seen.lock().unwrap().contains("-two\n+2\n"), "{seen:?}");
    assert_eq!(world.content(), "one\ntwo\n");
    let events = world.audit.results();
    assert_eq!(
        events,
        [(EventClass::Approval, AuditResult::Denied), (EventClass::FileActivity, AuditResult::Denied)]
    );
}

#[tokio::test]
async fn nobody_is_asked_about_what_they_are_not_shown() {
    let edits = [[Edit::create("long", "x\n".repeat(100_000))], [Edit::create("binary", b"a\0b".to_vec())]];
    for edits in &edits {
        let world = World::new();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let approver = || {
            let asked = Arc::clone(&asked);
            approve_with(move |request: &ApprovalRequest| {
                asked.lock().unwrap().push(request.diff.clone().unwrap());
                Approval::granted("bob")
            })
        };
        let error = world.executor(ASKS, approver()).edit(&world.token, edits).await.unwrap_err();
        assert!(
            matches!(&error, ExecError::Edit { error, .. } if matches!(**error, EditError::Unseen(_))),
            "{error}"
        );
        assert!(asked.lock().unwrap().is_empty());
        // A host may have somebody asked all the same: then the question says what is missing.
        let executor = world
            .builder(world.editor(), ASKS, approver())
            .dangerously_ask_about_unseen_content()
            .build()
            .unwrap();
        executor.edit(&world.token, edits).await.unwrap();
        let shown = asked.lock().unwrap().pop().unwrap();
        assert!(shown.len() < 70_000 && shown.contains("SHA-256"), "{}", shown.len());
    }
    // Or shown more.
    let world = World::new();
    let executor = world.builder(world.editor(), ASKS, yes()).shown_bytes(1 << 20).build().unwrap();
    executor.edit(&world.token, &edits[0]).await.unwrap();
}

#[tokio::test]
async fn two_contents_never_look_the_same_to_an_approver() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let world = World::new();
    for content in [b"a \xfe\n", b"a \xff\n"] {
        let shown = Arc::clone(&seen);
        let approver = approve_with(move |asked: &ApprovalRequest| {
            shown.lock().unwrap().push(asked.diff.clone().unwrap());
            Approval::refused("bob", "")
        });
        let edits = [Edit::create("f", content.to_vec())];
        world.executor(ASKS, approver).edit(&world.token, &edits).await.unwrap_err();
    }
    let seen = seen.lock().unwrap();
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_policy_that_denies_meanwhile_is_not_approved_away() {
    let world = World::new();
    let path = world.state.path().join("policy.json");
    fs::write(&path, ASKS).unwrap();
    let denies = path.clone();
    let approver = approve_with(move |_: &ApprovalRequest| {
        fs::write(&denies, r#"{"permissions": {"deny": ["Edit(src/**)"]}}"#).unwrap();
        Approval::granted("bob")
    });
    let executor = world
        .builder(world.editor(), ASKS, approver)
        .command_policy_file(codegenie_exec::PolicyFile::open(&path).unwrap())
        .build()
        .unwrap();
    let error = executor.edit(&world.token, &two_becomes("2")).await.unwrap_err();
    assert!(matches!(error, ExecError::Denied { .. }), "{error}");
    assert_eq!(world.content(), "one\ntwo\n");
}

#[tokio::test]
async fn what_was_not_agreed_to_is_not_made() {
    let world = World::new();
    let file = world.workspace.path().join("src/lib.rs");
    let path = file.clone();
    // While somebody thinks, the file becomes another one, to which the edit fits as well.
    let approver = approve_with(move |_: &ApprovalRequest| {
        fs::write(&path, "if admin {\ntwo\n}\n").unwrap();
        Approval::granted("bob")
    });
    let error = world.executor(ASKS, approver).edit(&world.token, &two_becomes("2")).await.unwrap_err();
    assert!(
        matches!(&error, ExecError::Edit { error, .. } if matches!(&**error, EditError::Drift { paths, .. } if paths == &[Path::new("src/lib.rs").to_path_buf()])),
        "{error}"
    );
    assert_eq!(world.content(), "if admin {\ntwo\n}\n");
    assert_eq!(world.audit.last().result, AuditResult::Failure);
}

#[tokio::test]
async fn an_approval_holds_for_one_edit() {
    let world = World::new();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let approver = approve_with(move |_: &ApprovalRequest| {
        *count.lock().unwrap() += 1;
        Approval::granted_for("bob", codegenie_exec::GrantScope::User(Duration::from_secs(600)))
    });
    let executor = world.executor(ASKS, approver);
    for _ in 0..2 {
        let edited = executor.edit(&world.token, &two_becomes("2")).await.unwrap();
        executor.undo_edit(&world.token, &edited.applied.undo).await.unwrap();
    }
    assert_eq!(*asked.lock().unwrap(), 4);
    assert!(executor.grants().list().is_empty());
}

#[tokio::test]
async fn a_session_that_ends_meanwhile_edits_nothing() {
    let world = World::new();
    let (access, session) = (Arc::clone(&world.access), world.session);
    let approver = approve_with(move |_: &ApprovalRequest| {
        access.revoke(session);
        Approval::granted("bob")
    });
    let error = world.executor(ASKS, approver).edit(&world.token, &two_becomes("2")).await.unwrap_err();
    assert!(matches!(error, ExecError::Session { .. }), "{error}");
    assert_eq!(world.content(), "one\ntwo\n");
}

#[tokio::test]
async fn what_the_editor_refuses_is_recorded() {
    let world = World::new();
    let executor = world.executor("{}", yes());
    let error = executor.edit(&world.token, &[Edit::create(".git/hooks/pre-commit", "#!/bin/sh\n")]).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, ExecError::Edit { error, .. } if error.refusal() == Some(Refusal::Protected)),
        "{error}"
    );
    let event = world.audit.last();
    assert_eq!((event.result, event.threat), (AuditResult::Denied, ThreatLevel::Medium));
    let error =
        executor.edit(&world.token, &two_becomes("2").map(|edit| edit.expect(ContentHash::of(b"")))).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, ExecError::Edit { error, .. } if matches!(**error, EditError::Stale { .. })),
        "{error}"
    );
    let event = world.audit.last();
    assert_eq!((event.result, event.threat), (AuditResult::Failure, ThreatLevel::None));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_edited() {
    let world = World::with(|event| event.result == AuditResult::Pending);
    let error = world.executor("{}", yes()).edit(&world.token, &two_becomes("2")).await.unwrap_err();
    assert!(matches!(error, ExecError::NotRecorded { .. }), "{error}");
    assert_eq!(world.content(), "one\ntwo\n");

    let world =
        World::with(|event| event.result == AuditResult::Success && event.class == EventClass::FileActivity);
    let error = world.executor("{}", yes()).edit(&world.token, &two_becomes("2")).await.unwrap_err();
    assert!(
        matches!(&error, ExecError::EditNotRecorded { edited, .. } if edited.applied.files.len() == 1),
        "{error}"
    );
    assert_eq!(world.content(), "one\n2\n");
}

#[test]
fn an_editor_elsewhere_is_not_wired_in() {
    let world = World::new();
    let elsewhere = tempfile::tempdir_in("/var/tmp").unwrap();
    let editor = Editor::open(elsewhere.path(), world.state.path().join("edits")).unwrap();
    let confinement = SandboxPolicy::workspace_write(world.workspace.path());
    let built = SecureExecutor::builder(DangerousNoSandbox, world.access.clone(), confinement)
        .audit(world.audit.clone())
        .editor(editor)
        .build();
    assert!(matches!(built, Err(BuildError::EditorOutside { .. })));
}

/// The same policy confines commands and edits.
#[tokio::test]
async fn what_commands_may_not_write_or_see_is_not_edited() {
    let world = World::new();
    let free = world.executor("{}", yes());
    let edited = free.edit(&world.token, &two_becomes("2")).await.unwrap();
    free.undo_edit(&world.token, &edited.applied.undo).await.unwrap();
    let place = |name: &str| world.workspace.path().join(name);
    fs::write(place("hidden"), "two\n").unwrap();

    let confinement =
        SandboxPolicy::workspace_write(world.workspace.path()).read(place("src")).hide(place("hidden"));
    let executor = SecureExecutor::builder(DangerousNoSandbox, world.access.clone(), confinement)
        .audit(world.audit.clone())
        .command_policy(CommandPolicy::from_json(ASKS).unwrap())
        .approver(approve_with(|_: &ApprovalRequest| panic!("nobody is asked about it")))
        .editor(world.editor())
        .build()
        .unwrap();
    for edit in [Edit::replace("src/lib.rs", "two", "2"), Edit::replace("hidden", "two", "2")] {
        let error = executor.edit(&world.token, &[edit]).await.unwrap_err();
        let ExecError::Edit { error: refused, .. } = &error else { panic!("{error}") };
        assert_eq!(refused.refusal(), Some(Refusal::Confined), "{error}");
        assert_eq!(world.audit.last().result, AuditResult::Denied);
    }
    assert_eq!(
        (world.content().as_str(), fs::read_to_string(place("hidden")).unwrap().as_str()),
        ("one\ntwo\n", "two\n")
    );
}

#[tokio::test]
async fn without_an_editor_there_are_no_edits() {
    let world = World::new();
    let confinement = SandboxPolicy::workspace_write(world.workspace.path());
    let executor = SecureExecutor::builder(DangerousNoSandbox, world.access.clone(), confinement)
        .audit(world.audit.clone())
        .build()
        .unwrap();
    let error = executor.edit(&world.token, &two_becomes("2")).await.unwrap_err();
    assert!(matches!(error, ExecError::NoEditor { .. }), "{error}");
    assert_eq!(world.content(), "one\ntwo\n");
}

/// Says when it is asked, and answers when it may.
struct Slow {
    asked: mpsc::Sender<()>,
    may: Mutex<mpsc::Receiver<()>>,
}

impl ContentGate for Slow {
    fn inspect(&self, _: &Path, _: Option<&[u8]>, _: &[u8]) -> Vec<GateFinding> {
        self.asked.send(()).unwrap();
        self.may.lock().unwrap().recv().unwrap();
        Vec::new()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_given_up_half_way_is_on_record_as_it_ended() {
    let world = World::new();
    let ((asked, was_asked), (may, released)) = (mpsc::channel(), mpsc::channel());
    let editor = world.editor().gate(Slow { asked, may: Mutex::new(released) }, GateSeverity::Info);
    let executor = world.executor_over(editor, "{}", yes());
    let edits = two_becomes("2");
    let mut editing = Box::pin(executor.edit(&world.token, &edits));
    let begun = tokio::task::spawn_blocking(move || was_asked.recv().unwrap());
    tokio::select! {
        _ = &mut editing => panic!("it waits for the gate"),
        begun = begun => begun.unwrap(),
    }
    let releaser = std::thread::spawn(move || may.send(()).unwrap());
    drop(editing);
    releaser.join().unwrap();
    assert_eq!(world.content(), "one\n2\n");
    let event = world.audit.last();
    assert_eq!((event.class, event.result), (EventClass::FileActivity, AuditResult::Success));
    assert!(undo_of(&event).is_some(), "{event:?}");
}

#[test]
fn an_edit_that_is_given_up_before_it_began_changes_nothing_and_waits_for_nobody() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    let world = World::new();
    let (free, may_end) = mpsc::channel::<()>();
    let may_end = Mutex::new(Some(may_end));
    // From the answer on the one thread that could edit has something else to do.
    let approver = approve_with(move |_: &ApprovalRequest| {
        let may_end = may_end.lock().unwrap().take().unwrap();
        tokio::task::spawn_blocking(move || may_end.recv());
        Approval::granted("bob")
    });
    runtime.block_on(async {
        let executor = world.executor(ASKS, approver);
        let edits = two_becomes("2");
        let edit = executor.edit(&world.token, &edits);
        assert!(tokio::time::timeout(Duration::from_millis(500), edit).await.is_err());
    });
    let last = world.audit.last();
    assert_eq!(last.result, AuditResult::Failure);
    assert!(text_of(&last).contains("given up before it began"), "{last:?}");
    free.send(()).unwrap();
    drop(runtime);
    assert_eq!(world.content(), "one\ntwo\n");
}
