//! Streams, limits, ends, and what is left behind.

use crate::ENGINE;
use crate::host::{Host, client, containers_of, eventually, image, sandbox, socket, text};
use codegenie_exec::{
    ContainerSandbox, DangerousNoSandbox, EndReason, Limits, Sandbox, SandboxPolicy, Signal, Stdio,
    TerminalSize,
};
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::Duration;

pub(crate) fn limited(host: &Host, change: impl FnOnce(&mut Limits)) -> SandboxPolicy {
    let mut policy = host.policy();
    change(&mut policy.limits);
    policy
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn input_is_streamed_and_signals_reach_the_group() {
    let host = Host::new();
    let sandbox = sandbox().await;
    let mut running = sandbox.start(&host.shell("cat; echo end").stdio(Stdio::Piped)).await.unwrap();
    running.write_input(b"one\n").await.unwrap();
    assert_eq!(running.next_output().await.unwrap().bytes, b"one\n");
    running.write_input(b"two\n").await.unwrap();
    running.close_input();
    let output = running.collect().await.unwrap();
    assert_eq!(text(&output), "two\nend\n");

    // The shell waits for a child that would go on for long: the signal must reach both.
    let script = "trap 'echo caught; exit 3' USR1; echo ready; sleep 100; echo late";
    let mut running = sandbox.start(&host.shell(script)).await.unwrap();
    assert_eq!(running.next_output().await.unwrap().bytes, b"ready\n");
    running.signal(Signal::User1).unwrap();
    let output = running.collect().await.unwrap();
    assert!(text(&output).contains("caught"), "{}", text(&output));
    assert_eq!(output.status.reason, EndReason::Exited(3));

    let mut running = sandbox.start(&host.shell("echo ready; exec sleep 100")).await.unwrap();
    running.next_output().await.unwrap();
    running.signal(Signal::Terminate).unwrap();
    assert_eq!(running.wait().await.unwrap().reason, EndReason::Signaled(15));
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn a_terminal_has_a_size_and_any_bytes() {
    let host = Host::new();
    let size = TerminalSize { rows: 33, columns: 101 };
    let script = "read -r word; stty size; tty > /dev/null && echo yes; read -r word; stty size; printf '\\001\\177\\177\\177\\177\\002end'";
    let request = host.shell(script).stdio(Stdio::Terminal(size));
    let mut running = sandbox().await.start(&request).await.unwrap();
    running.write_input(b"go\n").await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("yes") {
        seen.extend(running.next_output().await.expect("the terminal ended early").bytes);
    }
    running.resize(TerminalSize { rows: 50, columns: 60 }).unwrap();
    // The order before has been carried out when its answer is seen in the daemon: a signal that nobody takes
    // is behind it.
    running.signal(Signal::Continue).unwrap();
    tokio::time::timeout(Duration::from_secs(60), async {
        running.write_input(b"go\n").await.unwrap();
        while let Some(chunk) = running.next_output().await {
            seen.extend(chunk.bytes);
        }
    })
    .await
    .unwrap();
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(seen.contains("33 101"), "{seen:?}");
    assert!(seen.ends_with("\u{1}\u{7f}\u{7f}\u{7f}\u{7f}\u{2}end"), "{seen:?}");
}

#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn limits_end_the_tree() {
    let host = Host::new();
    let sandbox = sandbox().await;
    let timed = limited(&host, |limits| limits.timeout = Duration::from_secs(3));
    let output = sandbox.run(&host.shell_under(timed, "trap '' TERM; echo so far; sleep 100")).await.unwrap();
    assert_eq!((output.status.reason, text(&output).as_str()), (EndReason::TimedOut, "so far\n"));

    let idle = limited(&host, |limits| limits.idle = Some(Duration::from_secs(4)));
    let script = "for i in 1 2 3 4 5 6; do echo $i; sleep 1; done; sleep 100";
    let output = sandbox.run(&host.shell_under(idle, script)).await.unwrap();
    assert_eq!(output.status.reason, EndReason::IdleTimedOut);
    assert_eq!(text(&output), "1\n2\n3\n4\n5\n6\n");

    let cpu = limited(&host, |limits| limits.cpu = Some(Duration::from_secs(1)));
    let output = sandbox.run(&host.shell_under(cpu, "while :; do :; done")).await.unwrap();
    assert_eq!(output.status.reason, EndReason::CpuLimit);
}

/// 4, 7, 12: /tmp, file sizes, descriptors. Each is shown to have room under a wider limit.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn resources_are_bounded() {
    let host = Host::new();
    let sandbox = sandbox().await;
    let (fill, size) =
        ("head -c 9000000 /dev/zero > /tmp/x && echo all", "head -c 9000000 /dev/zero > x && echo all");
    let open =
        "i=3; while [ $i -lt 90 ]; do eval \"exec $i</dev/null\" || exit 1; i=$((i+1)); done; echo all";
    type Change = fn(&mut Limits);
    let attempts: [(&str, Change); 3] = [
        (fill, |limits| limits.tmp_bytes = 4 << 20),
        (size, |limits| limits.file_bytes = 4 << 20),
        (open, |limits| limits.open_files = 32),
    ];
    for (script, change) in attempts {
        let free = sandbox.run(&host.shell(script)).await.unwrap();
        assert!(text(&free).ends_with("all\n"), "{script}: {}", text(&free));
        let output = sandbox.run(&host.shell_under(limited(&host, change), script)).await.unwrap();
        assert!(!text(&output).contains("all\n"), "{script}: {}", text(&output));
    }
}

