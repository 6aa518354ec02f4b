//! Using up the machine.

use super::attempts::{Attacker, Outcome, outcomes, words};
use crate::LAUNCHER;
use crate::host::{Host, eventually, marker, processes_with, text};
use codegenie_exec::{DangerousNoSandbox, EndReason, Limits, Sandbox};
use std::time::Duration;

/// 1: fork bomb
#[tokio::test]
async fn a_fork_bomb_is_bounded_and_leaves_nothing() {
    let host = Host::new(LAUNCHER);
    // Bounded by itself: 200 processes that end after some seconds.
    let bomb = |marker: &str| {
        format!(
            "n=0; for i in $(seq 200); do sleep 7.{marker} >/dev/null 2>&1 & n=$((n+1)); done; echo started $n"
        )
    };
    let mark = marker();
    assert!(text(&host.unconfined(&bomb(&mark)).await).contains("started 200"));
    assert!(processes_with(&format!("7.{mark}")).len() > 150);

    let mark = marker();
    let mut limits = Limits::default();
    limits.processes = 32;
    limits.timeout = Duration::from_secs(5);
    let policy = host.policy().limits(limits);
    let confined = host.confined_under(policy, &bomb(&mark)).await;
    assert!(!text(&confined).contains("started 200"), "{}", text(&confined));
    assert!(text(&confined).contains("fork"), "{}", text(&confined));
    assert!(eventually(|| processes_with(&format!("7.{mark}")).is_empty()));
}

/// 2: thread bomb
#[tokio::test]
async fn threads_are_bounded_as_processes_are() {
    let host = Host::new(LAUNCHER);
    let mut policy = host.policy();
    policy.limits.processes = 32;
    let tried = host.attempts_under(policy, "threads", &words([&"200"])).await;
    tried.all_fail("threads", Some(11));
}

/// 3: memory bomb
#[tokio::test]
async fn memory_is_bounded() {
    let host = Host::new(LAUNCHER);
    let mut policy = host.policy();
    policy.limits.memory_bytes = 64 << 20;
    let tried = host.attempts_under(policy.clone(), "memory", &words([&"200"])).await;
    tried.all_fail("memory", None);
    let script = "x=$(head -c 200M /dev/zero | tr '\\0' x); echo ${#x}";
    let shell = host.confined_under(policy, script).await;
    assert!(!text(&shell).contains("209715200"), "{}", text(&shell));
}

/// 4: tmpfs fill
#[tokio::test]
async fn private_file_systems_are_bounded() {
    let host = Host::new(LAUNCHER);
    let fill = |at: &str| {
        format!(
            "for i in 1 2 3 4 5 6 7 8; do head -c 1M /dev/zero > {at}/fill-$i || break; done; echo filled $i"
        )
    };
    let outside = host.path("other");
    assert!(text(&host.unconfined(&fill(&outside.to_string_lossy())).await).ends_with("filled 8\n"));
    let mut policy = host.policy();
    policy.limits.tmp_bytes = 4 << 20;
    for place in ["/tmp", "/tmp/home", "/dev/shm"] {
        let output = text(&host.confined_under(policy.clone(), &fill(place)).await);
        assert!(output.contains("No space left") && !output.contains("filled 8\n"), "{place}: {output}");
    }
    for place in ["/", "/dev", "/proc", "/etc"] {
        let output = host.confined_under(policy.clone(), &fill(place)).await;
        assert_eq!(output.stdout, b"filled 1\n", "{place}: {}", text(&output));
    }
}

/// 5: disk fill
///
/// By one file. How much a command puts into a workspace in all is bounded by the file system alone.
#[tokio::test]
async fn a_file_is_bounded() {
    let host = Host::new(LAUNCHER);
    let script = "head -c 10M /dev/zero > big; wc -c < big";
    assert!(text(&host.unconfined(script).await).contains("10485760"));
    let mut policy = host.policy();
    policy.limits.file_bytes = 1 << 20;
    let output = host.confined_under(policy, script).await;
    let bytes = std::fs::metadata(host.path("workspace/big")).unwrap().len();
    assert_eq!(bytes, 1 << 20, "{}", text(&output));
}

