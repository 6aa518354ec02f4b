//! Runs one program confined, as a command-line tool.
//!
//! `cargo run --release --example sandbox_run -- [OPTIONS] -- PROGRAM ARGS…`
//!
//! The exit status is the program's (128 + N where signal N ended it), 124 after a timeout, 137 where a limit on
//! memory or output ended it, 126 where it was refused or could not be confined. It never runs unconfined.

use codegenie_exec::{
    EndReason, EnforcementReport, Limits, NativeSandbox, Network, OutputStream, RunOutput, Sandbox,
    SandboxPolicy, SandboxRequest, SandboxStatus,
};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: sandbox_run [OPTIONS] -- PROGRAM [ARGS...]
  --write DIR      DIR is writable (again for more); the first is the working directory
  --cow DIR        DIR is writable copy-on-write; what would change is printed at the end on standard error
  --commit         takes the changes of --cow over, where the program succeeds
  --read PATH      PATH is readable (again for more)
  --hide PATH      PATH is not there
  --network none   no network, which is the default
  --network NAMES  these hosts, through a proxy: crates.io,*.pypi.org,git.example.org:8443
  --env NAME=VALUE sets a variable; nothing is inherited
  --memory SIZE    memory of all of it where control groups can be made, else of each process: 256M, 2G
  --pids N         processes and threads at one time
  --timeout TIME   wall-clock time: 10s, 500ms, 5m
  --idle TIME      the longest time without output
  --cpu TIME       CPU time, in whole seconds
  --output SIZE    what it may print
  --stdin          passes standard input on, read to its end first
  --report         what is enforced, proved by a witness, on standard error
  --json           the report and the end as JSON on standard error";

const REFUSED: u8 = 126;
const TIMED_OUT: u8 = 124;
/// As a shell tells it of a program that SIGKILL, SIGXCPU ended.
const KILLED: u8 = 137;
const CPU_LIMIT: u8 = 152;
/// As a shell tells it of a program that SIGPIPE ended.
const BROKEN_PIPE: u8 = 141;

/// How much of the program's last messages is looked at for what it was denied.
const EXPLAINED_BYTES: usize = 64 << 10;

struct Options {
    cow: Option<PathBuf>,
    commit: bool,
    policy: SandboxPolicy,
    cwd: Option<PathBuf>,
    program: Vec<OsString>,
    stdin: bool,
    report: bool,
    json: bool,
}

fn options() -> Result<Options, String> {
    let mut policy = SandboxPolicy::default();
    let mut limits = Limits::default();
    let mut program = Vec::new();
    let (mut cwd, mut stdin, mut report, mut json) = (None, false, false, false);
    let (mut cow, mut commit) = (None, false);
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let name = argument.to_string_lossy().into_owned();
        if name == "--" {
            program = arguments.collect();
            break;
        }
        match name.as_str() {
            "--stdin" => stdin = true,
            "--commit" => commit = true,
            "--report" => report = true,
            "--json" => json = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            _ if !USAGE.lines().any(|line| line.split_whitespace().next() == Some(&name)) => {
                return Err(format!("{name} is not an option; the program comes after --\n{USAGE}"));
            }
            _ => {
                let value = arguments.next().ok_or_else(|| format!("{name} wants a value\n{USAGE}"))?;
                let text = value.to_string_lossy().into_owned();
                let path = || std::path::absolute(&value).map_err(|error| format!("{name} {text}: {error}"));
                match name.as_str() {
                    "--write" => {
                        cwd.get_or_insert(path()?);
                        // What the host runs on its own behalf in a workspace stays read-only.
                        let workspace = SandboxPolicy::workspace_write(path()?);
                        policy.loopback = workspace.loopback;
                        policy.write.extend(workspace.write);
                        policy.read.extend(workspace.read);
                    }
                    "--cow" if cow.is_some() => return Err("--cow can be given once".to_owned()),
                    "--cow" => {
                        cwd.get_or_insert(path()?);
                        cow = Some(path()?);
                        let workspace = SandboxPolicy::workspace_write(path()?);
                        policy.loopback = workspace.loopback;
                        policy.read.extend(workspace.read);
                    }
                    "--read" => policy = policy.read(path()?),
                    "--hide" => policy = policy.hide(path()?),
                    "--network" if text == "none" => policy.network = Network::None,
                    "--network" => policy = policy.domains(text.split(',').map(str::trim)),
                    "--env" => {
                        let (name, value) =
                            text.split_once('=').ok_or(format!("--env {text}: wants NAME=VALUE"))?;
                        policy = policy.env(name, value);
                    }
                    "--memory" => limits.memory_bytes = size(&text)?,
                    "--output" => limits.output_bytes = size(&text)?,
                    "--pids" => {
                        let pids = text.parse().ok().filter(|pids| *pids > 0);
                        limits.processes =
                            pids.ok_or(format!("--pids {text}: wants a number of at least 1"))?
                    }
                    "--timeout" => limits.timeout = time(&text)?,
                    "--idle" => limits.idle = Some(time(&text)?),
                    "--cpu" => limits.cpu = Some(time(&text)?),
                    _ => return Err(format!("{name} is not an option; the program comes after --\n{USAGE}")),
                }
            }
        }
    }
    if program.is_empty() {
        return Err(USAGE.to_owned());
    }
    Ok(Options { cow, commit, policy: policy.limits(limits), cwd, program, stdin, report, json })
}

