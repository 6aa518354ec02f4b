//! Outliving the command, or the host.

use super::attempts::{Attacker, Outcome, outcomes, words};
use crate::LAUNCHER;
use crate::host::{Bystander, Host, eventually, helper, marker, parent_of, processes_with, text};
use codegenie_exec::{DangerousNoSandbox, EndReason, Sandbox, SandboxPolicy, SandboxRequest};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// 13: double-fork daemon
#[tokio::test]
async fn a_daemon_ends_with_the_command() {
    let host = Host::new(LAUNCHER);
    let daemon = |mark: &str| format!("(setsid nohup sleep 8.{mark} >/dev/null 2>&1 &) ; echo left");
    let mark = marker();
    assert!(text(&host.unconfined(&daemon(&mark)).await).contains("left"));
    assert!(eventually(|| processes_with(&format!("8.{mark}")).len() == 1));

    let mark = marker();
    assert!(text(&host.confined(&daemon(&mark)).await).contains("left"));
    assert!(eventually(|| processes_with(&format!("8.{mark}")).is_empty()));
}

/// 14: SIGTERM-ignoring or stopped child
#[tokio::test]
async fn a_process_that_ignores_signals_or_is_stopped_ends_too() {
    let host = Host::new(LAUNCHER);
    let script = |mark: &str| {
        format!(
            "trap '' TERM INT HUP; (setsid sleep 29.{mark}) > /dev/null 2>&1 & \
             bash -c 'while :; do kill -STOP $$; sleep 0.1; done; : 29.{mark}' > /dev/null 2>&1 & echo left"
        )
    };
    let mark = marker();
    host.unconfined(&script(&mark)).await;
    // The stopped one would stay for ever.
    let left = || processes_with(&format!("29.{mark}"));
    assert!(eventually(|| left().len() >= 2));
    for pid in left() {
        // One may have ended by itself.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }

    let mark = marker();
    let output = host.confined(&script(&mark)).await;
    assert_eq!(text(&output), "left\n");
    assert!(eventually(|| processes_with(&format!("29.{mark}")).is_empty()));
}

#[tokio::test]
async fn dropping_the_run_ends_the_tree() {
    let host = Host::new(LAUNCHER);
    let mark = marker();
    let request = host.shell(host.policy(), &format!("sleep 9.{mark} & sleep 9.{mark}"));
    let running = LAUNCHER.ready(&request.policy).await.start(&request).await.unwrap();
    assert!(eventually(|| processes_with(&format!("9.{mark}")).len() >= 2));
    drop(running);
    assert!(eventually(|| processes_with(&format!("9.{mark}")).is_empty()));
}

/// 15: host SIGKILLed
///
/// Also in the middle of starting: the host is killed at another moment each time.
#[tokio::test]
async fn nothing_outlives_a_killed_host() {
    let host = Host::new(LAUNCHER);
    let killed = |mark: &str, confine: bool, wait: Option<u64>| {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(helper("abuse::lifetime::helper_is_a_host"))
            .env("CODEGENIE_WORKSPACE", host.path("workspace"))
            .env("CODEGENIE_MARKER", mark)
            .env("CODEGENIE_CONFINE", confine.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        match wait {
            None => assert!(eventually(|| processes_with(&format!("sleep\09.{mark}")).len() >= 4)),
            Some(millis) => std::thread::sleep(Duration::from_millis(millis)),
        }
        process.kill().unwrap();
        process.wait().unwrap();
    };
    let mark = marker();
    killed(&mark, false, None);
    assert_eq!(processes_with(&format!("sleep\09.{mark}")).len(), 4, "without the sandbox they go on");
    for round in 0..20u64 {
        let mark = marker();
        killed(&mark, true, (round % 2 == 1).then_some(round));
        assert!(eventually(|| processes_with(&format!("9.{mark}")).is_empty()));
    }
    let inits = || processes_with("codegenie-init");
    // Those of other tests have hosts that live.
    assert!(eventually(|| inits().iter().all(|pid| parent_of(*pid) != Some(1))));
}

/// Not a test: a host that runs several commands at once until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a helper program of nothing_outlives_a_killed_host, which runs and kills it"]
async fn helper_is_a_host() {
    let (Ok(workspace), Ok(mark)) = (std::env::var("CODEGENIE_WORKSPACE"), std::env::var("CODEGENIE_MARKER"))
    else {
        return;
    };
    let confine = std::env::var("CODEGENIE_CONFINE").unwrap() == "true";
    let sandbox = LAUNCHER.sandbox();
    let mut running = Vec::new();
    for _ in 0..4 {
        let policy = SandboxPolicy::workspace_write(&workspace).timeout(Duration::from_secs(20));
        let request = SandboxRequest::new("sleep", policy).arg(format!("9.{mark}"));
        let sandbox = sandbox.clone();
        running.push(tokio::spawn(async move {
            if confine { sandbox.run(&request).await } else { DangerousNoSandbox.run(&request).await }
        }));
    }
    for run in running {
        drop(run.await);
    }
}

/// 16: spawning thread exits
///
/// The parent's death signal comes when the *thread* ends that made the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_goes_on_without_the_thread_that_started_it() {
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    let attack = host.attack(&attacker, host.policy(), "dies_with_its_parent", &words([&"1"]));
    // Without the sandbox, in the manner of those that rely on that signal.
    let program = attacker.path();
    let mut child = std::thread::spawn(move || {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(["dies_with_its_parent", "20"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It has executed by then: the signal is asked for.
        let mut first = [0u8; 8];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        child
    })
    .join()
    .unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));

    let sandbox = LAUNCHER.ready(&attack.policy).await;
    let runtime = tokio::runtime::Handle::current();
    let running =
        std::thread::spawn(move || runtime.block_on(sandbox.start(&attack)).unwrap()).join().unwrap();
    let output = running.collect().await.unwrap();
    assert_eq!(output.report.launcher, LAUNCHER.name);
    assert_eq!(outcomes(&output)["dies_with_its_parent"], Outcome::Done);
}

/// 17: orphan holds stdout
#[tokio::test]
async fn an_orphan_that_holds_the_output_does_not_hold_up_the_host() {
    let host = Host::new(LAUNCHER);
    let script = |mark: &str| format!("sleep 9.{mark} & echo done");
    let policy = host.policy().timeout(Duration::from_secs(2));
    let mark = marker();
    let unconfined = DangerousNoSandbox.run(&host.shell(policy, &script(&mark))).await.unwrap();
    assert!(unconfined.status.usage.wall > Duration::from_secs(1), "{:?}", unconfined.status);
    assert_eq!(processes_with(&format!("9.{mark}")).len(), 1);

    let (mark, since) = (marker(), Instant::now());
    let output = host.confined(&script(&mark)).await;
    assert_eq!((text(&output).as_str(), output.status.reason), ("done\n", EndReason::Exited(0)));
    assert!(since.elapsed() < Duration::from_secs(9));
    assert!(processes_with(&format!("9.{mark}")).is_empty());
}

/// 18: kill PID 1
#[tokio::test]
async fn the_sandbox_s_init_cannot_be_ended_or_stopped() {
    let host = Host::new(LAUNCHER);
    // Without the sandbox the process above is as mortal as any.
    let mut victim = Bystander::sleeping();
    let attacker = Attacker::get();
    let kill = |attempts: &str, pid: u32| {
        host.attack(&attacker, host.policy(), attempts, &words([&pid.to_string()]))
    };
    let unconfined = DangerousNoSandbox.run(&kill("kill_process", victim.id())).await.unwrap();
    assert_eq!(outcomes(&unconfined)["kill_process"], Outcome::Done);
    assert!(!eventually_alive(&mut victim));
    LAUNCHER.run(&kill("kill_process,kill_by_pidfd,queue_signal", 1)).await.unwrap();
    let script = "for s in KILL STOP TERM INT SEGV ABRT QUIT HUP USR1 CHLD 34 64; do kill -$s 1; done; \
                  echo alive; exit 3";
    let output = host.confined(script).await;
    assert!(text(&output).contains("alive"), "{}", text(&output));
    assert_eq!(output.status.reason, EndReason::Exited(3));
}

fn eventually_alive(victim: &mut Bystander) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while victim.is_alive() {
        if Instant::now() > deadline {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
