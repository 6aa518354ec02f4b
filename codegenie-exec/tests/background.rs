//! Commands that a host keeps beside its other work.
#![cfg(all(target_os = "linux", feature = "native"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use codegenie_exec::{
    Background, EndReason, Limits, NativeSandbox, OutputStream, Sandbox, SandboxPolicy, SandboxRequest,
    Signal,
};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

async fn keep(script: &str, recent: usize) -> Background {
    let policy = SandboxPolicy::default().limits(Limits::for_background());
    let request = SandboxRequest::new("bash", policy).arg("-c").arg(script);
    Background::keep(NativeSandbox::new().unwrap().start(&request).await.unwrap(), recent)
}

#[tokio::test]
async fn a_server_runs_until_it_is_stopped() {
    let mut server =
        keep("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done", 4096).await;
    assert!(server.printed(b"ready", LONG).await);
    assert_eq!(server.status(), None);
    let status = server.stop(LONG).await.unwrap();
    assert_eq!(status.reason, EndReason::Exited(7));
    assert_eq!(server.recent(OutputStream::Stdout), b"ready\nbye\n");
    assert_eq!(server.status().unwrap().reason, EndReason::Exited(7));
    assert!(server.signal(Signal::Terminate).is_err());
}

#[tokio::test]
async fn one_that_does_not_want_to_end_is_ended() {
    let mut server =
        keep("trap '' TERM; echo ready; exec >&- 2>&-; while :; do sleep 0.05; done", 4096).await;
    assert!(server.printed(b"ready", LONG).await);
    let status = server.stop(Duration::from_millis(300)).await.unwrap();
    assert_eq!(status.reason, EndReason::Cancelled);
}

#[tokio::test]
async fn a_flood_is_read_and_only_its_last_part_kept() {
    let mut flood = keep("head -c 20000000 /dev/zero; echo the end", 1000).await;
    assert_eq!(flood.wait().await.unwrap().reason, EndReason::Exited(0));
    let kept = flood.recent(OutputStream::Stdout);
    assert!(kept.len() <= 1000 && kept.ends_with(b"the end\n"), "{} bytes", kept.len());
    assert!(!flood.printed(b"never", LONG).await);
}

#[tokio::test]
async fn what_is_dropped_ends() {
    let dir = tempfile::tempdir().unwrap();
    let policy = SandboxPolicy::workspace_write(dir.path()).limits(Limits::for_background());
    let script = "echo ready; while :; do date +%N > tick; sleep 0.01; done";
    let request = SandboxRequest::new("bash", policy).arg("-c").arg(script);
    let mut server = Background::keep(NativeSandbox::new().unwrap().start(&request).await.unwrap(), 4096);
    assert!(server.printed(b"ready", LONG).await);
    drop(server);
    // Sooner or later the file stays as it is; a process that lived would write it again.
    let tick = dir.path().join("tick");
    let mut unchanged = 0;
    let mut last = std::fs::read(&tick).unwrap_or_default();
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = std::fs::read(&tick).unwrap_or_default();
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
        if unchanged > 20 {
            return;
        }
    }
    unreachable!("the command still writes");
}
