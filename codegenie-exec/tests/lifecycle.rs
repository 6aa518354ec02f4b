//! Named sandboxes: quotas, expiry, ending and tidying up.

#![cfg(all(feature = "lifecycle", feature = "native", unix))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by panicking"
)]

use codegenie_exec::{
    DangerousNoSandbox, EndReason, EnforcementReport, LifecycleError, NamedSandbox, OutputChunk,
    ResourceUsage, Running, Sandbox, SandboxError, SandboxErrorKind, SandboxOptions, SandboxPolicy,
    SandboxProcess, SandboxQuota, SandboxRegistry, SandboxRequest, SandboxState, SandboxStatus,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll};
use std::time::Duration;

#[cfg(target_os = "linux")]
#[path = "lifecycle/confined.rs"]
mod confined;

/// Runs nothing: a process that ends when it is killed, or at once for the program `end`.
#[derive(Clone, Copy)]
struct Still;

struct StillProcess {
    ends: bool,
    killed: bool,
}

impl SandboxProcess for StillProcess {
    fn poll_output(&mut self, _: &mut Context<'_>) -> Poll<Option<OutputChunk>> {
        if self.ends || self.killed { Poll::Ready(None) } else { Poll::Pending }
    }
    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<Result<SandboxStatus, SandboxError>> {
        let mut usage = ResourceUsage::default();
        usage.cpu = Some(Duration::from_secs(1));
        match (self.ends, self.killed) {
            (_, true) => Poll::Ready(Ok(SandboxStatus::new(EndReason::Signaled(9), usage))),
            (true, _) => Poll::Ready(Ok(SandboxStatus::new(EndReason::Exited(0), usage))),
            _ => Poll::Pending,
        }
    }
    fn kill(&mut self) {
        self.killed = true;
    }
}

impl Sandbox for Still {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        if request.program == "missing" {
            return Err(SandboxError::new(SandboxErrorKind::ProgramNotRun, "missing was not run"));
        }
        let process = StillProcess { ends: request.program == "end", killed: false };
        Ok(Running::new(process, EnforcementReport::new("still", "none")))
    }
    async fn enforcement(&self, _: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        Ok(EnforcementReport::new("still", "none"))
    }
    fn name(&self) -> &str {
        "still"
    }
}

/// A clock that moves when it is told to, in seconds.
#[derive(Clone, Default)]
struct Seconds(Arc<AtomicU64>);

impl Seconds {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn registry(quota: SandboxQuota) -> (SandboxRegistry<Still>, Seconds) {
    let clock = Seconds::default();
    let time = clock.clone();
    (
        SandboxRegistry::with_clock(Still, quota, move || Duration::from_secs(time.0.load(Ordering::SeqCst))),
        clock,
    )
}

fn policy() -> SandboxPolicy {
    SandboxPolicy::workspace_write("/var/tmp")
}

fn named(registry: &SandboxRegistry<Still>, name: &str, owner: &str) -> NamedSandbox<Still> {
    registry.create(SandboxOptions::new(name, owner), &policy()).unwrap()
}

async fn begin<S: Sandbox + 'static>(
    sandbox: &NamedSandbox<S>,
    program: &str,
) -> Result<Running, SandboxError> {
    sandbox.start(&SandboxRequest::new(program, sandbox.policy())).await
}

#[track_caller]
fn assert_refused(started: Result<Running, SandboxError>, why: &str) {
    let error = started.expect_err("it is refused");
    assert_eq!(error.kind(), SandboxErrorKind::Refused);
    assert!(error.to_string().contains(why), "{error}");
}

