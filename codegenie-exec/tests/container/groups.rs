//! What control groups bound, for engines that have them.

use crate::host::{Host, sandbox, text};
use crate::lifetime::limited;
use codegenie_exec::{EndReason, Layer, Sandbox, Signal};
use std::time::Duration;

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn limits_of_groups_are_required_and_enforced() {
    let host = Host::new();
    let policy = host.policy().require(Layer::ControlGroups);
    let output = sandbox().await.run(&host.shell_under(policy, "echo ran")).await.unwrap();
    assert_eq!(text(&output), "ran\n");
    let status = output.report.status(Layer::ControlGroups).to_string();
    assert!(!status.contains("memory") && !status.contains("processes"), "{status}");
}

/// 3: a memory bomb, bounded by itself.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn a_memory_bomb_is_told() {
    let host = Host::new();
    let bomb = "head -c 200000000 /dev/zero | tail -c 200000000 | wc -c";
    let roomy = limited(&host, |limits| limits.memory_bytes = 512 << 20);
    let sandbox = sandbox().await;
    let free = sandbox.run(&host.shell_under(roomy, bomb)).await.unwrap();
    assert_eq!(text(&free), "200000000\n");
    let tight = limited(&host, |limits| limits.memory_bytes = 32 << 20);
    let bomb = "head -c 200000000 /dev/zero | exec tail -c 200000000 > /dev/null; exit $?";
    let output = sandbox.run(&host.shell_under(tight, bomb)).await.unwrap();
    let reason = output.status.reason;
    assert!(crate::ENDS_BY_MEMORY.contains(&reason), "{reason}: {}", text(&output));
}

/// 1: processes.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn processes_are_bounded() {
    let host = Host::new();
    let sandbox = sandbox().await;
    let forks = "i=0; while [ $i -lt 60 ]; do sleep 20 & i=$((i+1)); done; echo all";
    let free = sandbox.run(&host.shell(forks)).await.unwrap();
    assert!(text(&free).ends_with("all\n"), "{}", text(&free));
    let policy = limited(&host, |limits| limits.processes = 20);
    let output = sandbox.run(&host.shell_under(policy, forks)).await.unwrap();
    assert!(!text(&output).contains("all\n"), "{}", text(&output));
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn a_stopped_command_stands_still_and_goes_on() {
    let host = Host::new();
    let script = "echo up; while :; do echo x >> beat; sleep 0.1; done";
    let mut running = sandbox().await.start(&host.shell(script)).await.unwrap();
    running.next_output().await.unwrap();
    let size = || std::fs::metadata(host.path("workspace/beat")).map_or(0, |meta| meta.len());
    let later = async || tokio::time::sleep(Duration::from_secs(2)).await;
    running.signal(Signal::Stop).unwrap();
    later().await;
    let before = size();
    later().await;
    assert_eq!(size(), before);
    running.signal(Signal::Continue).unwrap();
    later().await;
    assert!(size() > before);
    running.kill();
    assert_eq!(running.wait().await.unwrap().reason, EndReason::Cancelled);
}
