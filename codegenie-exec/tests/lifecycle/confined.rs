//! Named sandboxes over the one that confines.

use super::*;
use codegenie_exec::NativeSandbox;

fn registry() -> (SandboxRegistry<NativeSandbox>, tempfile::TempDir) {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let registry = SandboxRegistry::new(NativeSandbox::new().unwrap(), SandboxQuota::default());
    (registry.private_directories(root.path().join("agents")).unwrap(), root)
}

fn private(registry: &SandboxRegistry<NativeSandbox>, name: &str) -> NamedSandbox<NativeSandbox> {
    let policy = |own: &Path| SandboxPolicy::workspace_write(own);
    registry.create_private(SandboxOptions::new(name, "ada"), policy).unwrap()
}

fn script(sandbox: &NamedSandbox<NativeSandbox>, script: &str) -> SandboxRequest {
    SandboxRequest::new("/bin/sh", sandbox.policy()).args(["-c", script])
}

#[tokio::test]
async fn two_agents_have_directories_that_the_other_does_not_see() {
    let (registry, _root) = registry();
    let (ada, bob) = (private(&registry, "ada"), private(&registry, "bob"));
    let of = |at: usize| registry.list()[at].directory.clone().unwrap();
    let written = ada.run(&script(&ada, "echo mine > note && cat note")).await.unwrap();
    assert_eq!(written.stdout, b"mine\n", "{}", String::from_utf8_lossy(&written.stderr));
    assert!(of(0).join("note").exists() && !of(1).join("note").exists());
    let path = of(0).join("note");
    // It is there for a command that may see it, and not for another.
    let look = format!("cat {}", path.display());
    assert_eq!(ada.run(&script(&ada, &look)).await.unwrap().stdout, b"mine\n");
    let other = bob.run(&script(&bob, &look)).await.unwrap();
    assert!(other.stdout.is_empty() && !other.status.reason.is_success());

    for name in ["ada", "bob"] {
        registry.close(name).unwrap();
    }
    assert!(registry.list().is_empty(), "{:?}", registry.list());
    assert!(!path.exists());
}

#[tokio::test]
async fn what_was_used_is_told() {
    let (registry, _root) = registry();
    let sandbox = private(&registry, "a");
    let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; printf 12345";
    for _ in 0..2 {
        assert!(sandbox.run(&script(&sandbox, work)).await.unwrap().status.reason.is_success());
    }
    let snapshot = sandbox.snapshot().unwrap();
    let used = snapshot.usage;
    assert_eq!((used.runs, used.output_bytes, snapshot.running), (2, 10, 0));
    assert!(
        used.cpu > Duration::ZERO && used.wall > Duration::ZERO && used.peak_memory_bytes > 0,
        "{used:?}"
    );
    assert_eq!(registry.usage("ada").cpu, used.cpu);
}

/// The end of what a command and all that it started hold open.
fn end_of(fifo: std::path::PathBuf) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        std::io::Read::read_to_end(&mut std::fs::File::open(fifo).unwrap(), &mut Vec::new())
            .map(drop)
            .unwrap();
    })
}

#[tokio::test]
async fn closing_ends_the_whole_tree_of_a_run_that_nobody_polls() {
    let (registry, _root) = registry();
    let sandbox = private(&registry, "a");
    let directory = registry.list()[0].directory.clone().unwrap();
    let fifo = directory.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let mut ended = end_of(fifo);
    let request = script(&sandbox, "exec 3>fifo; setsid sleep 600 & trap '' TERM; echo ready; sleep 600");
    let mut run = sandbox.start(&request).await.unwrap();
    assert_eq!(run.next_output().await.unwrap().bytes, b"ready\n");
    assert!(!ended.is_finished(), "it lives, and holds the fifo");

    registry.close("a").unwrap();
    let within = tokio::time::timeout(Duration::from_secs(60), &mut ended).await;
    assert!(within.is_ok(), "it lives on in a closed sandbox");
    assert_eq!(run.wait().await.unwrap().reason, EndReason::Cancelled);
    drop(run);
    registry.sweep();
    assert!(registry.list().is_empty() && !directory.exists());
}

#[tokio::test]
async fn a_future_that_is_dropped_gives_its_place_back() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let quota = SandboxQuota::default().running(1);
    let registry = SandboxRegistry::new(NativeSandbox::new().unwrap(), quota);
    let registry = registry.private_directories(root.path().join("agents")).unwrap();
    let sandbox = private(&registry, "a");
    for _ in 0..3 {
        let request = script(&sandbox, "sleep 600");
        let run = sandbox.run(&request);
        // Far enough to have begun, and no further.
        let given_up = tokio::select! {
            biased;
            _ = run => false,
            () = async { while registry.usage("ada").running == 0 { tokio::task::yield_now().await } } => true,
        };
        assert!(given_up);
        assert_eq!(registry.usage("ada").running, 0);
    }
    assert!(sandbox.run(&script(&sandbox, "true")).await.unwrap().status.reason.is_success());
    registry.close("a").unwrap();
}
