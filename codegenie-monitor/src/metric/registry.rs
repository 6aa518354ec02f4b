//! Which metrics there are: names, kinds, series, and how many of each there may be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::MetricKind;
use super::counter::Counter;
use super::error::{MetricError, MetricErrorKind};
use super::gauge::Gauge;
use super::histogram::Histogram;
use super::label::{Interner, Labels, brief, is_name};
use super::timer::Timer;

#[derive(Clone, Debug)]
pub(crate) enum Series {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    Timer(Timer),
}

impl Series {
    fn new(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter(Counter::detached()),
            MetricKind::Gauge => Self::Gauge(Gauge::detached()),
            MetricKind::Histogram => Self::Histogram(Histogram::detached()),
            MetricKind::Timer => Self::Timer(Timer::detached()),
        }
    }
}

#[derive(Debug)]
struct Family {
    kind: MetricKind,
    most_series: usize,
    // The overflow series, once there is one, is beyond `most_series`.
    series: RwLock<BTreeMap<Labels, Series>>,
}

#[derive(Debug)]
pub(crate) struct Registry {
    families: RwLock<BTreeMap<Arc<str>, Arc<Family>>>,
    interner: Mutex<Interner>,
    most_metrics: usize,
    most_series: usize,
}

impl Registry {
    pub(crate) fn new(most_metrics: usize, most_series: usize) -> Self {
        Self { families: RwLock::default(), interner: Mutex::default(), most_metrics, most_series }
    }

    /// Takes a name before anybody else can, with a limit of its own on the number of series.
    pub(crate) fn reserve(&self, name: &str, kind: MetricKind, most_series: usize) {
        let mut families = self.families.write().unwrap_or_else(PoisonError::into_inner);
        let family = Family { kind, most_series, series: RwLock::default() };
        families.entry(name.into()).or_insert_with(|| Arc::new(family));
    }

    /// The series of `name` with these labels, registered if it is new; the overflow series where
    /// there is no room for a new one.
    pub(crate) fn series(
        &self,
        name: &str,
        kind: MetricKind,
        labels: &[(&str, &str)],
    ) -> Result<(Series, Labels), MetricError> {
        let family = self.family(name, kind)?;
        let labels = Labels::parse(name, labels)?;
        {
            let known = family.series.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((labels, series)) = known.get_key_value(&labels) {
                return Ok((series.clone(), labels.clone()));
            }
        }
        let mut known = family.series.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((labels, series)) = known.get_key_value(&labels) {
            return Ok((series.clone(), labels.clone()));
        }
        let overflow = Labels::overflow();
        let own = known.len() - usize::from(known.contains_key(&overflow));
        let labels = if own < family.most_series {
            labels.interned(&mut self.interner.lock().unwrap_or_else(PoisonError::into_inner))
        } else {
            overflow
        };
        let series = known.entry(labels.clone()).or_insert_with(|| Series::new(kind)).clone();
        Ok((series, labels))
    }

    fn family(&self, name: &str, kind: MetricKind) -> Result<Arc<Family>, MetricError> {
        let of_kind = |family: &Arc<Family>| {
            if family.kind == kind {
                return Ok(Arc::clone(family));
            }
            Err(MetricError::new(
                MetricErrorKind::KindMismatch,
                format!("metric {name:?} is a {}, not a {kind}; use another name", family.kind),
            ))
        };
        if let Some(family) = self.families.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return of_kind(family);
        }
        if !is_name(&name.replace(':', "_")) {
            return Err(MetricError::new(
                MetricErrorKind::Name,
                format!("metric name {} is not one; use up to 200 letters, digits, _ and :", brief(name)),
            ));
        }
        let mut families = self.families.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(family) = families.get(name) {
            return of_kind(family);
        }
        if families.len() >= self.most_metrics {
            return Err(MetricError::new(
                MetricErrorKind::TooManyMetrics,
                format!(
                    "metric {name:?}: the monitor holds its limit of {} metric names; put what varies into labels",
                    self.most_metrics
                ),
            ));
        }
        let family = Arc::new(Family { kind, most_series: self.most_series, series: RwLock::default() });
        families.insert(name.into(), Arc::clone(&family));
        Ok(family)
    }

    pub(crate) fn kind(&self, name: &str) -> Option<MetricKind> {
        self.families.read().unwrap_or_else(PoisonError::into_inner).get(name).map(|family| family.kind)
    }

    /// Calls `visit` for each series of `name`.
    pub(crate) fn visit(&self, name: &str, mut visit: impl FnMut(&Labels, &Series)) {
        let family = self.families.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let Some(family) = family else { return };
        let series = family.series.read().unwrap_or_else(PoisonError::into_inner);
        series.iter().for_each(|(labels, series)| visit(labels, series));
    }

    /// Every series there is, ordered by name and labels. Handles, so that nothing stays locked.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Labels, Series)> {
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = Vec::new();
        for (name, family) in families {
            let series = family.series.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(
                series.iter().map(|(labels, series)| (Arc::clone(&name), labels.clone(), series.clone())),
            );
        }
        all
    }
}