/// 6: inode flood
#[tokio::test]
async fn files_without_content_are_bounded_too() {
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    // The machine's memory holds as many as are asked for, which is shown with fewer.
    let few = host.attack(&attacker, host.policy(), "inodes", &words([&host.path("other"), &"3000"]));
    assert_eq!(outcomes(&DangerousNoSandbox.run(&few).await.unwrap())["inodes"], Outcome::Done);
    for (place, number) in [("/tmp", "300000"), ("/dev/shm", "300000"), ("/dev", "300"), ("/", "5000")] {
        let policy = host.policy().timeout(Duration::from_secs(60));
        let request = host.attack(&attacker, policy, "inodes", &words([&place, &number]));
        let output = LAUNCHER.run(&request).await.unwrap();
        assert!(
            matches!(outcomes(&output).get("inodes"), Some(Outcome::Errno(_))),
            "{place}: {}",
            text(&output)
        );
    }
}

/// 7: sparse file/FSIZE
#[tokio::test]
async fn a_file_with_holes_is_bounded_by_its_size() {
    let host = Host::new(LAUNCHER);
    let file = host.path("workspace/sparse");
    std::fs::write(&file, "").unwrap();
    let tried = host.attempts("sparse", &words([&file])).await;
    // A signal comes with the refusal: SIGXFSZ.
    tried.all_fail("sparse", None);
    assert_eq!(tried.confined["sparse"], Outcome::Signal(25));
}

/// 8: CPU spin
#[tokio::test]
async fn cpu_time_is_bounded() {
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    let mut policy = host.policy().timeout(Duration::from_secs(60));
    policy.limits.cpu = Some(Duration::from_secs(1));
    let request = host.attack(&attacker, policy, "spin", &words([&"4"]));
    let unconfined = DangerousNoSandbox.run(&request).await.unwrap();
    assert_eq!(outcomes(&unconfined)["spin"], Outcome::Done);
    let confined = LAUNCHER.run(&request).await.unwrap();
    assert_ne!(outcomes(&confined).get("spin"), Some(&Outcome::Done), "{}", text(&confined));
    assert!(confined.status.usage.cpu.unwrap() < Duration::from_secs(3), "{:?}", confined.status);
}

/// 9: timeout
#[tokio::test]
async fn a_timeout_ends_the_whole_tree_and_gives_the_output_so_far() {
    let host = Host::new(LAUNCHER);
    let script = |mark: &str| {
        format!(
            "trap '' TERM INT HUP; echo before; sleep 9.{mark} > /dev/null 2>&1 & sleep 9.{mark}; echo after"
        )
    };
    let policy = host.policy().timeout(Duration::from_millis(700));
    let mark = marker();
    let request = host.shell(policy.clone(), &script(&mark));
    DangerousNoSandbox.run(&request).await.unwrap();
    assert!(!processes_with(&format!("9.{mark}")).is_empty(), "without the sandbox the tree goes on");

    let mark = marker();
    let output = host.confined_under(policy, &script(&mark)).await;
    assert_eq!(output.status.reason, EndReason::TimedOut);
    assert_eq!(text(&output), "before\n");
    assert!(processes_with(&format!("9.{mark}")).is_empty());
}

/// 10: output flood
#[tokio::test]
async fn a_flood_of_output_is_cut() {
    let host = Host::new(LAUNCHER);
    // By itself it prints 20 MB.
    let script = "yes flood | head -c 20000000; yes error | head -c 20000000 >&2";
    let mut policy = host.policy();
    policy.limits.output_bytes = 50_000_000;
    let unconfined = DangerousNoSandbox.run(&host.shell(policy.clone(), script)).await.unwrap();
    assert_eq!(unconfined.stdout.len() + unconfined.stderr.len(), 40_000_000);
    policy.limits.output_bytes = 100_000;
    let flood = host.confined_under(policy, script).await;
    assert_eq!(flood.status.reason, EndReason::OutputLimit);
    assert_eq!(flood.stdout.len() + flood.stderr.len(), 100_000);
}

/// 11: RT priority
#[tokio::test]
async fn takes_no_priority_over_others() {
    Host::new(LAUNCHER).all_fail("realtime,deadline,nice_up", &[]).await;
}

/// 12: fd exhaustion
#[tokio::test]
async fn descriptors_are_bounded() {
    let host = Host::new(LAUNCHER);
    let mut policy = host.policy();
    policy.limits.open_files = 64;
    let tried = host.attempts_under(policy, "descriptors", &words([&"200"])).await;
    tried.all_fail("descriptors", Some(24));
}
