//! Reaching other processes.

use super::attempts::{Attacker, EPERM, Outcome, outcomes, words};
use crate::LAUNCHER;
use crate::host::{Bystander, Host, text};
use codegenie_exec::{DangerousNoSandbox, Sandbox};

/// 43: ptrace
#[tokio::test]
async fn traces_no_process() {
    let host = Host::new(LAUNCHER);
    host.all_fail("trace_child,trace_me", &[]).await.all_fail("trace_child,trace_me", Some(EPERM));
    let init = host.attempts("trace_process", &words([&"1"])).await;
    assert_ne!(init.confined["trace_process"], Outcome::Done);
}

/// 44: process_vm_*, pidfd_getfd
#[tokio::test]
async fn takes_neither_memory_nor_descriptors_of_a_process() {
    let names = "read_memory,write_memory,take_descriptor,compare";
    Host::new(LAUNCHER).all_fail(names, &[]).await.all_fail(names, Some(EPERM));
}

/// 45: kill host pid
#[tokio::test]
async fn signals_no_process_of_the_host() {
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    for attempt in ["kill_process", "kill_by_pidfd", "queue_signal"] {
        let mut victim = Bystander::sleeping();
        let attack = |victim: &Bystander| {
            host.attack(&attacker, host.policy(), attempt, &words([&victim.id().to_string()]))
        };
        let unconfined = DangerousNoSandbox.run(&attack(&victim)).await.unwrap();
        assert_eq!(outcomes(&unconfined)[attempt], Outcome::Done);
        let status = victim.0.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));

        let mut victim = Bystander::sleeping();
        let confined = LAUNCHER.run(&attack(&victim)).await.unwrap();
        assert!(matches!(outcomes(&confined)[attempt], Outcome::Errno(_)), "{}", text(&confined));
        assert!(victim.is_alive());
    }
    // Without the sandbox these would end this very test.
    let mut victim = Bystander::sleeping();
    let script = format!("kill -9 {}; kill -9 -1; kill -9 1; echo alive", victim.id());
    host.confined(&script).await;
    assert!(victim.is_alive());
}
