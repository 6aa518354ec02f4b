//! Group commit: whoever comes while a commit is on its way to the disk shares the next one.
//!
//! There is no thread for it. Who finds nobody waiting leads: it waits for the end of the commit on its way, takes what has
//! gathered, commits it, and tells the others. A single caller therefore waits for nobody.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::encoded::EncodedEvents;
use super::frame::{ENOUGH_BYTES, MAX_RECORDS};
use super::writer::{CommitFailure, Committed, Writer, is_full};
use crate::audit::{AuditError, AuditErrorKind};

/// Told of what was committed, in order, before it is acknowledged.
pub(super) trait Listener: Send + Sync {
    fn committed(&self, committed: &Committed, events: &EncodedEvents, writer: &Writer);
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

/// The events that share a commit, and what became of it. The first one's caller leads it.
#[derive(Default)]
struct Batch {
    outcome: OnceLock<Result<(), Failure>>,
}

/// A caller's part in a batch.
struct Share {
    batch: Arc<Batch>,
    leads: bool,
}

/// How long it is waited for something that is told, and is looked at again all the same.
const TURN: Duration = Duration::from_millis(50);

/// How often others are let run before a caller falls asleep: with many of them, a commit has often ended by then, and to
/// be woken takes longer.
const TURNS: usize = 16;

/// How long a leader lets others come at the most.
const GATHERING: Duration = Duration::from_micros(200);

#[derive(Default)]
struct Queue {
    pending: EncodedEvents,
    /// What was pending before, to be filled again.
    spare: EncodedEvents,
    batch: Arc<Batch>,
    /// The batch that is on its way.
    in_flight: Option<Arc<Batch>>,
    /// Whether the leader of `batch` waits for that one's end.
    leader_waits: bool,
    /// How many callers share `batch`, and how many shared the last one.
    callers: usize,
    last: usize,
    stopped: Option<Failure>,
}

impl Queue {
    /// Do so many events of so many bytes fit with those that wait?
    fn has_room_for(&self, (count, bytes): (usize, usize)) -> bool {
        self.pending.len() + count <= MAX_RECORDS && self.pending.bytes() + bytes <= ENOUGH_BYTES
    }

    fn is_full(&self) -> bool {
        self.pending.len() >= MAX_RECORDS || self.pending.bytes() >= ENOUGH_BYTES
    }
}

pub(super) struct Commits {
    name: String,
    queue: Mutex<Queue>,
    /// Told when a commit ends, if the next one's leader waits for it.
    ended: Condvar,
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
            ended: Condvar::new(),
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
    }

