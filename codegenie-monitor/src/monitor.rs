//! [`Monitor`]: metrics, alerts and dashboard data in one value.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::alert::{AlertCallback, AlertError, AlertNotification, AlertRule, AlertStatus, Delivery, Engine};
#[cfg(feature = "audit")]
use crate::audit::AuditFeed;
use crate::clock::{Clock, SystemClock};
use crate::dashboard::{DashboardData, unix_ms};
use crate::metric::{
    Counter, Gauge, Histogram, HistogramSnapshot, MetricError, MetricErrorKind, MetricKind, Registry, Series,
    Timer,
};

/// Metrics, alerts and dashboard data. Cloning is cheap and gives another handle to the same monitor;
/// two monitors know nothing of each other.
///
/// Register a handle once, keep it, and use it wherever something happens:
///
/// ```
/// use codegenie_monitor::{AlertRule, Monitor, Query};
///
/// let monitor = Monitor::new();
/// let edits = monitor.counter("edits_total", &[("tool", "patch")])?;
/// let timer = monitor.timer("edit_duration_seconds", &[])?;
/// monitor.add_rule(AlertRule::new("many_edits", Query::value("edits_total").above(2.0)))?;
///
/// for _ in 0..3 {
///     let _measured = timer.start();
///     edits.inc();
/// }
/// let raised = monitor.evaluate_now();
/// assert_eq!(raised[0].rule, "many_edits");
/// assert!(monitor.evaluate_now().is_empty(), "raised once, until it is resolved");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The monitor starts no thread. Rules are evaluated by [`evaluate`](Self::evaluate), and where it is an
/// audit sink, by each event that they look at.
#[derive(Clone)]
pub struct Monitor {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    engine: Engine,
    delivery: Delivery,
    clock: Arc<dyn Clock>,
    started: Duration,
    #[cfg(feature = "audit")]
    audit: AuditFeed,
}

/// Makes a [`Monitor`] with settings other than the usual ones.
#[derive(Clone, Debug)]
pub struct MonitorBuilder {
    clock: Arc<dyn Clock>,
    most_metrics: usize,
    most_series: usize,
    #[cfg(feature = "audit")]
    recent_events: usize,
}

impl MonitorBuilder {
    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many metric names there may be (4,096 unless set). One more is an error.
    #[must_use]
    pub fn max_metrics(mut self, most: usize) -> Self {
        self.most_metrics = most;
        self
    }

    /// How many label sets one metric may have (1,000 unless set). Further ones share one series,
    /// labelled `overflow="true"`, so that sums stay exact.
    #[must_use]
    pub fn max_series_per_metric(mut self, most: usize) -> Self {
        self.most_series = most;
        self
    }

    /// How many recent security events the dashboard shows (64 unless set).
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn recent_events(mut self, most: usize) -> Self {
        self.recent_events = most;
        self
    }

    /// The monitor.
    #[must_use]
    pub fn build(self) -> Monitor {
        let registry = Registry::new(self.most_metrics, self.most_series);
        let own = |name| {
            registry.reserve(name, MetricKind::Counter, 1);
            match registry.series(name, MetricKind::Counter, &[]) {
                Ok((Series::Counter(counter), _)) => counter,
                // The name was reserved as a counter's just now.
                _ => Counter::detached(),
            }
        };
        let delivery =
            Delivery::new(own("monitor_notifications_dropped_total"), own("monitor_callback_panics_total"));
        Monitor {
            inner: Arc::new(Inner {
                #[cfg(feature = "audit")]
                audit: AuditFeed::new(&registry, self.recent_events),
                registry,
                engine: Engine::new(self.clock.now()),
                delivery,
                started: self.clock.monotonic(),
                clock: self.clock,
            }),
        }
    }
}

impl Monitor {
    /// A monitor with the usual settings.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts a monitor with other settings.
    #[must_use]
    pub fn builder() -> MonitorBuilder {
        MonitorBuilder {
            clock: Arc::new(SystemClock::new()),
            most_metrics: 4096,
            most_series: 1000,
            #[cfg(feature = "audit")]
            recent_events: 64,
        }
    }

