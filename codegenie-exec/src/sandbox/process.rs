//! A running command, and how it ended.

use super::{Denial, EnforcementReport, SandboxError};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

/// Which stream a chunk of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// Where it came from.
    pub stream: OutputStream,
    /// What was printed: any bytes, terminal escapes included.
    pub bytes: Vec<u8>,
}

/// Why a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum EndReason {
    /// It ended by itself with this exit status.
    Exited(i32),
    /// A signal of this number ended it.
    Signaled(i32),
    /// It ran longer than its policy allows; the tree was killed.
    TimedOut,
    /// It printed more than its policy allows; the tree was killed.
    OutputLimit,
    /// The host cancelled it; the tree was killed.
    Cancelled,
    /// It printed nothing for longer than its policy allows; the tree was killed.
    IdleTimedOut,
    /// It used more CPU time than its policy allows.
    CpuLimit,
    /// The tree reached its limit on memory, and the kernel killed the command.
    OutOfMemory,
}

impl EndReason {
    /// Whether the command ended by itself with status 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit {status}"),
            Self::Signaled(signal) => write!(f, "signal {signal}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::OutputLimit => f.write_str("output limit"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::IdleTimedOut => f.write_str("idle for too long"),
            Self::CpuLimit => f.write_str("cpu limit"),
            Self::OutOfMemory => f.write_str("out of memory"),
        }
    }
}

/// What a run used. A figure that the sandbox cannot know is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ResourceUsage {
    /// From start to end, by the clock.
    pub wall: Duration,
    /// CPU time of the whole tree, user and system. Where control groups do not count it, processes whose
    /// parents refused to learn of their end are left out.
    pub cpu: Option<Duration>,
    /// The largest resident set of one process of the tree, in bytes.
    pub max_rss_bytes: Option<u64>,
    /// The most memory that the tree had at one time, its files in `/tmp` and the kernel's caches for it
    /// included, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// The most processes and threads that the tree had at one time.
    pub peak_processes: Option<u64>,
    /// Bytes that the tree caused to be written to storage, but for processes whose parents refused to
    /// learn of their end.
    pub written_bytes: Option<u64>,
    /// Bytes that the command printed, those past the limit not counted.
    pub output_bytes: u64,
}

/// How a command ended and what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SandboxStatus {
    /// Why it ended.
    pub reason: EndReason,
    /// What it used.
    pub usage: ResourceUsage,
}

impl SandboxStatus {
    /// An end for this reason.
    #[must_use]
    pub fn new(reason: EndReason, usage: ResourceUsage) -> Self {
        Self { reason, usage }
    }
}

/// The implementor's side of a running command. Hosts use [`Running`].
///
/// Output that nobody polls for stays with the command, which waits: that is the back-pressure.
/// Dropping the value ends the whole process tree.
pub trait SandboxProcess: Send {
    /// The next piece of output; `None` when both streams have ended.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutputChunk>>;

    /// The end of the command. Ready only after the whole tree has ended; may be asked again then.
    /// Where a limit is reached, the tree is killed without anybody asking.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<SandboxStatus, SandboxError>>;

    /// Ends the whole process tree; the end is then [`EndReason::Cancelled`], unless it had come before.
    fn kill(&mut self);

    /// What was refused so far, as far as the sandbox is told of it. Bounded, however much was tried.
    fn refused(&self) -> Vec<Denial> {
        Vec::new()
    }

    /// Writes to the command's standard input and tells how much of `bytes` it took. Not ready: the
    /// command does not read.
    fn poll_input(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let _ = (cx, bytes);
        Poll::Ready(Err(unsupported("streamed input")))
    }

    /// Ends the command's standard input, where it is a pipe.
    fn close_input(&mut self) {}

    /// Sends a signal to the command and to what it started in its process group.
    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        let _ = signal;
        Err(unsupported("signals"))
    }

    /// Changes the size of the command's terminal.
    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        let _ = size;
        Err(unsupported("terminals"))
    }
}

fn unsupported(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("this sandbox has no {what}"))
}

