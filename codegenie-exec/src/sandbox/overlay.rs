//! A copy-on-write directory, as an entry of a policy.

use std::path::PathBuf;

/// A directory that commands see at its own path and may write, while what they write goes to a
/// layer in a directory of the host's.
///
/// A `CowWorkspace` (feature `native`) makes one. Sandboxes that cannot do it must refuse a policy
/// that holds one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Overlay {
    /// The directory, which stays as it is.
    pub workspace: PathBuf,
    /// The directory of the transaction: it holds the layer that is written to.
    pub state: PathBuf,
    /// Commands see it, with what earlier ones wrote, and cannot write to it: as after
    /// [`SandboxPolicy::without_writing`](super::SandboxPolicy::without_writing).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub read_only: bool,
}

impl Overlay {
    /// The overlay of `workspace` whose layers are in `state`, a directory that a copy-on-write
    /// workspace has made.
    pub fn new(workspace: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self { workspace: workspace.into(), state: state.into(), read_only: false }
    }

    /// The directory of the two layers that the kernel writes to.
    #[must_use]
    pub fn layers(&self) -> PathBuf {
        self.state.join("layers")
    }
}