#[tokio::test]
async fn is_found_by_name_until_it_is_closed() {
    let (registry, _) = registry(SandboxQuota::default());
    let first = named(&registry, "build", "coder");
    let taken = registry.create(SandboxOptions::new("build", "other"), &policy()).unwrap_err();
    assert_eq!(taken, LifecycleError::NameTaken("build".to_owned()));
    assert!(begin(&registry.get("build").unwrap(), "end").await.is_ok());

    registry.close("build").unwrap();
    assert!(registry.get("build").is_none() && registry.list().is_empty());
    assert_eq!(registry.close("build").unwrap_err(), LifecycleError::NotFound("build".to_owned()));
    // The name is free, and the old handle does not reach the new sandbox.
    let second = named(&registry, "build", "other");
    assert_refused(begin(&first, "end").await, "gone");
    assert!(second.enforcement(&policy()).await.is_ok());
    for error in [first.enforcement(&policy()).await.unwrap_err(), first.shell(&policy()).await.unwrap_err()]
    {
        assert!(error.kind() == SandboxErrorKind::Refused && error.to_string().contains("gone"), "{error}");
    }
    assert!(begin(&second, "end").await.is_ok());
}

#[test]
fn names_are_plain() {
    let (registry, _) = registry(SandboxQuota::default());
    for name in ["", "a b", "a\nb", "\u{1b}[2J", "caf\u{e9}", &"x".repeat(129)] {
        let by_name = registry.create(SandboxOptions::new(name, "coder"), &policy());
        let by_owner = registry.create(SandboxOptions::new("fine", name), &policy());
        assert!(matches!(by_name, Err(LifecycleError::BadName(_))), "{name:?}");
        assert!(matches!(by_owner, Err(LifecycleError::BadName(_))), "{name:?}");
    }
    assert!(registry.create(SandboxOptions::new("team/build-1.x:y@z", "a"), &policy()).is_ok());
}

#[tokio::test]
async fn quotas_are_per_owner() {
    let (registry, clock) = registry(SandboxQuota::default().sandboxes(2).running(2).runs(5));
    let (a, b) = (named(&registry, "a", "ada"), named(&registry, "b", "ada"));
    let more = registry.create(SandboxOptions::new("c", "ada"), &policy()).unwrap_err();
    assert!(matches!(&more, LifecycleError::TooMany { owner, most: 2, .. } if owner == "ada"), "{more}");
    let other = named(&registry, "c", "bob");

    let (one, two) = (begin(&a, "wait").await.unwrap(), begin(&b, "wait").await.unwrap());
    assert_refused(begin(&a, "end").await, "2 commands at once");
    assert!(begin(&other, "end").await.is_ok(), "another owner");
    drop(one);
    // A run that is not started, and one that has ended but is still held, hold no place.
    assert_eq!(begin(&a, "missing").await.unwrap_err().kind(), SandboxErrorKind::ProgramNotRun);
    let mut ended = begin(&a, "end").await.unwrap();
    ended.wait().await.unwrap();
    drop(begin(&a, "wait").await.unwrap());
    drop(two);

    assert_eq!(registry.usage("ada").runs, 5);
    assert_refused(begin(&a, "end").await, "wait 3601 s");
    clock.pass(3600);
    assert!(begin(&a, "end").await.is_ok(), "a new window");
    assert_eq!(registry.usage("ada").runs, 1);

    registry.set_quota("ada", SandboxQuota::default().running(0));
    assert_refused(begin(&a, "end").await, "0 commands at once");
    assert_eq!(registry.owners().len(), 2);
}

#[tokio::test]
async fn cpu_time_is_counted_when_a_run_ends() {
    let (registry, _) = registry(SandboxQuota::default().cpu(Duration::from_secs(2)));
    let sandbox = named(&registry, "a", "ada");
    for _ in 0..2 {
        begin(&sandbox, "end").await.unwrap().wait().await.unwrap();
    }
    assert_refused(begin(&sandbox, "end").await, "used up");
    let snapshot = sandbox.snapshot().unwrap();
    assert_eq!((snapshot.usage.runs, snapshot.usage.cpu), (2, Duration::from_secs(2)));
}

