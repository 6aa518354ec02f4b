//! The executor's whole path over containers.

use crate::host::{Host, SECRET, sandbox};
use codegenie_exec::{
    AccessControl, Approval, ApprovalRequest, AuditSink, CommandRequest, ContainerSandbox, Decision,
    ExecError, SecureExecutor, approve_with,
};
use codegenie_security::{
    AuditError, AuditEvent, AuditResult, AuditValue, EventClass, Policy, Retention, Role, SessionRequest,
};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Memory(Mutex<Vec<AuditEvent>>);

impl Memory {
    /// What was recorded since it was asked last.
    fn take(&self) -> Vec<AuditEvent> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl AuditSink for Memory {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::Volatile
    }
}

struct Wired {
    executor: SecureExecutor<ContainerSandbox, Arc<Memory>>,
    audit: Arc<Memory>,
    token: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// An approver says yes to what holds `yes`.
async fn wired(host: &Host) -> Wired {
    let policy = Policy::builder()
        .role(Role::new("developer").allow("execute:**"))
        .user("alice", ["developer"])
        .build()
        .unwrap();
    let access = Arc::new(AccessControl::new(policy));
    let (token, _) = access.open_session(SessionRequest::new("alice")).unwrap();
    let (audit, asked) = (Arc::new(Memory::default()), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&asked);
    let approver = approve_with(move |request: &ApprovalRequest| {
        seen.lock().unwrap().push(request.command.clone());
        if request.command.contains("yes") {
            Approval::granted("bob")
        } else {
            Approval::refused("bob", "no")
        }
    });
    let executor = SecureExecutor::builder(sandbox().await, access, host.policy())
        .audit(Arc::clone(&audit))
        .approver(approver)
        .build()
        .unwrap();
    Wired { executor, audit, token: token.as_ref().to_owned(), asked }
}

impl Wired {
    async fn run(&self, line: &str) -> Result<codegenie_exec::Execution, ExecError> {
        self.executor.execute(&self.token, &CommandRequest::shell(line)).await
    }
}

fn steps(events: &[AuditEvent]) -> Vec<(EventClass, AuditResult)> {
    events.iter().map(|event| (event.class, event.result)).collect()
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn allowed_asked_and_denied_commands_are_run_or_not_and_recorded() {
    let host = Host::new();
    let wired = wired(&host).await;
    let (command, approval) = (EventClass::Command, EventClass::Approval);

    std::fs::write(host.path("workspace/a"), "one\ntwo\n").unwrap();
    let allowed = wired.run("cat a | head -n 1").await.unwrap();
    assert_eq!(
        (allowed.output.stdout.as_slice(), allowed.verdict.decision),
        (&b"one\n"[..], Decision::Allow)
    );
    assert!(!allowed.privileges.writes && !allowed.privileges.network, "{:?}", allowed.privileges);
    let events = wired.audit.take();
    assert_eq!(steps(&events), [(command, AuditResult::Pending), (command, AuditResult::Success)]);
    let detail = |name: &str| events[1].get_detail(name).cloned();
    assert_eq!(detail("end"), Some(AuditValue::from("exit 0")));
    assert_eq!(detail("sandbox"), events[0].get_detail("sandbox").cloned());
    let Some(AuditValue::List(enforced)) = detail("enforced") else { panic!("{events:?}") };
    assert!(
        enforced.contains(&"seccomp".to_owned()) && !enforced.contains(&"landlock".to_owned()),
        "{enforced:?}"
    );
    assert!(events.iter().all(|event| event.operation == Some(allowed.operation)));

    // What it runs is confined: a neighbour of the workspace is not there.
    let precious = host.path("other/precious");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), SECRET);
    let script = format!("cat {}; echo $1; touch $1\n", precious.display());
    std::fs::write(host.path("workspace/script"), script).unwrap();
    let approved = wired.run("sh script yes").await.unwrap();
    assert_eq!(approved.approval.unwrap().approver, "bob");
    assert_eq!(approved.output.stdout, b"yes\n", "the secret was not read");
    assert!(host.path("workspace/yes").exists());
    let events = wired.audit.take();
    assert_eq!(
        steps(&events),
        [(approval, AuditResult::Success), (command, AuditResult::Pending), (command, AuditResult::Success)]
    );

    let refused = wired.run("sh script refused").await.unwrap_err();
    assert!(matches!(refused, ExecError::NotApproved { .. }), "{refused}");
    assert_eq!(steps(&wired.audit.take()), [(approval, AuditResult::Denied), (command, AuditResult::Denied)]);
    assert!(!host.path("workspace/refused").exists());
    assert_eq!(*wired.asked.lock().unwrap(), ["sh script yes", "sh script refused"]);

    let denied = wired.run("touch denied; sudo ls").await.unwrap_err();
    assert!(matches!(denied, ExecError::Denied { .. }), "{denied}");
    assert_eq!(steps(&wired.audit.take()), [(command, AuditResult::Denied)]);
    assert!(!host.path("workspace/denied").exists());
}

/// Its shell is busybox's, whatever the machine of the host has.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn a_line_for_bash_is_not_run_by_an_image_without_one() {
    let host = Host::new();
    let wired = wired(&host).await;
    let (line, made) = ("echo yes {a,b} | tee made", host.path("workspace/made"));
    // So it reads it.
    host.run(line).await;
    assert_eq!(std::fs::read_to_string(&made).unwrap(), "yes {a,b}\n");
    std::fs::remove_file(&made).unwrap();

    let error = wired.run(line).await.unwrap_err();
    assert!(matches!(&error, ExecError::NoShell { .. }), "{error}");
    assert_eq!(steps(&wired.audit.take()), [(EventClass::Command, AuditResult::Denied)]);
    assert!(!made.exists() && wired.asked.lock().unwrap().is_empty());
    let same = wired.run("echo 'yes {a,b}' | tee made && ls").await.unwrap();
    assert_eq!(same.output.stdout, b"yes {a,b}\nmade\n");
}
