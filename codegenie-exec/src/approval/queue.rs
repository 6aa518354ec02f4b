//! Questions that wait for somebody elsewhere: a dashboard, another process.

use super::{Approval, ApprovalRequest, Approver};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Questions, answered by whoever has the other handle. Clones are handles to the same queue.
///
/// A question leaves the queue when it is answered, and when the command that asked it is given up.
#[derive(Clone, Debug)]
pub struct ApprovalQueue {
    state: Arc<Mutex<State>>,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    request: ApprovalRequest,
    since: Instant,
    answer: oneshot::Sender<Approval>,
}

/// A question that waits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PendingApproval {
    /// By which it is answered.
    pub id: u64,
    /// What is asked.
    pub request: ApprovalRequest,
    /// How long it waits already.
    pub waiting: Duration,
}

/// An answer to a question that does not wait: it was answered, given up, or never asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no question {id} waits for an answer; list the questions again")]
pub struct NoSuchQuestion {
    id: u64,
}

impl ApprovalQueue {
    /// A queue of at most so many questions. One more is refused.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { state: Arc::default(), most }
    }

    /// The questions that wait, the oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<PendingApproval> {
        let state = self.state();
        let pending = state.waiting.iter().map(|(id, waiting)| PendingApproval {
            id: *id,
            request: waiting.request.clone(),
            waiting: waiting.since.elapsed(),
        });
        pending.collect()
    }

    /// Answers a question, once.
    pub fn answer(&self, id: u64, approval: Approval) -> Result<(), NoSuchQuestion> {
        let waiting = self.state().waiting.remove(&id).ok_or(NoSuchQuestion { id })?;
        waiting.answer.send(approval).map_err(|_| NoSuchQuestion { id })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a question out of the queue when nobody waits for its answer any more.
struct GivenUp<'q> {
    queue: &'q ApprovalQueue,
    id: u64,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.queue.state().waiting.remove(&self.id);
    }
}

impl Approver for ApprovalQueue {
    async fn decide(&self, request: &ApprovalRequest) -> Approval {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut state = self.state();
            if state.waiting.len() >= self.most {
                return Approval::refused("nobody", "too many questions wait already");
            }
            state.next += 1;
            let id = state.next;
            state.waiting.insert(id, Waiting { request: request.clone(), since: Instant::now(), answer });
            id
        };
        let _given_up = GivenUp { queue: self, id };
        match answered.await {
            Ok(approval) => approval,
            Err(_) => Approval::refused("nobody", "the question was withdrawn"),
        }
    }
}
