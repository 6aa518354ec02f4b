//! [`Monitor`] as an audit sink: events become metrics, and the rules that look at them are evaluated.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use codegenie_security::{
    AuditError, AuditEvent, AuditResult, AuditSink, AuditValue, EventClass, Retention, ThreatLevel,
};

use crate::alert::Touched;
use crate::dashboard::{SecurityEvent, SecuritySummary, unix_ms};
use crate::metric::{Labels, MetricKind, Registry, Series};
use crate::monitor::Monitor;

const EVENTS: &str = "audit_events_total";
const DENIED: &str = "audit_denied_total";
const COMMANDS: &str = "command_duration_seconds";
/// More than all combinations of class, result and threat: none of them overflows.
const MOST_SERIES: usize = 4096;
const LONGEST_ACTION: usize = 64;

/// Counts and measures; keeps nothing ([`Retention::None`]): wire it beside a log, `(log, monitor)`.
///
/// - `audit_events_total{class,result,threat}` counts every event.
/// - `audit_denied_total{class}` counts those that were refused.
/// - `command_duration_seconds{result}` takes the detail `duration_ms` (a number) of command events.
///
/// Label values come from the event's enums only, so their number is bounded whatever an agent does.
/// The rules that look at one of these series are evaluated at once, by the monitor's clock. Recording
/// never fails.
#[deny(clippy::missing_trait_methods)]
impl AuditSink for Monitor {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        self.note(event);
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::None
    }
    fn enabled(&self, _class: EventClass) -> bool {
        true
    }
    fn flush(&self) -> Result<(), AuditError> {
        Ok(())
    }
}

type Key = (&'static str, EventClass, AuditResult, ThreatLevel);

#[derive(Debug)]
pub(crate) struct AuditFeed {
    /// Handles by what leads to them, so that no text is put together per event. Bounded by the enums.
    known: RwLock<BTreeMap<Key, (Series, Labels)>>,
    recent: Mutex<VecDeque<SecurityEvent>>,
    most_recent: usize,
}

impl AuditFeed {
    pub(crate) fn new(registry: &Registry, most_recent: usize) -> Self {
        registry.reserve(EVENTS, MetricKind::Counter, MOST_SERIES);
        registry.reserve(DENIED, MetricKind::Counter, MOST_SERIES);
        registry.reserve(COMMANDS, MetricKind::Timer, MOST_SERIES);
        Self { known: RwLock::default(), recent: Mutex::default(), most_recent }
    }

    /// Takes an event into the metrics, then calls `evaluate` with the series that changed.
    pub(crate) fn note(
        &self,
        registry: &Registry,
        event: &AuditEvent,
        evaluate: impl FnOnce(&[Touched<'_>]),
    ) {
        let (class, result, threat) = (event.class, event.result, event.threat);
        let mut changed: Vec<(&'static str, Labels)> = Vec::with_capacity(3);
        let mut take = |name, kind, labels: &[(&str, &str)], record: &dyn Fn(&Series)| {
            if let Some((series, labels)) = self.series(registry, (name, class, result, threat), kind, labels)
            {
                record(&series);
                changed.push((name, labels));
            }
        };
        let count = |series: &Series| {
            if let Series::Counter(counter) = series {
                counter.inc();
            }
        };
        let labels = [("class", class.as_str()), ("result", result.as_str()), ("threat", threat.as_str())];
        take(EVENTS, MetricKind::Counter, &labels, &count);
        if result == AuditResult::Denied {
            take(DENIED, MetricKind::Counter, &[("class", class.as_str())], &count);
        }
        if class == EventClass::Command
            && let Some(took) = duration(event)
        {
            take(COMMANDS, MetricKind::Timer, &[("result", result.as_str())], &|series| {
                if let Series::Timer(timer) = series {
                    timer.record(took);
                }
            });
        }
        self.remember(event);
        let touched: Vec<_> = changed.iter().map(|(metric, labels)| Touched { metric, labels }).collect();
        evaluate(&touched);
    }

    fn series(
        &self,
        registry: &Registry,
        key: Key,
        kind: MetricKind,
        labels: &[(&str, &str)],
    ) -> Option<(Series, Labels)> {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(known.clone());
        }
        // The names are reserved and the labels of the enums are in order, so this does not fail.
        let series = registry.series(key.0, kind, labels).ok()?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key, series.clone());
        Some(series)
    }

    fn remember(&self, event: &AuditEvent) {
        if self.most_recent == 0 {
            return;
        }
        let seen = SecurityEvent {
            time_unix_ms: unix_ms(event.time),
            class: event.class.as_str().to_owned(),
            action: event.action.chars().take(LONGEST_ACTION).collect(),
            result: event.result.as_str().to_owned(),
            threat: event.threat.as_str().to_owned(),
            operation: event.operation.map(|id| id.to_string()),
        };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(self.most_recent - 1);
        recent.push_front(seen);
    }

    pub(crate) fn summarize(&self, registry: &Registry, summary: &mut SecuritySummary) {
        registry.visit(EVENTS, |labels, series| {
            let Series::Counter(counter) = series else { return };
            let count = counter.value();
            summary.total += count;
            for (name, sums) in [
                ("class", &mut summary.by_class),
                ("result", &mut summary.by_result),
                ("threat", &mut summary.by_threat),
            ] {
                if let Some(value) = labels.get(name) {
                    *sums.entry(value.to_owned()).or_default() += count;
                }
            }
        });
        let of = |sums: &BTreeMap<String, u64>, name: &str| sums.get(name).copied().unwrap_or(0);
        summary.denied = of(&summary.by_result, AuditResult::Denied.as_str());
        summary.high_threat = of(&summary.by_threat, ThreatLevel::High.as_str())
            + of(&summary.by_threat, ThreatLevel::Critical.as_str());
        summary.recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
    }
}

/// The detail `duration_ms`; `None` for what is no length of time.
fn duration(event: &AuditEvent) -> Option<Duration> {
    match event.get_detail("duration_ms")? {
        AuditValue::Int(ms) => u64::try_from(*ms).ok().map(Duration::from_millis),
        AuditValue::Float(ms) => Duration::try_from_secs_f64(ms / 1000.0).ok(),
        _ => None,
    }
}
