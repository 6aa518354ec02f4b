//! What is done about transactions whose process has ended.

use super::commit::{self, Place, Side};
use super::error::{CowError, CowErrorKind};
use super::fault;
use super::journal::{self, Journal};
use super::state::{self, JOURNAL, State, UNDO};
use super::strangers;
use super::tree;
use crate::native::Locked;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What became of a transaction whose process had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovered {
    /// Its commit was interrupted, and is now complete.
    Completed(PathBuf),
    /// Its commit was interrupted while it was undone, or could not be completed: the workspace is as it
    /// was before.
    Undone(PathBuf),
    /// It had not begun to commit, or was done with it: what was left of its layer is removed.
    Removed(PathBuf),
}

/// Recovers every transaction below `root` that nobody owns.
pub(super) fn all(root: &Path) -> Result<Vec<Recovered>, CowError> {
    if !root.exists() {
        return Ok(Vec::new());
    }
    let (root_fd, root) = state::open_root(root)?;
    let failed = |error: io::Error| CowError::system("recover the transactions in", &root, error);
    // One that needs a person does not keep the others from being recovered.
    let (mut recovered, mut failure) = (Vec::new(), None);
    for name in state::transactions(&root_fd).map_err(failed)? {
        match State::adopt(&root_fd, &root, &name) {
            Ok(Some(state)) => match one(&state) {
                Ok(outcome) => recovered.extend(outcome),
                Err(error) => failure = failure.or(Some(error)),
            },
            Ok(None) => {}
            // Removed by its owner since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failure = failure.or(Some(failed(error))),
        }
    }
    failure.map_or(Ok(recovered), Err)
}

fn one(state: &State) -> Result<Option<Recovered>, CowError> {
    let failed = |error: io::Error| CowError::system("recover the transaction in", &state.path, error);
    // Without its name it was interrupted while it was made or removed.
    let workspace = state.workspace().unwrap_or_default();
    if !state.has(JOURNAL).map_err(failed)? {
        if state.has("in-use").map_err(failed)? {
            match state.claim() {
                Ok(_claim) => state.remove()?,
                // Its last command is still ending.
                Err(error) if error.kind() == CowErrorKind::Busy => return Ok(None),
                Err(error) => return Err(error),
            }
        } else {
            state.remove()?;
        }
        return Ok(Some(Recovered::Removed(workspace)));
    }
    let _claim = state.claim()?;
    let unreadable = || {
        CowError::new(
            CowErrorKind::Interrupted,
            format!(
                "the journal in {} cannot be read: do not use the workspace, ask a person",
                state.path.display()
            ),
        )
    };
    let bytes = state.read(JOURNAL, journal::MAX_BYTES).map_err(failed)?;
    let journal = Journal::parse(&bytes).ok_or_else(unreadable)?;
    let root = open_workspace(&journal.workspace)?;
    let stat = tree::stat_fd(&root).map_err(failed)?;
    if (stat.dev, stat.ino) != journal.root {
        return Err(CowError::new(
            CowErrorKind::Unsuitable,
            format!(
                "{} is not the directory that was being committed to: put that one back, then recover",
                journal.workspace.display()
            ),
        ));
    }
    let _lock = lock_workspace(&journal.workspace)?;
    let upper = state.upper()?;
    let place = Place { workspace: &root, upper: &upper, state };
    let undo = if state.has(UNDO).map_err(failed)? {
        Some(commit::parse_spared(&state.read(UNDO, journal::MAX_BYTES).map_err(failed)?))
    } else {
        None
    };
    let strange = strangers::find(&place, &journal, undo.as_ref())?;
    if !strange.is_empty() {
        return Err(CowError::strangers(strange, &journal.workspace, &state.path));
    }
    let outcome = if let Some(mut spared) = undo {
        commit::converge(&place, &journal, Side::Before, None, &mut spared)?;
        commit::conclude(&place)?;
        Err(CowError::new(CowErrorKind::Interrupted, "undone"))
    } else {
        finish(&place, &journal, None)?
    };
    state.remove()?;
    let workspace = journal.workspace;
    Ok(Some(if outcome.is_ok() { Recovered::Completed(workspace) } else { Recovered::Undone(workspace) }))
}

/// Leads the workspace to what the journal says, or back. The outer error leaves the journal: the
/// workspace is neither then. The inner error says why the commit was undone.
pub(super) fn finish(
    place: &Place<'_>,
    journal: &Journal,
    begun: Option<&[Option<tree::Stat>]>,
) -> Result<Result<(), CowError>, CowError> {
    let mut spared = commit::Spared::new();
    let failure = match commit::converge(place, journal, Side::After, begun, &mut spared) {
        Ok(()) => return commit::conclude(place).map(Ok),
        Err(failure) => failure,
    };
    if fault::is_dead() {
        return Err(failure);
    }
    let undone = place
        .state
        .put(UNDO, &commit::encode_spared(&spared))
        .map_err(|error| CowError::system("write down the undoing in", &place.state.path, error))
        .and_then(|()| commit::converge(place, journal, Side::Before, None, &mut spared))
        .and_then(|()| commit::conclude(place));
    match undone {
        Ok(()) => Ok(Err(failure)),
        Err(error) => Err(CowError::new(
            CowErrorKind::Interrupted,
            format!("the commit failed ({failure}) and undoing it too ({error}): mend that, then recover"),
        )),
    }
}

/// Opens a workspace's directory, through no link.
pub(super) fn open_workspace(path: &Path) -> Result<OwnedFd, CowError> {
    let slash = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open("/")
        .map(OwnedFd::from)
        .map_err(|error| CowError::system("open", Path::new("/"), error))?;
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
    let how = nix::fcntl::OpenHow::new().flags(flags).resolve(
        nix::fcntl::ResolveFlag::RESOLVE_NO_SYMLINKS | nix::fcntl::ResolveFlag::RESOLVE_NO_MAGICLINKS,
    );
    nix::fcntl::openat2(&slash, path, how).map_err(|error| CowError::system("open", path, error.into()))
}

/// One commit at a time into a workspace, whichever transaction it is of.
pub(super) fn lock_workspace(path: &Path) -> Result<Locked, CowError> {
    match Locked::new(open_workspace(path)?) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(CowError::new(
            CowErrorKind::Busy,
            format!("another commit into {} is under way: try again after it", path.display()),
        )),
        Err(error) => Err(CowError::system("lock", path, error)),
    }
}
