//! The editor where there is none: it cannot be opened.

use super::error::EditError;
use super::limits::EditLimits;
use super::outcome::{Applied, Preview, UndoId};
use super::request::Edit;
use crate::gate::{ContentGate, GateSeverity};
use crate::sandbox::{SandboxPolicy, SandboxPolicyError};
use std::path::{Path, PathBuf};

/// What became of a transaction whose process had ended in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recovery {
    /// It was made; what it had left is tidied up.
    Completed,
    /// It was not made; the files are as they were.
    RolledBack,
}

/// Edits files beneath one directory. Files are edited on Linux only: here it cannot be opened, and nothing is edited.
#[derive(Debug)]
pub struct Editor {
    never: std::convert::Infallible,
}

#[allow(
    clippy::unused_self,
    reason = "the methods are those of Linux, and there is never a value to call them on"
)]
impl Editor {
    /// Fails: [`EditError::Unsupported`].
    pub fn open(_root: impl AsRef<Path>, _state: impl AsRef<Path>) -> Result<Self, EditError> {
        Err(EditError::Unsupported)
    }

    /// Fails: [`EditError::Unsupported`].
    pub fn open_with(
        _root: impl AsRef<Path>,
        _state: impl AsRef<Path>,
        _limits: EditLimits,
    ) -> Result<Self, EditError> {
        Err(EditError::Unsupported)
    }

    /// Fails: [`EditError::Unsupported`].
    pub fn dangerously_forget_interrupted(
        _root: impl AsRef<Path>,
        _state: impl AsRef<Path>,
    ) -> Result<Vec<PathBuf>, EditError> {
        Err(EditError::Unsupported)
    }

    /// Has `gate` look at new content.
    #[must_use]
    pub fn gate(self, _gate: impl ContentGate + 'static, _threshold: GateSeverity) -> Self {
        match self.never {}
    }

    /// Refuses whatever commands under `policy` could not write.
    pub fn confined_to(self, _policy: &SandboxPolicy) -> Result<Self, SandboxPolicyError> {
        match self.never {}
    }

    /// Lets `path` be edited though programs of the host run or trust it.
    #[must_use]
    pub fn dangerously_allow_protected(self, _path: impl Into<PathBuf>) -> Self {
        match self.never {}
    }

    /// The directory beneath which it edits.
    #[must_use]
    pub fn root(&self) -> &Path {
        match self.never {}
    }

    /// Where its journal of this root is kept.
    #[must_use]
    pub fn state(&self) -> &Path {
        match self.never {}
    }

    /// What became of transactions that were found interrupted when it was opened.
    #[must_use]
    pub fn recovered(&self) -> &[Recovery] {
        match self.never {}
    }

    /// What the edits would do.
    pub fn preview(&self, _edits: &[Edit]) -> Result<Preview, EditError> {
        match self.never {}
    }

    /// What taking a transaction back would do.
    pub fn preview_undo(&self, _id: &UndoId) -> Result<Preview, EditError> {
        match self.never {}
    }

    /// Makes the edits, if they still do what the preview says.
    pub fn apply_previewed(&self, _edits: &[Edit], _preview: &Preview) -> Result<Applied, EditError> {
        match self.never {}
    }

    /// Takes a transaction back, if that still does what the preview says.
    pub fn undo_previewed(&self, _id: &UndoId, _preview: &Preview) -> Result<Applied, EditError> {
        match self.never {}
    }

    #[cfg(feature = "executor")]
    pub(crate) fn paths(&self, _edits: &[Edit]) -> Result<Vec<std::path::PathBuf>, EditError> {
        match self.never {}
    }

    #[cfg(feature = "executor")]
    pub(crate) fn undo_paths(&self, _id: &UndoId) -> Result<Vec<std::path::PathBuf>, EditError> {
        match self.never {}
    }

    /// Makes the edits.
    pub fn apply(&self, _edits: &[Edit]) -> Result<Applied, EditError> {
        match self.never {}
    }

    /// Takes a transaction back.
    pub fn undo(&self, _id: &UndoId) -> Result<Applied, EditError> {
        match self.never {}
    }

    /// What can be undone.
    pub fn undoable(&self) -> Result<Vec<UndoId>, EditError> {
        match self.never {}
    }

    /// Takes back, or completes, what an ended process has left in the middle.
    pub fn recover(&self) -> Result<Vec<Recovery>, EditError> {
        match self.never {}
    }
}
