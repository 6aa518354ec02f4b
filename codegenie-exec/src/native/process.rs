//! A started tree as the host sees it: output, input, limits, end.

use super::abi::{KIND_ENDED, KIND_IO, KIND_REFUSED, KIND_USAGE, Op};
use super::cgroup::{Group, GroupUsage, Groups};
use super::control;
use super::launch::{Init, Started};
use super::message::Usage;
use super::refusals;
use super::streams::Outside;
use super::sys;
use super::terminal;
use crate::proxy::ProxyHandle;
use crate::sandbox::{
    Denial, EndReason, Limits, OutputChunk, OutputStream, ResourceUsage, SandboxError, SandboxProcess,
    SandboxStatus, Signal, TerminalSize,
};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, oneshot};

const CHUNK_BYTES: usize = 64 << 10;
/// How long init may take to end the tree by itself, after which it is ended from outside.
const GRACE: Duration = Duration::from_secs(1);
/// How many refused calls are kept; init tells of fewer.
const REFUSED: usize = 256;
/// How often the tree's CPU time is looked at, where it is limited.
const CPU_INTERVAL: Duration = Duration::from_millis(100);

/// Who ended the tree, where it did not end by itself.
const BY_ITSELF: u8 = 0;
const BY_TIMEOUT: u8 = 1;
const BY_OUTPUT: u8 = 2;
const BY_HOST: u8 = 3;
const BY_IDLENESS: u8 = 4;
const BY_CPU: u8 = 5;

/// What the supervising task and the host's handle share.
#[derive(Debug)]
struct Shared {
    pidfd: Arc<OwnedFd>,
    control: Arc<OwnedFd>,
    killer: AtomicU8,
    ending: Notify,
    output_bytes: AtomicU64,
    since: Instant,
    /// Milliseconds from `since` to the last output that was read.
    last_output: AtomicU64,
    /// Calls that the filter refused.
    refused: Mutex<Vec<Denial>>,
}

impl Shared {
    /// Ends the tree: init kills and reaps it, tells what it used, and ends. The first reason stays.
    fn end(&self, reason: u8) {
        let _ = self.killer.compare_exchange(BY_ITSELF, reason, Ordering::AcqRel, Ordering::Acquire);
        if order(&self.control, libc::SYS_kill, -1, libc::SIGKILL).is_err() {
            sys::kill_pidfd(self.pidfd.as_fd());
        }
        self.ending.notify_one();
    }

    fn was_refused(&self, nr: u32, value: i64) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < REFUSED {
            refused.push(refusals::denial(nr, value));
        }
    }

    fn has_printed(&self, bytes: u64) {
        self.output_bytes.fetch_add(bytes, Ordering::Relaxed);
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_output.store(now, Ordering::Relaxed);
    }
}

/// Has init make a system call of two numbers.
fn order(control: &OwnedFd, nr: libc::c_long, first: i64, second: i32) -> io::Result<()> {
    let op = Op {
        nr: i32::try_from(nr).unwrap_or(-1),
        flags: 0,
        args: [first.cast_unsigned(), i64::from(second).cast_unsigned(), 0, 0, 0, 0],
    };
    let mut bytes = op.nr.to_ne_bytes().to_vec();
    bytes.extend(op.flags.to_ne_bytes());
    bytes.extend(op.args.iter().flat_map(|arg| arg.to_ne_bytes()));
    control::send(control, &bytes, &[])
}

/// The host's handle on a running command.
#[derive(Debug)]
pub(super) struct NativeProcess {
    stdout: Option<AsyncFd<Arc<OwnedFd>>>,
    stderr: Option<AsyncFd<Arc<OwnedFd>>>,
    /// Of its own, or the terminal's second descriptor.
    stdin: Option<AsyncFd<OwnedFd>>,
    is_terminal: bool,
    stdout_first: bool,
    /// The command, as init sees it.
    command: i64,
    shared: Arc<Shared>,
    limit: u64,
    end: oneshot::Receiver<Result<SandboxStatus, SandboxError>>,
    known: Option<SandboxStatus>,
    /// Ends with this handle.
    proxy: Option<ProxyHandle>,
}

impl NativeProcess {
    /// Keeps the command's way to the network for as long as the command is kept.
    pub(super) fn with_proxy(mut self, proxy: Option<ProxyHandle>) -> Self {
        self.proxy = proxy;
        self
    }

