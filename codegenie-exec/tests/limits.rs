//! Limits, usage, standard streams and signals, by both launchers.
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

use codegenie_exec::{
    EndReason, Layer, NativeSandbox, Requirement, RunOutput, Running, Sandbox, SandboxPolicy, SandboxRequest,
    Signal, Stdio, TerminalSize,
};
use host::{DIRECT, Host, Launcher, POOL, eventually, marker, processes_with, text};
use std::time::{Duration, Instant};

const LAUNCHERS: [Launcher; 2] = [DIRECT, POOL];

/// The launchers, each with a host of its own.
fn hosts() -> impl Iterator<Item = Host> {
    LAUNCHERS.into_iter().map(Host::new)
}

/// Reads until `wanted` has come; gives all that came.
async fn read_until(running: &mut Running, wanted: &str) -> String {
    let mut all = String::new();
    while !all.contains(wanted) {
        let next = tokio::time::timeout(Duration::from_secs(20), running.next_output()).await;
        let chunk = next.unwrap_or_else(|_| panic!("{wanted:?} did not come: {all:?}"));
        let chunk = chunk.unwrap_or_else(|| panic!("the output ended before {wanted:?}: {all:?}"));
        all.push_str(&String::from_utf8_lossy(&chunk.bytes));
    }
    all
}

async fn start(host: &Host, policy: SandboxPolicy, stdio: Stdio, script: &str) -> Running {
    let request = host.shell(policy, script).stdio(stdio);
    let running = host.launcher.ready(&request.policy).await.start(&request).await.unwrap();
    // No sandbox that waits has a terminal.
    let launcher = if matches!(stdio, Stdio::Terminal(_)) { DIRECT } else { host.launcher };
    assert_eq!(running.report().launcher, launcher.name);
    running
}

/// Each process is within the limit; together they are not.
const EIGHT: &str = "for i in 1 2 3 4 5 6 7 8; do \
    (x=$(head -c 30M /dev/zero | tr '\\0' x); echo holds >> held; sleep 0.5; until [ $(wc -l < held) -ge 8 ]; do sleep 0.05; done) & done; \
    wait; echo all of $(wc -l < held)";

#[tokio::test]
async fn memory_of_the_whole_tree_is_limited_where_there_are_groups() {
    for host in hosts() {
        let mut policy = host.policy().timeout(Duration::from_secs(15));
        policy.limits.memory_bytes = 100 << 20;
        let output = host.confined_under(policy, EIGHT).await;
        let held = std::fs::read_to_string(host.path("workspace/held")).unwrap_or_default().lines().count();
        if output.report.enforces(Layer::ControlGroups) {
            assert!(held < 8, "{held} held their memory at once: {}", text(&output));
            assert!(output.status.usage.peak_memory_bytes.unwrap() <= 100 << 20, "{:?}", output.status);
        } else {
            // Then the report must not say that the limits are complete.
            assert!(!output.report.enforces(Layer::ResourceLimits), "{:?}", output.report);
            println!("not limited here: the memory of a tree, which needs control groups");
        }
    }
}

/// Memory that no limit of a process counts.
#[tokio::test]
async fn running_out_of_memory_is_told() {
    for host in hosts() {
        let mut policy = host.policy();
        policy.limits.memory_bytes = 64 << 20;
        // In a file in memory, which counts, and whose room is larger.
        let output = host.confined_under(policy, "exec head -c 200M /dev/zero > /tmp/file").await;
        if output.report.enforces(Layer::ControlGroups) {
            assert_eq!(output.status.reason, EndReason::OutOfMemory, "{}", text(&output));
        } else {
            assert_eq!(output.status.reason, EndReason::Exited(0), "{}", text(&output));
            println!("not limited here: files in memory beyond their own limit, which needs control groups");
        }
    }
}

/// A helper program: reserves much memory and touches none, as sanitizers and some runtimes do.
#[test]
#[ignore = "a helper program of reserved_memory_counts_only_without_groups, which runs it in the sandbox"]
fn helper_reserves() {
    let mut much = Vec::<u8>::new();
    println!("reserved: {}", std::hint::black_box(&mut much).try_reserve_exact(2 << 30).is_ok());
}

