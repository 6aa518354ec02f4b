//! What many runs leave behind: nothing. Takes about two minutes; `CODEGENIE_SOAK_RUNS` sets another count.
#![cfg(all(target_os = "linux", feature = "native"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use codegenie_exec::{NativeSandbox, Sandbox, SandboxPolicy, SandboxRequest};
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn eventually(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    condition()
}

/// Every process: its number and its `/proc/PID/status`.
fn processes() -> Vec<(u32, String)> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)))
        .collect()
}

fn children_of(parent: u32) -> usize {
    let line = format!("PPid:\t{parent}\n");
    processes().iter().filter(|(_, status)| status.contains(&line)).count()
}

/// Control groups of hosts whose names hold `part`.
fn groups(part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with(&format!("codegenie-{part}")) {
                    found.push(entry.path());
                }
                open.push(entry.path());
            }
        }
    }
    found
}

/// Each test counts what this process has, which the other would change.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[derive(Debug, PartialEq, Eq)]
struct Left {
    descriptors: usize,
    children: usize,
    mounts: usize,
    groups: usize,
    temporary: usize,
}

/// What the library might leave among the machine's temporary files.
fn codegenie_files() -> usize {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().contains("codegenie")).count()
}

fn left() -> Left {
    let count = |dir: &std::path::Path| std::fs::read_dir(dir).map_or(0, Iterator::count);
    Left {
        descriptors: count("/proc/self/fd".as_ref()),
        children: children_of(std::process::id()),
        mounts: std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(),
        groups: groups(&format!("{}-", std::process::id())).len(),
        temporary: codegenie_files(),
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Runs `count` commands, two at a time, half of them from a pool.
async fn runs(count: usize, policy: &SandboxPolicy) {
    let direct = NativeSandbox::new().unwrap();
    let pooled = direct.clone().pooled(3);
    for turn in 0..count / 2 {
        let request = |n: usize| {
            SandboxRequest::new("sh", policy.clone()).args(["-c", &format!("echo {n}; exit {}", n % 3)])
        };
        let (first, second) = (request(turn), request(turn + 1));
        let (a, b) = tokio::join!(direct.run(&first), pooled.run(&second));
        for (n, output) in [(turn, a.unwrap()), (turn + 1, b.unwrap())] {
            assert_eq!(output.stdout, format!("{n}\n").as_bytes());
            assert_eq!(
                output.status.reason,
                codegenie_exec::EndReason::Exited(i32::try_from(n % 3).unwrap())
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes about a minute: 10,000 runs"]
async fn ten_thousand_runs_leave_nothing() {
    let _alone = ALONE.lock().await;
    let workspace = tempfile::tempdir().unwrap();
    let policy = SandboxPolicy::workspace_write(workspace.path());
    runs(200, &policy).await;
    assert!(eventually(|| left().children == 0 && left().groups == 0), "{:?}", left());
    let (before, resident) = (left(), resident_bytes());
    let count = std::env::var("CODEGENIE_SOAK_RUNS").map_or(10_000, |count| count.parse().unwrap());
    runs(count, &policy).await;
    // The last ones are being ended.
    assert!(eventually(|| left() == before), "before {before:?}, after {:?}", left());
    let grown = resident_bytes().saturating_sub(resident);
    assert!(grown < 16 << 20, "{grown} bytes more than before");
}

/// Not a test: a host that runs commands, several at once, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a helper program of hosts_that_are_killed_leave_nothing, which runs and kills it"]
async fn helper_is_a_busy_host() {
    let Some(workspace) = std::env::var_os("CODEGENIE_SOAK") else { return };
    let policy = SandboxPolicy::workspace_write(workspace);
    tokio::join!(runs(100_000, &policy), runs(100_000, &policy));
}

#[test]
#[ignore = "takes about a minute: 200 hosts are killed"]
fn hosts_that_are_killed_leave_nothing() {
    let _alone = ALONE.blocking_lock();
    let workspace = tempfile::tempdir().unwrap();
    // Their commands' view holds this path, which tells them from those of other tests.
    let mut hosts = Vec::new();
    for turn in 0..200u64 {
        let mut host = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "helper_is_a_busy_host", "--include-ignored"])
            .env("CODEGENIE_SOAK", workspace.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let pid = host.id();
        assert!(eventually(|| children_of(pid) > 0), "the host does not run anything");
        // At another moment of its work each time.
        std::thread::sleep(Duration::from_micros(turn * 487 % 40_000));
        host.kill().unwrap();
        host.wait().unwrap();
        hosts.push(pid);
    }
    // A new host removes the control groups of those that are gone.
    let mine = std::process::id();
    let gone = || {
        let _ = NativeSandbox::new().unwrap();
        let orphans = processes().into_iter().filter(|(_, status)| {
            status.contains("Name:\tcodegenie-init\n") && status.contains("PPid:\t1\n")
        });
        orphans.count() == 0
            && hosts.iter().all(|host| *host == mine || groups(&format!("{host}-")).is_empty())
    };
    assert!(eventually(gone), "{:?}", groups(""));
}
