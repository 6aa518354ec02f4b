//! Hands notifications to callbacks: in order, one thread at a time, and with no lock held.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::engine::AlertNotification;
use crate::metric::Counter;

/// What a host does with a notification.
pub(crate) type AlertCallback = dyn Fn(&AlertNotification) + Send + Sync;

/// Waiting for a callback that is busy; more than this are dropped, and counted.
const MOST_WAITING: usize = 1024;

pub(crate) struct Delivery {
    callbacks: RwLock<Vec<Arc<AlertCallback>>>,
    waiting: Mutex<VecDeque<AlertNotification>>,
    /// Some thread is handing over. The others leave what they have to it, a callback that causes
    /// notifications of its own included.
    busy: AtomicBool,
    dropped: Counter,
    panics: Counter,
}

impl Delivery {
    pub(crate) fn new(dropped: Counter, panics: Counter) -> Self {
        Self {
            callbacks: RwLock::default(),
            waiting: Mutex::default(),
            busy: AtomicBool::new(false),
            dropped,
            panics,
        }
    }

    pub(crate) fn add(&self, callback: Arc<AlertCallback>) {
        self.callbacks.write().unwrap_or_else(PoisonError::into_inner).push(callback);
    }

    pub(crate) fn queue(&self, notifications: &[AlertNotification]) {
        if self.callbacks.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for notification in notifications {
            if waiting.len() < MOST_WAITING {
                waiting.push_back(notification.clone());
            } else {
                self.dropped.inc();
            }
        }
    }

    /// Calls the callbacks for all that waits, unless another call is at it.
    pub(crate) fn run(&self) {
        // Looked at again after each round: what was queued while `busy` was being given up must not
        // lie there.
        while self.any_waiting() && !self.busy.swap(true, Ordering::Acquire) {
            while let Some(notification) = self.take() {
                let callbacks = self.callbacks.read().unwrap_or_else(PoisonError::into_inner).clone();
                for callback in callbacks {
                    // A callback's panic is not the evaluating thread's, which may be about to act.
                    if catch_unwind(AssertUnwindSafe(|| callback(&notification))).is_err() {
                        self.panics.inc();
                    }
                }
            }
            self.busy.store(false, Ordering::Release);
        }
    }

    fn any_waiting(&self) -> bool {
        !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn take(&self) -> Option<AlertNotification> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}
