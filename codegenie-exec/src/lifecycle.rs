//! Sandboxes with a name, an owner and an end, for hosts of many agents.

mod error;
mod named;
mod options;
mod place;
mod quota;
mod snapshot;
mod state;

pub use self::error::LifecycleError;
pub use self::named::NamedSandbox;
pub use self::options::SandboxOptions;
pub use self::quota::SandboxQuota;
pub use self::snapshot::{OwnerUsage, SandboxSnapshot, SandboxState, SandboxUsage};

use self::place::PrivateRoot;
use self::state::{Entry, State};
use crate::sandbox::SandboxPolicy;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The sandboxes of many agents over one [`Sandbox`](crate::Sandbox): made by name for an owner, listed, counted, ended.
///
/// ```
/// use codegenie_exec::{DangerousNoSandbox, Sandbox, SandboxOptions, SandboxPolicy, SandboxQuota, SandboxRegistry, SandboxRequest};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let workspace = tempfile::tempdir()?;
/// // `NativeSandbox::new()?` in earnest.
/// let registry = SandboxRegistry::new(DangerousNoSandbox, SandboxQuota::default().sandboxes(2));
/// let options = SandboxOptions::new("build", "coder").idle(Duration::from_secs(600));
/// let sandbox = registry.create(options, &SandboxPolicy::workspace_write(workspace.path()))?;
///
/// let request = SandboxRequest::new("true", sandbox.policy());
/// sandbox.run(&request).await?;
/// assert_eq!(registry.list()[0].usage.runs, 1);
/// registry.close("build")?;
/// assert!(sandbox.run(&request).await.is_err());
/// # Ok(())
/// # }
/// ```
///
/// Nothing here runs by itself: what has expired takes no more runs, and is ended and tidied up by the next
/// [`sweep`](Self::sweep), which a host calls as often as it likes, or by [`close`](Self::close). A clone is another handle to the same
/// sandboxes; private directories go with the last one.
pub struct SandboxRegistry<S> {
    shared: Arc<Shared<S>>,
}

pub(super) struct Shared<S> {
    sandbox: S,
    state: Mutex<State>,
    private: Option<PrivateRoot>,
    now: Box<dyn Fn() -> Duration + Send + Sync>,
}

impl<S> SandboxRegistry<S> {
    /// A registry over `sandbox`. Every owner has the quota `each`, unless they have one of their own.
    pub fn new(sandbox: S, each: SandboxQuota) -> Self {
        let since = Instant::now();
        Self::with_clock(sandbox, each, move || since.elapsed())
    }

