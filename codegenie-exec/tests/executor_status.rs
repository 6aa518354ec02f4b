//! What an executor tells about itself while it works.

#![cfg(all(feature = "executor", feature = "native", unix))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use codegenie_exec::{
    AccessControl, Approval, ApprovalQueue, CommandPolicy, CommandRequest, CommandRule, DangerousNoSandbox,
    Decision, ExecutorTotals, OperationStage, PolicyFile, SandboxPolicy, SecureExecutor,
};
use codegenie_perf::MemoryCache;
use codegenie_security::{DangerousNoAudit, Policy, Role, SessionRequest};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

type Executor = SecureExecutor<DangerousNoSandbox, DangerousNoAudit>;

fn world(queue: &ApprovalQueue, file: Option<PolicyFile>) -> (TempDir, Arc<Executor>, String) {
    let workspace = tempfile::tempdir_in("/var/tmp").unwrap();
    let role = Role::new("coder").allow("execute:**").deny("execute:command:forbidden");
    let access = AccessControl::new(Policy::builder().role(role).user("ada", ["coder"]).build().unwrap());
    let (token, _) = access.open_session(SessionRequest::new("ada").agent("coder")).unwrap();
    let confinement = SandboxPolicy::workspace_write(workspace.path());
    let builder = SecureExecutor::builder(DangerousNoSandbox, access, confinement)
        .dangerous_without_audit()
        .approver(queue.clone())
        .approval_deadline(Duration::from_secs(60));
    let builder = match file {
        Some(file) => builder.command_policy_file(file),
        None => builder.command_policy(CommandPolicy::default()),
    };
    (workspace, Arc::new(builder.build().unwrap()), token.as_ref().to_owned())
}

#[tokio::test]
async fn shows_what_is_asked_and_what_runs() {
    let queue = ApprovalQueue::new(4);
    let (_workspace, executor, token) = world(&queue, None);
    assert_eq!((executor.status().active.len(), executor.status().sandbox.as_str()), (0, "none"));

    let running = Arc::clone(&executor);
    let long = format!("sh -c 'exec sleep 600' {}", "x".repeat(1000));
    let task = tokio::spawn(async move { running.execute(token, &CommandRequest::shell(long)).await });
    let question = loop {
        match queue.pending().pop() {
            Some(question) => break question,
            None => tokio::task::yield_now().await,
        }
    };
    let active = executor.status().active;
    assert_eq!((active.len(), active[0].stage), (1, OperationStage::Asking));
    assert_eq!(executor.status().pending_approvals, 1);
    assert_eq!((active[0].user.as_str(), active[0].agent.as_deref()), ("ada", Some("coder")));
    assert_eq!(active[0].operation, question.request.operation);
    assert!(active[0].command.starts_with("sh -c") && active[0].command.len() < 300);

    queue.answer(question.id, Approval::granted("bob")).unwrap();
    while executor.status().active[0].stage != OperationStage::Running {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let status = executor.status();
    assert!(status.active.is_empty() && status.pending_approvals == 0);
    let mut expected = ExecutorTotals::default();
    (expected.given_up, expected.asked) = (1, 1);
    assert_eq!(status.totals, expected);
}

#[tokio::test]
async fn counts_each_end_once() {
    let queue = ApprovalQueue::new(0);
    let (_workspace, executor, token) = world(&queue, None);
    for command in ["true", "ls", "ls |", "forbidden", "sudo ls", "make"] {
        let _ = executor.execute(&token, &CommandRequest::shell(command)).await;
    }
    let _ = executor.execute("no token", &CommandRequest::shell("ls")).await;
    let mut expected = ExecutorTotals::default();
    (expected.completed, expected.unparsable, expected.not_permitted) = (2, 1, 1);
    (expected.denied, expected.not_approved, expected.without_session) = (1, 1, 1);
    expected.asked = 1;
    assert_eq!(executor.status().totals, expected);
    let told = serde_json::to_value(executor.status()).unwrap();
    assert_eq!(told["totals"]["completed"], 2);
}

#[tokio::test]
async fn tells_that_the_rules_are_older_than_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, "default = \"deny\"\n").unwrap();
    let (_workspace, executor, token) = world(&ApprovalQueue::new(0), Some(PolicyFile::open(&path).unwrap()));
    assert_eq!(executor.status().policy_file.as_deref(), Some(path.as_path()));
    assert_eq!(executor.status().policy_problem, None);
    std::fs::write(&path, "default = \"no such thing\"\n").unwrap();
    executor.execute(&token, &CommandRequest::shell("ls")).await.unwrap();
    let problem = executor.status().policy_problem.unwrap();
    assert!(problem.contains("policy.toml") && problem.contains("line 1"), "{problem}");
    std::fs::write(&path, "default = \"ask\"\n").unwrap();
    executor.execute(&token, &CommandRequest::shell("ls")).await.unwrap();
    assert_eq!(executor.status().policy_problem, None);
}

#[tokio::test]
async fn tells_what_came_from_the_cache_and_what_took_too_long() {
    let workspace = tempfile::tempdir_in("/var/tmp").unwrap();
    let role = Role::new("coder").allow("execute:**");
    let access = AccessControl::new(Policy::builder().role(role).user("ada", ["coder"]).build().unwrap());
    let access = Arc::new(access);
    let (token, _) = access.open_session(SessionRequest::new("ada")).unwrap();
    let executor = |confinement: SandboxPolicy| {
        let rule = |program| CommandRule::new([program], Decision::Allow);
        SecureExecutor::builder(DangerousNoSandbox, access.clone(), confinement)
            .dangerous_without_audit()
            .cache(MemoryCache::new(1 << 20), Duration::from_secs(60))
            .command_policy(CommandPolicy::default().rule(rule("ls").pure()).rule(rule("sleep")))
            .build()
            .unwrap()
    };
    let confinement = SandboxPolicy::workspace_write(workspace.path());
    let patient = executor(confinement.clone());
    for from_cache in [false, true] {
        let done = patient.execute(&token, &CommandRequest::shell("ls")).await.unwrap();
        assert_eq!(done.from_cache, from_cache);
    }
    let status = patient.status();
    assert_eq!((status.totals.completed, status.totals.from_cache, status.totals.timed_out), (2, 1, 0));
    assert_eq!((status.cache_hits, status.policy_file, status.policy_problem), (1, None, None));

    let hasty = executor(confinement.timeout(Duration::from_millis(50)));
    hasty.execute(&token, &CommandRequest::shell("sleep 600")).await.unwrap();
    let totals = hasty.status().totals;
    assert_eq!((totals.completed, totals.timed_out, totals.from_cache, totals.asked), (1, 1, 0, 0));
}
