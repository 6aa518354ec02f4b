//! The metric core: handles that are registered once and then cost an atomic operation each.

mod counter;
mod error;
mod gauge;
mod histogram;
mod label;
mod registry;
mod snapshot;
mod timer;

pub use counter::Counter;
pub use error::{MetricError, MetricErrorKind};
pub use gauge::Gauge;
pub use histogram::Histogram;
pub use label::Labels;
pub(crate) use registry::{Registry, Series};
pub use snapshot::HistogramSnapshot;
pub use timer::{Timer, TimerGuard};

use std::fmt;

/// What a metric counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// A count that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// A distribution of whole numbers.
    Histogram,
    /// A distribution of durations.
    Timer,
}

impl MetricKind {
    /// The kind's name, in lowercase.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Timer => "timer",
        }
    }
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
