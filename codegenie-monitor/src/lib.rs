#![cfg_attr(feature = "audit", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "audit"),
    doc = "Metrics, alerts and dashboard data in one value, [`Monitor`]; without features it needs std only."
)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod alert;
#[cfg(feature = "audit")]
mod audit;
mod clock;
mod dashboard;
mod metric;
mod monitor;

pub use alert::{
    Aggregate, AlertError, AlertErrorKind, AlertNotification, AlertRule, AlertState, AlertStatus, Comparison,
    Condition, Query, Severity, Transition,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use dashboard::{
    ActiveAlert, CounterSample, DashboardData, DistributionSample, GaugeSample, SecurityEvent,
    SecuritySummary,
};
pub use metric::{
    Counter, Gauge, Histogram, HistogramSnapshot, Labels, MetricError, MetricErrorKind, MetricKind, Timer,
    TimerGuard,
};
pub use monitor::{Monitor, MonitorBuilder};
