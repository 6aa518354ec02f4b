//! What confinement costs: a confined `/bin/true` beside an unconfined one, in turn, in one run.
//!
//! `cargo bench --bench spawn`

use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_exec::{NativeSandbox, Sandbox, SandboxPolicy, SandboxRequest};
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WARM_UP: usize = 20;
const ROUNDS: usize = 300;

fn main() -> Result<(), Box<dyn Error>> {
    // cargo passes --bench; `cargo test --benches` does not, and only wants to see that it runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 3 };
    let workspace = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sandbox = NativeSandbox::new()?;
    let request = SandboxRequest::new("/bin/true", SandboxPolicy::workspace_write(workspace.path()));

    let pooled = sandbox.clone().pooled(4);
    runtime.block_on(pooled.prewarm(&request.policy))?;
    let (mut plain, mut confined, mut warm) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..WARM_UP + rounds {
        let a = spawn()?;
        let b = runtime.block_on(confine(&sandbox, &request))?;
        let c = runtime.block_on(confine(&pooled, &request))?;
        if round >= WARM_UP {
            plain.push(a);
            confined.push(b);
            warm.push(c);
        }
    }
    let (base, ours) = (quantile_us(&plain, 0.5), quantile_us(&confined, 0.5));
    println!("posix_spawn /bin/true: p50 {base:.0} us, p99 {:.0} us", quantile_us(&plain, 0.99));
    println!("native, direct:        p50 {ours:.0} us, p99 {:.0} us", quantile_us(&confined, 0.99));
    let pool = quantile_us(&warm, 0.5);
    println!("native, pool:          p50 {pool:.0} us, p99 {:.0} us", quantile_us(&warm, 0.99));
    figure("spawn_pool_p50", pool / base, "x_posix_spawn", Goal::AtMost(1.5));
    figure("spawn_direct_p50", ours / base, "x_posix_spawn", Goal::AtMost(3.5));
    Ok(())
}

/// std's Command uses posix_spawn where nothing needs a fork; the pipes are those that the sandbox has too.
fn spawn() -> Result<Duration, Box<dyn Error>> {
    let since = Instant::now();
    let output = Command::new("/bin/true").stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err("/bin/true failed".into());
    }
    Ok(since.elapsed())
}

async fn confine(sandbox: &NativeSandbox, request: &SandboxRequest) -> Result<Duration, Box<dyn Error>> {
    let since = Instant::now();
    let output = sandbox.run(request).await?;
    if !output.status.reason.is_success() {
        return Err(format!("confined /bin/true: {}", output.status.reason).into());
    }
    Ok(since.elapsed())
}
