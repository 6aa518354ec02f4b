//! A running container as the host sees it: output, input, limits, end.

use super::attach::{Attached, Output};
use super::daemon::{Daemon, End, of_daemon};
use super::owned::Owned;
use super::removal::Remover;
use crate::sandbox::{
    EndReason, Limits, OutputChunk, ResourceUsage, SandboxError, SandboxProcess, SandboxStatus, Signal,
    Stdio, TerminalSize,
};
use bollard::errors::Error;
use bollard::query_parameters::{
    KillContainerOptions, ResizeContainerTTYOptions, StatsOptions, WaitContainerOptions,
};
use futures_util::{Stream, StreamExt};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Notify, mpsc, oneshot};

/// How many pieces of output wait in the host; more stay with the daemon, which lets the command wait.
const WAITING_CHUNKS: usize = 4;
/// How often the CPU time is looked at, where it is limited.
const CPU_INTERVAL: Duration = Duration::from_millis(500);
/// How long a killed container may take to end before it is killed again.
const GRACE: Duration = Duration::from_secs(5);

/// Who ended the container, where it did not end by itself.
const BY_ITSELF: u8 = 0;
const BY_TIMEOUT: u8 = 1;
const BY_OUTPUT: u8 = 2;
const BY_HOST: u8 = 3;
const BY_IDLENESS: u8 = 4;
const BY_CPU: u8 = 5;

const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// What the supervising task and the host's handle share.
#[derive(Debug)]
struct Shared {
    killer: AtomicU8,
    has_ended: AtomicU8,
    ending: Notify,
    output_bytes: AtomicU64,
    since: Instant,
    /// Milliseconds from `since` to the last output that came.
    last_output: AtomicU64,
    /// Pieces that came and were not taken: the host is slower than the command then.
    unread: AtomicUsize,
}

impl Shared {
    /// Ends the container. The first reason stays.
    fn end(&self, reason: u8) {
        let _ = self.killer.compare_exchange(BY_ITSELF, reason, Ordering::AcqRel, Ordering::Acquire);
        self.ending.notify_one();
    }

    fn printed_now(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_output.store(now, Ordering::Relaxed);
    }
}

/// What the host asks of a running container.
#[derive(Debug)]
enum Order {
    Signal(Signal),
    Resize(TerminalSize),
}

/// The host's handle on a running container.
#[derive(Debug)]
pub(super) struct ContainerProcess {
    output: Option<mpsc::Receiver<OutputChunk>>,
    input: Option<OwnedWriteHalf>,
    is_terminal: bool,
    is_streamed: bool,
    /// Whether a container can be stopped and go on.
    can_stop: bool,
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
    limit: u64,
    remover: Remover,
    end: oneshot::Receiver<Result<SandboxStatus, SandboxError>>,
    known: Option<SandboxStatus>,
}

impl ContainerProcess {
    /// Takes over a container that has been started. A task supervises it from now on, polled or not.
    pub(super) fn supervise(
        owned: Owned,
        daemon: Daemon,
        attached: Attached,
        stdio: Stdio,
        stdin: Vec<u8>,
        limits: &Limits,
        since: Instant,
    ) -> Self {
        let shared = Arc::new(Shared {
            killer: AtomicU8::new(BY_ITSELF),
            has_ended: AtomicU8::new(0),
            ending: Notify::new(),
            output_bytes: AtomicU64::new(0),
            since,
            last_output: AtomicU64::new(0),
            unread: AtomicUsize::new(0),
        });
        let Attached { output, input } = attached;
        let (chunks, waiting) = mpsc::channel(WAITING_CHUNKS);
        let is_streamed = stdio != Stdio::Captured;
        let mut input = Some(input);
        let feed = if is_streamed { None } else { input.take() };
        tokio::spawn(read(output, chunks, Arc::clone(&shared)));
        if let Some(mut feed) = feed {
            tokio::spawn(async move {
                // A command that does not read must not hold up the rest; the end of input comes with the drop.
                let _ = feed.write_all(&stdin).await;
            });
        }
        let (orders, ordered) = mpsc::unbounded_channel();
        let (sender, end) = oneshot::channel();
        let remover = owned.remover().clone();
        let can_stop = daemon.facts.has_groups();
        let supervisor = Supervisor { owned, daemon, shared: Arc::clone(&shared), limits: limits.clone() };
        tokio::spawn(supervisor.run(ordered, sender));
        Self {
            output: Some(waiting),
            input,
            is_terminal: matches!(stdio, Stdio::Terminal(_)),
            is_streamed,
            can_stop,
            orders,
            shared,
            limit: limits.output_bytes,
            remover,
            end,
            known: None,
        }
    }

    /// What was read, and whether that was cut, is known only when it has been read.
    fn as_read(&self, mut status: SandboxStatus) -> SandboxStatus {
        status.usage.output_bytes = self.shared.output_bytes.load(Ordering::Relaxed);
        if self.shared.killer.load(Ordering::Acquire) == BY_OUTPUT {
            status.reason = EndReason::OutputLimit;
        }
        status
    }