    /// The same, by a clock of the host's: time since some fixed moment, which never goes back.
    pub fn with_clock(
        sandbox: S,
        each: SandboxQuota,
        now: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State::new(each));
        Self { shared: Arc::new(Shared { sandbox, state, private: None, now: Box::new(now) }) }
    }

    /// Lets it make private directories below `root`, which must be the host's alone. On Linux with the feature `native`
    /// what hosts have left there that are gone without tidying up is removed now, and what others that run have there stays;
    /// elsewhere nothing tells the two apart, and all of it stays.
    pub fn private_directories(mut self, root: impl Into<PathBuf>) -> Result<Self, LifecycleError> {
        let root = PrivateRoot::open(root.into())?;
        match Arc::get_mut(&mut self.shared) {
            Some(shared) => shared.private = Some(root),
            None => {
                return Err(LifecycleError::Directory(
                    "name the private directories' root before the registry has other handles".to_owned(),
                ));
            }
        }
        Ok(self)
    }

    /// Gives one owner a quota of their own, from now on. What they have already stays.
    pub fn set_quota(&self, owner: &str, quota: SandboxQuota) {
        self.shared.state().set_quota(owner, quota);
    }

    /// Makes a sandbox. `policy` is what it confines by, resolved now: see [`SandboxPolicy::resolve`].
    pub fn create(
        &self,
        options: SandboxOptions,
        policy: &SandboxPolicy,
    ) -> Result<NamedSandbox<S>, LifecycleError> {
        self.create_in(options, None, policy)
    }

    /// Makes a sandbox with a directory of its own, which is made for it, empty, and removed when it has ended.
    /// `policy` says what to confine by, given that directory.
    pub fn create_private(
        &self,
        options: SandboxOptions,
        policy: impl FnOnce(&Path) -> SandboxPolicy,
    ) -> Result<NamedSandbox<S>, LifecycleError> {
        let root = self.shared.private.as_ref().ok_or_else(|| {
            LifecycleError::Directory(
                "private directories have no root: name one by private_directories".to_owned(),
            )
        })?;
        // Before anything is made; `create_in` looks again.
        self.shared.state().may_create(&options, self.shared.now())?;
        let directory = root.make()?;
        let made = self.create_in(options, Some(directory.clone()), &policy(&directory));
        if made.is_err() {
            // It is empty yet, and nobody knows of it.
            let _ = root.remove(&directory);
        }
        made
    }

    fn create_in(
        &self,
        options: SandboxOptions,
        directory: Option<PathBuf>,
        policy: &SandboxPolicy,
    ) -> Result<NamedSandbox<S>, LifecycleError> {
        options.check()?;
        let policy = Arc::new(policy.resolve().map_err(|error| LifecycleError::Policy(error.to_string()))?);
        let now = self.shared.now();
        let name = options.name.clone();
        let id = {
            let mut state = self.shared.state();
            state.may_create(&options, now)?;
            state.insert(Entry::new(options, Arc::clone(&policy), directory, now))
        };
        Ok(NamedSandbox::new(Arc::clone(&self.shared), id, name, policy))
    }

    /// The open sandbox of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<NamedSandbox<S>> {
        let now = self.shared.now();
        let state = self.shared.state();
        let (id, entry) = state.open(name, now)?;
        let policy = Arc::clone(&entry.policy);
        Some(NamedSandbox::new(Arc::clone(&self.shared), id, name.to_owned(), policy))
    }

    /// All sandboxes that are not gone, in the order in which they were made.
    #[must_use]
    pub fn list(&self) -> Vec<SandboxSnapshot> {
        let now = self.shared.now();
        self.shared.state().entries().map(|(_, entry)| entry.snapshot(now)).collect()
    }

    /// What one owner has and used.
    #[must_use]
    pub fn usage(&self, owner: &str) -> OwnerUsage {
        let now = self.shared.now();
        self.shared.state().usage(owner, now)
    }

    /// Everybody who has a sandbox, or used something in the present window.
    #[must_use]
    pub fn owners(&self) -> Vec<OwnerUsage> {
        let now = self.shared.now();
        self.shared.state().owners(now)
    }

    /// Ends a sandbox: it takes no more runs, what runs in it is killed whether anybody waits for it or not, and its name is
    /// free. Its private directory is removed by this call when nothing runs in it any more, or else by a later
    /// [`sweep`](Self::sweep): a run that was killed counts until its end was waited for, or it is dropped.
    pub fn close(&self, name: &str) -> Result<SandboxSnapshot, LifecycleError> {
        let now = self.shared.now();
        let (snapshot, wake) = {
            let mut state = self.shared.state();
            let Some(id) = state.named(name) else {
                return Err(LifecycleError::NotFound(name.to_owned()));
            };
            let wake = state.end(id, SandboxState::Closed);
            let snapshot = state.entry(id).map(|entry| entry.snapshot(now));
            (snapshot.ok_or_else(|| LifecycleError::NotFound(name.to_owned()))?, wake)
        };
        wake.into_iter().for_each(|run| run.end());
        self.shared.tidy();
        Ok(snapshot)
    }

    /// Ends what has expired, and tidies up after all that has ended. The sandboxes that are gone now, each as
    /// it was at last. A private directory that cannot be removed keeps its sandbox in the list, with the problem, for the
    /// next sweep.
    pub fn sweep(&self) -> Vec<SandboxSnapshot> {
        let now = self.shared.now();
        let wake = self.shared.state().expire(now);
        wake.into_iter().for_each(|run| run.end());
        self.shared.tidy()
    }

    /// How long until something expires, if nothing is run meanwhile: when a sweep is due.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        let now = self.shared.now();
        self.shared.state().next_expiry(now)
    }
}

impl<S> Shared<S> {
    fn now(&self) -> Duration {
        (self.now)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what has ended and runs nothing, once its directory is gone.
    fn tidy(&self) -> Vec<SandboxSnapshot> {
        let now = self.now();
        let ended = self.state().begin_tidying();
        let mut gone = Vec::new();
        for (id, directory) in ended {
            // Not under the lock: there may be much to remove.
            let removed = match (&self.private, &directory) {
                (Some(root), Some(directory)) => root.remove(directory),
                _ => Ok(()),
            };
            gone.extend(self.state().tidied(id, removed, now));
        }
        gone
    }
}

impl<S> Drop for Shared<S> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing runs: a run holds what is dropped here.
        for directory in state.entries().filter_map(|(_, entry)| entry.directory.as_ref()) {
            if let Some(root) = &self.private {
                let _ = root.remove(directory);
            }
        }
    }
}

impl<S> Clone for SandboxRegistry<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S> fmt::Debug for SandboxRegistry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.shared.state().entries().count();
        f.debug_struct("SandboxRegistry").field("sandboxes", &entries).finish_non_exhaustive()
    }
}
