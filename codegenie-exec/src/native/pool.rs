//! Sandboxes that are ready before there is a command for them.

use super::identity::Identity;
use super::start::{Parts, Waiting};
use crate::sandbox::{SandboxError, SandboxPolicy};
use crate::view::View;
use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// How many policies are remembered. The one that was used longest ago makes way.
const POLICIES: usize = 8;

/// The waiting sandboxes of a host.
#[derive(Debug)]
pub(super) struct Pool {
    parts: Arc<Parts>,
    size: usize,
    /// The last one was used last.
    shelves: Mutex<Vec<Shelf>>,
    /// Tells the filling thread that there is something to do. Its end ends the thread.
    wanted: Sender<()>,
}

#[derive(Debug)]
struct Shelf {
    policy: SandboxPolicy,
    waiting: VecDeque<Waiting>,
}

impl Pool {
    pub(super) fn new(parts: Arc<Parts>, size: usize) -> Arc<Self> {
        let (wanted, heard) = mpsc::channel();
        let pool = Arc::new(Self { parts, size, shelves: Mutex::default(), wanted });
        let filled = Arc::downgrade(&pool);
        // Without the thread nothing waits, and every command is started directly.
        let _ = std::thread::Builder::new()
            .name("codegenie-pool".to_owned())
            .spawn(move || keep_filled(&filled, &heard));
        pool
    }

    fn shelves(&self) -> MutexGuard<'_, Vec<Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sandbox that waits under `policy` and shows `view`. Takes it off the shelf, for good.
    pub(super) fn take(&self, policy: &SandboxPolicy, view: &View, identity: &Identity) -> Option<Waiting> {
        let (mut useless, mut found) = (Vec::new(), None);
        {
            let mut shelves = self.shelves();
            let mut shelf = match shelves.iter().position(|shelf| shelf.policy == *policy) {
                Some(place) => shelves.remove(place),
                None => Shelf { policy: policy.clone(), waiting: VecDeque::new() },
            };
            while let Some(waiting) = shelf.waiting.pop_front() {
                if waiting.serves(view, identity) {
                    found = Some(waiting);
                    break;
                }
                useless.push(waiting);
            }
            shelves.push(shelf);
            if shelves.len() > POLICIES {
                useless.extend(shelves.remove(0).waiting);
            }
        }
        let _ = self.wanted.send(());
        // Ending them takes a moment, in which others may take.
        drop(useless);
        found
    }

    /// The policy that lacks most, if any does.
    fn lacking(&self) -> Option<SandboxPolicy> {
        let shelves = self.shelves();
        let lacking = shelves.iter().rev().filter(|shelf| shelf.waiting.len() < self.size);
        lacking.min_by_key(|shelf| shelf.waiting.len()).map(|shelf| shelf.policy.clone())
    }

    fn put(&self, policy: &SandboxPolicy, waiting: Waiting) {
        let mut shelves = self.shelves();
        // A policy that has made way meanwhile needs it no more, and somebody else may have filled the shelf.
        let shelf = shelves.iter_mut().find(|shelf| shelf.policy == *policy);
        match shelf.filter(|shelf| shelf.waiting.len() < self.size) {
            Some(shelf) => shelf.waiting.push_back(waiting),
            None => {
                drop(shelves);
                drop(waiting);
            }
        }
    }

    /// Fills the shelf of a policy now.
    pub(super) fn fill(&self, policy: &SandboxPolicy) -> Result<(), SandboxError> {
        if !policy.overlays.is_empty() {
            return Ok(());
        }
        loop {
            {
                let mut shelves = self.shelves();
                match shelves.iter().find(|shelf| shelf.policy == *policy) {
                    Some(shelf) if shelf.waiting.len() >= self.size => return Ok(()),
                    Some(_) => {}
                    None => {
                        shelves.push(Shelf { policy: policy.clone(), waiting: VecDeque::new() });
                        let over = shelves.len().saturating_sub(POLICIES);
                        let useless: Vec<Shelf> = shelves.drain(..over).collect();
                        drop(shelves);
                        drop(useless);
                    }
                }
            }
            let waiting = self.parts.prepare(policy)?;
            self.put(policy, waiting);
        }
    }

    /// Forgets a policy under which nothing can be made. A command under it is told why when it is started.
    fn forget(&self, policy: &SandboxPolicy) {
        self.shelves().retain(|shelf| shelf.policy != *policy);
    }
}

impl Drop for Pool {
    /// Whoever drops it need not wait for the end of every sandbox: they are killed now, and reaped elsewhere.
    fn drop(&mut self) {
        let shelves = std::mem::take(&mut *self.shelves());
        let waiting: Vec<Waiting> = shelves.into_iter().flat_map(|shelf| shelf.waiting).collect();
        waiting.iter().for_each(Waiting::kill);
        // Without another thread they are reaped here.
        let _ = std::thread::Builder::new().name("codegenie-pool".to_owned()).spawn(move || drop(waiting));
    }
}

fn keep_filled(pool: &Weak<Pool>, heard: &Receiver<()>) {
    while heard.recv().is_ok() {
        while let Some(pool) = pool.upgrade() {
            let Some(policy) = pool.lacking() else { break };
            match pool.parts.prepare(&policy) {
                Ok(waiting) => pool.put(&policy, waiting),
                Err(_) => pool.forget(&policy),
            }
        }
    }
}
