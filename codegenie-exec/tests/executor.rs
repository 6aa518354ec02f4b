//! The executor through the public API: over a fake sandbox that counts, and over the native one.

#![cfg(feature = "executor")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by panicking"
)]

use codegenie_exec::{
    AccessControl, Approval, ApprovalRequest, Approver, AuditSink, BuildError, CacheBackend, CommandPolicy,
    CommandRequest, CommandRule, Decision, EndReason, EnforcementReport, ExecError, OutputChunk,
    OutputStream, ResourceUsage, Running, Sandbox, SandboxError, SandboxErrorKind, SandboxPolicy,
    SandboxProcess, SandboxRequest, SandboxStatus, SecureExecutor, approve_with,
};
use codegenie_perf::MemoryCache;
use codegenie_security::{
    AuditError, AuditEvent, AuditResult, AuditValue, DangerousNoAudit, EventClass, ManualClock, OperationId,
    Policy, Retention, Role, SessionId, SessionRequest, SessionStore, ThreatLevel,
};
use proptest::prelude::*;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

#[cfg(unix)]
#[path = "executor/approvals.rs"]
mod approvals;
#[cfg(unix)]
#[path = "executor/derived.rs"]
mod derived;

/// A sandbox that runs nothing, and remembers what it was asked. `block` never ends, `fail` exits
/// with 1, `missing` is not there; everything else prints how many commands were started.
#[derive(Default)]
struct Fake {
    requests: Mutex<Vec<SandboxRequest>>,
    dropped: Arc<AtomicUsize>,
}

