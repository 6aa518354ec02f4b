//! A started tree as the host sees it: output, limits, end.

use super::abi::KIND_ENDED;
use super::launch::{self, Init, Started};
use super::sys;
use crate::sandbox::{
    EndReason, Limits, OutputChunk, OutputStream, ResourceUsage, SandboxError, SandboxProcess, SandboxStatus,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

const CHUNK_BYTES: usize = 64 << 10;

/// Who ended the tree, where it did not end by itself.
const BY_ITSELF: u8 = 0;
const BY_TIMEOUT: u8 = 1;
const BY_OUTPUT: u8 = 2;
const BY_HOST: u8 = 3;

/// What the supervising task and the host's handle share. The descriptor is one of its own: it names
/// the same process for as long as it is open.
#[derive(Debug)]
struct Shared {
    pidfd: OwnedFd,
    killer: AtomicU8,
    output_bytes: AtomicU64,
}

impl Shared {
    /// Ends the tree. The first reason stays.
    fn kill(&self, reason: u8) {
        let _ = self.killer.compare_exchange(BY_ITSELF, reason, Ordering::AcqRel, Ordering::Acquire);
        sys::kill_pidfd(self.pidfd.as_fd());
    }
}

/// The host's handle on a running command.
#[derive(Debug)]
pub(super) struct NativeProcess {
    stdout: Option<AsyncFd<OwnedFd>>,
    stderr: Option<AsyncFd<OwnedFd>>,
    stdout_first: bool,
    shared: Arc<Shared>,
    limit: u64,
    end: oneshot::Receiver<Result<SandboxStatus, SandboxError>>,
    known: Option<SandboxStatus>,
}

impl NativeProcess {
    /// Takes over a started tree. A task supervises it from now on, polled or not.
    pub(super) fn supervise(
        started: Started,
        stdout: OwnedFd,
        stderr: OwnedFd,
        limits: &Limits,
        since: Instant,
    ) -> io::Result<Self> {
        // Whatever fails or is dropped from here on, `init` ends the tree and reaps it.
        let Started { init, status, liveness, .. } = started;
        let shared = Arc::new(Shared {
            pidfd: init.pidfd().try_clone()?,
            killer: AtomicU8::new(BY_ITSELF),
            output_bytes: AtomicU64::new(0),
        });
        let watched = watch(init.pidfd().try_clone()?)?;
        let tree = Tree { init, shared: Arc::clone(&shared), status, _liveness: liveness };
        for stream in [&stdout, &stderr] {
            use nix::fcntl::{FcntlArg, OFlag, fcntl};
            fcntl(stream, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let (stdout, stderr) = (watch(stdout)?, watch(stderr)?);
        let (sender, end) = oneshot::channel();
        tokio::spawn(supervise(tree, watched, limits.timeout, since, sender));
        let (stdout, stderr) = (Some(stdout), Some(stderr));
        Ok(Self { stdout, stderr, stdout_first: true, shared, limit: limits.output_bytes, end, known: None })
    }

    /// A command may have ended before its output was read: what was read, and whether that was cut, is
    /// known only afterwards.
    fn as_read(&self, mut status: SandboxStatus) -> SandboxStatus {
        status.usage.output_bytes = self.shared.output_bytes.load(Ordering::Relaxed);
        if self.shared.killer.load(Ordering::Acquire) == BY_OUTPUT {
            status.reason = EndReason::OutputLimit;
        }
        status
    }

    /// Cuts what passes the limit, and ends the tree there.
    fn within_limit(&mut self, stream: OutputStream, mut bytes: Vec<u8>) -> Option<OutputChunk> {
        let printed = self.shared.output_bytes.load(Ordering::Relaxed);
        let room = self.limit.saturating_sub(printed);
        if bytes.len() as u64 > room {
            self.shared.kill(BY_OUTPUT);
            bytes.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            (self.stdout, self.stderr) = (None, None);
        }
        self.shared.output_bytes.store(printed + bytes.len() as u64, Ordering::Relaxed);
        (!bytes.is_empty()).then_some(OutputChunk { stream, bytes })
    }
}

impl SandboxProcess for NativeProcess {
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutputChunk>> {
        // In turns, so that a flood on one stream does not starve the other.
        self.stdout_first = !self.stdout_first;
        let order = if self.stdout_first {
            [OutputStream::Stdout, OutputStream::Stderr]
        } else {
            [OutputStream::Stderr, OutputStream::Stdout]
        };
        for stream in order {
            let pipe = match stream {
                OutputStream::Stdout => &mut self.stdout,
                OutputStream::Stderr => &mut self.stderr,
            };
            match pipe.as_mut().map(|fd| poll_read(fd, cx)) {
                None | Some(Poll::Pending) => {}
                Some(Poll::Ready(Ok(bytes))) if !bytes.is_empty() => {
                    if let Some(chunk) = self.within_limit(stream, bytes) {
                        return Poll::Ready(Some(chunk));
                    }
                }
                Some(Poll::Ready(_)) => *pipe = None,
            }
        }
        if self.stdout.is_none() && self.stderr.is_none() { Poll::Ready(None) } else { Poll::Pending }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<SandboxStatus, SandboxError>> {
        if let Some(known) = self.known {
            return Poll::Ready(Ok(self.as_read(known)));
        }
        let status = match ready!(Pin::new(&mut self.end).poll(cx)) {
            Ok(status) => status?,
            Err(_) => {
                let gone = io::Error::other("the tokio runtime shut down");
                return Poll::Ready(Err(SandboxError::system("the command's end was not seen", gone)));
            }
        };
        self.known = Some(status);
        Poll::Ready(Ok(self.as_read(status)))
    }

    fn kill(&mut self) {
        self.shared.kill(BY_HOST);
    }
}

impl Drop for NativeProcess {
    fn drop(&mut self) {
        self.shared.kill(BY_HOST);
    }
}

/// Registers a descriptor with the runtime.
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd names the same open descriptor as long as it lives, and the AsyncFd owns it.
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    watched.map_err(|error| error.into_parts().1)
}

fn poll_read(fd: &mut AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
    loop {
        let mut guard = ready!(fd.poll_read_ready_mut(cx))?;
        let read = guard.try_io(|fd| {
            let mut buffer = vec![0; CHUNK_BYTES];
            let n = nix::unistd::read(fd.get_ref(), &mut buffer)?;
            buffer.truncate(n);
            Ok(buffer)
        });
        match read {
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(result) => return Poll::Ready(result),
            Err(_would_block) => {}
        }
    }
}

/// The tree, which ends and is reaped whatever becomes of the task that holds it.
#[derive(Debug)]
struct Tree {
    init: Init,
    shared: Arc<Shared>,
    status: OwnedFd,
    _liveness: OwnedFd,
}

impl Tree {
    /// Init has ended: reaps it and tells how the command ended.
    fn reap(&mut self, since: Instant) -> Result<SandboxStatus, SandboxError> {
        let waited = self
            .init
            .reap()
            .map_err(|error| SandboxError::system("cannot reap the sandbox's init", error))?;
        let ended = loop {
            // Init has ended, so the pipe has an end and this does not wait.
            match launch::read_status(&self.status, None) {
                Ok(Some(status)) if status.kind == KIND_ENDED => break Some(status.value),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break None,
            }
        };
        let reason = match (self.shared.killer.load(Ordering::Acquire), ended) {
            (BY_OUTPUT, _) => EndReason::OutputLimit,
            (_, Some(status)) => wait_status(status),
            (BY_TIMEOUT, None) => EndReason::TimedOut,
            (BY_HOST, None) => EndReason::Cancelled,
            // Somebody outside killed init, and with it the command.
            (_, None) => EndReason::Signaled(libc::SIGKILL),
        };
        let usage = ResourceUsage {
            wall: since.elapsed(),
            cpu: waited.map(|w| w.cpu),
            max_rss_bytes: waited.map(|w| w.max_rss_bytes),
            output_bytes: self.shared.output_bytes.load(Ordering::Relaxed),
        };
        Ok(SandboxStatus::new(reason, usage))
    }
}

fn wait_status(status: i64) -> EndReason {
    let status = i32::try_from(status).unwrap_or(0);
    if libc::WIFSIGNALED(status) {
        EndReason::Signaled(libc::WTERMSIG(status))
    } else {
        EndReason::Exited(libc::WEXITSTATUS(status))
    }
}

async fn supervise(
    mut tree: Tree,
    watched: AsyncFd<OwnedFd>,
    timeout: Duration,
    since: Instant,
    sender: oneshot::Sender<Result<SandboxStatus, SandboxError>>,
) {
    let rest = timeout.saturating_sub(since.elapsed());
    if tokio::time::timeout(rest, watched.readable()).await.is_err() {
        tree.shared.kill(BY_TIMEOUT);
        let _ = watched.readable().await;
    }
    drop(watched);
    let status = tree.reap(since);
    // Nobody may be waiting any more.
    let _ = sender.send(status);
}