/// A signal that a host may send to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// SIGINT, what Ctrl-C sends.
    Interrupt,
    /// SIGTERM, the request to end.
    Terminate,
    /// SIGHUP.
    Hangup,
    /// SIGQUIT.
    Quit,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGSTOP, which pauses.
    Stop,
    /// SIGCONT, which goes on after a pause.
    Continue,
}

impl Signal {
    /// Its number on Linux.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::User1 => 10,
            Self::User2 => 12,
            Self::Terminate => 15,
            Self::Continue => 18,
            Self::Stop => 19,
        }
    }
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Default for TerminalSize {
    /// 24 lines of 80 characters.
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

/// A running command. Dropping it ends the whole process tree.
pub struct Running {
    process: Box<dyn SandboxProcess>,
    report: EnforcementReport,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("report", &self.report).finish_non_exhaustive()
    }
}

impl Running {
    /// Wraps an implementor's process and the report of what is enforced on it.
    pub fn new(process: impl SandboxProcess + 'static, report: EnforcementReport) -> Self {
        Self { process: Box::new(process), report }
    }

    /// The parts again: for a sandbox that wraps another one's processes.
    #[must_use]
    pub fn into_parts(self) -> (Box<dyn SandboxProcess>, EnforcementReport) {
        (self.process, self.report)
    }

    /// What is enforced on this command.
    #[must_use]
    pub fn report(&self) -> &EnforcementReport {
        &self.report
    }

    /// The next piece of output; `None` when both streams have ended.
    pub async fn next_output(&mut self) -> Option<OutputChunk> {
        poll_fn(|cx| self.process.poll_output(cx)).await
    }

    /// What was refused to the command so far, as far as the sandbox is told of it.
    #[must_use]
    pub fn refused(&self) -> Vec<Denial> {
        self.process.refused()
    }

    /// Ends the whole process tree.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Writes all of `bytes` to the command's standard input; see [`Stdio::Piped`](super::Stdio::Piped)
    /// and [`Stdio::Terminal`](super::Stdio::Terminal). Waits while the command does not read; read its
    /// output beside, or both may wait for each other.
    pub async fn write_input(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = poll_fn(|cx| self.process.poll_input(cx, rest)).await?;
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Ends the command's standard input. On a terminal write the character for it, 0x04, instead.
    pub fn close_input(&mut self) {
        self.process.close_input();
    }

    /// Sends a signal to the command and to what it started in its process group.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        self.process.signal(signal)
    }

    /// Changes the size of the command's terminal.
    pub fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        self.process.resize(size)
    }

    /// Waits for the end. Output that was not taken before is read and thrown away, so that a
    /// command which prints a lot does end.
    pub async fn wait(&mut self) -> Result<SandboxStatus, SandboxError> {
        while self.next_output().await.is_some() {}
        poll_fn(|cx| self.process.poll_end(cx)).await
    }

    /// Collects the rest of the output and waits for the end.
    pub async fn collect(mut self) -> Result<RunOutput, SandboxError> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(chunk) = self.next_output().await {
            match chunk.stream {
                OutputStream::Stdout => stdout.extend_from_slice(&chunk.bytes),
                OutputStream::Stderr => stderr.extend_from_slice(&chunk.bytes),
            }
        }
        let status = poll_fn(|cx| self.process.poll_end(cx)).await?;
        let refused = self.process.refused();
        Ok(RunOutput { stdout, stderr, status, report: self.report, refused })
    }
}

/// What a command printed, how it ended, and what confined it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOutput {
    /// Standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub status: SandboxStatus,
    /// What was enforced.
    pub report: EnforcementReport,
    /// What the sandbox itself refused to the command, as far as it is told of it: connections and system
    /// calls, each kind once, in bounded number. A record, unlike what [`denials`](Self::denials) makes of messages.
    pub refused: Vec<Denial>,
}

impl RunOutput {
    /// An output, for sandboxes that do not stream.
    #[must_use]
    pub fn new(stdout: Vec<u8>, stderr: Vec<u8>, status: SandboxStatus, report: EnforcementReport) -> Self {
        Self { stdout, stderr, status, report, refused: Vec::new() }
    }
}
