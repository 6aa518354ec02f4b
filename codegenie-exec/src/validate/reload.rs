//! A policy file that may change while the host runs.

use super::policy::{CommandPolicy, PolicyFileError};
use crate::real_path::in_real_folder;
use crate::stamp::Stamp;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// A policy that follows its file. A file that does not load changes nothing: the policy that was loaded
/// last holds, and [`reload`](Self::reload) says why.
///
/// ```
/// use codegenie_exec::PolicyFile;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("policy.toml");
/// std::fs::write(&path, "default = \"deny\"\n")?;
/// let file = PolicyFile::open(&path)?;
/// std::fs::write(&path, "default = \n")?;
/// assert!(file.reload().is_err());
/// assert_eq!(file.current().default, codegenie_exec::UnknownCommand::Deny);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Replace the file as a whole, by a rename: half of a TOML file may be a policy too, one that lacks the denials at
/// its end.
#[derive(Debug)]
pub struct PolicyFile {
    path: PathBuf,
    /// Held from looking at the file to taking it over, so that of two reloads the later one wins, and nobody decides by
    /// the old rules once somebody has seen that there are new ones.
    reading: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    policy: Arc<CommandPolicy>,
    seen: Seen,
    problem: Option<String>,
}

/// What the file was when it was looked at last.
#[derive(Clone, Copy, Debug)]
struct Seen {
    stamp: Option<Stamp>,
    is_settled: bool,
}

impl Seen {
    fn look(path: &Path) -> Self {
        // The time first: what changes later has a later one.
        let now = SystemTime::now();
        let stamp = std::fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata));
        Self { stamp, is_settled: stamp.is_none_or(|stamp| stamp.is_settled(now)) }
    }
}

impl PolicyFile {
    /// Loads the file. Where that fails there is no policy.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, PolicyFileError> {
        let path = in_real_folder(&path.into());
        let seen = Seen::look(&path);
        let policy = Arc::new(CommandPolicy::load(&path)?);
        let state = Mutex::new(State { policy, seen, problem: None });
        Ok(Self { path, reading: Mutex::default(), state })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The policy that was loaded last.
    #[must_use]
    pub fn current(&self) -> Arc<CommandPolicy> {
        Arc::clone(&self.state().policy)
    }

    /// Reads the file again if it may have changed; whether the policy did. An error is told once for each change of
    /// the file, and the old policy stays.
    pub fn refresh(&self) -> Result<bool, PolicyFileError> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, seen) = (Seen::look(&self.path), self.state().seen);
        let is_same = now.stamp == seen.stamp;
        if is_same && seen.is_settled {
            return Ok(false);
        }
        let was_told = is_same && self.state().problem.is_some();
        self.state().seen = now;
        match self.take_over() {
            Err(_) if was_told => Ok(false),
            result => result,
        }
    }

    /// Reads the file again; whether the policy changed.
    pub fn reload(&self) -> Result<bool, PolicyFileError> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.take_over()
    }

    fn take_over(&self) -> Result<bool, PolicyFileError> {
        let loaded = CommandPolicy::load(&self.path).map_err(PolicyFileError::of_a_change);
        let mut state = self.state();
        state.problem = loaded.as_ref().err().map(ToString::to_string);
        let policy = loaded?;
        let changed = *state.policy != policy;
        if changed {
            state.policy = Arc::new(policy);
        }
        Ok(changed)
    }

    /// Why the file was not taken over when it was last read, if it was not.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
