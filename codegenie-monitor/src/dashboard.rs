//! What a dashboard shows, as plain data.
//!
//! Times are milliseconds since 1970 and durations seconds, as a page or a script wants them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::alert::{AlertState, AlertStatus, Severity};
use crate::metric::{HistogramSnapshot, Labels, Series};

macro_rules! data {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[non_exhaustive]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    )*};
}

data! {
    /// Everything at one moment. Lists are ordered by metric name and labels.
    pub struct DashboardData {
        /// When it was taken.
        pub generated_unix_ms: u64,
        /// How long the monitor has been there.
        pub uptime_seconds: f64,
        /// Counters.
        pub counters: Vec<CounterSample>,
        /// Gauges.
        pub gauges: Vec<GaugeSample>,
        /// Timers, in seconds.
        pub timers: Vec<DistributionSample>,
        /// Histograms, in their own unit.
        pub histograms: Vec<DistributionSample>,
        /// Alerts that are firing, the most severe first.
        pub firing: Vec<ActiveAlert>,
        /// Alerts whose condition holds, not yet for long enough.
        pub pending: Vec<ActiveAlert>,
        /// Security events; empty where the monitor is no audit sink.
        pub security: SecuritySummary,
    }

    /// One counter.
    pub struct CounterSample {
        /// The metric.
        pub name: String,
        /// The series' labels.
        pub labels: BTreeMap<String, String>,
        /// The count.
        pub value: u64,
    }

    /// One gauge.
    pub struct GaugeSample {
        /// The metric.
        pub name: String,
        /// The series' labels.
        pub labels: BTreeMap<String, String>,
        /// The value; `None` when it is not finite, which JSON cannot hold.
        pub value: Option<f64>,
    }

    /// One timer or histogram. What needs a value is `None` while there are none.
    pub struct DistributionSample {
        /// The metric.
        pub name: String,
        /// The series' labels.
        pub labels: BTreeMap<String, String>,
        /// How many values were recorded.
        pub count: u64,
        /// Their sum.
        pub sum: f64,
        /// Their mean.
        pub mean: Option<f64>,
        /// The median, within 1/128 like the other quantiles.
        pub p50: Option<f64>,
        /// The 95th percentile.
        pub p95: Option<f64>,
        /// The 99th percentile.
        pub p99: Option<f64>,
        /// The largest.
        pub max: Option<f64>,
    }

    /// An alert that is firing or pending.
    pub struct ActiveAlert {
        /// The rule.
        pub rule: String,
        /// How urgent it is.
        pub severity: Severity,
        /// Since when.
        pub since_unix_ms: u64,
        /// The number at the last evaluation, where it was finite.
        pub value: Option<f64>,
        /// The condition, for people.
        pub condition: String,
        /// The rule's labels.
        pub labels: BTreeMap<String, String>,
        /// The rule's message.
        pub message: String,
    }

    /// Security events, summed up.
    pub struct SecuritySummary {
        /// All events.
        pub total: u64,
        /// Events of actions that were refused.
        pub denied: u64,
        /// Events of threat level high or critical.
        pub high_threat: u64,
        /// By class of event.
        pub by_class: BTreeMap<String, u64>,
        /// By how it ended.
        pub by_result: BTreeMap<String, u64>,
        /// By threat level.
        pub by_threat: BTreeMap<String, u64>,
        /// The latest, newest first, bounded.
        pub recent: Vec<SecurityEvent>,
    }

    /// What a dashboard shows of one event: who and what stay in the audit log, which the operation's
    /// id leads to. A dashboard is read by more people than the log.
    pub struct SecurityEvent {
        /// When, as the event says.
        pub time_unix_ms: u64,
        /// The class of event.
        pub class: String,
        /// The verb, shortened to 64 characters.
        pub action: String,
        /// How it ended.
        pub result: String,
        /// How alarming it is.
        pub threat: String,
        /// The operation's id, 32 hexadecimal digits.
        pub operation: Option<String>,
    }
}

/// Milliseconds since 1970; zero for what was before.
pub(crate) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn map<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

impl DashboardData {
    pub(crate) fn add_series(&mut self, name: &str, labels: &Labels, series: &Series) {
        let (name, labels) = (name.to_owned(), map(labels.iter()));
        match series {
            Series::Counter(counter) => {
                self.counters.push(CounterSample { name, labels, value: counter.value() });
            }
            Series::Gauge(gauge) => {
                self.gauges.push(GaugeSample { name, labels, value: finite(gauge.value()) })
            }
            Series::Histogram(histogram) => {
                self.histograms.push(DistributionSample::new(name, labels, &histogram.snapshot(), 1.0));
            }
            Series::Timer(timer) => {
                self.timers.push(DistributionSample::new(name, labels, &timer.snapshot(), 1e9));
            }
        }
    }

    pub(crate) fn add_alerts(&mut self, alerts: &[AlertStatus]) {
        for alert in alerts {
            let list = match alert.state {
                AlertState::Firing => &mut self.firing,
                AlertState::Pending => &mut self.pending,
                AlertState::Inactive | AlertState::Resolved => continue,
            };
            list.push(ActiveAlert::new(alert));
        }
        for list in [&mut self.firing, &mut self.pending] {
            list.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.rule.cmp(&b.rule)));
        }
    }
}

impl DistributionSample {
    fn new(name: String, labels: BTreeMap<String, String>, snapshot: &HistogramSnapshot, unit: f64) -> Self {
        let quantile = |q| snapshot.quantile(q).map(|value| value as f64 / unit);
        Self {
            name,
            labels,
            count: snapshot.count(),
            sum: snapshot.sum() as f64 / unit,
            mean: snapshot.mean().map(|mean| mean / unit),
            p50: quantile(0.50),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: snapshot.max().map(|max| max as f64 / unit),
        }
    }
}

impl ActiveAlert {
    fn new(alert: &AlertStatus) -> Self {
        let rule = &alert.rule;
        Self {
            rule: rule.name().to_owned(),
            severity: rule.get_severity(),
            since_unix_ms: unix_ms(alert.since),
            value: alert.value.and_then(finite),
            condition: rule.condition().to_string(),
            labels: map(rule.labels()),
            message: rule.get_message().to_owned(),
        }
    }
}
