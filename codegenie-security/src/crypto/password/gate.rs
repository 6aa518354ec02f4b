//! At most so many at once, at most so many waiting.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Shared by all clones. Threads and tasks count alike.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    freed: Condvar,
    #[cfg(feature = "tokio")]
    tasks: Arc<tokio::sync::Semaphore>,
    most: usize,
    most_waiting: usize,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    waiting: usize,
}

impl Gate {
    pub(super) fn new(most: usize, most_waiting: usize) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State::default()),
            freed: Condvar::new(),
            #[cfg(feature = "tokio")]
            tasks: Arc::new(tokio::sync::Semaphore::new(most.min(tokio::sync::Semaphore::MAX_PERMITS))),
            most,
            most_waiting,
        }))
    }

    /// Waits for a place; `None` when too many wait already.
    pub(super) fn enter(&self) -> Option<Admitted<'_>> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.inside >= self.0.most {
            if state.waiting >= self.0.most_waiting {
                return None;
            }
            state.waiting += 1;
            let full = |state: &mut State| state.inside >= self.0.most;
            state = self.0.freed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.inside += 1;
        Some(Admitted(&self.0))
    }

    /// Waits for a place without blocking a thread. Whoever has the permit still enters, and finds a
    /// place at once unless threads compete for it.
    #[cfg(feature = "tokio")]
    pub(super) async fn permit(&self) -> Option<Permit> {
        let inner = Arc::clone(&self.0);
        if let Ok(permit) = Arc::clone(&inner.tasks).try_acquire_owned() {
            return Some(permit);
        }
        // Tasks that wait are counted with the threads that do.
        let waiting = Waiting::begin(&inner)?;
        let permit = Arc::clone(&inner.tasks).acquire_owned().await.ok();
        drop(waiting);
        permit
    }
}

/// A task's place.
#[cfg(feature = "tokio")]
pub(super) type Permit = tokio::sync::OwnedSemaphorePermit;

/// A place, until dropped.
pub(super) struct Admitted<'a>(&'a Inner);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).inside -= 1;
        self.0.freed.notify_one();
    }
}

/// A task that waits, also when its future is dropped meanwhile.
#[cfg(feature = "tokio")]
struct Waiting<'a>(&'a Inner);

#[cfg(feature = "tokio")]
impl<'a> Waiting<'a> {
    fn begin(inner: &'a Inner) -> Option<Self> {
        let mut state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting >= inner.most_waiting {
            return None;
        }
        state.waiting += 1;
        Some(Self(inner))
    }
}

#[cfg(feature = "tokio")]
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).waiting -= 1;
    }
}
