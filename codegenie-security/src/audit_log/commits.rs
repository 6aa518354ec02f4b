//! Group commit: whoever comes while a commit is on its way to the disk shares the next one.
//!
//! There is no thread for it. Of those that wait, one leads: it takes what has gathered, commits it, and tells the
//! others. A single caller therefore waits for nobody.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::frame::{ENOUGH_BYTES, MAX_RECORDS};
use super::writer::{CommitFailure, Committed, Pending, Writer, is_full};
use crate::audit::{AuditError, AuditErrorKind};

/// Told of what was committed, in order, before it is acknowledged.
pub(super) trait Listener: Send + Sync {
    fn committed(&self, committed: &Committed, events: &[Pending], writer: &Writer);
}

/// Why a commit failed, for everybody who shared it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: AuditErrorKind,
    pub(super) message: String,
    source: Option<Arc<io::Error>>,
}

impl Failure {
    pub(super) fn into_error(self) -> AuditError {
        let error = AuditError::new(self.kind, self.message);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

/// The events that share a commit, and what became of it.
#[derive(Default)]
struct Batch {
    outcome: OnceLock<Result<(), Failure>>,
    /// Told when there is an outcome, and when somebody has to lead.
    changed: Condvar,
}

/// How long it is waited for something that is told, and is looked at again all the same.
const TURN: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Queue {
    pending: Vec<Pending>,
    bytes: usize,
    batch: Arc<Batch>,
    leading: bool,
    /// The batch that is on its way.
    in_flight: Option<Arc<Batch>>,
    /// How many events the last commit had.
    last: usize,
    stopped: Option<Failure>,
}

impl Queue {
    fn is_full(&self) -> bool {
        self.pending.len() >= MAX_RECORDS || self.bytes >= ENOUGH_BYTES
    }
}

pub(super) struct Commits {
    name: String,
    queue: Mutex<Queue>,
    changed: Condvar,
    writer: Mutex<Writer>,
    listener: Box<dyn Listener>,
    /// Events that were accepted and then lost, by the policy of the host.
    lost: AtomicU64,
}

impl Commits {
    /// `name` is for messages.
    pub(super) fn new(name: String, writer: Writer, listener: Box<dyn Listener>) -> Self {
        Self {
            name,
            queue: Mutex::default(),
            changed: Condvar::new(),
            writer: Mutex::new(writer),
            listener,
            lost: AtomicU64::new(0),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A leader that panics stops the queue, and leaves it in order.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer, to look at. Commits wait for it.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be recorded any more, if so.
    pub(super) fn stopped(&self) -> Option<Failure> {
        self.queue().stopped.clone()
    }

    /// Ends the log with an error.
    pub(super) fn stop(&self, kind: AuditErrorKind, why: &str) {
        let message = format!("audit log {} stopped: {why}; open it again", self.name);
        self.queue().stopped.get_or_insert(Failure { kind, message, source: None });
        self.changed.notify_all();
    }

    /// Commits events, alone or with others, and returns when they are durable: in one commit if they fit one.
    pub(super) fn commit(&self, events: impl IntoIterator<Item = Pending>) -> Result<(), Failure> {
        let mut queue = self.queue();
        let mut shared: Option<Arc<Batch>> = None;
        for event in events {
            while queue.is_full() {
                let full = Arc::clone(&queue.batch);
                queue = self.lead_or_wait(queue, &full);
            }
            // Those before did not fit, and are on their way or done: this one follows only if they went well.
            if let Some(before) = shared.take_if(|batch| !Arc::ptr_eq(batch, &queue.batch)) {
                while before.outcome.get().is_none() {
                    queue = self.lead_or_wait(queue, &before);
                }
                if let Some(Err(failure)) = before.outcome.get() {
                    return Err(failure.clone());
                }
            }
            if let Some(stopped) = &queue.stopped {
                return Err(stopped.clone());
            }
            queue.bytes += event.len();
            queue.pending.push(event);
            shared = Some(Arc::clone(&queue.batch));
        }
        let Some(batch) = shared else { return Ok(()) };
        loop {
            if let Some(outcome) = batch.outcome.get() {
                return outcome.clone();
            }
            queue = self.lead_or_wait(queue, &batch);
        }
    }

    /// Waits for a batch, or leads one if nobody does.
    fn lead_or_wait<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, batch: &Batch) -> MutexGuard<'a, Queue> {
        if queue.leading {
            return batch.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.leading = true;
        let mut queue = self.gather(queue);
        let events = std::mem::take(&mut queue.pending);
        queue.bytes = 0;
        let batch = std::mem::take(&mut queue.batch);
        queue.in_flight = Some(Arc::clone(&batch));
        let stopped = queue.stopped.clone();
        drop(queue);

        let leader = Leader { commits: self, batch: &batch };
        let outcome = match stopped {
            Some(stopped) => Err((stopped, true)),
            None if events.is_empty() => Ok(()),
            None => self.write(&events),
        };
        leader.end(outcome)
    }

    /// Lets those come whom the last commit served: they are awake, and most record again at once. A single caller waits
    /// for nobody.
    fn gather<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        for _ in 0..queue.last {
            if queue.pending.len() >= queue.last || queue.is_full() {
                break;
            }
            drop(queue);
            std::thread::yield_now();
            queue = self.queue();
        }
        queue.last = queue.pending.len();
        queue
    }

    /// The failure, and whether the log ends with it.
    fn write(&self, events: &[Pending]) -> Result<(), (Failure, bool)> {
        // A panic in an earlier commit may have left the writer between two states.
        let mut writer = self.writer.lock().map_err(|_| (self.failure(None, "a writer panicked"), true))?;
        match writer.commit(events) {
            Ok(committed) => {
                self.listener.committed(&committed, events, &writer);
                Ok(())
            }
            Err(CommitFailure::Full(error)) => {
                let text = format!("{error}; nothing was lost: make room, and record again");
                Err((self.failure(Some(error), &text), false))
            }
            Err(CommitFailure::Broken(error)) => {
                let text = format!("{error}; see to the disk, then open the log again");
                Err((self.failure(Some(error), &text), true))
            }
        }
    }

    fn failure(&self, source: Option<io::Error>, text: &str) -> Failure {
        let kind = match &source {
            Some(error) if is_full(error) => AuditErrorKind::Full,
            _ => AuditErrorKind::Unavailable,
        };
        let message = format!("cannot write audit log {}: {text}", self.name);
        Failure { kind, message, source: source.map(Arc::new) }
    }

    /// Waits for what was on its way when this was called, and tells whether the log goes on.
    pub(super) fn drain(&self) -> Result<(), Failure> {
        let mut queue = self.queue();
        let waiting = (!queue.pending.is_empty()).then(|| Arc::clone(&queue.batch));
        for batch in queue.in_flight.clone().into_iter().chain(waiting) {
            while batch.outcome.get().is_none() {
                queue = self.lead_or_wait(queue, &batch);
            }
        }
        queue.stopped.clone().map_or(Ok(()), Err)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Leads one commit. Should it panic, the log stops and those who wait are told.
struct Leader<'c, 'b> {
    commits: &'c Commits,
    batch: &'b Batch,
}

impl<'c> Leader<'c, '_> {
    fn end(self, outcome: Result<(), (Failure, bool)>) -> MutexGuard<'c, Queue> {
        let commits = self.commits;
        let mut queue = commits.queue();
        let result = match outcome {
            Ok(()) => Ok(()),
            Err((failure, last)) => {
                if last {
                    let message = format!(
                        "audit log {} stopped after an earlier write error; open it again",
                        commits.name
                    );
                    let stop = Failure { message, ..failure.clone() };
                    queue.stopped.get_or_insert(stop);
                }
                Err(failure)
            }
        };
        let _ = self.batch.outcome.set(result);
        queue.leading = false;
        queue.in_flight = None;
        self.batch.changed.notify_all();
        // One of those who came meanwhile leads the next commit.
        queue.batch.changed.notify_one();
        commits.changed.notify_all();
        std::mem::forget(self);
        queue
    }
}

impl Drop for Leader<'_, '_> {
    /// Reached by a panic only.
    fn drop(&mut self) {
        let failure = self.commits.failure(None, "a writer panicked; open the log again");
        let mut queue = self.commits.queue();
        queue.stopped.get_or_insert(failure.clone());
        let _ = self.batch.outcome.set(Err(failure));
        queue.leading = false;
        queue.in_flight = None;
        self.batch.changed.notify_all();
        queue.batch.changed.notify_all();
        self.commits.changed.notify_all();
    }
}

/// Events that were accepted, and wait for a thread of the log.
pub(super) struct Accepted {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    events: VecDeque<Pending>,
    /// How many the thread has taken and not finished.
    taken: usize,
    closed: bool,
    /// How often the disk was full, and what was said the last time.
    refusals: u64,
    refused: Option<Failure>,
}

impl Accepted {
    pub(super) fn new() -> Self {
        let waiting =
            Waiting { events: VecDeque::new(), taken: 0, closed: false, refusals: 0, refused: None };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event unless `capacity` wait already; then hands it back, or waits for room.
    pub(super) fn accept(
        &self,
        event: Pending,
        capacity: usize,
        wait: bool,
        commits: &Commits,
    ) -> Result<(), Pending> {
        let mut waiting = self.waiting();
        while waiting.events.len() + waiting.taken >= capacity {
            if !wait || commits.stopped().is_some() {
                return Err(event);
            }
            let timeout = self.changed.wait_timeout(waiting, Duration::from_millis(100));
            waiting = timeout.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.events.push_back(event);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until all that was accepted is durable, the log has stopped, or the disk is found full.
    pub(super) fn drain(&self, commits: &Commits) -> Result<(), Failure> {
        let mut waiting = self.waiting();
        let refusals = waiting.refusals;
        loop {
            if let Some(stopped) = commits.stopped() {
                return Err(stopped);
            }
            if waiting.events.is_empty() && waiting.taken == 0 {
                return Ok(());
            }
            if let Some(refused) = waiting.refused.clone().filter(|_| waiting.refusals > refusals) {
                return Err(refused);
            }
            waiting = self.changed.wait_timeout(waiting, TURN).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_all();
    }

    /// An event is lost: the thread tells of it as soon as it can.
    pub(super) fn lose(&self, commits: &Commits) {
        commits.lost.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// What the thread of the log does: commits what waits, and tries again while the disk is full.
    pub(super) fn run(&self, commits: &Commits, lost_event: impl Fn(u64) -> Option<Pending>) {
        loop {
            let mut waiting = self.waiting();
            while waiting.events.is_empty() && !waiting.closed && commits.lost() == 0 {
                waiting = self.changed.wait_timeout(waiting, TURN).unwrap_or_else(PoisonError::into_inner).0;
            }
            let (mut bytes, mut events) = (0, Vec::new());
            while bytes < ENOUGH_BYTES && events.len() + 1 < MAX_RECORDS {
                let Some(event) = waiting.events.pop_front() else { break };
                bytes += event.len();
                events.push(event);
            }
            let closed = waiting.closed;
            waiting.taken = events.len();
            drop(waiting);
            let lost = commits.lost.swap(0, Ordering::Relaxed);
            let accepted = events.len();
            events.extend(if lost > 0 { lost_event(lost) } else { None });
            if events.is_empty() {
                return;
            }
            let outcome = commits.write_all(&events);
            let mut waiting = self.waiting();
            waiting.taken = 0;
            let Err((failure, last)) = outcome else {
                waiting.refused = None;
                self.changed.notify_all();
                continue;
            };
            commits.lost.fetch_add(lost, Ordering::Relaxed);
            events.truncate(accepted);
            events.into_iter().rev().for_each(|event| waiting.events.push_front(event));
            waiting.refusals += 1;
            waiting.refused = Some(failure);
            self.changed.notify_all();
            if last || closed {
                return;
            }
            drop(self.changed.wait_timeout(waiting, 2 * TURN).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Commits {
    /// Commits events of the log's own thread; the error tells whether the log ends with it.
    fn write_all(&self, events: &[Pending]) -> Result<(), (Failure, bool)> {
        if let Some(stopped) = self.stopped() {
            return Err((stopped, true));
        }
        self.write(events).inspect_err(|(failure, last)| {
            if *last {
                self.queue().stopped.get_or_insert(failure.clone());
            }
        })
    }
}
