//! The connections that are open, so that the end of each can be told even where the command's own end
//! cuts them all off at once.

use crate::sandbox::{ConnectionEvent, ConnectionObserver, ConnectionStage};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that went over one connection.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

impl Counts {
    pub(super) fn closed(&self) -> ConnectionStage {
        ConnectionStage::Closed {
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }
}

/// By the numbers of their attempts.
type Connections = BTreeMap<u64, (ConnectionEvent, Arc<Counts>)>;

/// `None`: all were cut off, and none is opened any more.
#[derive(Debug)]
pub(super) struct Open(Mutex<Option<Connections>>);

impl Default for Open {
    fn default() -> Self {
        Self(Mutex::new(Some(BTreeMap::new())))
    }
}

impl Open {
    /// Takes note of an open connection. False: they have all been cut off meanwhile.
    pub(super) fn add(&self, event: &ConnectionEvent, counts: &Arc<Counts>) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_mut() else { return false };
        open.insert(event.attempt, (event.clone(), Arc::clone(counts)));
        true
    }

    /// A connection has ended. False: that has been told already.
    pub(super) fn remove(&self, attempt: u64) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_mut().is_some_and(|open| open.remove(&attempt).is_some())
    }

    /// Tells the end of them all.
    pub(super) fn cut_off(&self, observer: Option<&dyn ConnectionObserver>) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(observer) = observer else { return };
        for (mut event, counts) in open.into_iter().flat_map(BTreeMap::into_values) {
            event.stage = counts.closed();
            observer.cut_off(&event);
        }
    }
}