    /// Takes over a started tree. A task supervises it from now on, polled or not.
    pub(super) fn supervise(
        started: Started,
        told: AsyncFd<Arc<OwnedFd>>,
        group: Option<Grouped>,
        outside: Outside,
        limits: &Limits,
        since: Instant,
    ) -> io::Result<Self> {
        // Whatever fails or is dropped from here on, `init` ends the tree and reaps it.
        let Started { init, control, command, .. } = started;
        let shared = Arc::new(Shared {
            pidfd: Arc::clone(init.pidfd()),
            control,
            killer: AtomicU8::new(BY_ITSELF),
            ending: Notify::new(),
            output_bytes: AtomicU64::new(0),
            since,
            last_output: AtomicU64::new(0),
            refused: Mutex::default(),
        });
        let ended = watch(Arc::clone(init.pidfd()), Interest::READABLE)?;
        let Outside { stdout, stderr, stdin, is_terminal } = outside;
        let mut outputs = Vec::new();
        let mut open = |stream: Option<OwnedFd>| -> io::Result<_> {
            let Some(stream) = stream else { return Ok(None) };
            unblock(&stream)?;
            let stream = Arc::new(stream);
            outputs.push(Arc::downgrade(&stream));
            watch(stream, Interest::READABLE).map(Some)
        };
        let (stdout, stderr) = (open(Some(stdout))?, open(stderr)?);
        let stdin = match stdin {
            Some(stdin) => {
                unblock(&stdin)?;
                Some(watch(stdin, Interest::WRITABLE)?)
            }
            None => None,
        };
        let (sender, end) = oneshot::channel();
        let tree = Tree {
            init,
            shared: Arc::clone(&shared),
            group,
            outputs,
            usage: Usage::default(),
            limits: limits.clone(),
        };
        tokio::spawn(supervise(tree, told, ended, sender));
        Ok(Self {
            stdout,
            stderr,
            stdin,
            is_terminal,
            stdout_first: true,
            command,
            shared,
            limit: limits.output_bytes,
            end,
            known: None,
            proxy: None,
        })
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
            self.shared.end(BY_OUTPUT);
            bytes.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            (self.stdout, self.stderr) = (None, None);
        }
        self.shared.has_printed(bytes.len() as u64);
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
                // A terminal ends with an error, once nobody inside has it open.
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
        self.shared.end(BY_HOST);
    }

    fn refused(&self) -> Vec<Denial> {
        let mut refused = self.proxy.as_ref().map(ProxyHandle::refused).unwrap_or_default();
        refused.extend_from_slice(&self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner));
        refused
    }

    fn poll_input(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(stdin) = &mut self.stdin else {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the command's standard input is closed, or was not asked for as a stream",
            )));
        };
        loop {
            let mut guard = ready!(stdin.poll_write_ready_mut(cx))?;
            match guard.try_io(|fd| Ok(nix::unistd::write(fd.get_ref(), bytes)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn close_input(&mut self) {
        // On a terminal the end of input is a character, and the other direction stays open.
        if !self.is_terminal {
            self.stdin = None;
        }
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        // The command leads a process group of its own.
        order(&self.shared.control, libc::SYS_kill, -self.command, signal.number())
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        match &self.stdin {
            Some(terminal) if self.is_terminal => terminal::set_size(terminal.get_ref(), size),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "the command has no terminal")),
        }
    }
}

impl Drop for NativeProcess {
    fn drop(&mut self) {
        let killer = &self.shared.killer;
        let _ = killer.compare_exchange(BY_ITSELF, BY_HOST, Ordering::AcqRel, Ordering::Acquire);
        sys::kill_pidfd(self.shared.pidfd.as_fd());
    }
}

fn unblock(fd: &OwnedFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Watches what init tells.
pub(super) fn listen(started: &Started) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    watch(Arc::clone(&started.control), Interest::READABLE)
}

/// Registers a descriptor with the runtime.
fn watch<T: OwnsDescriptor>(fd: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: an OwnedFd names the same open descriptor as long as it lives, and the AsyncFd owns it.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    watched.map_err(|error| error.into_parts().1)
}