    /// Commits events, alone or with others, and returns when they are durable. In one commit if they fit one.
    pub(super) fn commit<'e>(&self, events: impl Iterator<Item = &'e [u8]> + Clone) -> Result<(), Failure> {
        let size =
            events.clone().map(<[u8]>::len).fold((0, 0), |(count, bytes), len| (count + 1, bytes + len));
        let mut share: Option<Share> = None;
        let mut queue = self.queue();
        for event in events {
            loop {
                let is_elsewhere =
                    share.as_ref().is_some_and(|share| !Arc::ptr_eq(&share.batch, &queue.batch));
                let has_room = match share {
                    // All of them, if a batch has room for all.
                    None => queue.has_room_for(size) || queue.pending.is_empty(),
                    Some(_) => !queue.is_full(),
                };
                if !is_elsewhere && has_room {
                    break;
                }
                match share.take() {
                    // This event did not fit with those before, and follows only if they went well.
                    Some(share) => self.finish(share, queue)?,
                    None => {
                        let full = Arc::clone(&queue.batch);
                        drop(queue);
                        full.outcome.wait();
                    }
                }
                queue = self.queue();
            }
            if let Some(stopped) = queue.stopped.clone() {
                return share.map_or(Ok(()), |share| self.finish(share, queue)).and(Err(stopped));
            }
            if share.is_none() {
                let leads = queue.pending.is_empty();
                queue.callers += 1;
                share = Some(Share { batch: Arc::clone(&queue.batch), leads });
            }
            queue.pending.push(event);
        }
        share.map_or(Ok(()), |share| self.finish(share, queue))
    }

    /// Commits a batch if it is this caller's to lead, and waits for it if not.
    fn finish(&self, share: Share, queue: MutexGuard<'_, Queue>) -> Result<(), Failure> {
        if share.leads {
            return self.lead(queue);
        }
        drop(queue);
        for _ in 0..TURNS {
            if let Some(outcome) = share.batch.outcome.get() {
                return outcome.clone();
            }
            std::thread::yield_now();
        }
        share.batch.outcome.wait().clone()
    }

    /// Commits what has gathered by the end of the commit before.
    fn lead(&self, mut queue: MutexGuard<'_, Queue>) -> Result<(), Failure> {
        while queue.in_flight.is_some() {
            queue.leader_waits = true;
            queue = self.ended.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.leader_waits = false;
        let mut queue = self.gather(queue);
        let spare = std::mem::take(&mut queue.spare);
        let events = std::mem::replace(&mut queue.pending, spare);
        let batch = std::mem::take(&mut queue.batch);
        queue.in_flight = Some(Arc::clone(&batch));
        let stopped = queue.stopped.clone();
        drop(queue);

        let leader = Leader { commits: self, batch: &batch };
        let outcome = match stopped {
            Some(stopped) => Err((stopped, true)),
            None => self.write(&events),
        };
        leader.end(outcome, events)
    }

    /// Lets three quarters of those come whom the last commit served: they are awake, and most record again at once. The others
    /// come while this one is on its way. A single caller waits for nobody, and nobody for long.
    fn gather<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        let begun = Instant::now();
        while queue.callers < queue.last - queue.last.div_ceil(4)
            && !queue.is_full()
            && begun.elapsed() < GATHERING
        {
            drop(queue);
            std::thread::yield_now();
            queue = self.queue();
        }
        queue.last = std::mem::take(&mut queue.callers);
        queue
    }

    /// The failure, and whether the log ends with it.
    fn write(&self, events: &EncodedEvents) -> Result<(), (Failure, bool)> {
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
        let queue = self.queue();
        let waiting = (!queue.pending.is_empty()).then(|| Arc::clone(&queue.batch));
        let batches = [queue.in_flight.clone(), waiting];
        drop(queue);
        for batch in batches.into_iter().flatten() {
            batch.outcome.wait();
        }
        self.stopped().map_or(Ok(()), Err)
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

impl Leader<'_, '_> {
    fn end(self, outcome: Result<(), (Failure, bool)>, events: EncodedEvents) -> Result<(), Failure> {
        let result = outcome.map_err(|(failure, last)| {
            if last {
                let message = format!(
                    "audit log {} stopped after an earlier write error; open it again",
                    self.commits.name
                );
                let stop = Failure { message, ..failure.clone() };
                self.commits.queue().stopped.get_or_insert(stop);
            }
            failure
        });
        self.tell(result.clone(), events.emptied());
        std::mem::forget(self);
        result
    }

    /// Lets the next commit begin, then tells those who shared this one.
    fn tell(&self, result: Result<(), Failure>, spare: EncodedEvents) {
        let mut queue = self.commits.queue();
        queue.in_flight = None;
        queue.spare = spare;
        let is_waited_for = queue.leader_waits;
        drop(queue);
        // To tell nobody takes as long as to tell somebody.
        if is_waited_for {
            self.commits.ended.notify_one();
        }
        let _ = self.batch.outcome.set(result);
    }
}

impl Drop for Leader<'_, '_> {
    /// Reached by a panic only.
    fn drop(&mut self) {
        let failure = self.commits.failure(None, "a writer panicked; open the log again");
        self.commits.queue().stopped.get_or_insert(failure.clone());
        self.tell(Err(failure), EncodedEvents::default());
    }
}

/// Events that were accepted, and wait for a thread of the log.
pub(super) struct Accepted {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    events: VecDeque<Vec<u8>>,
    /// How many the thread has taken and not finished.
    taken: usize,
    /// How many were ever accepted, and how many of them are durable.
    accepted: u64,
    durable: u64,
    closed: bool,
    /// How often the disk was full, and what was said the last time.
    refusals: u64,
    refused: Option<Failure>,
}

impl Accepted {
    pub(super) fn new() -> Self {
        let waiting = Waiting {
            events: VecDeque::new(),
            taken: 0,
            accepted: 0,
            durable: 0,
            closed: false,
            refusals: 0,
            refused: None,
        };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event unless `capacity` wait already; then hands it back, or waits for room.
    pub(super) fn accept(
        &self,
        event: Vec<u8>,
        capacity: usize,
        wait: bool,
        commits: &Commits,
    ) -> Result<(), Vec<u8>> {
        let mut waiting = self.waiting();
        while waiting.events.len() + waiting.taken >= capacity {
            if !wait || commits.stopped().is_some() {
                return Err(event);
            }
            let timeout = self.changed.wait_timeout(waiting, Duration::from_millis(100));
            waiting = timeout.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.events.push_back(event);
        waiting.accepted += 1;
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until all that was accepted before this call is durable, the log has stopped, or the disk is found full.
    pub(super) fn drain(&self, commits: &Commits) -> Result<(), Failure> {
        let mut waiting = self.waiting();
        let (refusals, accepted) = (waiting.refusals, waiting.accepted);
        loop {
            if let Some(stopped) = commits.stopped() {
                return Err(stopped);
            }
            if waiting.durable >= accepted {
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
    pub(super) fn run(&self, commits: &Commits, lost_event: impl Fn(u64) -> Option<Vec<u8>>) {
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
            let outcome = commits.write_all(&events.iter().collect());
            let mut waiting = self.waiting();
            waiting.taken = 0;
            let Err((failure, last)) = outcome else {
                waiting.durable += accepted as u64;
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
    fn write_all(&self, events: &EncodedEvents) -> Result<(), (Failure, bool)> {
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
