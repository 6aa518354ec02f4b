//! Why a sink did not record.

use std::error::Error;
use std::fmt;

/// Why a sink did not record an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditErrorKind {
    /// The sink cannot be written at the moment, or any more.
    Unavailable,
    /// The sink has no room left.
    Full,
    /// This event cannot be held: too large, or not representable.
    Rejected,
}

/// A sink did not record an event, or not durably.
#[derive(Debug)]
pub struct AuditError {
    kind: AuditErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl AuditError {
    /// An error of any kind. `message` is one lowercase line: what failed, where, what to do.
    pub fn new(kind: AuditErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The sink cannot be written.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(AuditErrorKind::Unavailable, message)
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> AuditErrorKind {
        self.kind
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for AuditError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