#[tokio::test]
async fn expires_when_idle_but_not_while_something_runs() {
    let (registry, clock) = registry(SandboxQuota::default());
    let options = SandboxOptions::new("a", "ada").idle(Duration::from_secs(10));
    let sandbox = registry.create(options, &policy()).unwrap();
    clock.pass(9);
    let run = begin(&sandbox, "wait").await.unwrap();
    clock.pass(100);
    assert!(registry.sweep().is_empty(), "it runs");
    drop(run);
    assert_eq!(registry.next_expiry(), Some(Duration::from_secs(10)));
    clock.pass(9);
    assert_eq!(registry.list()[0].state, SandboxState::Open);
    clock.pass(1);
    // Before anybody sweeps.
    assert!(registry.get("a").is_none());
    assert_refused(begin(&sandbox, "end").await, "nothing ran in it for too long");
    assert_eq!(registry.list()[0].state, SandboxState::Idle);
    let gone = registry.sweep();
    assert_eq!((gone.len(), gone[0].state), (1, SandboxState::Idle));
    assert!(registry.list().is_empty() && sandbox.snapshot().is_none());
}

#[tokio::test]
async fn a_lifetime_ends_what_runs() {
    let (registry, clock) = registry(SandboxQuota::default());
    let options = SandboxOptions::new("a", "ada").lifetime(Duration::from_secs(10));
    let sandbox = registry.create(options, &policy()).unwrap();
    let mut run = begin(&sandbox, "wait").await.unwrap();
    let waiting = tokio::spawn(async move { run.wait().await.unwrap() });
    tokio::task::yield_now().await;
    clock.pass(10);
    assert!(registry.sweep().is_empty(), "it has to be killed first");
    assert_eq!(waiting.await.unwrap().reason, EndReason::Cancelled);
    let gone = registry.sweep();
    assert_eq!((gone[0].state, gone[0].usage.runs), (SandboxState::Expired, 1));
}

#[tokio::test]
async fn a_request_under_another_policy_is_refused() {
    let (registry, _) = registry(SandboxQuota::default());
    let sandbox = named(&registry, "a", "ada");
    let own = sandbox.policy();
    for less in [own.without_network(), own.without_writing(), own.without_writing().without_network()] {
        assert!(sandbox.start(&SandboxRequest::new("end", less)).await.is_ok());
    }
    let wider = SandboxPolicy::workspace_write("/var").resolve().unwrap();
    let refused = sandbox.start(&SandboxRequest::new("end", wider)).await;
    assert_refused(refused, "policy is not the sandbox's own");
}

#[test]
fn quotas_hold_under_contention() {
    let (registry, _) = registry(SandboxQuota::default().sandboxes(3).running(4));
    let together = Barrier::new(8);
    let made: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (registry, together) = (&registry, &together);
                scope.spawn(move || {
                    together.wait();
                    let made = (0..20).filter(|i| {
                        let options = SandboxOptions::new(format!("{thread}-{i}"), "ada");
                        registry.create(options, &policy()).is_ok()
                    });
                    made.count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(made, 3);

    let name = registry.list()[0].name.clone();
    let sandbox = registry.get(&name).unwrap();
    let most = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                together.wait();
                for _ in 0..200 {
                    let run = runtime.block_on(begin(&sandbox, "wait"));
                    most.fetch_max(registry.usage("ada").running as u64, Ordering::SeqCst);
                    drop(run);
                }
            });
        }
    });
    assert!((1..=4).contains(&most.load(Ordering::SeqCst)));
    assert_eq!(registry.usage("ada").running, 0, "no place is lost");
}

