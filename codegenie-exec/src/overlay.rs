//! A workspace that commands change copy-on-write, in a transaction of the host's.

mod changes;
mod commit;
mod diff;
mod error;
mod fault;
#[cfg(any(test, fuzzing))]
#[cfg_attr(not(fuzzing), allow(unreachable_pub, reason = "the fuzz targets reach it"))]
pub mod fuzzing;
mod journal;
mod layer;
mod recover;
mod state;
mod strangers;
#[cfg(test)]
mod tests;
mod tree;

#[cfg(feature = "lifecycle")]
pub(crate) use self::tree::remove as remove_tree;

pub use self::diff::{Change, ChangeKind, CowDiff, FileState};
pub use self::error::{CowError, CowErrorKind};
pub use self::recover::Recovered;
pub(crate) use self::state::claim_for_command;
pub use self::tree::{CowLimits, FileKind};

use self::changes::{Baseline, Difference};
use self::commit::Place;
use self::state::State;
use self::tree::Stat;
use crate::sandbox::Overlay;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A transaction over a directory: commands see it at its own path and write to it, while it stays as
/// it is until [`commit`](Self::commit).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use codegenie_exec::{CowWorkspace, NativeSandbox, Sandbox, SandboxPolicy, SandboxRequest};
///
/// let mut cow = CowWorkspace::begin("/home/me/project")?;
/// let policy = SandboxPolicy::workspace_write(cow.workspace()).overlay(&cow);
/// let sandbox = NativeSandbox::new()?;
/// sandbox.run(&SandboxRequest::new("make", policy.clone())).await?;
/// sandbox.run(&SandboxRequest::new("make", policy).arg("install")).await?;
/// print!("{}", cow.diff()?.unified);
/// cow.commit()?;
/// # Ok(())
/// # }
/// ```
///
/// **One command at a time** can have the workspace. A second one, and a diff or a commit while a
/// command lives, are refused as busy.
///
/// **A commit is all or nothing.** What it changes is in a journal on stable storage before it begins.
/// If the process ends in the middle, [`recover`](Self::recover) completes it; until then nobody
/// should use the workspace. If it fails in the middle, it is undone. Files are replaced by renames:
/// nobody sees one half written, and other names (hard links) of a replaced file keep the old content.
///
/// **Drift.** A commit is refused where it would overwrite, delete or create a path that somebody
/// else has changed since [`begin`](Self::begin). What changed elsewhere in the workspace is reported
/// by [`Committed::elsewhere`] and stays; commands may have seen either state of it.
///
/// **What is not committed**: devices, FIFOs, sockets, set-id files, what does not belong to the workspace's
/// owner, and layers that hold attributes of overlayfs which no command can rightly have made. The commit is
/// refused as a whole and names the path.
///
/// **Dropping** it without a commit rolls back. What a killed process leaves, `recover` removes.
///
/// Needs overlayfs in user namespaces (Linux 5.12, for a root host 5.19) and, for the state, a file system with
/// user extended attributes that is no overlay itself. What is mounted below the workspace cannot be had. Files of
/// other owners in the workspace can be read, but not changed. All methods block; in asynchronous code
/// call them from `spawn_blocking`.
#[derive(Debug)]
pub struct CowWorkspace {
    workspace: PathBuf,
    root: OwnedFd,
    stat: Stat,
    state: State,
    baseline: Baseline,
    limits: CowLimits,
    /// Committed or rolled back, or not this process's to remove.
    finished: bool,
}

/// A commit that is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// What it changed.
    pub changes: Vec<Change>,
    /// What somebody else has changed in the workspace since the transaction began, where the commit changed nothing.
    pub elsewhere: Vec<PathBuf>,
}

impl CowWorkspace {
    /// Begins a transaction over `workspace`, with its state below `$XDG_STATE_HOME/codegenie/cow`
    /// (`~/.local/state/codegenie/cow`).
    pub fn begin(workspace: impl AsRef<Path>) -> Result<Self, CowError> {
        Self::begin_in(workspace, state::default_root()?, CowLimits::default())
    }

