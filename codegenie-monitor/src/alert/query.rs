//! What a rule looks at, and what it compares it with.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::window::Window;
use crate::metric::{HistogramSnapshot, MetricKind, Registry, Series};

/// One number, taken from the series of one metric: all of them, or those with certain labels.
///
/// ```
/// use codegenie_monitor::Query;
/// use std::time::Duration;
///
/// // More than three denied commands within a minute.
/// let condition = Query::increase("audit_events_total", Duration::from_secs(60))
///     .label("class", "command")
///     .label("result", "denied")
///     .above(3.0);
/// assert_eq!(
///     condition.to_string(),
///     r#"increase(audit_events_total{class="command",result="denied"}[60s]) > 3"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub(super) kind: QueryKind,
    pub(super) metric: String,
    pub(super) labels: Vec<(String, String)>,
    aggregate: Aggregate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum QueryKind {
    Value,
    Increase(Duration),
    Rate(Duration),
    Quantile(f64),
}

/// How the values of several gauges become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aggregate {
    /// Their sum.
    #[default]
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl Query {
    fn new(kind: QueryKind, metric: impl Into<String>) -> Self {
        Self { kind, metric: metric.into(), labels: Vec::new(), aggregate: Aggregate::Sum }
    }

    /// The present value: of a counter its count, of gauges their [`aggregate`](Self::aggregate), of
    /// histograms and timers how many values they hold. Nothing while there is no such series.
    pub fn value(metric: impl Into<String>) -> Self {
        Self::new(QueryKind::Value, metric)
    }

    /// By how much a counter (or the number of values of a histogram or timer) grew within the last
    /// `window`.
    ///
    /// What came between two evaluations counts at the later one, and moments closer than 1/256 of the
    /// window may count as the later of them: an increase may be seen a little too long, never too
    /// short. What came before the rule was added does not count.
    pub fn increase(metric: impl Into<String>, window: Duration) -> Self {
        Self::new(QueryKind::Increase(window), metric)
    }

    /// [`increase`](Self::increase) per second.
    pub fn rate(metric: impl Into<String>, window: Duration) -> Self {
        Self::new(QueryKind::Rate(window), metric)
    }

    /// The quantile `q` (0 to 1) of everything a histogram or timer has recorded; for a timer in
    /// seconds.
    pub fn quantile(metric: impl Into<String>, q: f64) -> Self {
        Self::new(QueryKind::Quantile(q), metric)
    }

    /// Only series with this label count.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// How several gauges become one number; the sum unless set.
    #[must_use]
    pub fn aggregate(mut self, aggregate: Aggregate) -> Self {
        self.aggregate = aggregate;
        self
    }

    /// Holds while the number is greater than `threshold`.
    #[must_use]
    pub fn above(self, threshold: f64) -> Condition {
        Condition { query: self, comparison: Comparison::Above, threshold }
    }

    /// Holds while the number is `threshold` or more.
    #[must_use]
    pub fn at_least(self, threshold: f64) -> Condition {
        Condition { query: self, comparison: Comparison::AtLeast, threshold }
    }

    /// Holds while the number is smaller than `threshold`.
    #[must_use]
    pub fn below(self, threshold: f64) -> Condition {
        Condition { query: self, comparison: Comparison::Below, threshold }
    }

    /// Holds while the number is `threshold` or less.
    #[must_use]
    pub fn at_most(self, threshold: f64) -> Condition {
        Condition { query: self, comparison: Comparison::AtMost, threshold }
    }

    pub(super) fn window(&self) -> Option<Duration> {
        match self.kind {
            QueryKind::Increase(width) | QueryKind::Rate(width) => Some(width),
            QueryKind::Value | QueryKind::Quantile(_) => None,
        }
    }

    /// Whether the query can be asked of a metric of this kind.
    pub(super) fn fits(&self, kind: MetricKind) -> bool {
        match self.kind {
            QueryKind::Value => true,
            QueryKind::Increase(_) | QueryKind::Rate(_) => kind != MetricKind::Gauge,
            QueryKind::Quantile(_) => matches!(kind, MetricKind::Histogram | MetricKind::Timer),
        }
    }

    /// The sum of what the series have counted.
    pub(super) fn total(&self, registry: &Registry) -> u64 {
        let mut total = 0_u64;
        self.visit(registry, |series| {
            total = total.wrapping_add(match series {
                Series::Counter(counter) => counter.value(),
                Series::Histogram(histogram) => histogram.count(),
                Series::Timer(timer) => timer.count(),
                Series::Gauge(_) => 0,
            });
        });
        total
    }

    /// The number at `now`; `None` while there is none.
    fn number(&self, registry: &Registry, window: Option<&mut Window>, now: SystemTime) -> Option<f64> {
        match self.kind {
            QueryKind::Value => {
                let mut number: Option<f64> = None;
                self.visit(registry, |series| {
                    let next = match series {
                        Series::Counter(counter) => counter.value() as f64,
                        Series::Gauge(gauge) => gauge.value(),
                        Series::Histogram(histogram) => histogram.count() as f64,
                        Series::Timer(timer) => timer.count() as f64,
                    };
                    let aggregate =
                        if matches!(series, Series::Gauge(_)) { self.aggregate } else { Aggregate::Sum };
                    number = Some(number.map_or(next, |number| match aggregate {
                        Aggregate::Sum => number + next,
                        Aggregate::Max => number.max(next),
                        Aggregate::Min => number.min(next),
                    }));
                });
                number
            }
            QueryKind::Increase(_) => {
                let window = window?;
                window.observe(now, self.total(registry));
                Some(window.increase() as f64)
            }
            QueryKind::Rate(width) => {
                let window = window?;
                window.observe(now, self.total(registry));
                Some(window.increase() as f64 / width.as_secs_f64())
            }
            QueryKind::Quantile(q) => {
                let mut merged = HistogramSnapshot::default();
                let mut unit = 1.0;
                self.visit(registry, |series| match series {
                    Series::Histogram(histogram) => merged.merge(&histogram.snapshot()),
                    Series::Timer(timer) => {
                        merged.merge(&timer.snapshot());
                        unit = 1e9;
                    }
                    Series::Counter(_) | Series::Gauge(_) => {}
                });
                merged.quantile(q).map(|value| value as f64 / unit)
            }
        }
    }

    fn visit(&self, registry: &Registry, mut visit: impl FnMut(&Series)) {
        registry.visit(&self.metric, |labels, series| {
            if labels.contain(&self.labels) {
                visit(series);
            }
        });
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            QueryKind::Value => {}
            QueryKind::Increase(_) => f.write_str("increase(")?,
            QueryKind::Rate(_) => f.write_str("rate(")?,
            QueryKind::Quantile(q) => write!(f, "quantile({q}, ")?,
        }
        f.write_str(&self.metric)?;
        for (n, (name, value)) in self.labels.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if n == 0 { "{" } else { "," })?;
        }
        f.write_str(if self.labels.is_empty() { "" } else { "}" })?;
        match self.kind {
            QueryKind::Value => Ok(()),
            QueryKind::Increase(width) | QueryKind::Rate(width) => write!(f, "[{width:?}])"),
            QueryKind::Quantile(_) => f.write_str(")"),
        }
    }
}