#[tokio::test]
async fn private_directories_come_and_go() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let below = root.path().join("agents");
    let registry = SandboxRegistry::new(DangerousNoSandbox, SandboxQuota::default().sandboxes(1));
    let registry = registry.private_directories(&below).unwrap();
    let make = || {
        registry.create_private(SandboxOptions::new("a", "ada"), |own| SandboxPolicy::workspace_write(own))
    };
    let sandbox = make().unwrap();
    let directory = registry.list()[0].directory.clone().unwrap();
    assert!(make().is_err());
    assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1, "what was refused leaves nothing");

    // What nobody would want to find: depth, modes, and a way out.
    let outside = root.path().join("outside");
    std::fs::write(&outside, "kept").unwrap();
    let script = format!(
        "ln -s {} link; ln -s {} folder; mkdir locked; touch locked/in; chmod 0 locked; i=0; \
         while [ $i -lt 1500 ]; do mkdir d && cd d || exit 3; i=$((i+1)); done",
        outside.display(),
        root.path().display()
    );
    let request = SandboxRequest::new("/bin/sh", sandbox.policy()).args(["-c", &script]).cwd(&directory);
    let output = sandbox.run(&request).await.unwrap();
    assert!(output.status.reason.is_success(), "{}", String::from_utf8_lossy(&output.stderr));

    registry.close("a").unwrap();
    assert!(registry.list().is_empty(), "{:?}", registry.list());
    assert_eq!(std::fs::read_dir(&below).unwrap().count(), 0);
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "kept");

    // With the last handle, too.
    drop(sandbox);
    let sandbox = make().unwrap();
    drop(registry);
    assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1);
    drop(sandbox);
    assert_eq!(std::fs::read_dir(&below).unwrap().count(), 0);
}

/// Ends as a host that crashes does: nothing is dropped.
#[cfg(all(feature = "native", target_os = "linux"))]
#[test]
fn what_a_host_left_is_removed_and_what_another_has_is_not() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let below = root.path().join("agents");
    let open = || {
        let registry = SandboxRegistry::new(Still, SandboxQuota::default());
        registry.private_directories(&below).unwrap()
    };
    let make = |registry: &SandboxRegistry<Still>, name: &str| {
        let made = registry
            .create_private(SandboxOptions::new(name, "ada"), |own| SandboxPolicy::workspace_write(own));
        drop(made.unwrap());
        let directory = registry.get(name).unwrap().snapshot().unwrap().directory.unwrap();
        std::fs::create_dir_all(directory.join("deep/er")).unwrap();
        std::fs::write(directory.join("deep/er/file"), "x").unwrap();
        directory
    };
    let living = open();
    let kept = make(&living, "kept");
    std::fs::create_dir(below.join("the-hosts-own")).unwrap();

    // The lock of a process that is gone is free, and its directory is there.
    let gone = open();
    let left = make(&gone, "left");
    let lock = left.parent().unwrap().join("lock");
    assert!(lock.exists());
    std::fs::rename(left.parent().unwrap(), below.join("1-0")).unwrap();
    drop(gone);
    std::fs::create_dir(below.join("1-1")).unwrap();
    assert!(below.join("1-0/workspace/deep/er/file").exists());

    // Another host at the same moment: each takes what the other has not.
    let next =
        std::thread::scope(|scope| [scope.spawn(open), scope.spawn(open)].map(|host| host.join().unwrap()));
    assert!(!below.join("1-0").exists() && !below.join("1-1").exists());
    assert!(kept.join("deep/er/file").exists() && below.join("the-hosts-own").exists());
    living.close("kept").unwrap();
    assert!(!kept.exists());
    drop(next);
}

#[tokio::test]
async fn closing_kills_a_real_command() {
    let workspace = tempfile::tempdir_in("/var/tmp").unwrap();
    let registry = SandboxRegistry::new(DangerousNoSandbox, SandboxQuota::default());
    let policy = SandboxPolicy::workspace_write(workspace.path());
    let sandbox = registry.create(SandboxOptions::new("a", "ada"), &policy).unwrap();
    let request = SandboxRequest::new("/bin/sh", sandbox.policy())
        .args(["-c", "echo ready; sleep 600"])
        .cwd(workspace.path());
    let mut run = sandbox.start(&request).await.unwrap();
    assert_eq!(run.next_output().await.unwrap().bytes, b"ready\n");
    let waiting = tokio::spawn(async move { run.wait().await.unwrap() });
    registry.close("a").unwrap();
    let status = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
    assert_eq!(status.reason, EndReason::Cancelled);
    registry.sweep();
    assert!(registry.list().is_empty());
}

