//! Why a metric was not registered.

use std::error::Error;
use std::fmt;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricErrorKind {
    /// The metric's name is not one.
    Name,
    /// A label's name or value cannot be used.
    Label,
    /// The name is taken by a metric of another kind.
    KindMismatch,
    /// The monitor holds as many metric names as it may.
    TooManyMetrics,
}

/// A metric was not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricError {
    kind: MetricErrorKind,
    message: String,
}

impl MetricError {
    pub(crate) fn new(kind: MetricErrorKind, message: String) -> Self {
        Self { kind, message }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> MetricErrorKind {
        self.kind
    }
}

impl fmt::Display for MetricError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for MetricError {}
