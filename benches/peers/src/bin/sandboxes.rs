//! What confinement costs beside libraries of the same field: `/bin/true` by posix_spawn, by ours,
//! by hakoniwa and by sandlock-core, in turn, in one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --features sandboxes --bin sandboxes`
//!
//! Each peer gets what its own documentation begins with: hakoniwa its default namespaces over the
//! host's system directories, sandlock-core its rules for the same. Neither has then as many layers as ours.

use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_exec::{NativeSandbox, Sandbox as _, SandboxPolicy, SandboxRequest};
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WARM_UP: usize = 20;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(200), |rounds| rounds.parse())?;
    let workspace = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let direct = NativeSandbox::new()?;
    let pooled = direct.clone().pooled(4);
    let request = SandboxRequest::new("/bin/true", SandboxPolicy::workspace_write(workspace.path()));
    runtime.block_on(pooled.prewarm(&request.policy))?;

    let names = ["posix_spawn", "native, direct", "native, pool", "hakoniwa", "sandlock-core"];
    let mut samples: [Vec<Duration>; 5] = Default::default();
    let mut failed: [Option<String>; 5] = Default::default();
    for round in 0..WARM_UP + rounds {
        let taken = [
            spawn(),
            runtime.block_on(ours(&direct, &request)),
            runtime.block_on(ours(&pooled, &request)),
            hakoniwa(),
            runtime.block_on(sandlock()),
        ];
        for ((samples, failed), taken) in samples.iter_mut().zip(&mut failed).zip(taken) {
            match taken {
                Ok(taken) if round >= WARM_UP => samples.push(taken),
                Ok(_) => {}
                Err(error) => *failed = Some(error.to_string()),
            }
        }
    }
    for ((name, samples), failed) in names.iter().zip(&samples).zip(&failed) {
        match failed {
            None => println!(
                "{name:15} p50 {:6.0} us, p99 {:6.0} us",
                quantile_us(samples, 0.5),
                quantile_us(samples, 0.99)
            ),
            Some(error) => println!("{name:15} failed: {error}"),
        }
    }
    let p50 = samples.each_ref().map(|samples| quantile_us(samples, 0.5));
    let [_, cold, warm, hakoniwa, sandlock] = p50;
    for (name, peer, failed) in [("hakoniwa", hakoniwa, &failed[3]), ("sandlock", sandlock, &failed[4])] {
        if failed.is_none() {
            figure(&format!("spawn_{name}_p50_over_pool"), peer / warm, "x", Goal::AtLeast(1.0));
            figure(&format!("spawn_{name}_p50_over_direct"), peer / cold, "x", Goal::AtLeast(1.0));
        }
    }
    Ok(())
}

fn spawn() -> Result<Duration> {
    let since = Instant::now();
    let output = Command::new("/bin/true").stdin(Stdio::null()).output()?;
    if output.status.success() { Ok(since.elapsed()) } else { Err("/bin/true failed".into()) }
}

async fn ours(sandbox: &NativeSandbox, request: &SandboxRequest) -> Result<Duration> {
    let since = Instant::now();
    let output = sandbox.run(request).await?;
    if output.status.reason.is_success() { Ok(since.elapsed()) } else { Err("ours failed".into()) }
}

fn hakoniwa() -> Result<Duration> {
    let since = Instant::now();
    let mut container = hakoniwa::Container::new();
    container.unshare(hakoniwa::Namespace::Network);
    container.rootfs("/")?.tmpfsmount("/tmp");
    let output = container.command("/bin/true").output()?;
    if output.status.success() { Ok(since.elapsed()) } else { Err(output.status.reason.into()) }
}

async fn sandlock() -> Result<Duration> {
    let since = Instant::now();
    let mut sandbox = sandlock_core::Sandbox::builder()
        .fs_read("/usr")
        .fs_read("/lib")
        .fs_read_if_exists("/lib64")
        .fs_read("/etc")
        .fs_write("/tmp")
        .name("bench")
        .build()?;
    let result = sandbox.run(&["/bin/true"]).await?;
    if result.success() { Ok(since.elapsed()) } else { Err("sandlock's /bin/true failed".into()) }
}