/// How a number is compared with a threshold. A comparison with what is not a number is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Comparison {
    /// Greater.
    Above,
    /// Greater or equal.
    AtLeast,
    /// Smaller.
    Below,
    /// Smaller or equal.
    AtMost,
}

impl Comparison {
    fn holds(self, number: f64, threshold: f64) -> bool {
        match self {
            Self::Above => number > threshold,
            Self::AtLeast => number >= threshold,
            Self::Below => number < threshold,
            Self::AtMost => number <= threshold,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        })
    }
}

/// A [`Query`] compared with a threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub(super) query: Query,
    pub(super) comparison: Comparison,
    pub(super) threshold: f64,
}

impl Condition {
    /// The number at `now`, and whether the condition holds.
    pub(super) fn check(
        &self,
        registry: &Registry,
        mut window: Option<&mut Window>,
        now: SystemTime,
    ) -> (Option<f64>, bool) {
        let number = self.query.number(registry, window.as_deref_mut(), now);
        // Until a whole window was watched, the increase in it may have been more than was seen: of
        // too little nothing can be said yet.
        let may_be_more = window.is_some_and(|window| !window.watched_whole(now))
            && matches!(self.comparison, Comparison::Below | Comparison::AtMost);
        let holds = !may_be_more && number.is_some_and(|n| self.comparison.holds(n, self.threshold));
        (number, holds)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.query, self.comparison, self.threshold)
    }
}
