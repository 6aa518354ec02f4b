//! Alerts: rules over metrics, evaluated when something happened or when the host says so.

mod delivery;
mod engine;
mod query;
mod rule;
mod window;

pub(crate) use delivery::{AlertCallback, Delivery};
pub(crate) use engine::Engine;
#[cfg(feature = "audit")]
pub(crate) use engine::Touched;
pub use engine::{AlertNotification, AlertStatus, Transition};
pub use query::{Aggregate, Comparison, Condition, Query};
pub use rule::{AlertError, AlertErrorKind, AlertRule, AlertState, Severity};