#[tokio::test]
async fn reserved_memory_counts_only_without_groups() {
    for host in hosts() {
        let program = host.path("workspace/program");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        for groups in [Requirement::BestEffort, Requirement::Off] {
            let mut policy = host.policy().dangerous_relax(Layer::ControlGroups, groups);
            policy.limits.memory_bytes = 256 << 20;
            let request = SandboxRequest::new(&program, policy).args(host::helper("helper_reserves"));
            let output = host.launcher.run(&request).await.unwrap();
            let grouped = output.report.enforces(Layer::ControlGroups);
            assert!(!grouped || groups == Requirement::BestEffort);
            assert!(text(&output).contains(&format!("reserved: {grouped}")), "{}", text(&output));
            let of = |layer| output.report.layers.iter().find(|of| of.layer == layer).unwrap();
            let detail = &of(Layer::ResourceLimits).detail;
            let expected =
                if grouped { "memory by the control group alone" } else { "256 MiB private to each" };
            assert!(detail.contains(expected), "{detail}");
            if groups == Requirement::BestEffort && !grouped {
                println!("not limited here: used memory rather than reserved, which needs control groups");
            }
        }
    }
}

#[tokio::test]
async fn idleness_is_limited() {
    for host in hosts() {
        let mut policy = host.policy().timeout(Duration::from_secs(60));
        policy.limits.idle = Some(Duration::from_secs(1));
        let mark = marker();
        let since = Instant::now();
        let idle = host.confined_under(policy.clone(), &format!("echo begins; sleep 40.{mark}")).await;
        assert_eq!(idle.status.reason, EndReason::IdleTimedOut);
        assert_eq!(text(&idle), "begins\n");
        assert!(since.elapsed() < Duration::from_secs(30));
        assert!(eventually(|| processes_with(&format!("40.{mark}")).is_empty()));

        // One that prints at times is not idle, though it takes longer in all.
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.2; done";
        let busy = host.confined_under(policy, script).await;
        assert_eq!(busy.status.reason, EndReason::Exited(0), "{}", text(&busy));
    }
}

#[tokio::test]
async fn a_command_is_not_idle_while_the_host_does_not_read() {
    for host in hosts() {
        let mut policy = host.policy().timeout(Duration::from_secs(60));
        policy.limits.idle = Some(Duration::from_millis(1500));
        let mut running = start(&host, policy, Stdio::Captured, "head -c 1000000 /dev/zero; echo end").await;
        // Longer than the limit; a pipe holds less than is printed.
        tokio::time::sleep(Duration::from_millis(4000)).await;
        let mut bytes = 0;
        while let Some(chunk) = running.next_output().await {
            bytes += chunk.bytes.len();
        }
        assert_eq!(running.wait().await.unwrap().reason, EndReason::Exited(0));
        assert_eq!(bytes, 1_000_004);
    }
}

#[tokio::test]
async fn cpu_time_is_limited_and_told() {
    for host in hosts() {
        let mut policy = host.policy().timeout(Duration::from_secs(60));
        policy.limits.cpu = Some(Duration::from_secs(1));
        let output = host.confined_under(policy, "echo begins; while :; do :; done").await;
        assert_eq!(output.status.reason, EndReason::CpuLimit, "{:?}", output.status);
        assert_eq!(text(&output), "begins\n");
        let used = output.status.usage.cpu.unwrap();
        assert!(used > Duration::from_millis(600) && used < Duration::from_secs(3), "{used:?}");
    }
}

#[tokio::test]
async fn a_share_of_the_processors_is_held() {
    for host in hosts() {
        let mut policy = host.policy().timeout(Duration::from_secs(3));
        policy.limits.cpu_percent = Some(20);
        let output = host.confined_under(policy, "while :; do :; done & while :; do :; done").await;
        assert_eq!(output.status.reason, EndReason::TimedOut);
        let used = output.status.usage.cpu.unwrap();
        if output.report.enforces(Layer::ControlGroups) {
            // 20 % of 3 s, and not the 3 s to 6 s that two loops take by themselves.
            assert!(used < Duration::from_millis(1400), "{used:?}");
        } else {
            assert!(output.report.status(Layer::ControlGroups).to_string().starts_with("unavailable"));
            println!("not limited here: the share of the processors, which needs control groups");
        }
    }
}

