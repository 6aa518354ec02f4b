//! One named sandbox, as a sandbox.

use super::Shared;
use super::snapshot::SandboxSnapshot;
use super::state::Outcome;
use crate::sandbox::{
    Denial, EndReason, EnforcementReport, OutputChunk, Running, Sandbox, SandboxError, SandboxErrorKind,
    SandboxPolicy, SandboxProcess, SandboxRequest, SandboxStatus, Shell, Signal, TerminalSize,
};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

    fn check_open(&self) -> Result<(), SandboxError> {
        let now = self.shared.now();
        let why = self.shared.state().why_not_open(self.id, now);
        why.map_or(Ok(()), |why| Err(self.refused(why)))
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
        ending.started(process);
        Ok(Running::new(Counted { ending, place: Some(place) }, report))
    }

    /// What the sandbox below enforces. One that has ended enforces nothing any more, and is refused.
    async fn enforcement(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        self.check_open()?;
        self.shared.sandbox.enforcement(policy).await
    }

    /// As the sandbox below says: looking for it is no run of the owner's.
    async fn shell(&self, policy: &SandboxPolicy) -> Result<Option<Shell>, SandboxError> {
        self.check_open()?;
        self.shared.sandbox.shell(policy).await
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

/// A run's process, within reach of its host, who polls it, and of the registry, which kills it when its sandbox ends,
/// whether anybody polls it or not.
#[derive(Default)]
pub(super) struct Ending(Mutex<Reach>);

#[derive(Default)]
struct Reach {
    /// `None`: it has not started yet, or its host has let go of it.
    process: Option<Box<dyn SandboxProcess>>,
    /// The sandbox has ended, and with it the run.
    told: bool,
    waiting: Option<Waker>,
}

impl Ending {
    fn reach(&self) -> MutexGuard<'_, Reach> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the process, or lets it be killed when it has started; once.
    pub(super) fn end(&self) {
        let waiting = {
            let mut reach = self.reach();
            if reach.told {
                return;
            }
            reach.told = true;
            if let Some(process) = &mut reach.process {
                process.kill();
            }
            reach.waiting.take()
        };
        // Not every sandbox wakes those who wait for what it was told to kill.
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// The process has started.
    fn started(&self, mut process: Box<dyn SandboxProcess>) {
        let mut reach = self.reach();
        if reach.told {
            process.kill();
        }
        reach.process = Some(process);
    }

    /// Asks the process something, and has whoever asks woken when it is killed.
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        ask: impl FnOnce(&mut dyn SandboxProcess, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut reach = self.reach();
        reach.waiting = Some(cx.waker().clone());
        // It is there as long as the run is, which asks.
        reach.process.as_mut().map_or(Poll::Pending, |process| ask(process.as_mut(), cx))
    }

    fn with<T>(&self, act: impl FnOnce(&mut dyn SandboxProcess) -> T) -> Option<T> {
        self.reach().process.as_mut().map(|process| act(process.as_mut()))
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
    ending: Arc<Ending>,
    /// `None`: it has ended.
    place: Option<Place<S>>,
}

impl<S> Drop for Counted<S> {
    fn drop(&mut self) {
        // Before the place is free, and not under the lock: the tree ends here.
        let process = self.ending.reach().process.take();
        drop(process);
    }
}

impl<S> SandboxProcess for Counted<S>
where
    S: Send + Sync,
{
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutputChunk>> {
        self.ending.poll(cx, |process, cx| process.poll_output(cx))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<SandboxStatus, SandboxError>> {
        let mut status = match self.ending.poll(cx, |process, cx| process.poll_end(cx)) {
            Poll::Ready(Ok(status)) => status,
            Poll::Ready(Err(error)) => {
                self.place = None;
                return Poll::Ready(Err(error));
            }
            Poll::Pending => return Poll::Pending,
        };
        // Killed by the sandbox's end, whatever signal that was; what ended by itself before did that.
        if self.ending.reach().told && matches!(status.reason, EndReason::Signaled(_)) {
            status.reason = EndReason::Cancelled;
        }
        let passed = status.usage.wall;
        if let Some(mut place) = self.place.take() {
            place.outcome = Some(Outcome::Ended { status: Some(status), passed });
        }
        Poll::Ready(Ok(status))
    }

    fn kill(&mut self) {
        self.ending.with(|process| process.kill());
    }

    fn refused(&self) -> Vec<Denial> {
        self.ending.with(|process| process.refused()).unwrap_or_default()
    }

    fn poll_input(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.ending.poll(cx, |process, cx| process.poll_input(cx, bytes))
    }

    fn close_input(&mut self) {
        self.ending.with(|process| process.close_input());
    }

    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        self.ending.with(|process| process.signal(signal)).unwrap_or_else(|| Err(gone()))
    }

    fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        self.ending.with(|process| process.resize(size)).unwrap_or_else(|| Err(gone()))
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the command is gone")
}
