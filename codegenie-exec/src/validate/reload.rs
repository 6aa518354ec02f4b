//! A policy file that may change while the host runs.

use super::policy::{CommandPolicy, PolicyFileError};
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
#[derive(Debug)]
pub struct PolicyFile {
    path: PathBuf,
    /// Held from reading the file to taking it over, so that of two reloads the later one wins.
    reading: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    policy: Arc<CommandPolicy>,
    seen: Option<Stamp>,
    problem: Option<String>,
}

/// By what a file is told to have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

impl PolicyFile {
    /// Loads the file. Where that fails there is no policy.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, PolicyFileError> {
        let path = path.into();
        let seen = stamp(&path);
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

    /// Reads the file again if its time or size changed; whether the policy did. An error is told once
    /// for each change of the file, and the old policy stays.
    pub fn refresh(&self) -> Result<bool, PolicyFileError> {
        let now = stamp(&self.path);
        if self.state().seen == now {
            return Ok(false);
        }
        self.state().seen = now;
        self.reload()
    }

    /// Reads the file again; whether the policy changed.
    pub fn reload(&self) -> Result<bool, PolicyFileError> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = CommandPolicy::load(&self.path);
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

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), length: metadata.len() })
}