    fn order(&self, order: Order) -> io::Result<()> {
        self.orders.send(order).map_err(|_| io::Error::new(io::ErrorKind::NotFound, "the command has ended"))
    }
}

impl SandboxProcess for ContainerProcess {
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutputChunk>> {
        let Some(output) = &mut self.output else { return Poll::Ready(None) };
        let Some(mut chunk) = ready!(output.poll_recv(cx)) else {
            self.output = None;
            return Poll::Ready(None);
        };
        self.shared.unread.fetch_sub(1, Ordering::AcqRel);
        self.shared.printed_now();
        let room = self.limit.saturating_sub(self.shared.output_bytes.load(Ordering::Relaxed));
        if chunk.bytes.len() as u64 > room {
            self.shared.end(BY_OUTPUT);
            chunk.bytes.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            self.output = None;
        }
        self.shared.output_bytes.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready((!chunk.bytes.is_empty()).then_some(chunk))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<SandboxStatus, SandboxError>> {
        if let Some(known) = self.known {
            return Poll::Ready(Ok(self.as_read(known)));
        }
        let status = match ready!(Pin::new(&mut self.end).poll(cx)) {
            Ok(status) => status?,
            Err(_) => {
                let gone = io::Error::other("the tokio runtime shut down, or the end was asked for twice");
                return Poll::Ready(Err(SandboxError::system("the command's end was not seen", gone)));
            }
        };
        self.known = Some(status);
        Poll::Ready(Ok(self.as_read(status)))
    }

    fn kill(&mut self) {
        self.shared.end(BY_HOST);
    }

    fn poll_input(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) if self.is_streamed => Pin::new(input).poll_write(cx, bytes),
            _ => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the command's standard input is closed, or was not asked for as a stream",
            ))),
        }
    }

    fn close_input(&mut self) {
        // On a terminal the end of input is a character, and the other direction stays open.
        if !self.is_terminal {
            self.input = None;
        }
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if signal == Signal::Stop && !self.can_stop {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the daemon has no control groups, by which a container is stopped",
            ));
        }
        self.order(Order::Signal(signal))
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        if !self.is_terminal {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the command has no terminal"));
        }
        self.order(Order::Resize(size))
    }
}

impl Drop for ContainerProcess {
    fn drop(&mut self) {
        if self.shared.has_ended.load(Ordering::Acquire) == 0 {
            self.shared.end(BY_HOST);
            // The task may never run again, where its runtime is not driven any more.
            self.remover.end();
        }
    }
}

/// Hands on what comes, as fast as the host takes it.
async fn read(mut output: Output, chunks: mpsc::Sender<OutputChunk>, shared: Arc<Shared>) {
    // An error is the end: what came before it counts.
    while let Ok(Some(chunk)) = output.next().await {
        shared.printed_now();
        shared.unread.fetch_add(1, Ordering::AcqRel);
        if chunks.send(chunk).await.is_err() {
            return;
        }
    }
}

enum Event {
    Ended,
    /// The daemon does not tell of the end.
    Lost(Error),
    Due,
    Ending,
    Order(Order),
}

/// The task that sees a container to its end.
struct Supervisor {
    owned: Owned,
    daemon: Daemon,
    shared: Arc<Shared>,
    limits: Limits,
}

impl Supervisor {
    async fn run(
        self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        sender: oneshot::Sender<Result<SandboxStatus, SandboxError>>,
    ) {
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let docker = self.daemon.docker.clone();
        let mut waited = pin!(docker.wait_container(self.owned.name(), Some(options)));
        let mut again = None;
        let lost = loop {
            let due = match again {
                None => self.hold_to_limits().await,
                Some(_) => again,
            };
            match self.next(&mut waited, &mut orders, due).await {
                Event::Ended => break None,
                Event::Lost(error) => break Some(error),
                Event::Ending | Event::Due if self.shared.killer.load(Ordering::Acquire) != BY_ITSELF => {
                    self.kill().await;
                    again = Some(Instant::now() + GRACE);
                }
                Event::Ending | Event::Due => {}
                Event::Order(order) => self.carry_out(order).await,
            }
        };
        let status = match lost {
            None => self.status().await,
            Some(error) => Err(of_daemon("the daemon does not tell of the command's end", error)),
        };
        if status.is_ok() {
            self.shared.has_ended.store(1, Ordering::Release);
        }
        // Nobody may be waiting any more.
        let _ = sender.send(status);
        let Self { owned, daemon, .. } = self;
        owned.remove(&daemon).await;
    }