/// What is not read stays with the command.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn output_that_nobody_reads_holds_the_command_up() {
    let host = Host::new();
    let script = "i=0; while [ $i -lt 400 ]; do head -c 100000 /dev/zero; i=$((i+1)); echo $i > count; done";
    let policy = limited(&host, |limits| limits.output_bytes = u64::MAX);
    let count = || -> u64 {
        let text = std::fs::read_to_string(host.path("workspace/count")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    let mut running = sandbox().await.start(&host.shell_under(policy, script)).await.unwrap();
    // It stands still long before its end: for as long as three looks a second apart.
    let mut looks = Vec::new();
    let stands_still = |looks: &[u64]| match looks {
        [.., a, b, c] => *a > 0 && a == b && b == c,
        _ => false,
    };
    while looks.len() < 60 && !stands_still(&looks) {
        looks.push(count());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((1..400).contains(&count()), "{looks:?}");
    let mut bytes = 0;
    while let Some(chunk) = running.next_output().await {
        bytes += chunk.bytes.len();
    }
    assert_eq!(bytes, 40_000_000);
    assert!(running.wait().await.unwrap().reason.is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn many_runs_leave_nothing_behind() {
    // In a process of its own, since other tests have containers at the same time.
    let output = helper("lifetime::helper_many_runs").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// This executable, with one of the helper tests.
fn helper(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--ignored"]).env("CODEGENIE_HELPER", "1");
    command
}

fn is_helper() -> bool {
    std::env::var_os("CODEGENIE_HELPER").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a helper of another test"]
async fn helper_many_runs() {
    if !is_helper() {
        return;
    }
    let (host, sandbox) = (Host::new(), sandbox().await);
    for number in 0..ENGINE.many {
        let output = sandbox.run(&host.shell(&format!("echo {number}"))).await.unwrap();
        assert_eq!(text(&output), format!("{number}\n"));
    }
    let own = std::process::id();
    assert!(eventually(|| containers_of(own).is_empty()), "{:?}", containers_of(own));
}

#[test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
fn a_handle_that_is_dropped_outside_of_a_runtime_ends_its_container() {
    let output = helper("lifetime::helper_drops").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "a helper of another test"]
fn helper_drops() {
    if !is_helper() {
        return;
    }
    let host = Host::new();
    let own = std::process::id();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let running =
            runtime.block_on(async { sandbox().await.start(&host.shell("exec sleep 300")).await.unwrap() });
        (runtime, running)
    };
    // The runtime is not driven any more, then gone; and gone first.
    let (runtime, running) = start();
    assert_eq!(containers_of(own).len(), 1);
    drop(running);
    assert!(eventually(|| containers_of(own).is_empty()), "{:?}", containers_of(own));
    drop(runtime);
    let (runtime, running) = start();
    drop(runtime);
    assert!(eventually(|| containers_of(own).is_empty()), "{:?}", containers_of(own));
    drop(running);
    // A start that is given up in its middle leaves nothing, at whichever step.
    let (runtime, running) = start();
    drop(running);
    runtime.block_on(async {
        let sandbox = sandbox().await;
        for polls in 1..40 {
            let request = host.shell("exec sleep 300");
            let mut starting = Box::pin(sandbox.start(&request));
            let mut left = polls;
            std::future::poll_fn(|cx| {
                left -= 1;
                match starting.as_mut().poll(cx) {
                    std::task::Poll::Pending if left > 0 => std::task::Poll::Pending,
                    _ => std::task::Poll::Ready(()),
                }
            })
            .await;
        }
    });
    drop(runtime);
    assert!(eventually(|| containers_of(own).is_empty()), "{:?}", containers_of(own));
}

/// 15: the host is killed.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn containers_of_a_killed_host_are_swept_and_others_are_not() {
    let mut child =
        helper("lifetime::helper_is_killed").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("a container runs")));
    child.kill().unwrap();
    child.wait().unwrap();
    let left = containers_of(child.id());
    assert_eq!(left.len(), 1, "without a sweep it stays: {left:?}");

    let host = Host::new();
    let ours = ContainerSandbox::builder(image()).socket(socket()).connect().await.unwrap();
    // Connecting sweeps, and so may another test's: it is gone now.
    assert!(containers_of(child.id()).is_empty());
    let mut running = ours.start(&host.shell("echo up; exec sleep 300")).await.unwrap();
    running.next_output().await.unwrap();
    let second = sandbox().await;
    second.sweep().await.unwrap();
    running.signal(Signal::Terminate).unwrap();
    assert_eq!(
        running.wait().await.unwrap().reason,
        EndReason::Signaled(15),
        "a living host's is left alone"
    );
}

#[tokio::test]
#[ignore = "a helper of another test"]
async fn helper_is_killed() {
    if !is_helper() {
        return;
    }
    let host = Host::new();
    let mut running = sandbox().await.start(&host.shell("echo up; exec sleep 300")).await.unwrap();
    running.next_output().await.unwrap();
    println!("a container runs");
    running.wait().await.unwrap();
}

/// 13, 14, 17: daemons, deaf children, holders of the output.
#[tokio::test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
async fn what_a_command_leaves_running_ends_with_it() {
    let host = Host::new();
    let beat = "( trap '' HUP TERM; i=0; while [ $i -lt 100 ]; do echo x >> beat; sleep 0.1; i=$((i+1)); done ) </dev/null >/dev/null 2>&1 &";
    let script = format!("{beat} while [ ! -s beat ]; do sleep 0.1; done");
    let size = || std::fs::metadata(host.path("workspace/beat")).map_or(0, |meta| meta.len());
    let free = DangerousNoSandbox.run(&host.shell(&script)).await.unwrap();
    assert!(free.status.reason.is_success());
    let before = size();
    assert!(eventually(|| size() > before), "without a sandbox it goes on");
    std::fs::remove_file(host.path("workspace/beat")).unwrap();

    let confined = Host::new();
    let output = sandbox().await.run(&confined.shell(&script)).await.unwrap();
    assert!(output.status.reason.is_success(), "{}", text(&output));
    let size = || std::fs::metadata(confined.path("workspace/beat")).map_or(0, |meta| meta.len());
    let before = size();
    sandbox().await.run(&confined.shell("sleep 2")).await.unwrap();
    assert_eq!(size(), before);
}

#[test]
#[ignore = "needs a daemon: run by .ci/dockerd or .ci/podman"]
fn the_daemon_keeps_no_output() {
    // In a process of its own, whose only container it is.
    let output = helper("lifetime::helper_keeps_no_output").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("its output is kept nowhere"), "{said}");
}

#[tokio::test]
#[ignore = "a helper of another test"]
async fn helper_keeps_no_output() {
    if !is_helper() {
        return;
    }
    let host = Host::new();
    let mut running = sandbox().await.start(&host.shell("echo up; exec sleep 300")).await.unwrap();
    running.next_output().await.unwrap();
    let own = containers_of(std::process::id());
    let [line] = own.as_slice() else { panic!("{own:?}") };
    let name = line.split(' ').next().unwrap();
    assert!(name.starts_with("codegenie-"), "{line}");
    assert_eq!(client(&["inspect", "-f", "{{.HostConfig.LogConfig.Type}}", name]).trim(), "none");
    println!("its output is kept nowhere");
}
