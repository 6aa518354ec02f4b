//! Why a copy-on-write workspace did not do what it was asked to.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What kind of failure it is. None of them leaves the workspace half changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CowErrorKind {
    /// The directory cannot be a workspace, or its state cannot lie where it was asked for.
    Unsuitable,
    /// A command, another commit or another process is at work with it.
    Busy,
    /// The workspace was changed by somebody else where the commit would write, or since it was interrupted;
    /// see [`CowError::paths`].
    Drift,
    /// The layer holds what is not taken over: special files, set-id modes, forged attributes.
    Refused,
    /// More entries, depth or bytes than the limits allow.
    TooLarge,
    /// A commit of an earlier process was interrupted: recover it first.
    Interrupted,
    /// The system failed at it.
    System,
}

/// A copy-on-write workspace did not do what it was asked to.
#[derive(Debug)]
pub struct CowError {
    kind: CowErrorKind,
    message: String,
    paths: Vec<PathBuf>,
    source: Option<io::Error>,
}

impl CowError {
    pub(super) fn new(kind: CowErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), paths: Vec::new(), source: None }
    }

    pub(super) fn system(what: &str, path: &Path, error: io::Error) -> Self {
        let shown = show(path);
        Self {
            kind: CowErrorKind::System,
            message: format!("cannot {what} {shown}: {error}"),
            paths: vec![path.to_path_buf()],
            source: Some(error),
        }
    }

    pub(super) fn refused(path: &Path, why: &str) -> Self {
        let message = format!("{} is not committed: {why}", show(path));
        Self { kind: CowErrorKind::Refused, message, paths: vec![path.to_path_buf()], source: None }
    }

    pub(super) fn drift(paths: Vec<PathBuf>) -> Self {
        let message = format!(
            "the workspace was changed since the transaction began, where the commit would write: {}; nothing was \
             changed; commit nothing, or roll back and run again",
            list(&paths)
        );
        Self { kind: CowErrorKind::Drift, message, paths, source: None }
    }

    /// Paths that an interrupted commit changes and that are neither as they were nor as they were to be.
    pub(super) fn strangers(paths: Vec<PathBuf>, workspace: &Path, state: &Path) -> Self {
        let message = format!(
            "the interrupted commit into {} is not recovered: since then somebody changed {}; nothing is overwritten or \
             lost; move it out of the way, then recover (what was there and what was to come is kept in {})",
            show(workspace),
            list(&paths),
            show(state)
        );
        Self { kind: CowErrorKind::Drift, message, paths, source: None }
    }

    pub(super) fn with_context(mut self, context: &str) -> Self {
        self.message.push_str(context);
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> CowErrorKind {
        self.kind
    }

    /// The paths that it is about, relative to the workspace where they lie in it.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

/// The first few of them.
fn list(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 8;
    let mut list: Vec<String> = paths.iter().take(SHOWN).map(|path| show(path)).collect();
    if let Some(more) = paths.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        list.push(format!("and {more} more"));
    }
    list.join(", ")
}

/// A path in a message: one line whatever its name is.
pub(super) fn show(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        return "the workspace's own directory".to_owned();
    }
    path.to_string_lossy().escape_debug().to_string()
}

impl fmt::Display for CowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CowError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}