    /// Begins a transaction with its state below a directory of the host's choice. It is made where it
    /// is missing, and must be the host's alone (mode 0700) and lie outside of the workspace.
    pub fn begin_in(
        workspace: impl AsRef<Path>,
        state: impl AsRef<Path>,
        limits: CowLimits,
    ) -> Result<Self, CowError> {
        let given = workspace.as_ref();
        let workspace = given.canonicalize().map_err(|error| CowError::system("open", given, error))?;
        let root = recover::open_workspace(&workspace)?;
        let stat = tree::stat_fd(&root).map_err(|error| CowError::system("look at", &workspace, error))?;
        let unsuitable =
            |why: &str| CowError::new(CowErrorKind::Unsuitable, format!("{} {why}", workspace.display()));
        let user = nix::unistd::geteuid();
        if !user.is_root() && stat.uid != user.as_raw() {
            return Err(unsuitable(
                "belongs to another user: only its owner or root can begin a transaction over it",
            ));
        }
        let (state_root, state_path) = state::open_root(state.as_ref())?;
        if state_path.starts_with(&workspace) || workspace.starts_with(&state_path) {
            return Err(unsuitable(
                "and the state directory lie in each other: choose a state directory elsewhere",
            ));
        }
        refuse_interrupted(&state_root, &state_path, &workspace)?;
        let state = State::create(&state_path, &workspace, &stat)?;
        let mut begun =
            Self { workspace, root, stat, state, baseline: Baseline::default(), limits, finished: false };
        begun.baseline = Baseline::take(&begun.root, &begun.limits)?;
        Ok(begun)
    }