/// A number and a unit: what is before the unit, and its factor.
fn split_unit<'a>(text: &'a str, units: &[(&str, u64)]) -> Option<(&'a str, u64)> {
    units.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))
}

fn size(text: &str) -> Result<u64, String> {
    let (number, factor) =
        split_unit(text, &[("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("", 1)]).unwrap_or((text, 1));
    let number: Option<u64> = number.parse().ok();
    number.and_then(|n| n.checked_mul(factor)).ok_or_else(|| format!("{text}: wants a size such as 256M"))
}

fn time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let (number, factor) =
        split_unit(text, &units).ok_or_else(|| format!("{text}: wants a time such as 10s"))?;
    let number: Option<u64> = number.parse().ok();
    let milliseconds = number
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(|| format!("{text}: wants a time such as 10s"))?;
    Ok(Duration::from_millis(milliseconds))
}

// On threads of their own the limits hold also while this one waits for whoever reads the output.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(problem) => return refuse(&problem),
    };
    match run(options).await {
        Ok(None) => ExitCode::from(BROKEN_PIPE),
        Ok(Some(status)) => ExitCode::from(match status.reason {
            EndReason::Exited(status) => u8::try_from(status).unwrap_or(1),
            EndReason::Signaled(signal) => u8::try_from(128 + signal).unwrap_or(1),
            EndReason::TimedOut | EndReason::IdleTimedOut => TIMED_OUT,
            EndReason::OutOfMemory | EndReason::OutputLimit => KILLED,
            EndReason::CpuLimit => CPU_LIMIT,
            _ => REFUSED,
        }),
        Err(error) => refuse(&error.to_string()),
    }
}

fn refuse(problem: &str) -> ExitCode {
    eprintln!("sandbox_run: {problem}");
    ExitCode::from(REFUSED)
}

