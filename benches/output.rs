//! How fast output reaches the host: 512 MiB through the sandbox beside the same through a plain
//! pipe, in turn, in one run.
//!
//! `cargo bench --bench output`

use codegenie_benches::{Goal, figure, quantile_us};
use codegenie_exec::{Limits, NativeSandbox, Sandbox, SandboxPolicy, SandboxRequest};
use std::error::Error;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (rounds, bytes) = if is_bench { (ROUNDS, 512u64 << 20) } else { (1, 1 << 20) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sandbox = NativeSandbox::new()?;
    let mut limits = Limits::default();
    limits.output_bytes = u64::MAX;
    let count = bytes.to_string();
    let request = SandboxRequest::new("head", SandboxPolicy::default().limits(limits)).args([
        "-c",
        &count,
        "/dev/zero",
    ]);
    let (mut plain, mut confined) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        plain.push(through_a_pipe(&count, bytes)?);
        confined.push(runtime.block_on(through_the_sandbox(&sandbox, &request, bytes))?);
    }
    let rate = |samples: &[Duration]| bytes as f64 / quantile_us(samples, 0.5);
    println!("plain pipe: {:.0} MB/s, sandbox: {:.0} MB/s", rate(&plain), rate(&confined));
    figure("output_throughput", rate(&confined) / rate(&plain), "x_plain_pipe", Goal::AtLeast(0.8));
    Ok(())
}

fn through_a_pipe(count: &str, bytes: u64) -> Result<Duration> {
    let since = Instant::now();
    let mut child = Command::new("head").args(["-c", count, "/dev/zero"]).stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().ok_or("no pipe")?;
    let (mut buffer, mut read) = (vec![0; 64 << 10], 0);
    loop {
        match stdout.read(&mut buffer)? {
            0 => break,
            n => read += n as u64,
        }
    }
    child.wait()?;
    if read != bytes {
        return Err(format!("{read} bytes came through the pipe").into());
    }
    Ok(since.elapsed())
}

async fn through_the_sandbox(
    sandbox: &NativeSandbox,
    request: &SandboxRequest,
    bytes: u64,
) -> Result<Duration> {
    let since = Instant::now();
    let mut running = sandbox.start(request).await?;
    let mut read = 0;
    while let Some(chunk) = running.next_output().await {
        read += chunk.bytes.len() as u64;
    }
    running.wait().await?;
    if read != bytes {
        return Err(format!("{read} bytes came through the sandbox").into());
    }
    Ok(since.elapsed())
}
