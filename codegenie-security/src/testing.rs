//! The conformance kit: whoever writes an [`AuditSink`](crate::AuditSink) runs the tests that the
//! sinks of this crate pass.
//!
//! [`audit_sink`] needs nothing but the sink. [`audit_sink_with_readback`] also reads back what was
//! kept, and finds events that were lost, repeated, changed or put out of order. Neither panics: a
//! broken law comes back as a [`ConformanceError`] that names it. Both record a few hundred events,
//! so run them on a sink of its own.
//!
//! ```
//! use codegenie_security::{DangerousNoAudit, testing};
//!
//! testing::audit_sink(&DangerousNoAudit)?;
//! let error = testing::audit_sink_with_readback(&DangerousNoAudit, || Ok::<_, String>(Vec::new())).unwrap_err();
//! assert_eq!(error.law(), "kept");
//! # Ok::<(), testing::ConformanceError>(())
//! ```

mod probe;
mod readback;

use std::error::Error;
use std::fmt;

pub use probe::audit_sink;
pub use readback::audit_sink_with_readback;

/// A law of a trait that an implementation breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConformanceError {
    law: &'static str,
    what: String,
}

impl ConformanceError {
    pub(crate) fn new(law: &'static str, what: impl Into<String>) -> Self {
        Self { law, what: what.into() }
    }

    /// The short name of the law, as the documentation of the check lists it.
    #[must_use]
    pub fn law(&self) -> &'static str {
        self.law
    }
}

impl fmt::Display for ConformanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law `{}` is broken: {}", self.law, self.what)
    }
}

impl Error for ConformanceError {}
