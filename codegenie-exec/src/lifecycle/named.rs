//! One named sandbox, as a sandbox.

use super::Shared;
use super::snapshot::SandboxSnapshot;
use super::state::Outcome;
use crate::sandbox::{
    Denial, EndReason, EnforcementReport, OutputChunk, Running, Sandbox, SandboxError, SandboxErrorKind,
    SandboxPolicy, SandboxProcess, SandboxRequest, SandboxStatus, Signal, TerminalSize,
};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A handle to a sandbox of a [`SandboxRegistry`](super::SandboxRegistry). It is a [`Sandbox`] itself, over which an executor can be built: with
/// [`policy`](Self::policy) as its confinement.
///
/// A run is refused when the sandbox has ended, when its owner's quota is used up, and when the request's policy is another
/// one than [`policy`](Self::policy), whole or without writing, without network or without both.
pub struct NamedSandbox<S> {
    shared: Arc<Shared<S>>,
    id: u64,
    name: String,
    policy: Arc<SandboxPolicy>,
}

impl<S> NamedSandbox<S> {
    pub(super) fn new(shared: Arc<Shared<S>>, id: u64, name: String, policy: Arc<SandboxPolicy>) -> Self {
        Self { shared, id, name, policy }
    }

    /// Its policy, resolved.
    #[must_use]
    pub fn policy(&self) -> Arc<SandboxPolicy> {
        Arc::clone(&self.policy)
    }

    /// The name under which it was made.
    #[must_use]
    pub fn sandbox_name(&self) -> &str {
        &self.name
    }

    /// As it is now; `None`: it is gone.
    #[must_use]
    pub fn snapshot(&self) -> Option<SandboxSnapshot> {
        let now = self.shared.now();
        Some(self.shared.state().entry(self.id)?.snapshot(now))
    }

    fn refused(&self, why: &str) -> SandboxError {
        let message = format!("the sandbox {:?} runs nothing: {why}; nothing was run", self.name);
        SandboxError::new(SandboxErrorKind::Refused, message)
    }
}

impl<S: Sandbox + 'static> Sandbox for NamedSandbox<S> {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        let now = self.shared.now();
        let begun = self.shared.state().begin(self.id, &request.policy, now);
        let (run, ending) = begun.map_err(|why| self.refused(&why))?;
        // From here on the place is given back, whatever happens.
        let mut place =
            Place { shared: Arc::clone(&self.shared), id: self.id, run, since: now, outcome: None };
        let running = match self.shared.sandbox.start(request).await {
            Ok(running) => running,
            Err(error) => {
                place.outcome = Some(Outcome::NotStarted);
                return Err(error);
            }
        };
        let (process, report) = running.into_parts();
        Ok(Running::new(Counted { process, ending, killed: false, place: Some(place) }, report))
    }

    async fn enforcement(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        self.shared.sandbox.enforcement(policy).await
    }

    fn name(&self) -> &str {
        self.shared.sandbox.name()
    }
}

impl<S> Clone for NamedSandbox<S> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared), self.id, self.name.clone(), Arc::clone(&self.policy))
    }
}

impl<S> fmt::Debug for NamedSandbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedSandbox").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

/// Tells a run that it is to end: whoever waits for it is woken, and kills it.
#[derive(Debug, Default)]
pub(super) struct Ending {
    told: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Ending {
    pub(super) fn end(&self) {
        self.told.store(true, Ordering::Release);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Whether it is to end. If not yet, `cx` will be woken.
    fn poll(&self, cx: &Context<'_>) -> bool {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        // After the waker is in its place: whoever says so later wakes it.
        self.told.load(Ordering::Acquire)
    }
}

/// One of an owner's runs at once, given back when it is dropped.
struct Place<S> {
    shared: Arc<Shared<S>>,
    id: u64,
    run: u64,
    since: Duration,
    outcome: Option<Outcome>,
}

impl<S> Drop for Place<S> {
    fn drop(&mut self) {
        let now = self.shared.now();
        let given_up = Outcome::Ended { status: None, passed: now.saturating_sub(self.since) };
        let outcome = self.outcome.unwrap_or(given_up);
        self.shared.state().done(self.id, self.run, outcome, now);
    }
}

/// A run that is counted, and ends when its sandbox does.
struct Counted<S> {
    // Dropped first: when the place is free, the tree has ended.
    process: Box<dyn SandboxProcess>,
    ending: Arc<Ending>,
    killed: bool,
    /// `None`: it has ended.
    place: Option<Place<S>>,
}

impl<S> Counted<S> {
    fn heed(&mut self, cx: &Context<'_>) {
        if !self.killed && self.ending.poll(cx) {
            self.killed = true;
            self.process.kill();
        }
    }
}

impl<S> SandboxProcess for Counted<S>
where
    S: Send + Sync,
{
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutputChunk>> {
        self.heed(cx);
        self.process.poll_output(cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<SandboxStatus, SandboxError>> {
        self.heed(cx);
        let mut status = match self.process.poll_end(cx) {
            Poll::Ready(Ok(status)) => status,
            Poll::Ready(Err(error)) => {
                self.place = None;
                return Poll::Ready(Err(error));
            }
            Poll::Pending => return Poll::Pending,
        };
        // Killed by the sandbox's end, whatever signal that was; what ended by itself before did that.
        if self.killed && matches!(status.reason, EndReason::Signaled(_)) {
            status.reason = EndReason::Cancelled;
        }
        let passed = status.usage.wall;
        if let Some(mut place) = self.place.take() {
            place.outcome = Some(Outcome::Ended { status: Some(status), passed });
        }
        Poll::Ready(Ok(status))
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    fn refused(&self) -> Vec<Denial> {
        self.process.refused()
    }

    fn poll_input(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heed(cx);
        self.process.poll_input(cx, bytes)
    }

    fn close_input(&mut self) {
        self.process.close_input();
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        self.process.signal(signal)
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        self.process.resize(size)
    }
}
