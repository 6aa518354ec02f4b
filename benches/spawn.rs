//! What confinement costs: a confined `/bin/true`, and one in bubblewrap, each in turn with an
//! unconfined one, in one run.
//!
//! `cargo bench --bench spawn`; bubblewrap (`bwrap`) is measured where it is installed.

use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_exec::{NativeSandbox, Sandbox, SandboxPolicy, SandboxRequest};
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WARM_UP: usize = 20;
const ROUNDS: usize = 300;
const BURST: usize = 1000;
const RESIDENT: usize = 1 << 30;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    // cargo passes --bench; `cargo test --benches` does not, and only wants to see that it runs.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_bench { ROUNDS } else { 3 };
    let workspace = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let direct = NativeSandbox::new()?;
    let pooled = direct.clone().pooled(4);
    let request = SandboxRequest::new("/bin/true", SandboxPolicy::workspace_write(workspace.path()));
    runtime.block_on(pooled.prewarm(&request.policy))?;
    let ours = |sandbox: &NativeSandbox| runtime.block_on(confine(sandbox, &request));

    let beside = |name: &str, run: &mut dyn FnMut() -> Result<Duration>| -> Result<f64> {
        let (mut plain, mut other) = (Vec::new(), Vec::new());
        for round in 0..WARM_UP + rounds {
            let (a, b) = (spawn()?, run()?);
            if round >= WARM_UP {
                plain.push(a);
                other.push(b);
            }
        }
        show(name, &other);
        show("    posix_spawn beside it", &plain);
        Ok(quantile_us(&other, 0.5) / quantile_us(&plain, 0.5))
    };
    let warm = beside("native, pool", &mut || ours(&pooled))?;
    let cold = beside("native, direct", &mut || ours(&direct))?;
    let wrapped = if bwrap().is_ok() { Some(beside("bwrap", &mut bwrap)?) } else { None };
    figure("spawn_pool_p50", warm, "x_posix_spawn", Goal::AtMost(1.5));
    figure("spawn_direct_p50", cold, "x_posix_spawn", Goal::AtMost(3.5));
    if let Some(wrapped) = wrapped {
        figure("spawn_bwrap_p50_over_pool", wrapped / warm, "x", Goal::AtLeast(4.0));
        figure("spawn_bwrap_p50_over_direct", wrapped / cold, "x", Goal::AtLeast(1.0));
    } else {
        eprintln!("bwrap is not installed or does not run here: it is not measured");
    }
    // A host with much memory: what forks it copies its page tables.
    let resident = vec![1u8; if is_bench { RESIDENT } else { 1 << 20 }];
    let large = beside("native, pool, 1 GiB host", &mut || ours(&pooled))?;
    std::hint::black_box(&resident);
    drop(resident);
    figure("spawn_pool_p50_1gib_host", large, "x_posix_spawn", Goal::AtMost(1.6));

    let burst = if is_bench { BURST } else { 10 };
    let mut sustained = Vec::new();
    let since = Instant::now();
    for _ in 0..burst {
        sustained.push(ours(&pooled)?);
    }
    let rate = burst as f64 / since.elapsed().as_secs_f64();
    show("native, pool, sustained", &sustained);
    println!("{burst} runs, one after the other: {rate:.0} a second");
    let (p50, p99) = (quantile_us(&sustained, 0.5), quantile_us(&sustained, 0.99));
    figure("spawn_burst_p50", p50 / 1000.0, "ms", Goal::AtMost(5.0));
    figure("spawn_burst_p99", p99 / 1000.0, "ms", Goal::AtMost(25.0));
    Ok(())
}

fn show(name: &str, samples: &[Duration]) {
    if !samples.is_empty() {
        println!(
            "{name:25} p50 {:6.0} us, p99 {:6.0} us",
            quantile_us(samples, 0.5),
            quantile_us(samples, 0.99)
        );
    }
}

/// std's Command uses posix_spawn where nothing needs a fork; the pipes are those that the sandbox has too.
fn spawn() -> Result<Duration> {
    timed(&mut Command::new("/bin/true"))
}

/// bubblewrap with what its own documentation calls a minimal view; it has no Landlock, no seccomp filter, no limits.
fn bwrap() -> Result<Duration> {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr"]);
    command.args(["--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"]);
    command.args(["--symlink", "usr/lib64", "/lib64", "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]);
    timed(command.arg("/bin/true"))
}

fn timed(command: &mut Command) -> Result<Duration> {
    let since = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(since.elapsed())
}

async fn confine(sandbox: &NativeSandbox, request: &SandboxRequest) -> Result<Duration> {
    let since = Instant::now();
    let output = sandbox.run(request).await?;
    if !output.status.reason.is_success() {
        return Err(format!("confined /bin/true: {}", output.status.reason).into());
    }
    Ok(since.elapsed())
}
