//! Events as they are committed, for whoever watches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::codec;
use super::encoded::EncodedEvents;
use super::reader::StoredEvent;

/// The events of a log from now on, each after it is durable. Made by
/// [`AuditLog::subscribe`](crate::AuditLog::subscribe).
///
/// The log never waits for a subscriber: when as many events wait as it has room for, what comes is left out and
/// [counted](Self::missed). Sequence numbers show where. The iteration waits for events, and ends with the log.
#[derive(Debug)]
pub struct Subscription {
    events: Receiver<Arc<StoredEvent>>,
    missed: Arc<AtomicU64>,
}

impl Subscription {
    /// The next event, waiting no longer than this; `None` when there is none, or the log was closed.
    pub fn next_within(&self, timeout: Duration) -> Option<Arc<StoredEvent>> {
        self.events.recv_timeout(timeout).ok()
    }

    /// The next event if one waits.
    pub fn try_next(&self) -> Option<Arc<StoredEvent>> {
        self.events.try_recv().ok()
    }

    /// How many events were left out since nobody took them.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Iterator for Subscription {
    type Item = Arc<StoredEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        self.events.recv().ok()
    }
}

struct Subscriber {
    events: SyncSender<Arc<StoredEvent>>,
    missed: Arc<AtomicU64>,
}

#[derive(Default)]
pub(super) struct Subscribers {
    any: AtomicBool,
    list: Mutex<Vec<Subscriber>>,
}

impl Subscribers {
    pub(super) fn add(&self, waiting: usize) -> Subscription {
        let (sender, events) = sync_channel(waiting.max(1));
        let missed = Arc::new(AtomicU64::new(0));
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(Subscriber { events: sender, missed: Arc::clone(&missed) });
        self.any.store(true, Ordering::Release);
        Subscription { events, missed }
    }

    /// Tells of events that were committed, from this number on.
    pub(super) fn tell(&self, first: u64, events: &EncodedEvents) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        for (sequence, encoded) in (first..).zip(events.iter()) {
            let Some(event) = codec::decode(encoded) else { continue };
            let stored = Arc::new(StoredEvent { sequence, event });
            list.retain(|subscriber| match subscriber.events.try_send(Arc::clone(&stored)) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    subscriber.missed.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            });
        }
        self.any.store(!list.is_empty(), Ordering::Release);
    }
}
