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
    SandboxProcess, SandboxRequest, SandboxStatus, SecureExecutor, Shell, approve_with,
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
#[path = "executor/building.rs"]
mod building;
#[path = "executor/caching.rs"]
mod caching;
#[cfg(unix)]
#[path = "executor/derived.rs"]
mod derived;
#[cfg(all(feature = "native", target_os = "linux"))]
#[path = "executor/native.rs"]
mod native;
#[path = "executor/recording.rs"]
mod recording;
#[path = "executor/refusals.rs"]
mod refusals;
#[cfg(all(feature = "native", target_os = "linux"))]
#[path = "executor/shells.rs"]
mod shells;

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
    async fn shell(&self, _: &SandboxPolicy) -> Result<Option<Shell>, SandboxError> {
        Ok(Some(Shell::Bash("/bin/bash".into())))
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
        "proot -r / forbidden",
        "ltrace forbidden",
        "systemd-run --user forbidden",
        "python3 -c 'import os; os.system(\"forbidden\")'",
        "some-unknown-wrapper forbidden",
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
