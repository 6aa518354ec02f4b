//! Who hears of commits: subscribers, and the thread of the anchors.

use std::sync::{Arc, Mutex, PoisonError};

use super::anchoring::Anchoring;
use super::commits::Listener;
use super::encoded::EncodedEvents;
use super::subscription::Subscribers;
use super::writer::{Committed, Writer};

/// Who hears of commits.
pub(super) struct Told {
    pub(super) subscribers: Subscribers,
    anchoring: Mutex<Option<Arc<Anchoring>>>,
    has_anchors: bool,
}

impl Told {
    pub(super) fn new(anchoring: Option<Anchoring>) -> Self {
        let has_anchors = anchoring.is_some();
        let anchoring = Mutex::new(anchoring.map(Arc::new));
        Self { subscribers: Subscribers::default(), anchoring, has_anchors }
    }

    /// Ends the anchors' thread, when nobody waits for it any more.
    pub(super) fn end_anchoring(&self) {
        drop(self.anchoring.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Nobody holds the lock while he waits.
    pub(super) fn anchoring(&self) -> Option<Arc<Anchoring>> {
        self.anchoring.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn anchor(&self, writer: &Writer) {
        if self.has_anchors
            && let (Some(anchoring), Some(anchored)) = (self.anchoring(), writer.anchored())
        {
            anchoring.tell(anchored);
        }
    }
}

impl Listener for Arc<Told> {
    fn committed(&self, committed: &Committed, events: &EncodedEvents, writer: &Writer) {
        self.subscribers.tell(committed.first, events);
        self.anchor(writer);
    }
}