    /// The workspace, without links in its path.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The transaction's directory.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state.path
    }

    /// The entry for a policy: [`SandboxPolicy::overlay`](crate::SandboxPolicy::overlay) takes it.
    #[must_use]
    pub fn overlay(&self) -> Overlay {
        Overlay::new(&self.workspace, &self.state.path)
    }

    /// What a commit would change now.
    pub fn diff(&self) -> Result<CowDiff, CowError> {
        self.check_open()?;
        let _claim = self.state.claim()?;
        let upper = self.state.upper()?;
        let differences = self.differences(&upper)?;
        let (unified, truncated) = diff::unified(&self.root, &upper, &differences, &self.limits)?;
        Ok(CowDiff {
            changes: differences.iter().filter_map(diff::change_of).collect(),
            unified,
            truncated,
            conflicts: self.conflicts(&differences)?,
        })
    }

    /// Takes all changes over into the workspace, and ends the transaction.
    ///
    /// After an error the workspace is as it was and the transaction is still there, but for
    /// [`CowErrorKind::Interrupted`], which says that [`recover`](Self::recover) is needed.
    pub fn commit(&mut self) -> Result<Committed, CowError> {
        self.check_open()?;
        let _claim = self.state.claim()?;
        let _lock = recover::lock_workspace(&self.workspace)?;
        let upper = self.state.upper()?;
        let differences = self.differences(&upper)?;
        commit::check(self.stat.uid, &differences)?;
        let conflicts = self.conflicts(&differences)?;
        if !conflicts.is_empty() {
            return Err(CowError::drift(conflicts));
        }
        let elsewhere = self.elsewhere(&differences)?;
        if !differences.is_empty() {
            let place = Place { workspace: &self.root, upper: &upper, state: &self.state };
            let begun: Vec<Option<Stat>> = differences.iter().map(|difference| difference.before).collect();
            let finished = commit::prepare(&place, &self.workspace, &self.stat, &differences)
                .and_then(|journal| commit::decide(&place, &journal).map(|()| journal))
                .and_then(|journal| recover::finish(&place, &journal, Some(&begun)));
            match finished {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => {
                    self.look_again(&differences);
                    return Err(failure.with_context("; the commit was undone"));
                }
                Err(error) => {
                    // A journal is left for recovery; it must not be taken for something to roll back.
                    self.finished = fault::is_dead() || self.state.has(state::JOURNAL).unwrap_or(true);
                    self.look_again(&differences);
                    return Err(error);
                }
            }
        }
        self.finished = true;
        // The commit is complete; what cannot be removed now, `recover` removes.
        let _ = self.state.remove();
        let changes = differences.iter().filter_map(diff::change_of).collect();
        Ok(Committed { changes, elsewhere })
    }

    /// Ends the transaction and leaves the workspace as it is.
    pub fn rollback(mut self) -> Result<(), CowError> {
        self.end()
    }

    /// Recovers what ended processes have left below the default state directory.
    pub fn recover() -> Result<Vec<Recovered>, CowError> {
        Self::recover_in(state::default_root()?)
    }

    /// Recovers what ended processes have left below `state`: interrupted commits are completed, or
    /// undone where that is not possible; transactions that were not committed are rolled back. Those
    /// of living processes are left alone. A host calls it when it starts.
    ///
    /// Where somebody has changed, since the interruption, what the commit changes, nothing is overwritten: the
    /// error is of the kind [`CowErrorKind::Drift`] and names the paths, the state stays, and once they are
    /// moved out of the way it can be recovered. The others are recovered all the same.
    pub fn recover_in(state: impl AsRef<Path>) -> Result<Vec<Recovered>, CowError> {
        recover::all(state.as_ref())
    }

    fn check_open(&self) -> Result<(), CowError> {
        if self.finished {
            return Err(CowError::new(
                CowErrorKind::Unsuitable,
                "this transaction has ended: begin another one",
            ));
        }
        Ok(())
    }

    fn differences(&self, upper: &OwnedFd) -> Result<Vec<Difference>, CowError> {
        let layer = layer::read(upper, &self.limits)?;
        changes::settle(&self.root, upper, changes::merge(&self.baseline, layer)?)
    }

    /// Paths of `differences` that are not as they were at the beginning.
    fn conflicts(&self, differences: &[Difference]) -> Result<Vec<PathBuf>, CowError> {
        let mut conflicts = Vec::new();
        for Difference { path, before, after, .. } in differences {
            let now = look_at(&self.root, path)?;
            if !commit::is_as_begun(before.as_ref(), now.as_ref(), after) {
                conflicts.push(path.clone());
            }
        }
        Ok(conflicts)
    }

    /// What differs from the baseline beside `differences`.
    fn elsewhere(&self, differences: &[Difference]) -> Result<Vec<PathBuf>, CowError> {
        let now = Baseline::take(&self.root, &self.limits)?;
        let ours = |path: &PathBuf| differences.binary_search_by(|one| one.path.cmp(path)).is_ok();
        let changed = |path: &PathBuf, stat: &Stat| match self.baseline.entries.get(path) {
            // Entries that came or went are named themselves.
            Some(old) if stat.kind == tree::FileKind::Directory => {
                (old.kind, old.ino, old.mode) != (stat.kind, stat.ino, stat.mode)
            }
            other => other != Some(stat),
        };
        let come = now.entries.iter().filter(|(path, stat)| changed(path, stat)).map(|(path, _)| path);
        let gone = self.baseline.entries.keys().filter(|path| !now.entries.contains_key(*path));
        let mut paths: Vec<PathBuf> = come.chain(gone).filter(|path| !ours(path)).cloned().collect();
        paths.sort_unstable();
        Ok(paths)
    }

    /// After a commit that failed: what was put back, or has got another name for a while, is what the
    /// next commit must find.
    fn look_again(&mut self, differences: &[Difference]) {
        for Difference { path, before, .. } in differences {
            let now = look_at(&self.root, path).ok().flatten();
            if let (Some(before), Some(now)) = (before, now) {
                let content = |stat: &Stat| (stat.kind, stat.mode, stat.size, stat.mtime);
                if content(before) == content(&now) {
                    self.baseline.entries.insert(path.clone(), now);
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), CowError> {
        if self.finished {
            return Ok(());
        }
        // Not while a command writes to it.
        let _claim = self.state.claim()?;
        self.state.remove()?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for CowWorkspace {
    fn drop(&mut self) {
        // What cannot be removed now, because a command still lives, `recover` removes.
        let _ = self.end();
    }
}

impl From<&CowWorkspace> for Overlay {
    fn from(cow: &CowWorkspace) -> Self {
        cow.overlay()
    }
}

fn look_at(root: &OwnedFd, path: &Path) -> Result<Option<Stat>, CowError> {
    let looked = tree::open_parent(root, path).and_then(|(parent, name)| tree::stat_at(&parent, name));
    match looked {
        Ok(stat) => Ok(stat),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => {
            Ok(None)
        }
        Err(error) => Err(CowError::system("look at", path, error)),
    }
}

/// A workspace that is half committed is nothing to begin on.
fn refuse_interrupted(root: &OwnedFd, state: &Path, workspace: &Path) -> Result<(), CowError> {
    let failed = |error| CowError::system("look for interrupted commits in", state, error);
    for name in state::transactions(root).map_err(failed)? {
        let name: &OsStr = &name;
        if state::interrupted(root, name).map_err(failed)?.is_some_and(|path| path == workspace) {
            return Err(CowError::new(
                CowErrorKind::Interrupted,
                format!(
                    "a commit into {} was interrupted or is under way: recover first",
                    workspace.display()
                ),
            ));
        }
    }
    Ok(())
}
