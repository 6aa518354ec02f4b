//! The labels of a root and of all sessions that are derived from it, and whether they are kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

/// Sorted, and only ever more. Read by every check, without a lock.
#[derive(Debug)]
pub(super) struct Labels {
    now: ArcSwap<Vec<Arc<str>>>,
    /// How many there were in the record that was kept last: as there are only ever more, that tells which.
    kept: AtomicUsize,
    record: Mutex<()>,
}

impl Labels {
    /// Labels that are kept already.
    pub(super) fn new(labels: Vec<Arc<str>>) -> Self {
        let kept = AtomicUsize::new(labels.len());
        Self { now: ArcSwap::from_pointee(labels), kept, record: Mutex::default() }
    }

    pub(super) fn now(&self) -> Guard<Arc<Vec<Arc<str>>>> {
        self.now.load()
    }

    pub(super) fn add(&self, label: &str) {
        if self.now.load().binary_search_by(|known| known.as_ref().cmp(label)).is_ok() {
            return;
        }
        self.now.rcu(|labels| match labels.binary_search_by(|known| known.as_ref().cmp(label)) {
            Ok(_) => Arc::clone(labels),
            Err(place) => {
                let mut more = Vec::clone(labels);
                more.insert(place, label.into());
                Arc::new(more)
            }
        });
    }

    /// Are all that are there now kept?
    pub(super) fn are_kept(&self) -> bool {
        let count = self.now.load().len();
        self.kept.load(Ordering::SeqCst) >= count
    }

    /// So many were kept.
    pub(super) fn kept(&self, count: usize) {
        self.kept.fetch_max(count, Ordering::SeqCst);
    }

    /// Held while the record of the root is put or removed, so that an older one never replaces a newer one and
    /// none is put after it was removed for good.
    pub(super) fn hold_record(&self) -> MutexGuard<'_, ()> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
