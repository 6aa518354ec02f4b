//! Why a sandbox did not run a command.

use super::Layer;
use std::error::Error;
use std::fmt;
use std::io;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SandboxErrorKind {
    /// A required layer cannot be enforced on this machine.
    LayerUnavailable,
    /// The policy names something that does not exist or contradicts itself.
    InvalidPolicy,
    /// The request cannot be carried out: an argument with a NUL byte, a relative directory.
    InvalidRequest,
    /// The program is not there, or not executable, as seen from inside the sandbox.
    ProgramNotRun,
    /// The sandbox takes no runs now: it was closed or has expired, or its owner's quota is used up.
    Refused,
    /// The machinery failed: no descriptors, no memory, no runtime.
    System,
}

/// A command did not run, or its end could not be learnt.
#[derive(Debug)]
pub struct SandboxError {
    kind: SandboxErrorKind,
    layer: Option<Layer>,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SandboxError {
    /// An error. `message` is one lowercase line: what failed, where, what to do.
    pub fn new(kind: SandboxErrorKind, message: impl Into<String>) -> Self {
        Self { kind, layer: None, message: message.into(), source: None }
    }

    /// A required layer cannot be enforced: at which stage, why, and what to do.
    pub fn layer_unavailable(layer: Layer, stage: &str, cause: &io::Error, hint: &str) -> Self {
        Self {
            kind: SandboxErrorKind::LayerUnavailable,
            layer: Some(layer),
            message: format!("{layer} cannot be enforced: {stage}: {cause}; {hint}; nothing was run"),
            source: None,
        }
    }

    /// The policy cannot be used.
    pub fn invalid_policy(message: impl Into<String>) -> Self {
        Self::new(SandboxErrorKind::InvalidPolicy, message)
    }

    /// The request cannot be carried out.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(SandboxErrorKind::InvalidRequest, message)
    }

    /// The machinery failed at `what`.
    pub fn system(what: &str, cause: io::Error) -> Self {
        Self::new(SandboxErrorKind::System, format!("{what}: {cause}")).with_source(cause)
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> SandboxErrorKind {
        self.kind
    }

    /// The layer that cannot be enforced, where that is the reason.
    #[must_use]
    pub fn layer(&self) -> Option<Layer> {
        self.layer
    }
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SandboxError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