#[test]
fn a_root_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let registry = SandboxRegistry::new(Still, SandboxQuota::default());
    assert!(matches!(registry.private_directories(root.path()), Err(LifecycleError::Directory(_))));
    assert!(registry_without_root().is_err());
}

fn registry_without_root() -> Result<NamedSandbox<Still>, LifecycleError> {
    let registry = SandboxRegistry::new(Still, SandboxQuota::default());
    registry.create_private(SandboxOptions::new("a", "ada"), |own: &Path| SandboxPolicy::workspace_write(own))
}

#[cfg(all(feature = "executor", target_os = "linux"))]
#[tokio::test]
async fn an_executor_works_over_a_named_sandbox() {
    use codegenie_exec::{AccessControl, CommandRequest, ExecError, SecureExecutor};
    use codegenie_security::{Policy, Role, SessionRequest};
    let workspace = tempfile::tempdir_in("/var/tmp").unwrap();
    let registry = SandboxRegistry::new(DangerousNoSandbox, SandboxQuota::default());
    let confinement = SandboxPolicy::workspace_write(workspace.path());
    let sandbox = registry.create(SandboxOptions::new("a", "ada"), &confinement).unwrap();
    let role = Role::new("coder").allow("execute:**");
    let access = AccessControl::new(Policy::builder().role(role).user("ada", ["coder"]).build().unwrap());
    let (token, _) = access.open_session(SessionRequest::new("ada")).unwrap();
    let confinement = (*sandbox.policy()).clone();
    let executor =
        SecureExecutor::builder(sandbox, access, confinement).dangerous_without_audit().build().unwrap();
    // One that reads, and one that writes: under two policies.
    for command in ["ls", "touch new"] {
        executor.execute(&token, &CommandRequest::shell(command)).await.unwrap();
    }
    assert_eq!(registry.list()[0].usage.runs, 2);
    registry.close("a").unwrap();
    let error = executor.execute(&token, &CommandRequest::shell("ls")).await.unwrap_err();
    assert!(
        matches!(&error, ExecError::Sandbox { error, .. } if error.kind() == SandboxErrorKind::Refused),
        "{error}"
    );
}

/// A sandbox that tells when its process is killed, and that it used more time than there is.
#[derive(Clone, Default)]
struct Watched {
    killed: Arc<AtomicU64>,
}

struct WatchedProcess(Arc<AtomicU64>);