impl Fake {
    fn starts(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

struct FakeProcess {
    output: Option<Vec<u8>>,
    /// `None`: never.
    end: Option<EndReason>,
    dropped: Arc<AtomicUsize>,
}

impl Drop for FakeProcess {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl SandboxProcess for FakeProcess {
    fn poll_output(&mut self, _: &mut Context<'_>) -> Poll<Option<OutputChunk>> {
        match self.output.take() {
            Some(bytes) => Poll::Ready(Some(OutputChunk { stream: OutputStream::Stdout, bytes })),
            None if self.end.is_none() => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<Result<SandboxStatus, SandboxError>> {
        match self.end {
            Some(reason) => Poll::Ready(Ok(SandboxStatus::new(reason, ResourceUsage::default()))),
            None => Poll::Pending,
        }
    }
    fn kill(&mut self) {}
}

impl Sandbox for Fake {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        if request.program == "missing" {
            return Err(SandboxError::new(SandboxErrorKind::ProgramNotRun, "missing was not run: not found"));
        }
        let mut requests = self.requests.lock().unwrap();
        requests.push(request.clone());
        let end = match request.program.to_str() {
            Some("block") => None,
            Some("fail") => Some(EndReason::Exited(1)),
            _ => Some(EndReason::Exited(0)),
        };
        let output = Some(format!("{}", requests.len()).into_bytes());
        let process = FakeProcess { output, end, dropped: Arc::clone(&self.dropped) };
        Ok(Running::new(process, EnforcementReport::new("fake", "none")))
    }
    async fn enforcement(&self, _: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        Ok(EnforcementReport::new("fake", "none"))
    }
    fn name(&self) -> &str {
        "fake"
    }
}

/// A sink that keeps events, but for those that it is told to fail on.
struct Memory {
    events: Mutex<Vec<AuditEvent>>,
    fails_on: fn(&AuditEvent) -> bool,
    retention: Retention,
}

impl Memory {
    fn new(fails_on: fn(&AuditEvent) -> bool) -> Arc<Self> {
        Arc::new(Self { events: Mutex::default(), fails_on, retention: Retention::Volatile })
    }
    fn events(&self) -> Vec<AuditEvent> {
        self.events.lock().unwrap().clone()
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
        self.retention
    }
}

fn permissions(allowed: &str) -> Policy {
    let role = Role::new("developer").allow(allowed).deny("execute:command:forbidden");
    Policy::builder().role(role).user("alice", ["developer"]).build().unwrap()
}

/// An executor's surroundings.
struct World {
    workspace: TempDir,
    clock: Arc<ManualClock>,
    access: Arc<AccessControl>,
    token: String,
    session: SessionId,
    sandbox: Arc<Fake>,
    audit: Arc<Memory>,
}

impl World {
    fn new() -> Self {
        Self::with_sink(Memory::new(|_| false))
    }

    fn with_sink(audit: Arc<Memory>) -> Self {
        let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        let sessions = SessionStore::with_clock(clock.clone());
        let access = Arc::new(AccessControl::with_sessions(permissions("execute:**"), sessions));
        let (token, session) = access.open_session(SessionRequest::new("alice").agent("coder")).unwrap();
        Self {
            workspace: tempfile::tempdir_in("/var/tmp").unwrap(),
            clock,
            access,
            token: token.as_ref().to_owned(),
            session: session.id(),
            sandbox: Arc::default(),
            audit,
        }
    }

    fn confinement(&self) -> SandboxPolicy {
        SandboxPolicy::workspace_write(self.workspace.path())
    }

    fn executor(&self) -> SecureExecutor<Arc<Fake>, Arc<Memory>> {
        self.approved_by(codegenie_exec::RefuseAll)
    }

    fn approved_by(&self, approver: impl Approver + 'static) -> SecureExecutor<Arc<Fake>, Arc<Memory>> {
        SecureExecutor::builder(self.sandbox.clone(), self.access.clone(), self.confinement())
            .audit(self.audit.clone())
            .approver(approver)
            .approval_deadline(Duration::from_millis(50))
            .build()
            .unwrap()
    }

    fn cached(&self) -> SecureExecutor<Arc<Fake>, Arc<Memory>, MemoryCache> {
        let policy = CommandPolicy::default()
            .rule(CommandRule::new(["gen"], Decision::Allow).pure())
            .rule(CommandRule::new(["block"], Decision::Allow))
            .rule(CommandRule::new(["fail"], Decision::Allow).pure());
        SecureExecutor::builder(self.sandbox.clone(), self.access.clone(), self.confinement())
            .audit(self.audit.clone())
            .cache(MemoryCache::new(1 << 20), Duration::from_secs(60))
            .command_policy(policy)
            .build()
            .unwrap()
    }

    /// The last event must be of this class, result and threat; every event of one operation.
    #[track_caller]
    fn assert_recorded(&self, class: EventClass, result: AuditResult, threat: ThreatLevel) -> OperationId {
        let events = self.audit.events();
        let last = events.last().expect("an event");
        assert_eq!((last.class, last.result, last.threat), (class, result, threat), "{last:?}");
        let operation = last.operation.expect("an operation id");
        assert!(events.iter().all(|event| event.operation == Some(operation)), "{events:?}");
        operation
    }

    #[track_caller]
    fn assert_nothing_ran(&self) {
        assert_eq!(self.sandbox.starts(), 0);
        assert!(self.audit.events().iter().all(|event| event.result != AuditResult::Pending));
    }
}

fn shell(text: &str) -> CommandRequest {
    CommandRequest::shell(text)
}

mod refusals {
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
        let error =
            world.approved_by(approver).execute(&world.token, &shell("ls; sudo ls")).await.unwrap_err();
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
}

#[tokio::test]
async fn granted_once_by_name() {
    let world = World::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let approver = approve_with(move |request: &ApprovalRequest| {
        seen.lock().unwrap().push((request.command.clone(), request.user.clone(), request.agent.clone()));
        Approval::granted("bob")
    });
    let executor = world.approved_by(approver);
    for _ in 0..2 {
        world.audit.events.lock().unwrap().clear();
        let execution = executor.execute(&world.token, &shell("make all")).await.unwrap();
        assert_eq!(execution.approval.unwrap().approver, "bob");
        let operation = world.assert_recorded(EventClass::Command, AuditResult::Success, ThreatLevel::None);
        assert_eq!(operation, execution.operation);
        let steps: Vec<_> = world.audit.events().iter().map(|event| (event.class, event.result)).collect();
        let expected = [
            (EventClass::Approval, AuditResult::Success),
            (EventClass::Command, AuditResult::Pending),
            (EventClass::Command, AuditResult::Success),
        ];
        assert_eq!(steps, expected);
    }
    let question = ("make all".to_owned(), "alice".to_owned(), Some("coder".to_owned()));
    assert_eq!(*asked.lock().unwrap(), [question.clone(), question], "a grant is used once");
}

#[tokio::test]
async fn what_is_executed_by_a_shell_and_what_is_not() {
    let world = World::new();
    let executor = world.executor();
    for text in [r"echo 'a  b' \*", "echo a | cat", "type ls", "LANG=C ls"] {
        executor.execute(&world.token, &shell(text)).await.unwrap();
    }
    executor.execute(&world.token, &CommandRequest::argv(["echo", "$x", "a; b"])).await.unwrap();
    let requests = world.sandbox.requests.lock().unwrap();
    let words = |at: usize| requests[at].args.iter().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((requests[0].program.to_str(), words(0)), (Some("echo"), vec!["a  b", "*"]));
    for (at, text) in [(1, "echo a | cat"), (2, "type ls"), (3, "LANG=C ls")] {
        assert!(requests[at].program.to_str().unwrap().ends_with("sh"), "a builtin needs its shell");
        assert_eq!(words(at), ["-c", text]);
    }
    assert_eq!((requests[4].program.to_str(), words(4)), (Some("echo"), vec!["$x", "a; b"]));
}

mod recording {
    use super::*;

    #[tokio::test]
    async fn an_intent_that_is_not_recorded_stops_the_command() {
        let world = World::with_sink(Memory::new(|event| event.result == AuditResult::Pending));
        let error = world.executor().execute(&world.token, &shell("ls")).await.unwrap_err();
        assert!(matches!(error, ExecError::NotRecorded { .. }), "{error}");
        assert!(error.to_string().contains("the disk is full"));
        assert_eq!(world.sandbox.starts(), 0);
    }

    #[tokio::test]
    async fn a_refusal_that_is_not_recorded_is_told() {
        let world = World::with_sink(Memory::new(|_| true));
        for text in ["ls |", "sudo ls", "make"] {
            let error = world.executor().execute(&world.token, &shell(text)).await.unwrap_err();
            assert!(matches!(error, ExecError::NotRecorded { .. }), "{text}: {error}");
        }
        assert_eq!(world.sandbox.starts(), 0);
    }

    #[tokio::test]
    async fn an_outcome_that_is_not_recorded_comes_with_the_output() {
        let world = World::with_sink(Memory::new(|event| event.result == AuditResult::Success));
        match world.executor().execute(&world.token, &shell("ls")).await.unwrap_err() {
            ExecError::OutcomeNotRecorded { execution, .. } => assert_eq!(execution.output.stdout, b"1"),
            error => panic!("{error}"),
        }
        assert_eq!(world.audit.events().len(), 1, "the intent stands");
    }

    #[tokio::test]
    async fn a_dropped_future_ends_the_command_and_is_recorded() {
        let world = World::new();
        let policy = CommandPolicy::default().rule(CommandRule::new(["block"], Decision::Allow));
        let executor =
            SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
                .audit(world.audit.clone())
                .command_policy(policy)
                .build()
                .unwrap();
        let request = shell("block");
        let mut running = Box::pin(executor.execute(&world.token, &request));
        std::future::poll_fn(|cx| {
            assert!(running.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!((world.sandbox.starts(), world.sandbox.dropped.load(Ordering::SeqCst)), (1, 0));
        drop(running);
        assert_eq!(world.sandbox.dropped.load(Ordering::SeqCst), 1);
        world.assert_recorded(EventClass::Command, AuditResult::Failure, ThreatLevel::None);
        let events = world.audit.events();
        assert_eq!(events.last().unwrap().get_detail("end"), Some(&AuditValue::from("cancelled")));
    }

    #[test]
    fn a_sink_that_keeps_nothing_is_refused() {
        let world = World::new();
        let builder = || SecureExecutor::builder(Fake::default(), world.access.clone(), world.confinement());
        let forgetful = Memory { events: Mutex::default(), fails_on: |_| false, retention: Retention::None };
        assert!(matches!(builder().audit(forgetful).build(), Err(BuildError::NothingRecorded)));
        assert!(matches!(builder().audit(DangerousNoAudit).build(), Err(BuildError::NothingRecorded)));
        assert!(matches!(builder().audit(None::<Arc<Memory>>).build(), Err(BuildError::NothingRecorded)));
        assert!(builder().dangerous_without_audit().build().is_ok());
    }

    #[tokio::test]
    async fn without_a_record_where_the_host_insists() {
        let world = World::new();
        let executor =
            SecureExecutor::builder(world.sandbox.clone(), world.access.clone(), world.confinement())
                .dangerous_without_audit()
                .build()
                .unwrap();
        executor.execute(&world.token, &shell("ls")).await.unwrap();
        assert_eq!(world.sandbox.starts(), 1);
    }
}

#[test]
fn a_workspace_is_a_directory_that_exists() {
    let world = World::new();
    let build = |policy: SandboxPolicy| {
        SecureExecutor::builder(Fake::default(), world.access.clone(), policy)
            .audit(world.audit.clone())
            .build()
    };
    let file = world.workspace.path().join("file");
    std::fs::write(&file, "text").unwrap();
    assert!(matches!(build(SandboxPolicy::default()), Err(BuildError::NoWorkspace)));
    assert!(matches!(build(SandboxPolicy::read_only(&file)), Err(BuildError::NoWorkspace)));
    assert!(matches!(build(SandboxPolicy::workspace_write(&file)), Err(BuildError::Confinement(_))));
    assert!(matches!(build(SandboxPolicy::workspace_write("/missing/x")), Err(BuildError::Confinement(_))));
    assert!(matches!(build(SandboxPolicy::workspace_write("x")), Err(BuildError::Confinement(_))));
    assert!(build(SandboxPolicy::read_only(world.workspace.path())).is_ok());
}

mod caching {
    use super::*;

    async fn run<C: CacheBackend>(
        world: &World,
        executor: &SecureExecutor<Arc<Fake>, Arc<Memory>, C>,
        request: CommandRequest,
    ) -> (bool, Vec<u8>) {
        let execution = executor.execute(&world.token, &request).await.unwrap();
        (execution.from_cache, execution.output.stdout)
    }

    #[tokio::test]
    async fn a_pure_command_runs_once_until_something_changes() {
        let world = World::new();
        let executor = world.cached();
        let fresh = |n: &str| (false, n.as_bytes().to_vec());
        let cached = |n: &str| (true, n.as_bytes().to_vec());
        assert_eq!(run(&world, &executor, shell("gen x")).await, fresh("1"));
        assert_eq!(run(&world, &executor, shell("gen x")).await, cached("1"));
        assert_eq!(run(&world, &executor, shell("gen x")).await, cached("1"));
        assert_eq!(run(&world, &executor, shell("gen y")).await, fresh("2"));
        assert_eq!(run(&world, &executor, shell("touch file")).await, fresh("3"));
        assert_eq!(run(&world, &executor, shell("gen x")).await, fresh("4"));
        executor.workspace_changed();
        assert_eq!(run(&world, &executor, shell("gen x")).await, fresh("5"));
        assert_eq!(run(&world, &executor, shell("gen x")).await, cached("5"));
        let last = world.audit.events().pop().unwrap();
        assert_eq!(
            (last.result, last.get_detail("from_cache")),
            (AuditResult::Success, Some(&AuditValue::from(true)))
        );
        assert_eq!(executor.cache_stats().hits, 3);
    }

    #[tokio::test]
    async fn failures_and_other_circumstances_are_not_shared() {
        let world = World::new();
        let executor = world.cached();
        let below = world.workspace.path().join("below");
        std::fs::create_dir(&below).unwrap();
        for _ in 0..2 {
            assert!(!run(&world, &executor, shell("fail")).await.0, "a failure is not kept");
        }
        for request in [
            // What is set may reach further than the command: it counts as a change as well.
            shell("gen x").env("LANG", "C"),
            shell("gen x"),
            shell("gen x").cwd(&below),
            shell("gen x").stdin("text"),
            shell("gen 'x '"),
            CommandRequest::argv(["gen", "x", ""]),
        ] {
            assert!(!run(&world, &executor, request).await.0);
        }
        assert!(run(&world, &executor, shell("gen x")).await.0);
        assert!(
            run(&world, &executor, CommandRequest::argv(["gen", "x"])).await.0,
            "the same command, said otherwise"
        );
        assert!(run(&world, &executor, shell("gen x").cwd(&below)).await.0);
    }

    /// While a command may be changing the workspace nothing comes from the cache, and what a cancelled
    /// one did until then is seen by whoever asks next.
    #[tokio::test]
    async fn a_cancelled_command_changes_the_workspace_too() {
        let world = World::new();
        let executor = world.cached();
        let request = shell("block");
        let mut blocked = Box::pin(executor.execute(&world.token, &request));
        std::future::poll_fn(|cx| {
            assert!(blocked.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(!run(&world, &executor, shell("gen x")).await.0);
        assert!(!run(&world, &executor, shell("gen x")).await.0);
        drop(blocked);
        assert!(!run(&world, &executor, shell("gen x")).await.0);
        assert!(run(&world, &executor, shell("gen x")).await.0);
    }

    #[tokio::test]
    async fn two_executors_share_nothing() {
        let (one, other) = (World::new(), World::new());
        let (first, second) = (one.cached(), other.cached());
        assert!(!run(&one, &first, shell("gen x")).await.0);
        assert!(!run(&other, &second, shell("gen x")).await.0);
        second.workspace_changed();
        assert!(run(&one, &first, shell("gen x")).await.0);
        assert_eq!((one.sandbox.starts(), other.sandbox.starts()), (1, 1));
        assert_eq!((one.audit.events().len(), other.audit.events().len()), (4, 2));
        let error = second.execute(&one.token, &shell("gen x")).await.unwrap_err();
        assert!(matches!(error, ExecError::Session { .. }), "a session of the other: {error}");
    }

    #[tokio::test]
    async fn erased_it_does_the_same() {
        let world = World::new();
        let executor = world.cached().into_dyn();
        for expected in [false, true] {
            let execution = executor.execute(&world.token, &shell("gen x")).await.unwrap();
            assert_eq!(execution.from_cache, expected);
        }
        assert_eq!(executor.enforcement().await.unwrap().sandbox, "fake");
        assert_eq!(world.audit.events().len(), 4);
    }
}

/// A word as somebody may write it: quoted in every way, and of characters that matter to a shell.
fn written_word() -> impl Strategy<Value = String> {
    let plain = "[a-zA-Z0-9_.,:=+@%/{}~^#!-]{1,4}";
    let inside = "[a-z \t\n*?\\[\\]|&;()<>~#{},!=-]{0,6}";
    let piece = prop_oneof![
        plain.prop_map(|text| text),
        inside.prop_map(|text| format!("'{text}'")),
        "[a-z \\\\\"$`]{0,5}".prop_map(|text| format!("'{text}'")),
        inside.prop_map(|text| format!("\"{text}\"")),
        "[a-z' ]{0,3}".prop_map(|text| format!("\"{text}$\"")),
        prop::sample::select(vec![
            "\"\\$\"",
            "\"\\a\"",
            "\"\\\\\"",
            "\"\\\"\"",
            "\"a\\\nb\"",
            "$",
            "\\\n",
            "'\\'"
        ])
        .prop_map(str::to_owned),
        "\\\\[a-z \t*?$`\"'\\\\|&;()<>~#{}\\[!-]".prop_map(|text| text),
        prop::sample::select(vec!["é", "日", "'ß'", "\\ö", "$'a'", "$x", "*", "[a", "a]", "{a,b}", "{1..2}"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Where no shell is used, the words are those that bash would have made.
    #[test]
    fn words_are_as_bash_reads_them(words in prop::collection::vec(written_word(), 1..4)) {
        let line = format!("echo {}", words.join(" "));
        let world = World::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let executed = runtime.block_on(world.executor().execute(&world.token, &shell(&line)));
        if executed.is_ok() {
            let request = world.sandbox.requests.lock().unwrap().remove(0);
            if request.program == "echo" {
                let mut ours = Vec::new();
                for arg in &request.args {
                    ours.extend_from_slice(arg.as_encoded_bytes());
                    ours.push(0);
                }
                let script = format!("f() {{ if [ $# -gt 0 ]; then printf '%s\\0' \"$@\"; fi; }}; f {}", words.join(" "));
                let bash = Command::new("bash").args(["-c", &script]).current_dir(world.workspace.path()).output();
                let bash = bash.expect("this test compares with bash: install it");
                prop_assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&bash.stdout), "{}", line);
            }
        }
    }
}

#[cfg(all(feature = "native", target_os = "linux"))]
mod native {
    use super::*;
    use codegenie_exec::NativeSandbox;
    use codegenie_monitor::Monitor;
    use codegenie_security::{AuditLog, KeyFile};

    #[tokio::test]
    async fn runs_confined_and_is_recorded_in_a_log_and_a_monitor() {
        let world = World::new();
        let directory = tempfile::tempdir().unwrap();
        let key = KeyFile::load_or_create(directory.path().join("audit.key")).unwrap();
        let path = directory.path().join("audit.log");
        let log = Arc::new(AuditLog::open(&path, key.key()).unwrap());
        let monitor = Arc::new(Monitor::new());
        let executor =
            SecureExecutor::builder(NativeSandbox::new().unwrap(), world.access.clone(), world.confinement())
                .audit((log, monitor.clone()))
                .build()
                .unwrap();
        let execution = executor.execute(&world.token, &shell("echo done | tee file")).await.unwrap();
        assert_eq!(execution.output.stdout, b"done\n");
        assert_eq!(std::fs::read(world.workspace.path().join("file")).unwrap(), b"done\n");
        let refused = executor.execute(&world.token, &shell("sudo ls")).await.unwrap_err();
        assert!(matches!(refused, ExecError::Denied { .. }), "{refused}");

        let data = monitor.dashboard_data();
        assert_eq!(data.security.denied, 1);
        assert!(AuditLog::verify(&path, key.key()).unwrap().is_intact());
        let events: Vec<_> =
            AuditLog::read(&path, key.key()).unwrap().map(|stored| stored.unwrap().event).collect();
        let steps: Vec<_> = events.iter().map(|event| event.result).collect();
        assert_eq!(steps, [AuditResult::Pending, AuditResult::Success, AuditResult::Denied]);
        assert!(events[..2].iter().all(|event| event.operation == Some(execution.operation)));
        assert_ne!(events[2].operation, Some(execution.operation));
        assert_eq!((events[0].actor.as_str(), events[0].agent.as_deref()), ("alice", Some("coder")));
        assert_eq!(events[1].get_detail("end"), Some(&AuditValue::from("exit 0")));
        assert!(
            matches!(events[1].get_detail("enforced"), Some(AuditValue::List(layers)) if !layers.is_empty())
        );
    }

    #[tokio::test]
    async fn without_an_intent_on_record_there_is_no_file() {
        for (sink, exists) in [
            (Memory::new(|event| event.result == AuditResult::Pending), false),
            (Memory::new(|event| event.result == AuditResult::Success), true),
        ] {
            let world = World::with_sink(sink);
            let executor = SecureExecutor::builder(
                NativeSandbox::new().unwrap(),
                world.access.clone(),
                world.confinement(),
            )
            .audit(world.audit.clone())
            .build()
            .unwrap();
            let error = executor.execute(&world.token, &shell("touch made")).await.unwrap_err();
            assert_eq!(matches!(error, ExecError::OutcomeNotRecorded { .. }), exists, "{error}");
            assert_eq!(world.workspace.path().join("made").exists(), exists);
        }
    }

    #[tokio::test]
    async fn a_dropped_future_ends_the_tree() {
        let world = World::new();
        let policy = CommandPolicy::default().rule(CommandRule::new(["sh"], Decision::Allow));
        let executor =
            SecureExecutor::builder(NativeSandbox::new().unwrap(), world.access.clone(), world.confinement())
                .audit(world.audit.clone())
                .command_policy(policy)
                .build()
                .unwrap();
        let file = world.workspace.path().join("beats");
        let script = "i=0; while [ $i -lt 300 ]; do echo beat >> beats; sleep 0.1; i=$((i+1)); done";
        let request = CommandRequest::argv(["sh", "-c", &format!("( {script} ) & wait")]);
        let size = || std::fs::metadata(&file).map_or(0, |file| file.len());
        let appears = async {
            while size() == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            ended = executor.execute(&world.token, &request) => panic!("it ended: {ended:?}"),
            () = appears => {}
        }
        let last = world.audit.events().pop().unwrap();
        assert_eq!(last.get_detail("end"), Some(&AuditValue::from("cancelled")));
        // It writes ten times a second, for half a minute: a second of silence is its end.
        let mut quiet = false;
        for _ in 0..10 {
            let before = size();
            tokio::time::sleep(Duration::from_secs(1)).await;
            quiet |= size() == before;
            if quiet {
                break;
            }
        }
        assert!(quiet, "the command goes on");
        let beats = u64::try_from("beat\n".len() * 300).unwrap();
        assert!(size() < beats, "it came to its own end");
    }
}

/// A role that denies a program denies it by its path too, and where a wrapper would run it.
#[tokio::test]
async fn a_denied_program_is_denied_by_other_spellings() {
    let commands = [
        "forbidden",
        "f''orbidden",
        r"\forbidden",
        "/usr/bin/forbidden",
        "./forbidden",
        "env A=1 forbidden",
        "command forbidden",
        "xargs -n 1 /bin/forbidden",
        "nohup timeout 5 forbidden",
        "bash -c 'ls;forbidden x'",
        "find . -exec forbidden {} +",
        "ls | xargs forbidden",
        "ls && (cd x; env forbidden)",
    ];
    for command in commands {
        let world = World::new();
        let executor = world.approved_by(approve_with(|_| Approval::granted("a tired person")));
        let error = executor.execute(&world.token, &shell(command)).await.unwrap_err();
        assert!(matches!(error, ExecError::NotPermitted { .. }), "{command}: {error}");
        world.assert_nothing_ran();
        world.assert_recorded(EventClass::Authorization, AuditResult::Denied, ThreatLevel::Medium);
    }
    let world = World::new();
    let executor = world.executor();
    for command in ["echo forbidden", "cat forbidden", "grep -r forbidden ."] {
        executor.execute(&world.token, &shell(command)).await.unwrap();
    }
}

/// A policy file is on record, loaded or not, and what cannot be recorded is not given.
#[test]
fn policy_files_are_recorded() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("policy.toml");
    let sink = Memory::new(|_| false);
    std::fs::write(&path, "default = \"deny\"\n").unwrap();
    CommandPolicy::load_recorded(&path, &sink).unwrap();
    std::fs::write(&path, "default = \"perhaps\"\n").unwrap();
    let error = CommandPolicy::load_recorded(&path, &sink).unwrap_err().to_string();
    assert!(error.contains("line 1") && !error.contains('\n'), "{error}");
    let events = sink.events();
    let results: Vec<_> = events.iter().map(|event| (event.class, event.result)).collect();
    let configuration = EventClass::Configuration;
    assert_eq!(results, [(configuration, AuditResult::Success), (configuration, AuditResult::Failure)]);

    std::fs::write(&path, "default = \"deny\"\n").unwrap();
    CommandPolicy::load_recorded(&path, &Memory::new(|_| true)).unwrap_err();
}

#[test]
fn an_executor_that_is_not_built_is_on_record() {
    let world = World::new();
    let file = world.workspace.path().join("file");
    std::fs::write(&file, "").unwrap();
    let built = SecureExecutor::builder(
        world.sandbox.clone(),
        world.access.clone(),
        SandboxPolicy::workspace_write(file),
    )
    .audit(world.audit.clone())
    .build();
    assert!(built.err().unwrap().to_string().contains("is not a directory"));
    let events = world.audit.events();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].class, events[0].result), (EventClass::Configuration, AuditResult::Failure));
}