    async fn next(
        &self,
        waited: &mut Pin<&mut impl Stream<Item = Result<bollard::models::ContainerWaitResponse, Error>>>,
        orders: &mut mpsc::UnboundedReceiver<Order>,
        due: Option<Instant>,
    ) -> Event {
        let mut ending = pin!(self.shared.ending.notified());
        let mut sleep = due.map(|due| Box::pin(tokio::time::sleep_until(due.into())));
        poll_fn(|cx| {
            if let Poll::Ready(waited) = waited.as_mut().poll_next(cx) {
                return Poll::Ready(match waited {
                    Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) => Event::Ended,
                    Some(Err(error)) => Event::Lost(error),
                    None => Event::Lost(Error::from(io::Error::from(io::ErrorKind::UnexpectedEof))),
                });
            }
            if ending.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Ending);
            }
            if let Poll::Ready(Some(order)) = orders.poll_recv(cx) {
                return Poll::Ready(Event::Order(order));
            }
            match sleep.as_mut().map(|sleep| sleep.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(Event::Due),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Marks the container for its end where a limit is reached, and tells when to look again.
    async fn hold_to_limits(&self) -> Option<Instant> {
        let (limits, since) = (&self.limits, self.shared.since);
        // A limit too far away to be told as a time is none.
        let wall = since.checked_add(limits.timeout);
        let mut now = Instant::now();
        if wall.is_some_and(|wall| now >= wall) {
            self.shared.end(BY_TIMEOUT);
        }
        let idle = limits.idle.and_then(|idle| {
            let last = since + Duration::from_millis(self.shared.last_output.load(Ordering::Relaxed));
            let has_unread = self.shared.unread.load(Ordering::Acquire) > 0;
            last.checked_add(idle).map(|due| if due <= now && has_unread { now + idle } else { due })
        });
        if idle.is_some_and(|idle| now >= idle) {
            self.shared.end(BY_IDLENESS);
        }
        let mut look = None;
        if let Some(limit) = limits.cpu {
            if self.cpu().await.is_some_and(|used| used >= limit) {
                self.shared.end(BY_CPU);
            }
            now = Instant::now();
            look = Some(now + CPU_INTERVAL);
        }
        [wall, idle, look].into_iter().flatten().min()
    }

    /// The CPU time of the container so far.
    async fn cpu(&self) -> Option<Duration> {
        let options = StatsOptions { stream: false, one_shot: true };
        let mut stats = pin!(self.daemon.docker.stats(self.owned.name(), Some(options)));
        let stats = stats.next().await?.ok()?;
        stats.cpu_stats?.cpu_usage?.total_usage.map(Duration::from_nanos)
    }

    async fn kill(&self) {
        let options = KillContainerOptions { signal: "SIGKILL".to_owned() };
        // One that has ended already is what was wanted.
        let _ = self.daemon.docker.kill_container(self.owned.name(), Some(options)).await;
    }

    async fn carry_out(&self, order: Order) {
        let (docker, name) = (&self.daemon.docker, self.owned.name());
        // A command that has ended meanwhile takes no more orders.
        let _ = match order {
            // Init would be stopped, and not the command.
            Order::Signal(Signal::Stop) => docker.pause_container(name).await,
            Order::Signal(Signal::Continue) => docker.unpause_container(name).await,
            Order::Signal(signal) => {
                let options = KillContainerOptions { signal: signal.number().to_string() };
                docker.kill_container(name, Some(options)).await
            }
            Order::Resize(size) => docker.resize_container_tty(name, window(size)).await,
        };
    }

    /// How the container ended.
    async fn status(&self) -> Result<SandboxStatus, SandboxError> {
        let told = self.daemon.end(self.owned.name()).await;
        let killer = self.shared.killer.load(Ordering::Acquire);
        let told = match told {
            // A handle that was dropped may have removed it.
            Err(_) if killer == BY_HOST => End { code: Some(i64::from(128 + SIGKILL)), out_of_memory: false },
            told => told?,
        };
        let code = told.code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1);
        let reason = match (killer, code) {
            (BY_OUTPUT, _) => EndReason::OutputLimit,
            (_, code) if code != 128 + SIGKILL => self.of_code(code),
            (BY_TIMEOUT, _) => EndReason::TimedOut,
            (BY_HOST, _) => EndReason::Cancelled,
            (BY_IDLENESS, _) => EndReason::IdleTimedOut,
            (BY_CPU, _) => EndReason::CpuLimit,
            _ if told.out_of_memory => EndReason::OutOfMemory,
            (_, code) => self.of_code(code),
        };
        let usage = ResourceUsage {
            wall: self.shared.since.elapsed(),
            output_bytes: self.shared.output_bytes.load(Ordering::Relaxed),
            ..ResourceUsage::default()
        };
        Ok(SandboxStatus::new(reason, usage))
    }

    /// A signal comes as a number that a program may end with too.
    fn of_code(&self, code: i32) -> EndReason {
        match code - 128 {
            SIGXCPU if self.limits.cpu.is_some() => EndReason::CpuLimit,
            signal @ 1..=31 => EndReason::Signaled(signal),
            _ => EndReason::Exited(code),
        }
    }
}

/// A terminal's size, as the daemon takes it.
pub(super) fn window(size: TerminalSize) -> ResizeContainerTTYOptions {
    ResizeContainerTTYOptions { h: i32::from(size.rows), w: i32::from(size.columns) }
}
