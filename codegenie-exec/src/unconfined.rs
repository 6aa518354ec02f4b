//! Running without a sandbox, under a name that alarms.

use crate::sandbox::{
    EndReason, EnforcementReport, Layer, LayerStatus, Requirement, ResourceUsage, RunOutput, Running,
    Sandbox, SandboxError, SandboxErrorKind, SandboxPolicy, SandboxProcess, SandboxRequest, SandboxStatus,
};
use crate::sandbox::{OutputChunk, OutputStream};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Runs commands **with everything that the host itself may do**. Only the timeout, the output
/// limit and the environment of a policy hold, and the timeout ends only the command's own process.
///
/// For tests that show what a sandbox stops, and for machines that are themselves thrown away. Its
/// report says that nothing is enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DangerousNoSandbox;

fn report() -> EnforcementReport {
    let mut report = EnforcementReport::new("none", "spawn");
    for layer in Layer::ALL {
        report = report.layer(layer, Requirement::Off, LayerStatus::Off, "no sandbox");
    }
    report
}

impl Sandbox for DangerousNoSandbox {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        if request.stdio != crate::sandbox::Stdio::Captured {
            return Err(SandboxError::invalid_request(
                "without a sandbox there is neither streamed input nor a terminal: use Stdio::Captured; nothing was run",
            ));
        }
        if let Some(overlay) = request.policy.overlays.first() {
            return Err(SandboxError::invalid_policy(format!(
                "{} is copy-on-write in the policy, and without a sandbox the command would write to it: use one that \
                 can; nothing was run",
                overlay.workspace.display()
            )));
        }
        let mut command = Command::new(&request.program);
        command.args(&request.args).current_dir(&request.cwd).env_clear();
        command.envs(&request.policy.environment).envs(&request.env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            let program = request.program.to_string_lossy();
            SandboxError::new(SandboxErrorKind::ProgramNotRun, format!("{program} was not run: {error}"))
                .with_source(error)
        })?;
        if let Some(mut stdin) = child.stdin.take() {
            let bytes = request.stdin.clone();
            // A command that does not read must not hold up the rest.
            tokio::spawn(async move {
                let _ = stdin.write_all(&bytes).await;
            });
        }
        let limits = &request.policy.limits;
        let process = Unconfined {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            deadline: Box::pin(tokio::time::sleep(limits.timeout)),
            since: Instant::now(),
            killed: None,
            room: limits.output_bytes,
            printed: 0,
            child,
        };
        Ok(Running::new(process, report()))
    }

    async fn enforcement(&self, _policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        Ok(report())
    }

    async fn run(&self, request: &SandboxRequest) -> Result<RunOutput, SandboxError> {
        self.start(request).await?.collect().await
    }

    fn name(&self) -> &str {
        "none"
    }
}

struct Unconfined {
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    deadline: Pin<Box<tokio::time::Sleep>>,
    since: Instant,
    killed: Option<EndReason>,
    room: u64,
    printed: u64,
}

impl Unconfined {
    fn end(&mut self, reason: EndReason) {
        if self.killed.is_none() {
            self.killed = Some(reason);
            // A process that has ended already is what was wanted.
            let _ = self.child.start_kill();
        }
        // What the command left behind may hold the streams open for ever.
        (self.stdout, self.stderr) = (None, None);
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) {
        if self.killed.is_none() && self.deadline.as_mut().poll(cx).is_ready() {
            self.end(EndReason::TimedOut);
        }
    }
}

/// The next bytes of a stream; empty at its end, which an error is taken for.
fn poll_stream(stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<Vec<u8>> {
    let mut memory = vec![0; 64 << 10];
    let mut buffer = ReadBuf::new(&mut memory);
    let _ = ready!(Pin::new(stream).poll_read(cx, &mut buffer));
    let filled = buffer.filled().len();
    memory.truncate(filled);
    Poll::Ready(memory)
}

impl SandboxProcess for Unconfined {
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutputChunk>> {
        self.poll_deadline(cx);
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let polled = match stream {
                OutputStream::Stdout => self.stdout.as_mut().map(|s| poll_stream(s, cx)),
                OutputStream::Stderr => self.stderr.as_mut().map(|s| poll_stream(s, cx)),
            };
            let Some(Poll::Ready(mut bytes)) = polled else { continue };
            if bytes.is_empty() {
                match stream {
                    OutputStream::Stdout => self.stdout = None,
                    OutputStream::Stderr => self.stderr = None,
                }
                continue;
            }
            if bytes.len() as u64 > self.room {
                bytes.truncate(usize::try_from(self.room).unwrap_or(usize::MAX));
                self.end(EndReason::OutputLimit);
            }
            self.room = self.room.saturating_sub(bytes.len() as u64);
            self.printed += bytes.len() as u64;
            return Poll::Ready(Some(OutputChunk { stream, bytes }));
        }
        if self.stdout.is_none() && self.stderr.is_none() { Poll::Ready(None) } else { Poll::Pending }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<SandboxStatus, SandboxError>> {
        self.poll_deadline(cx);
        let status = {
            let wait = self.child.wait();
            tokio::pin!(wait);
            ready!(wait.poll(cx))
                .map_err(|error| SandboxError::system("cannot wait for the command", error))?
        };
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal = None::<i32>;
        let reason = match (self.killed, signal, status.code()) {
            (Some(killed), Some(_), _) | (Some(killed @ EndReason::OutputLimit), ..) => killed,
            (_, Some(signal), _) => EndReason::Signaled(signal),
            (_, None, code) => EndReason::Exited(code.unwrap_or(-1)),
        };
        let usage = ResourceUsage {
            wall: self.since.elapsed(),
            output_bytes: self.printed,
            ..ResourceUsage::default()
        };
        Poll::Ready(Ok(SandboxStatus::new(reason, usage)))
    }

    fn kill(&mut self) {
        self.end(EndReason::Cancelled);
    }
}
