//! The audit trait layer: [`AuditSink`], the event it takes, and the blankets.
//!
//! Only std and the crate's own types appear here, so that implementing the trait costs a third
//! party no dependency.

mod alerting;
mod detection;
mod error;
mod event;
mod redaction;

pub use alerting::{AlertingSink, AuditAlert};
pub use detection::{DetectingSink, DetectionRules, Detector};
pub use error::{AuditError, AuditErrorKind};
pub use event::{AuditEvent, AuditResult, AuditValue, EventClass, OperationId, ThreatLevel};
#[cfg(feature = "audit-log")]
pub(crate) use redaction::redacted;
pub use redaction::{RedactingSink, redact};

use std::sync::Arc;

/// Where audit events go.
///
/// A sink is called on the path of the action that it records: when [`record`](Self::record)
/// fails for an intent, the action does not run. A sink that is slow hands over to a thread of its
/// own. `record` takes a reference and may be called from many threads at once.
///
/// Fan-out is a tuple or a `Vec` of sinks: all are called, then the first error is returned.
///
/// ```
/// use codegenie_security::{AuditError, AuditEvent, AuditSink, EventClass, Retention};
/// use std::sync::Mutex;
///
/// struct Collect(Mutex<Vec<AuditEvent>>);
///
/// impl AuditSink for Collect {
///     fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
///         self.0.lock().map_err(|_| AuditError::unavailable("collector: a writer panicked"))?.push(event.clone());
///         Ok(())
///     }
///     fn retention(&self) -> Retention {
///         Retention::Volatile
///     }
/// }
///
/// let sink = Collect(Mutex::new(Vec::new()));
/// sink.record(&AuditEvent::new(EventClass::Command, "execute", "git status").actor("alice"))?;
/// assert_eq!(sink.0.lock().unwrap().len(), 1);
/// # Ok::<(), AuditError>(())
/// ```
pub trait AuditSink: Send + Sync {
    /// Records one event. `Ok` means that the event is kept as strongly as
    /// [`retention`](Self::retention) says.
    ///
    /// An event of a class for which [`enabled`](Self::enabled) is false is ignored with `Ok`.
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError>;

    /// How long recorded events outlive the call. An executor refuses to be built over a sink that
    /// retains nothing, so a sink that only derives something from events answers
    /// [`Retention::None`].
    fn retention(&self) -> Retention;

    /// A cheap pre-check: false means that events of this class need not be built for this sink.
    fn enabled(&self, class: EventClass) -> bool {
        let _ = class;
        true
    }

    /// Makes everything recorded so far as durable as the sink can.
    fn flush(&self) -> Result<(), AuditError> {
        Ok(())
    }
}

/// What becomes of an event after [`AuditSink::record`] has returned `Ok`. Ordered from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Retention {
    /// The event is not kept: a sink that counts or forwards best-effort.
    None,
    /// The event is kept until the process ends.
    Volatile,
    /// The event is on stable storage, or acknowledged by a system that has it there.
    Durable,
}

/// Records nothing and says so ([`Retention::None`]).
///
/// The name alarms on purpose: nothing that happens over this sink can be reconstructed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DangerousNoAudit;

#[deny(clippy::missing_trait_methods)]
impl AuditSink for DangerousNoAudit {
    fn record(&self, _event: &AuditEvent) -> Result<(), AuditError> {
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::None
    }
    fn enabled(&self, _class: EventClass) -> bool {
        false
    }
    fn flush(&self) -> Result<(), AuditError> {
        Ok(())
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: AuditSink + ?Sized> AuditSink for $pointer {
            fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
                (**self).record(event)
            }
            fn retention(&self) -> Retention {
                (**self).retention()
            }
            fn enabled(&self, class: EventClass) -> bool {
                (**self).enabled(class)
            }
            fn flush(&self) -> Result<(), AuditError> {
                (**self).flush()
            }
        }
    )*};
}

forward_to_pointee!(&T, Box<T>, Arc<T>);

/// `None` records nothing, and answers [`Retention::None`].
#[deny(clippy::missing_trait_methods)]
impl<T: AuditSink> AuditSink for Option<T> {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        self.as_ref().map_or(Ok(()), |sink| sink.record(event))
    }
    fn retention(&self) -> Retention {
        self.as_ref().map_or(Retention::None, AuditSink::retention)
    }
    fn enabled(&self, class: EventClass) -> bool {
        self.as_ref().is_some_and(|sink| sink.enabled(class))
    }
    fn flush(&self) -> Result<(), AuditError> {
        self.as_ref().map_or(Ok(()), AuditSink::flush)
    }
}

/// All are called, then the first error is returned. The strongest retention counts, since an
/// error of any member fails the whole.
#[deny(clippy::missing_trait_methods)]
#[allow(clippy::manual_try_fold, reason = "try_fold would stop at the first error, and all are to be called")]
impl<T: AuditSink> AuditSink for Vec<T> {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        self.iter().fold(Ok(()), |first, sink| first.and(sink.record(event)))
    }
    fn retention(&self) -> Retention {
        self.iter().map(AuditSink::retention).max().unwrap_or(Retention::None)
    }
    fn enabled(&self, class: EventClass) -> bool {
        self.iter().any(|sink| sink.enabled(class))
    }
    fn flush(&self) -> Result<(), AuditError> {
        self.iter().fold(Ok(()), |first, sink| first.and(sink.flush()))
    }
}

macro_rules! fan_out_tuple {
    ($($name:ident . $index:tt),*) => {
        /// All are called, then the first error is returned.
        #[deny(clippy::missing_trait_methods)]
        impl<$($name: AuditSink),*> AuditSink for ($($name,)*) {
            fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
                let first = Ok(());
                $(let first = first.and(self.$index.record(event));)*
                first
            }
            fn retention(&self) -> Retention {
                Retention::None$(.max(self.$index.retention()))*
            }
            fn enabled(&self, class: EventClass) -> bool {
                false $(|| self.$index.enabled(class))*
            }
            fn flush(&self) -> Result<(), AuditError> {
                let first = Ok(());
                $(let first = first.and(self.$index.flush());)*
                first
            }
        }
    };
}

fan_out_tuple!(A.0, B.1);
fan_out_tuple!(A.0, B.1, C.2);
fan_out_tuple!(A.0, B.1, C.2, D.3);
