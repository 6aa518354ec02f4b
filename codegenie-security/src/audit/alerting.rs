//! Tells somebody of grave events, beside the path on which they are recorded.

use super::{AuditError, AuditEvent, AuditSink, EventClass, Retention, ThreatLevel};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long [`AlertingSink`] waits for its listener when it is dropped.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a listener is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AuditAlert {
    /// What happened.
    pub event: AuditEvent,
    /// Whether it is on record. Where not, the sink failed, and what it was about did not run if it was only an intent.
    pub recorded: bool,
    /// How many grave events could not be told since the last alert, since too many waited. They are on record.
    pub missed: u64,
}

/// A sink that records by another one, and tells a listener of events from a threat level on.
///
/// The listener runs in a thread of its own and may take its time: nothing that is recorded waits for it. A bounded number of
/// alerts wait for the listener. Where as many wait as may, a graver one takes the place of the last of the least grave; what is
/// left out is counted and told as [`missed`](AuditAlert::missed) with the next. An event is told after it is recorded, or after recording it failed. A listener that panics is told the next event
/// all the same.
///
/// Dropping the sink ends the thread when what waits is told, for which it waits a second at the most.
///
/// ```
/// use codegenie_security::{AlertingSink, AuditEvent, AuditSink, DangerousNoAudit, EventClass, ThreatLevel};
/// use std::sync::mpsc;
///
/// let (told, alerts) = mpsc::channel();
/// let sink = AlertingSink::new(DangerousNoAudit, ThreatLevel::High, 64, move |alert| {
///     let _ = told.send(alert.event.resource);
/// })?;
/// sink.record(&AuditEvent::new(EventClass::Command, "execute", "git status"))?;
/// sink.record(&AuditEvent::new(EventClass::Command, "execute", "sudo sh").threat(ThreatLevel::High))?;
/// assert_eq!(alerts.recv()?, "sudo sh");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AlertingSink<S> {
    sink: S,
    least: ThreatLevel,
    waits: Arc<Waits>,
    /// Hears that the thread has ended.
    ended: Mutex<Receiver<()>>,
}

/// What waits for the listener.
struct Waits {
    queue: Mutex<Queue>,
    changed: Condvar,
    most: usize,
    missed: AtomicU64,
}

#[derive(Default)]
struct Queue {
    alerts: VecDeque<AuditAlert>,
    closed: bool,
}

impl Waits {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, alert: AuditAlert) {
        let mut queue = self.queue();
        if queue.alerts.len() >= self.most {
            self.missed.fetch_add(1, Ordering::Relaxed);
            let threat = |alert: &AuditAlert| alert.event.threat;
            // The first of several would be told soon, and tells more of how it began.
            let least = queue.alerts.iter().enumerate().rev().min_by_key(|(_, alert)| threat(alert));
            let Some((place, _)) = least.filter(|(_, least)| threat(least) < threat(&alert)) else { return };
            queue.alerts.remove(place);
        }
        queue.alerts.push_back(alert);
        drop(queue);
        self.changed.notify_one();
    }

    /// The next alert, for which it waits. `None` when all are told and no more come.
    fn next(&self) -> Option<AuditAlert> {
        let mut queue = self.queue();
        loop {
            if let Some(mut alert) = queue.alerts.pop_front() {
                alert.missed = self.missed.swap(0, Ordering::Relaxed);
                return Some(alert);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<S: AuditSink> AlertingSink<S> {
    /// Records by `sink`, and tells `listener` of events of `least` or graver. At most `waiting` alerts wait for it, and one
    /// at least.
    ///
    /// Fails where the system gives no thread.
    pub fn new(
        sink: S,
        least: ThreatLevel,
        waiting: usize,
        listener: impl FnMut(AuditAlert) + Send + 'static,
    ) -> std::io::Result<Self> {
        let waits = Arc::new(Waits {
            queue: Mutex::default(),
            changed: Condvar::new(),
            most: waiting.max(1),
            missed: AtomicU64::new(0),
        });
        let (end, ended) = sync_channel(1);
        let theirs = Arc::clone(&waits);
        std::thread::Builder::new().name("audit-alerts".to_owned()).spawn(move || {
            listen(&theirs, listener);
            // Nobody may be waiting for it.
            let _ = end.send(());
        })?;
        Ok(Self { sink, least, waits, ended: Mutex::new(ended) })
    }

    /// The sink that records.
    #[must_use]
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// How many grave events wait to be told as missed.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.waits.missed.load(Ordering::Relaxed)
    }

    fn tell(&self, event: &AuditEvent, recorded: bool) {
        if event.threat >= self.least {
            // What was missed before is added by the thread, which sees the alerts in order.
            self.waits.add(AuditAlert { event: event.clone(), recorded, missed: 0 });
        }
    }
}

fn listen(waits: &Waits, mut listener: impl FnMut(AuditAlert)) {
    while let Some(alert) = waits.next() {
        // The thread goes on, whatever becomes of one alert. Its panic was printed.
        let _ = catch_unwind(AssertUnwindSafe(|| listener(alert)));
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: AuditSink> AuditSink for AlertingSink<S> {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        let recorded = self.sink.record(event);
        self.tell(event, recorded.is_ok());
        recorded
    }

    fn retention(&self) -> Retention {
        self.sink.retention()
    }

    /// True for every class: a grave event of one that the sink leaves out is told all the same.
    fn enabled(&self, _class: EventClass) -> bool {
        true
    }

    fn flush(&self) -> Result<(), AuditError> {
        self.sink.flush()
    }
}

impl<S> Drop for AlertingSink<S> {
    fn drop(&mut self) {
        self.waits.queue().closed = true;
        self.waits.changed.notify_all();
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(FAREWELL) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            // The listener takes longer: it ends with the process.
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

impl<S> fmt::Debug for AlertingSink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertingSink").field("least", &self.least).finish_non_exhaustive()
    }
}
