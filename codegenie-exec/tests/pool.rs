//! Sandboxes that wait for their command.
#![cfg(all(target_os = "linux", feature = "native"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "support/host.rs"]
mod host;

use codegenie_exec::{NativeSandbox, RunOutput, Sandbox, SandboxErrorKind, SandboxPolicy, SandboxRequest};
use host::{Host, POOL, eventually, helper, marker, parent_of, processes_with, text};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

async fn pooled(sandbox: &NativeSandbox, host: &Host, policy: &SandboxPolicy, script: &str) -> RunOutput {
    sandbox.prewarm(policy).await.unwrap();
    let output = sandbox.run(&host.shell(policy.clone(), script)).await.unwrap();
    assert_eq!(output.report.launcher, "pool");
    output
}

/// Sandboxes that a process has made: their inits.
fn inits_of(pid: u32) -> Vec<i32> {
    processes_with("codegenie-init").into_iter().filter(|init| parent_of(*init) == Some(pid)).collect()
}

/// Control groups of a host that still exist.
fn groups_of(pid: u32) -> Vec<PathBuf> {
    let prefix = format!("codegenie-{pid}-");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let points = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut found = Vec::new();
    let mut directories: Vec<PathBuf> =
        points.filter(|fields| fields[2].starts_with("cgroup")).map(|fields| fields[1].into()).collect();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(entry.path());
                if entry.file_name().to_string_lossy().starts_with(&prefix) {
                    found.push(entry.path());
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn a_replaced_directory_is_seen() {
    let host = Host::new(POOL);
    let sandbox = POOL.sandbox();
    let granted = host.path("workspace/granted");
    std::fs::create_dir(&granted).unwrap();
    std::fs::write(granted.join("file"), "old").unwrap();
    let policy = SandboxPolicy::workspace_write(&granted).timeout(Duration::from_secs(20));
    assert_eq!(text(&pooled(&sandbox, &host, &policy, "cat file").await), "old");
    sandbox.prewarm(&policy).await.unwrap();
    // As a checkout or a transaction does it.
    std::fs::create_dir(host.path("workspace/next")).unwrap();
    std::fs::write(host.path("workspace/next/file"), "new").unwrap();
    std::fs::rename(&granted, host.path("workspace/before")).unwrap();
    std::fs::rename(host.path("workspace/next"), &granted).unwrap();
    let output = sandbox.run(&host.shell(policy.clone(), "cat file; echo written > made")).await.unwrap();
    assert_eq!(text(&output), "new");
    assert!(granted.join("made").exists() && !host.path("workspace/before/made").exists());
    // The pool has got over it.
    assert_eq!(text(&pooled(&sandbox, &host, &policy, "cat file").await), "new");
}

#[tokio::test]
async fn what_is_hidden_or_protected_meanwhile_is_so() {
    let host = Host::new(POOL);
    let sandbox = POOL.sandbox();
    let secret = host.path("workspace/secret");
    let policy = host.policy().hide(&secret);
    pooled(&sandbox, &host, &policy, "true").await;
    sandbox.prewarm(&policy).await.unwrap();
    std::fs::write(&secret, host::SECRET).unwrap();
    let output = sandbox.run(&host.shell(policy, "cat secret")).await.unwrap();
    assert!(!text(&output).contains(host::SECRET), "{}", text(&output));
}

#[tokio::test]
async fn two_runs_share_nothing() {
    let host = Host::new(POOL);
    let sandbox = POOL.sandbox();
    let policy = host.policy();
    let leave = "echo x > /tmp/left; echo x > /dev/shm/left; echo x > /tmp/home/left; hostname left; ipcmk -M 4096 >/dev/null 2>&1; \
                 (setsid sleep 17 & ) ; exec 3<>/dev/tcp/127.0.0.1/1; echo $$";
    pooled(&sandbox, &host, &policy, leave).await;
    let look = "ls /tmp /dev/shm /tmp/home; hostname; ls /proc | grep -c '^[0-9]'; ls /proc/sysvipc; tail -n +2 /proc/sysvipc/shm";
    let output = pooled(&sandbox, &host, &policy, look).await;
    assert!(!text(&output).contains("left"), "{}", text(&output));
    // At the same time, each has namespaces of its own.
    let namespaces = "readlink /proc/self/ns/{user,mnt,pid,net,ipc,uts,cgroup}; sleep 0.3";
    let request = host.shell(policy, namespaces);
    let (one, two) = tokio::join!(sandbox.run(&request), sandbox.run(&request));
    let (one, two) = (text(&one.unwrap()), text(&two.unwrap()));
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(one.lines().count(), 7, "{one}");
    for namespace in one.lines() {
        assert!(!two.lines().any(|other| other == namespace), "shared: {namespace}");
        assert_ne!(namespace, own.to_string_lossy());
    }
}

#[tokio::test]
async fn a_listener_of_one_run_is_not_reached_by_another() {
    let host = Host::new(POOL);
    let sandbox = POOL.sandbox();
    let policy = host.policy();
    sandbox.prewarm(&policy).await.unwrap();
    // Its own loopback is up, and refuses: nobody listens there but in a sandbox's own.
    let output =
        pooled(&sandbox, &host, &policy, "cat /proc/net/tcp | wc -l; cat /proc/net/dev | wc -l").await;
    assert_eq!(text(&output), "1\n3\n");
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_an_error() {
    let host = Host::new(POOL);
    let sandbox = POOL.sandbox();
    for program in ["no-such-program", "/nowhere/at/all", "/etc/passwd", "/usr"] {
        let request = SandboxRequest::new(program, host.policy());
        sandbox.prewarm(&request.policy).await.unwrap();
        let error = sandbox.run(&request).await.unwrap_err();
        assert_eq!(error.kind(), SandboxErrorKind::ProgramNotRun, "{error}");
        assert!(error.to_string().contains(program) && !error.to_string().contains('\n'), "{error}");
    }
    let request = SandboxRequest::new("true", host.policy()).cwd(host.path("workspace/missing"));
    assert_eq!(sandbox.run(&request).await.unwrap_err().kind(), SandboxErrorKind::InvalidRequest);
    assert_eq!(text(&pooled(&sandbox, &host, &host.policy(), "echo ran").await), "ran\n");
}

#[tokio::test]
async fn large_arguments_are_started_directly() {
    let host = Host::new(POOL);
    let sandbox = POOL.sandbox();
    let policy = host.policy();
    sandbox.prewarm(&policy).await.unwrap();
    let arguments: Vec<String> = (0..10).map(|_| "x".repeat(50_000)).collect();
    let request = SandboxRequest::new("bash", policy).args(["-c", "echo $# ${#10}", "bash"]).args(&arguments);
    let output = sandbox.run(&request).await.unwrap();
    assert_eq!((text(&output).as_str(), output.report.launcher.as_str()), ("10 50000\n", "direct"));
}

#[tokio::test]
async fn more_policies_than_the_pool_remembers() {
    let host = Host::new(POOL);
    let sandbox = NativeSandbox::new().unwrap().pooled(1);
    for round in 0..2 {
        for number in 0..11 {
            let policy = host.policy().env("NUMBER", format!("{number}"));
            let output = sandbox.run(&host.shell(policy, "echo $NUMBER")).await.unwrap();
            assert_eq!(text(&output), format!("{number}\n"), "round {round}");
        }
    }
    let policy = host.policy().env("NUMBER", "last");
    assert_eq!(text(&pooled(&sandbox, &host, &policy, "echo $NUMBER").await), "last\n");
}

#[tokio::test]
async fn prewarming_tells_of_a_bad_policy_and_is_nothing_without_a_pool() {
    let host = Host::new(POOL);
    let bad = SandboxPolicy::workspace_write(host.path("missing"));
    let error = POOL.sandbox().prewarm(&bad).await.unwrap_err();
    assert_eq!(error.kind(), SandboxErrorKind::InvalidPolicy);
    NativeSandbox::new().unwrap().prewarm(&host.policy()).await.unwrap();
}

/// In a process of its own, whose children are nobody else's.
#[tokio::test]
async fn nothing_is_left_when_the_sandbox_is_dropped() {
    let host = Host::new(POOL);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(helper("helper_drops_its_sandbox"))
        .env("CODEGENIE_WORKSPACE", host.path("workspace"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("nothing is left"), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

/// Not a test: makes sandboxes wait, drops them, and looks for what is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a helper program of nothing_is_left_when_the_sandbox_is_dropped, which runs it"]
async fn helper_drops_its_sandbox() {
    let Ok(workspace) = std::env::var("CODEGENIE_WORKSPACE") else { return };
    let policy = SandboxPolicy::workspace_write(workspace).timeout(Duration::from_secs(20));
    let sandbox = POOL.sandbox();
    sandbox.prewarm(&policy).await.unwrap();
    let me = std::process::id();
    assert_eq!(inits_of(me).len(), 2, "two wait");
    let clone = sandbox.clone();
    drop(sandbox);
    assert_eq!(inits_of(me).len(), 2, "they wait for the clone");
    assert!(clone.run(&SandboxRequest::new("true", policy)).await.unwrap().status.reason.is_success());
    drop(clone);
    assert!(eventually(|| inits_of(me).is_empty()), "{:?}", inits_of(me));
    assert!(eventually(|| groups_of(me).is_empty()), "{:?}", groups_of(me));
    println!("nothing is left");
}

#[tokio::test]
async fn a_killed_host_s_waiting_sandboxes_end() {
    let host = Host::new(POOL);
    let mark = marker();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(helper("helper_waits"))
        .env("CODEGENIE_WORKSPACE", host.path("workspace"))
        .env("CODEGENIE_MARKER", &mark)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = process.id();
    assert!(eventually(|| host.path(&format!("workspace/{mark}")).exists()));
    let inits = inits_of(pid);
    assert_eq!(inits.len(), 2);
    process.kill().unwrap();
    process.wait().unwrap();
    let gone = |init: &i32| {
        let line = std::fs::read_to_string(format!("/proc/{init}/cmdline")).unwrap_or_default();
        !line.contains("codegenie-init")
    };
    assert!(eventually(|| inits.iter().all(gone)), "{inits:?}");
    // Its groups are swept by the next host.
    assert!(
        eventually(|| {
            drop(NativeSandbox::new().unwrap());
            groups_of(pid).is_empty()
        }),
        "{:?}",
        groups_of(pid)
    );
}

/// Not a test: a host whose sandboxes wait until it is killed.
#[tokio::test]
#[ignore = "a helper program of a_killed_host_s_waiting_sandboxes_end, which runs and kills it"]
async fn helper_waits() {
    let (Ok(workspace), Ok(mark)) = (std::env::var("CODEGENIE_WORKSPACE"), std::env::var("CODEGENIE_MARKER"))
    else {
        return;
    };
    let policy = SandboxPolicy::workspace_write(&workspace).timeout(Duration::from_secs(20));
    let sandbox = POOL.sandbox();
    sandbox.prewarm(&policy).await.unwrap();
    std::fs::write(PathBuf::from(workspace).join(mark), "").unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}