#[tokio::test]
async fn usage_is_plausible() {
    for host in hosts() {
        let script = "x=$(head -c 20M /dev/zero | tr '\\0' x); for i in 1 2 3 4 5; do sleep 0.3 & done; wait; \
                      head -c 3M /dev/zero > file; sync file; echo ${#x}";
        let output = host.confined_under(host.policy(), script).await;
        assert_eq!(text(&output), "20971520\n");
        let usage = output.status.usage;
        assert!(
            usage.wall >= Duration::from_millis(300) && usage.wall < Duration::from_secs(20),
            "{usage:?}"
        );
        assert!(
            usage.cpu.unwrap() > Duration::from_millis(1) && usage.cpu.unwrap() < Duration::from_secs(20)
        );
        let resident = usage.max_rss_bytes.unwrap();
        assert!(resident > 20 << 20 && resident < 1 << 30, "{usage:?}");
        assert_eq!(usage.output_bytes, 9);
        if let Some(written) = usage.written_bytes {
            // A workspace in memory is written to no storage.
            assert!(written == 0 || (3 << 20..1 << 30).contains(&written), "{usage:?}");
        }
        if output.report.enforces(Layer::ControlGroups) {
            assert!(usage.peak_memory_bytes.unwrap() > 20 << 20, "{usage:?}");
            if let Some(processes) = usage.peak_processes {
                assert!((6..20).contains(&processes), "{usage:?}");
            }
        } else {
            assert_eq!((usage.peak_memory_bytes, usage.peak_processes), (None, None));
        }
    }
}

#[tokio::test]
async fn input_is_streamed() {
    for host in hosts() {
        let script = "while read line; do echo got $line; done; echo end";
        let mut running = start(&host, host.policy(), Stdio::Piped, script).await;
        for line in ["one", "two"] {
            running.write_input(format!("{line}\n").as_bytes()).await.unwrap();
            read_until(&mut running, &format!("got {line}\n")).await;
        }
        running.close_input();
        read_until(&mut running, "end\n").await;
        assert_eq!(running.wait().await.unwrap().reason, EndReason::Exited(0));
        assert!(running.write_input(b"late").await.is_err());
    }
}