/// Without characters that would command a terminal.
fn plain(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// `None`: nobody reads the output any more.
async fn run(mut options: Options) -> Result<Option<SandboxStatus>, Box<dyn std::error::Error>> {
    let sandbox = NativeSandbox::new()?;
    let mut cow = None;
    if let Some(dir) = &options.cow {
        let (policy, begun) = begin(dir, options.policy)?;
        options.policy = policy;
        cow = Some(begun);
    }
    let proved = if options.report { Some(sandbox.enforcement(&options.policy).await?) } else { None };
    let mut words = options.program.into_iter();
    let mut request = SandboxRequest::new(words.next().unwrap_or_default(), options.policy).args(words);
    if let Some(cwd) = options.cwd {
        request = request.cwd(cwd);
    }
    if options.stdin {
        let mut stdin = Vec::new();
        std::io::stdin().read_to_end(&mut stdin)?;
        request = request.stdin(stdin);
    }
    let mut running = sandbox.start(&request).await?;
    let mut messages = Vec::new();
    while let Some(chunk) = running.next_output().await {
        let written = match chunk.stream {
            OutputStream::Stdout => std::io::stdout().write_all(&chunk.bytes),
            OutputStream::Stderr => {
                messages.extend_from_slice(&chunk.bytes);
                messages.drain(..messages.len().saturating_sub(EXPLAINED_BYTES));
                std::io::stderr().write_all(&chunk.bytes)
            }
        };
        if written.is_err_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            // A reader that went away ends the run, as it would end the program itself.
            running.kill();
            running.wait().await?;
            return Ok(None);
        }
    }
    let report = proved.unwrap_or_else(|| running.report().clone());
    let status = running.wait().await?;
    if let Some(cow) = cow {
        finish(cow, options.commit && status.reason.is_success())?;
    }
    let mut denials = running.refused();
    if !status.reason.is_success() {
        let output = RunOutput::new(Vec::new(), messages, status, report.clone());
        denials.extend(output.denials(&request.policy.resolve()?, &request.cwd));
    }
    if options.json {
        let document = serde_json::json!({ "status": status, "report": report, "denials": denials });
        eprintln!("{}", serde_json::to_string_pretty(&document)?);
    } else if options.report {
        show(&report, &status);
    }
    if !options.json {
        for denial in &denials {
            eprintln!("sandbox_run: denied: {}", plain(&denial.to_string()));
        }
    }
    Ok(Some(status))
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
use codegenie_exec::CowWorkspace;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
type CowWorkspace = std::convert::Infallible;

/// Begins a transaction, after what an earlier run may have left in the middle.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn begin(
    dir: &Path,
    policy: SandboxPolicy,
) -> Result<(SandboxPolicy, CowWorkspace), Box<dyn std::error::Error>> {
    CowWorkspace::recover()?;
    let cow = CowWorkspace::begin(dir)?;
    Ok((policy.overlay(&cow), cow))
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn begin(_: &Path, _: SandboxPolicy) -> Result<(SandboxPolicy, CowWorkspace), Box<dyn std::error::Error>> {
    Err("--cow needs the native sandbox of Linux".into())
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn finish(cow: CowWorkspace, _: bool) -> Result<(), Box<dyn std::error::Error>> {
    match cow {}
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
/// Prints what the program would change, and takes it over if it is to.
fn finish(mut cow: CowWorkspace, commit: bool) -> Result<(), Box<dyn std::error::Error>> {
    let diff = cow.diff()?;
    for change in &diff.changes {
        eprintln!("{}", plain(&change.to_string()));
    }
    // The program has chosen the lines: none of them may command the terminal.
    for line in diff.unified.split('\n') {
        eprintln!("{}", plain(line));
    }
    if commit {
        let committed = cow.commit()?;
        eprintln!("sandbox_run: committed {} changes", committed.changes.len());
    } else {
        cow.rollback()?;
        eprintln!("sandbox_run: nothing was committed");
    }
    Ok(())
}

fn show(report: &EnforcementReport, status: &SandboxStatus) {
    for layer in &report.layers {
        eprintln!("{:18} {:8} {}", layer.layer.as_str(), layer.status.to_string(), layer.detail);
    }
    for attempt in &report.witness {
        let result = if attempt.stopped { "stopped" } else { "NOT STOPPED" };
        eprintln!("witness            {result}  {}", attempt.what);
    }
    let usage = &status.usage;
    let cpu = usage.cpu.unwrap_or_default();
    let count = |value: Option<u64>| value.map_or("?".to_owned(), |value| value.to_string());
    eprintln!(
        "{} after {:.1?}: {cpu:.1?} of CPU time, at most {} bytes of memory and {} processes, {} bytes written, {} printed",
        status.reason,
        usage.wall,
        count(usage.peak_memory_bytes.or(usage.max_rss_bytes)),
        count(usage.peak_processes),
        count(usage.written_bytes),
        usage.output_bytes
    );
}
