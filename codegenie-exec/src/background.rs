//! Commands that a host keeps, such as a development server.

use crate::sandbox::{OutputChunk, OutputStream, Running, SandboxError, SandboxStatus, Signal};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A command that runs beside the host's other work, until it ends, is stopped, or this value is
/// dropped.
///
/// Its output is read all the time, so that it never waits for the host; the last part of it is
/// kept. Time and output are limited by its policy as for every command:
/// [`Limits::for_background`](crate::Limits::for_background) lifts both.
///
/// ```no_run
/// # async fn example(sandbox: codegenie_exec::NativeSandbox) -> Result<(), Box<dyn std::error::Error>> {
/// use codegenie_exec::{Background, Limits, Sandbox, SandboxPolicy, SandboxRequest};
/// use std::time::Duration;
///
/// let policy = SandboxPolicy::workspace_write("/srv/project").limits(Limits::for_background());
/// let request = SandboxRequest::new("npm", policy).args(["run", "dev"]);
/// let mut server = Background::keep(sandbox.start(&request).await?, 64 << 10);
/// if server.printed(b"ready", Duration::from_secs(30)).await {
///     // Other commands of the agent run meanwhile.
/// }
/// let status = server.stop(Duration::from_secs(5)).await?;
/// println!("the server ended: {}", status.reason);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Background {
    recent: Arc<Mutex<Recent>>,
    orders: mpsc::UnboundedSender<Order>,
    changes: watch::Receiver<State>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Signal(Signal),
    Kill,
}

/// The end; every change of it, and every output, wakes those that wait.
#[derive(Clone, Debug, Default)]
struct State {
    end: Option<Result<SandboxStatus, Arc<SandboxError>>>,
}

#[derive(Debug)]
struct Recent {
    chunks: VecDeque<OutputChunk>,
    bytes: usize,
    limit: usize,
}

impl Recent {
    fn push(&mut self, chunk: OutputChunk) {
        self.bytes += chunk.bytes.len();
        self.chunks.push_back(chunk);
        while self.bytes > self.limit {
            let over = self.bytes - self.limit;
            let Some(first) = self.chunks.front_mut() else { return };
            let cut = over.min(first.bytes.len());
            first.bytes.drain(..cut);
            self.bytes -= cut;
            if first.bytes.is_empty() {
                self.chunks.pop_front();
            }
        }
    }
}

fn lock(recent: &Mutex<Recent>) -> MutexGuard<'_, Recent> {
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Background {
    /// Keeps a command, and the last `recent_bytes` bytes of what it prints. Must be called in a tokio runtime.
    #[must_use]
    pub fn keep(running: Running, recent_bytes: usize) -> Self {
        let recent = Arc::new(Mutex::new(Recent { chunks: VecDeque::new(), bytes: 0, limit: recent_bytes }));
        let (orders, ordered) = mpsc::unbounded_channel();
        let (changed, changes) = watch::channel(State::default());
        let task = tokio::spawn(attend(running, Arc::clone(&recent), ordered, changed));
        Self { recent, orders, changes, task }
    }

    /// The last part of what it printed, of both streams in the order in which it came.
    #[must_use]
    pub fn recent_output(&self) -> Vec<OutputChunk> {
        lock(&self.recent).chunks.iter().cloned().collect()
    }

    /// The last part of what it printed on one stream.
    #[must_use]
    pub fn recent(&self, stream: OutputStream) -> Vec<u8> {
        let recent = lock(&self.recent);
        let of_stream = recent.chunks.iter().filter(|chunk| chunk.stream == stream);
        of_stream.flat_map(|chunk| chunk.bytes.iter().copied()).collect()
    }

    /// How it ended; `None` while it runs.
    #[must_use]
    pub fn status(&self) -> Option<SandboxStatus> {
        self.changes.borrow().end.as_ref().and_then(|end| end.as_ref().ok().copied())
    }

    /// Waits until `text` is in the kept output of either stream: true. False where it has ended, or
    /// `within` has passed, without it.
    pub async fn printed(&mut self, text: &[u8], within: Duration) -> bool {
        let holds = |background: &Self| {
            [OutputStream::Stdout, OutputStream::Stderr].into_iter().any(|stream| {
                let output = background.recent(stream);
                text.is_empty() || output.windows(text.len()).any(|window| window == text)
            })
        };
        let search = async {
            loop {
                let ended = self.changes.borrow_and_update().end.is_some();
                if holds(self) {
                    return true;
                }
                if ended || self.changes.changed().await.is_err() {
                    return holds(self);
                }
            }
        };
        tokio::time::timeout(within, search).await.unwrap_or(false)
    }

    /// Sends a signal to the command and to what it started in its process group.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.order(Order::Signal(signal))
    }

    /// Ends the whole process tree now.
    pub fn kill(&self) -> io::Result<()> {
        self.order(Order::Kill)
    }

    fn order(&self, order: Order) -> io::Result<()> {
        self.orders.send(order).map_err(|_| io::Error::new(io::ErrorKind::NotFound, "the command has ended"))
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> Result<SandboxStatus, Arc<SandboxError>> {
        loop {
            if let Some(end) = self.changes.borrow_and_update().end.clone() {
                return end;
            }
            if self.changes.changed().await.is_err() {
                let gone = io::Error::other("the tokio runtime shut down");
                return Err(Arc::new(SandboxError::system("the command's end was not seen", gone)));
            }
        }
    }

    /// Asks it to end by SIGTERM, and ends the tree where it has not within `grace`.
    pub async fn stop(&mut self, grace: Duration) -> Result<SandboxStatus, Arc<SandboxError>> {
        if self.signal(Signal::Terminate).is_ok()
            && let Ok(end) = tokio::time::timeout(grace, self.wait()).await
        {
            return end;
        }
        // One that has ended meanwhile is what was wanted.
        let _ = self.kill();
        self.wait().await
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // With the task goes the command, and with that its tree.
        self.task.abort();
    }
}

enum Event {
    Output(Option<OutputChunk>),
    End(Result<SandboxStatus, SandboxError>),
    Order(Option<Order>),
}

/// Reads and obeys until the command has ended.
async fn attend(
    mut running: Running,
    recent: Arc<Mutex<Recent>>,
    mut ordered: mpsc::UnboundedReceiver<Order>,
    changed: watch::Sender<State>,
) {
    // The command may live on after both of its streams have ended.
    let mut is_printing = true;
    loop {
        let event = {
            let mut next = std::pin::pin!(async {
                if is_printing {
                    Event::Output(running.next_output().await)
                } else {
                    Event::End(running.wait().await)
                }
            });
            poll_fn(|cx| match ordered.poll_recv(cx) {
                Poll::Ready(order) => Poll::Ready(Event::Order(order)),
                Poll::Pending => next.as_mut().poll(cx),
            })
            .await
        };
        match event {
            Event::Output(Some(chunk)) => {
                lock(&recent).push(chunk);
                // Whoever waits for output looks at what is kept.
                changed.send_modify(|_| {});
            }
            Event::Output(None) => is_printing = false,
            Event::Order(Some(Order::Kill)) => running.kill(),
            // A command that has just ended gets none.
            Event::Order(Some(Order::Signal(signal))) => drop(running.signal(signal)),
            // Nobody holds it any more.
            Event::Order(None) => return,
            Event::End(end) => {
                changed.send_modify(|state| state.end = Some(end.map_err(Arc::new)));
                return;
            }
        }
    }
}