#[tokio::test]
async fn input_waits_for_a_command_that_does_not_read() {
    for host in hosts() {
        let script = "until [ -e go ]; do sleep 0.05; done; wc -c";
        let mut running = start(&host, host.policy(), Stdio::Piped, script).await;
        let input = vec![b'x'; 4 << 20];
        {
            let mut writing = std::pin::pin!(running.write_input(&input));
            let early = tokio::time::timeout(Duration::from_millis(300), &mut writing).await;
            assert!(early.is_err(), "4 MiB went into a pipe that nobody reads");
            std::fs::write(host.path("workspace/go"), "").unwrap();
            tokio::time::timeout(Duration::from_secs(15), writing).await.unwrap().unwrap();
        }
        running.close_input();
        assert_eq!(text(&running.collect().await.unwrap()).trim(), (4 << 20).to_string());

        // One that ends without having read is an error, not a wait.
        let mut running = start(&host, host.policy(), Stdio::Piped, "exec <&-; exit 0").await;
        let written = tokio::time::timeout(Duration::from_secs(15), running.write_input(&input)).await;
        assert!(written.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_terminal_is_one() {
    for host in hosts() {
        let size = TerminalSize { rows: 31, columns: 97 };
        // It waits without starting programs: a signal that comes while a shell forks may end it in spite of its trap.
        let script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all three; stty size; tty; ls /dev/pts; \
                      trap 'echo now $(stty size)' WINCH; trap 'echo interrupted' INT; trap 'exit 4' TERM; \
                      sleep 60 & echo ready; while :; do wait; done";
        let mut running = start(&host, host.policy(), Stdio::Terminal(size), script).await;
        let first = read_until(&mut running, "ready\r\n").await;
        assert!(first.starts_with("all three\r\n31 97\r\n/dev/pts/0\r\n"), "{first:?}");
        // Of the host's terminals none is there.
        let listed: Vec<&str> = first.lines().skip(3).take_while(|line| *line != "ready").collect();
        assert_eq!(listed.join(" ").split_whitespace().collect::<Vec<_>>(), ["0", "ptmx"]);
        running.resize(TerminalSize { rows: 50, columns: 120 }).unwrap();
        read_until(&mut running, "now 50 120\r\n").await;
        running.write_input(&[3]).await.unwrap();
        read_until(&mut running, "interrupted\r\n").await;
        running.signal(Signal::Terminate).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(15), running.wait()).await;
        assert_eq!(ended.expect("its output ends with it").unwrap().reason, EndReason::Exited(4));
        assert!(running.next_output().await.is_none());
    }
}

#[tokio::test]
async fn a_terminal_ends_input_by_a_character() {
    for host in hosts() {
        let stdio = Stdio::Terminal(TerminalSize::default());
        let mut running = start(&host, host.policy(), stdio, "cat; echo end").await;
        running.write_input(b"typed\n\x04").await.unwrap();
        let output = running.collect().await.unwrap();
        assert_eq!(text(&output), "typed\r\ntyped\r\nend\r\n");
    }
}

#[tokio::test]
async fn signals_reach_the_command() {
    for host in hosts() {
        for (signal, name) in [
            (Signal::Terminate, "TERM"),
            (Signal::Interrupt, "INT"),
            (Signal::Hangup, "HUP"),
            (Signal::User1, "USR1"),
            (Signal::User2, "USR2"),
            (Signal::Quit, "QUIT"),
        ] {
            let script =
                format!("trap 'echo {name} came; exit 5' {name}; echo ready; while :; do sleep 0.05; done");
            let mut running = start(&host, host.policy(), Stdio::Captured, &script).await;
            read_until(&mut running, "ready\n").await;
            running.signal(signal).unwrap();
            read_until(&mut running, &format!("{name} came\n")).await;
            assert_eq!(running.wait().await.unwrap().reason, EndReason::Exited(5));
        }
        let mut running = start(&host, host.policy(), Stdio::Captured, "echo ready; sleep 20").await;
        read_until(&mut running, "ready\n").await;
        running.signal(Signal::Terminate).unwrap();
        assert_eq!(running.wait().await.unwrap().reason, EndReason::Signaled(15));
    }
}

#[tokio::test]
async fn a_stopped_command_goes_on() {
    for host in hosts() {
        let script = "echo ready; while :; do echo tick >> ticks; sleep 0.02; done";
        let mut running = start(&host, host.policy(), Stdio::Captured, script).await;
        read_until(&mut running, "ready\n").await;
        let ticks = || std::fs::metadata(host.path("workspace/ticks")).map_or(0, |meta| meta.len());
        assert!(eventually(|| ticks() > 0));
        running.signal(Signal::Stop).unwrap();
        // It has stopped once nothing changes for a while.
        let mut before = ticks();
        assert!(eventually(|| {
            std::thread::sleep(Duration::from_millis(400));
            let stopped = ticks() == before;
            before = ticks();
            stopped
        }));
        running.signal(Signal::Continue).unwrap();
        assert!(eventually(|| ticks() > before));
        running.kill();
        assert_eq!(running.wait().await.unwrap().reason, EndReason::Cancelled);
        // What has ended takes no signal, or it does not matter; it is no panic.
        let _ = running.signal(Signal::Terminate);
    }
}

#[tokio::test]
async fn a_killed_command_keeps_its_output() {
    for host in hosts() {
        let mark = marker();
        let script = format!("trap '' TERM; echo before; sleep 30.{mark} & sleep 30.{mark}");
        let mut running = start(&host, host.policy(), Stdio::Captured, &script).await;
        assert!(eventually(|| processes_with(&format!("sleep\030.{mark}")).len() == 2));
        running.kill();
        let output: RunOutput = running.collect().await.unwrap();
        assert_eq!((text(&output).as_str(), output.status.reason), ("before\n", EndReason::Cancelled));
        assert!(processes_with(&format!("30.{mark}")).is_empty());
    }
}

#[tokio::test]
async fn required_groups_are_there_or_nothing_runs() {
    let host = Host::new(DIRECT);
    let request = SandboxRequest::new("true", host.policy().require(Layer::ControlGroups));
    match NativeSandbox::new().unwrap().run(&request).await {
        Ok(output) => assert!(output.report.enforces(Layer::ControlGroups)),
        Err(error) => {
            assert_eq!(error.layer(), Some(Layer::ControlGroups));
            assert!(error.to_string().contains("nothing was run"), "{error}");
        }
    }
}

/// The numbers by which shells and the kernel tell of limits prove nothing.
#[tokio::test]
async fn an_exit_status_does_not_pass_for_a_limit() {
    for host in hosts() {
        for (script, expected) in [
            ("exit 152", EndReason::Exited(152)),
            ("exit 137", EndReason::Exited(137)),
            ("kill -XCPU $$; sleep 1", EndReason::Signaled(24)),
        ] {
            let mut policy = host.policy();
            policy.limits.cpu = Some(Duration::from_secs(10));
            let request = host.shell(policy, script);
            let output = host.launcher.ready(&request.policy).await.run(&request).await.unwrap();
            assert_eq!(output.status.reason, expected, "{script}");
        }
    }
}