impl SandboxProcess for WatchedProcess {
    fn poll_output(&mut self, _: &mut Context<'_>) -> Poll<Option<OutputChunk>> {
        Poll::Ready(None)
    }
    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<Result<SandboxStatus, SandboxError>> {
        let mut usage = ResourceUsage::default();
        (usage.wall, usage.cpu) = (Duration::MAX, Some(Duration::MAX));
        Poll::Ready(Ok(SandboxStatus::new(EndReason::Exited(0), usage)))
    }
    fn kill(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Sandbox for Watched {
    async fn start(&self, _: &SandboxRequest) -> Result<Running, SandboxError> {
        // Whoever starts it may do something else before it has started.
        tokio::task::yield_now().await;
        Ok(Running::new(WatchedProcess(Arc::clone(&self.killed)), EnforcementReport::new("watched", "none")))
    }
    async fn enforcement(&self, _: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        Ok(EnforcementReport::new("watched", "none"))
    }
    fn name(&self) -> &str {
        "watched"
    }
}

#[tokio::test]
async fn a_run_is_killed_though_nobody_waits_for_it() {
    let (watched, clock) = (Watched::default(), Seconds::default());
    let time = clock.clone();
    let now = move || Duration::from_secs(time.0.load(Ordering::SeqCst));
    let registry = SandboxRegistry::with_clock(watched.clone(), SandboxQuota::default(), now);
    let options = |name: &str| SandboxOptions::new(name, "ada").lifetime(Duration::from_secs(10));
    let closed = registry.create(options("closed"), &policy()).unwrap();
    let expired = registry.create(options("expired"), &policy()).unwrap();
    let runs = (begin(&closed, "wait").await.unwrap(), begin(&expired, "wait").await.unwrap());
    assert_eq!(watched.killed.load(Ordering::SeqCst), 0);

    registry.close("closed").unwrap();
    assert_eq!(watched.killed.load(Ordering::SeqCst), 1);
    clock.pass(10);
    registry.sweep();
    registry.sweep();
    assert_eq!(watched.killed.load(Ordering::SeqCst), 2, "once each");
    // They hold their places until their hosts let go of them.
    assert_eq!(registry.usage("ada").running, 2);
    drop(runs);
    assert_eq!(registry.sweep().len(), 2);
}

#[tokio::test]
async fn a_run_that_starts_while_its_sandbox_is_closed_is_killed() {
    let watched = Watched::default();
    let registry = SandboxRegistry::new(watched.clone(), SandboxQuota::default());
    let sandbox = registry.create(SandboxOptions::new("a", "ada"), &policy()).unwrap();
    let (run, ()) = tokio::join!(begin(&sandbox, "wait"), async { drop(registry.close("a").unwrap()) });
    assert_eq!(watched.killed.load(Ordering::SeqCst), 1);
    drop(run);
}

#[tokio::test]
async fn more_time_than_there_is_is_counted_as_the_most() {
    let registry = SandboxRegistry::new(Watched::default(), SandboxQuota::default());
    let sandbox = registry.create(SandboxOptions::new("a", "ada"), &policy()).unwrap();
    for _ in 0..3 {
        begin(&sandbox, "wait").await.unwrap().wait().await.unwrap();
    }
    let used = sandbox.snapshot().unwrap().usage;
    assert_eq!((used.wall, used.cpu), (Duration::MAX, Duration::MAX));
    assert_eq!(registry.usage("ada").cpu, Duration::MAX);
}

#[test]
fn a_place_is_free_when_the_directory_is_gone_and_not_before() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let below = root.path().join("agents");
    let registry = SandboxRegistry::new(Still, SandboxQuota::default().sandboxes(1));
    let registry = registry.private_directories(&below).unwrap();
    let make = |name: &str| {
        registry.create_private(SandboxOptions::new(name, "ada"), |own| SandboxPolicy::workspace_write(own))
    };
    drop(make("a").unwrap());
    let directory = registry.list()[0].directory.clone().unwrap();
    for i in 0..20_000 {
        std::fs::write(directory.join(i.to_string()), "").unwrap();
    }
    std::thread::scope(|scope| {
        let next = scope.spawn(|| {
            while make("b").is_err() {
                std::thread::yield_now();
            }
            std::fs::read_dir(&below).unwrap().count()
        });
        registry.close("a").unwrap();
        assert_eq!(next.join().unwrap(), 1);
    });
}

#[derive(Clone, Debug)]
enum Act {
    Create(usize, usize),
    Close(usize),
    Begin(usize),
    Finish(usize),
    GiveUp(usize),
    Pass(u64),
    Sweep,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..4usize, 0..2usize).prop_map(|(name, owner)| Act::Create(name, owner)),
        (0..4usize).prop_map(Act::Close),
        (0..4usize).prop_map(Act::Begin),
        (0..8usize).prop_map(Act::Finish),
        (0..8usize).prop_map(Act::GiveUp),
        (1..7u64).prop_map(Act::Pass),
        Just(Act::Sweep),
    ]
}

/// What the registry ought to do, told simply.
#[derive(Clone, Debug)]
struct Model {
    owner: usize,
    idle_since: u64,
    running: usize,
    ended: bool,
}