    /// The counter of this name and these labels; the same one each time.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Result<Counter, MetricError> {
        match self.inner.registry.series(name, MetricKind::Counter, labels)?.0 {
            Series::Counter(counter) => Ok(counter),
            _ => Err(other_kind(name)),
        }
    }

    /// The gauge of this name and these labels; the same one each time.
    ///
    /// Past the limit of label sets the gauges that share the overflow series overwrite each other.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Result<Gauge, MetricError> {
        match self.inner.registry.series(name, MetricKind::Gauge, labels)?.0 {
            Series::Gauge(gauge) => Ok(gauge),
            _ => Err(other_kind(name)),
        }
    }

    /// The histogram of this name and these labels; the same one each time.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Result<Histogram, MetricError> {
        match self.inner.registry.series(name, MetricKind::Histogram, labels)?.0 {
            Series::Histogram(histogram) => Ok(histogram),
            _ => Err(other_kind(name)),
        }
    }

    /// The timer of this name and these labels; the same one each time.
    pub fn timer(&self, name: &str, labels: &[(&str, &str)]) -> Result<Timer, MetricError> {
        match self.inner.registry.series(name, MetricKind::Timer, labels)?.0 {
            Series::Timer(timer) => Ok(timer),
            _ => Err(other_kind(name)),
        }
    }

    /// The sum of a counter over all its label sets; `None` when there is no such counter.
    #[must_use]
    pub fn counter_total(&self, name: &str) -> Option<u64> {
        self.inner.registry.kind(name).filter(|kind| *kind == MetricKind::Counter)?;
        let mut total = 0_u64;
        self.inner.registry.visit(name, |_, series| {
            if let Series::Counter(counter) = series {
                total = total.wrapping_add(counter.value());
            }
        });
        Some(total)
    }

    /// A histogram or timer over all its label sets; `None` when there is no such metric.
    #[must_use]
    pub fn distribution(&self, name: &str) -> Option<HistogramSnapshot> {
        let measured = |kind: &MetricKind| matches!(kind, MetricKind::Histogram | MetricKind::Timer);
        self.inner.registry.kind(name).filter(measured)?;
        let mut merged = HistogramSnapshot::default();
        self.inner.registry.visit(name, |_, series| match series {
            Series::Histogram(histogram) => merged.merge(&histogram.snapshot()),
            Series::Timer(timer) => merged.merge(&timer.snapshot()),
            Series::Counter(_) | Series::Gauge(_) => {}
        });
        Some(merged)
    }

    /// Adds an alert rule. Its metric need not exist yet.
    pub fn add_rule(&self, rule: AlertRule) -> Result<(), AlertError> {
        self.inner.engine.add(rule, &self.inner.registry, self.inner.clock.now())
    }

    /// Removes the rule of this name, without any notification. True if there was one.
    pub fn remove_rule(&self, name: &str) -> bool {
        self.inner.engine.remove(name)
    }

    /// Calls `callback` whenever an alert is raised or resolved.
    ///
    /// It is called by the thread whose evaluation or event caused it, or by one that is calling
    /// callbacks already; in order, one at a time, and with no lock held, so it may use the monitor.
    /// An action may be waiting: what takes long belongs to a thread of its own, behind a channel. A
    /// panic is caught and counted in `monitor_callback_panics_total`. While a callback is busy, 1,024
    /// notifications may wait; the loss of more is counted in `monitor_notifications_dropped_total`.
    pub fn on_alert(&self, callback: impl Fn(&AlertNotification) + Send + Sync + 'static) {
        let callback: Arc<AlertCallback> = Arc::new(callback);
        self.inner.delivery.add(callback);
    }

    /// Evaluates every rule at `now`, calls the callbacks, and returns what changed. A moment before the
    /// latest one seen counts as that.
    pub fn evaluate(&self, now: SystemTime) -> Vec<AlertNotification> {
        let inner = &*self.inner;
        let changed = inner.engine.evaluate(&inner.registry, now, |new| inner.delivery.queue(new));
        inner.delivery.run();
        changed
    }

    /// [`evaluate`](Self::evaluate) at the clock's present moment.
    pub fn evaluate_now(&self) -> Vec<AlertNotification> {
        self.evaluate(self.inner.clock.now())
    }

    /// Where each rule stands, in the order in which they were added, as of the last evaluation.
    #[must_use]
    pub fn alerts(&self) -> Vec<AlertStatus> {
        self.inner.engine.status()
    }

    /// How long the monitor has been there.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.inner.clock.monotonic().saturating_sub(self.inner.started)
    }

    /// Everything that a dashboard shows. Rules are not evaluated by it.
    #[must_use]
    pub fn dashboard_data(&self) -> DashboardData {
        let mut data = DashboardData {
            generated_unix_ms: unix_ms(self.inner.clock.now()),
            uptime_seconds: self.uptime().as_secs_f64(),
            ..DashboardData::default()
        };
        for (name, labels, series) in self.inner.registry.all() {
            data.add_series(&name, &labels, &series);
        }
        data.add_alerts(&self.inner.engine.status());
        #[cfg(feature = "audit")]
        self.inner.audit.summarize(&self.inner.registry, &mut data.security);
        data
    }

    #[cfg(feature = "audit")]
    pub(crate) fn note(&self, event: &codegenie_security::AuditEvent) {
        let inner = &*self.inner;
        inner.audit.note(&inner.registry, event, |touched| {
            let now = inner.clock.now();
            let queue = |new: &[AlertNotification]| inner.delivery.queue(new);
            inner.engine.evaluate_touched(&inner.registry, now, touched, queue);
        });
        inner.delivery.run();
    }
}

/// The registry gives a series of the kind that it was asked for.
fn other_kind(name: &str) -> MetricError {
    MetricError::new(
        MetricErrorKind::KindMismatch,
        format!("metric {name:?} is of another kind; use another name"),
    )
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("uptime", &self.uptime()).finish_non_exhaustive()
    }
}
