//! Why a sandbox was not made or found.

/// Why a sandbox was not made, or not found. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// The name of the sandbox or of its owner cannot be one.
    #[error("{0:?} cannot be a name: 1 to 128 letters, digits and the characters . _ - : / @ are")]
    BadName(String),
    /// An open sandbox has the name already.
    #[error("a sandbox {0:?} is open already: close it, or take another name")]
    NameTaken(String),
    /// There is no open sandbox of that name.
    #[error("there is no open sandbox {0:?}: it was closed, has expired, or was never made")]
    NotFound(String),
    /// The owner may have no more.
    #[error("{owner} may have {most} sandboxes at once and has them: close one")]
    #[non_exhaustive]
    TooMany {
        /// Whose they are.
        owner: String,
        /// The quota.
        most: usize,
    },
    /// The policy cannot be resolved.
    #[error("the sandbox's policy cannot be used: {0}")]
    Policy(String),
    /// The private directory cannot be made.
    #[error("{0}")]
    Directory(String),
}