const IDLE: u64 = 10;
const SANDBOXES: usize = 2;
const RUNNING: usize = 2;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_events_keeps_the_quotas(acts in prop::collection::vec(act(), 1..60)) {
        let (registry, clock) = registry(SandboxQuota::default().sandboxes(SANDBOXES).running(RUNNING));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut now = 0u64;
        // By the order in which they were made; names lead to the newest.
        let mut models: Vec<Model> = Vec::new();
        let mut names: BTreeMap<usize, (usize, NamedSandbox<Still>)> = BTreeMap::new();
        let mut runs: Vec<(usize, Running)> = Vec::new();
        let mut gone: Vec<bool> = Vec::new();
        for act in acts {
            let over = |model: &Model, now: u64| model.ended || (model.running == 0 && now - model.idle_since >= IDLE);
            match act {
                Act::Create(name, owner) => {
                    let open = names.get(&name).is_some_and(|(at, _)| !gone[*at] && !over(&models[*at], now));
                    let have = models.iter().zip(&gone).filter(|(model, gone)| !**gone && model.owner == owner).count();
                    let options = SandboxOptions::new(format!("n{name}"), format!("o{owner}")).idle(Duration::from_secs(IDLE));
                    let made = registry.create(options, &policy());
                    prop_assert_eq!(made.is_ok(), !open && have < SANDBOXES);
                    if let Ok(sandbox) = made {
                        names.insert(name, (models.len(), sandbox));
                        models.push(Model { owner, idle_since: now, running: 0, ended: false });
                        gone.push(false);
                    }
                }
                Act::Close(name) => {
                    let there = names.get(&name).map(|(at, _)| *at).filter(|at| !gone[*at] && !models[*at].ended);
                    prop_assert_eq!(registry.close(&format!("n{name}")).is_ok(), there.is_some());
                    if let Some(at) = there {
                        models[at].ended = true;
                        for (model, gone) in models.iter().zip(&mut gone) {
                            *gone |= model.ended && model.running == 0;
                        }
                    }
                }
                Act::Begin(name) => {
                    let Some((at, sandbox)) = names.get(&name) else { continue };
                    let owner = models[*at].owner;
                    let running: usize =
                        models.iter().filter(|model| model.owner == owner).map(|model| model.running).sum();
                    let may = !gone[*at] && !over(&models[*at], now) && running < RUNNING;
                    let begun = runtime.block_on(begin(sandbox, "wait"));
                    prop_assert_eq!(begun.is_ok(), may);
                    if let Ok(run) = begun {
                        models[*at].running += 1;
                        runs.push((*at, run));
                    }
                }
                Act::Finish(which) | Act::GiveUp(which) => {
                    if runs.is_empty() { continue }
                    let (at, mut run) = runs.remove(which % runs.len());
                    if matches!(act, Act::Finish(_)) {
                        run.kill();
                        runtime.block_on(run.wait()).unwrap();
                    }
                    drop(run);
                    models[at].running -= 1;
                    models[at].idle_since = now;
                }
                Act::Pass(seconds) => {
                    now += seconds;
                    clock.pass(seconds);
                }
                Act::Sweep => {
                    for (model, gone) in models.iter_mut().zip(&mut gone) {
                        model.ended |= over(model, now);
                        *gone |= model.ended && model.running == 0;
                    }
                    registry.sweep();
                }
            }
            let listed = registry.list();
            prop_assert_eq!(listed.len(), gone.iter().filter(|gone| !**gone).count());
            for owner in 0..2 {
                let usage = registry.usage(&format!("o{owner}"));
                let running: usize =
                    models.iter().filter(|model| model.owner == owner).map(|model| model.running).sum();
                prop_assert_eq!(usage.running, running);
                prop_assert!(usage.running <= RUNNING && usage.sandboxes <= SANDBOXES);
            }
        }
    }
}