/// What keeps its descriptor open, under the same number, for as long as it lives.
trait OwnsDescriptor: AsRawFd {}
impl OwnsDescriptor for OwnedFd {}
impl OwnsDescriptor for Arc<OwnedFd> {}

fn poll_read(fd: &mut AsyncFd<Arc<OwnedFd>>, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
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
    // After `init`: a group can be removed once nothing is in it.
    group: Option<Grouped>,
    outputs: Vec<Weak<OwnedFd>>,
    usage: Usage,
    limits: Limits,
}

/// A command's control group, and who makes the next one.
#[derive(Debug)]
pub(super) struct Grouped {
    group: Group,
    /// A host that is done with its sandbox needs no other group.
    maker: Weak<Groups>,
}

impl Grouped {
    pub(super) fn new(group: Group, maker: &Arc<Groups>) -> Self {
        Self { group, maker: Arc::downgrade(maker) }
    }

    fn replace(self, limits: &Limits) {
        if let Some(maker) = self.maker.upgrade() {
            maker.replace(self.group, limits);
        }
    }
}

enum Event {
    /// The command has ended; nothing of the tree but init is left.
    Ended(i64),
    /// Init is gone without having told of an end.
    Gone,
    Due,
    Ending,
}

impl Tree {
    /// The next thing that happens, at the latest when something is due.
    async fn next(&mut self, told: &AsyncFd<Arc<OwnedFd>>, due: Option<Instant>) -> Event {
        let usage = &mut self.usage;
        let shared = Arc::clone(&self.shared);
        let mut ending = Box::pin(shared.ending.notified());
        let mut sleep = due.map(|due| Box::pin(tokio::time::sleep_until(due.into())));
        poll_fn(|cx| {
            while let Poll::Ready(guard) = told.poll_read_ready(cx) {
                let Ok(mut guard) = guard else { return Poll::Ready(Event::Gone) };
                match guard.try_io(|fd| control::receive(fd.get_ref(), None)) {
                    Ok(Ok(Some(message))) => match message.status.kind {
                        KIND_ENDED => return Poll::Ready(Event::Ended(message.status.value)),
                        KIND_USAGE => usage.of_children(&message.payload),
                        KIND_IO => usage.of_transfers(&message.payload),
                        KIND_REFUSED => shared.was_refused(message.status.op, message.status.value),
                        _ => {}
                    },
                    Ok(Ok(None) | Err(_)) => return Poll::Ready(Event::Gone),
                    Err(_would_block) => {}
                }
            }
            if ending.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Ending);
            }
            match sleep.as_mut().map(|sleep| sleep.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(Event::Due),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Ends the tree where a limit is reached, and tells when to look again.
    fn hold_to_limits(&self) -> Option<Instant> {
        let limits = &self.limits;
        let (now, since) = (Instant::now(), self.shared.since);
        // A limit too far away to be told as a time is none.
        let wall = since.checked_add(limits.timeout);
        if wall.is_some_and(|wall| now >= wall) {
            self.shared.end(BY_TIMEOUT);
        }
        let idle = limits.idle.and_then(|idle| {
            let last = since + Duration::from_millis(self.shared.last_output.load(Ordering::Relaxed));
            last.checked_add(idle).map(|due| if due <= now && self.has_unread() { now + idle } else { due })
        });
        if idle.is_some_and(|idle| now >= idle) {
            self.shared.end(BY_IDLENESS);
        }
        let cpu = limits
            .cpu
            .zip(self.group.as_ref().map(|grouped| &grouped.group))
            .filter(|(_, group)| group.counts_cpu());
        if cpu.is_some_and(|(cpu, group)| group.usage().cpu.is_some_and(|used| used >= cpu)) {
            self.shared.end(BY_CPU);
        }
        [wall, idle, cpu.map(|_| now + CPU_INTERVAL)].into_iter().flatten().min()
    }

    /// Whether the host is slower than the command: then the command is not idle.
    fn has_unread(&self) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        self.outputs.iter().filter_map(Weak::upgrade).any(|output| {
            let mut polled = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
            poll(&mut polled, PollTimeout::ZERO).is_ok()
                && polled.iter().any(|p| p.revents().is_some_and(|r| r.contains(PollFlags::POLLIN)))
        })
    }

    /// How the command ended, and what it used. `ended`: its wait status, where init told it.
    fn status(&self, ended: Option<i64>) -> SandboxStatus {
        let group = self.group.as_ref().map(|grouped| grouped.group.usage()).unwrap_or_default();
        let reason = match (self.shared.killer.load(Ordering::Acquire), ended.map(wait_status)) {
            (BY_OUTPUT, _) => EndReason::OutputLimit,
            (_, Some(reason)) if reason != EndReason::Signaled(libc::SIGKILL) => {
                self.of_command(reason, &group)
            }
            (BY_TIMEOUT, _) => EndReason::TimedOut,
            (BY_HOST, _) => EndReason::Cancelled,
            (BY_IDLENESS, _) => EndReason::IdleTimedOut,
            (BY_CPU, _) => EndReason::CpuLimit,
            // Where init is gone somebody outside killed it, and with it the command.
            (_, reason) => self.of_command(reason.unwrap_or(EndReason::Signaled(libc::SIGKILL)), &group),
        };
        let usage = ResourceUsage {
            wall: self.shared.since.elapsed(),
            cpu: group.cpu.max(self.usage.cpu),
            max_rss_bytes: self.usage.max_rss_bytes,
            peak_memory_bytes: group.peak_memory_bytes,
            peak_processes: group.peak_processes,
            written_bytes: self.usage.written_bytes,
            output_bytes: self.shared.output_bytes.load(Ordering::Relaxed),
        };
        SandboxStatus::new(reason, usage)
    }

    /// The kernel tells of a limit by a signal that others may send too.
    fn of_command(&self, reason: EndReason, group: &GroupUsage) -> EndReason {
        // Anybody may send the signal, or end with the number that stands for it.
        let used = group.cpu.max(self.usage.cpu).unwrap_or_default();
        // The kernel sends it by a count of ticks, and tells what was used by the clock: on a busy machine
        // they differ.
        let cpu_limited = self.limits.cpu.is_some_and(|limit| used + CPU_INTERVAL + limit / 4 >= limit);
        match reason {
            EndReason::Signaled(libc::SIGXCPU) if cpu_limited => EndReason::CpuLimit,
            EndReason::Signaled(libc::SIGKILL) if group.oom_kills > 0 => EndReason::OutOfMemory,
            // A shell passes the end of its child on as a number.
            EndReason::Exited(137) if group.oom_kills > 0 => EndReason::OutOfMemory,
            EndReason::Exited(152) if cpu_limited => EndReason::CpuLimit,
            reason => reason,
        }
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
    told: AsyncFd<Arc<OwnedFd>>,
    ended: AsyncFd<Arc<OwnedFd>>,
    sender: oneshot::Sender<Result<SandboxStatus, SandboxError>>,
) {
    let mut killed_at = None;
    let status = loop {
        let due = match killed_at {
            None => tree.hold_to_limits(),
            Some(_) => killed_at,
        };
        match tree.next(&told, due).await {
            Event::Ended(status) => break Some(status),
            Event::Gone => break None,
            Event::Ending => killed_at = killed_at.or(Some(Instant::now() + GRACE)),
            Event::Due if killed_at.is_some() => {
                sys::kill_pidfd(tree.shared.pidfd.as_fd());
                killed_at = Some(Instant::now() + GRACE);
            }
            Event::Due => {}
        }
    };
    drop(told);
    // Nobody may be waiting any more.
    if status.is_some() {
        let _ = sender.send(Ok(tree.status(status)));
        let _ = ended.readable().await;
        drop(ended);
        // Removing control groups waits for the kernel. A runtime that shuts down drops the tree, which
        // does the same.
        drop(tokio::task::spawn_blocking(move || {
            // All of it, and not only what is named here.
            let mut tree = tree;
            let _ = tree.init.reap();
            if let Some(group) = tree.group.take() {
                group.replace(&tree.limits);
            }
        }));
        return;
    }
    // Without its control socket init ends; with it the tree.
    let _ = ended.readable().await;
    drop(ended);
    let reaped =
        tree.init.reap().map_err(|error| SandboxError::system("cannot reap the sandbox's init", error));
    let _ = sender.send(reaped.map(|waited| {
        if let Some(waited) = waited {
            tree.usage.cpu = Some(waited.cpu);
            tree.usage.max_rss_bytes = Some(waited.max_rss_bytes);
        }
        tree.status(None)
    }));
}
