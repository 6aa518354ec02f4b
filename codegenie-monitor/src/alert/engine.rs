//! The rules' states, and how evaluations move them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::query::Condition;
use super::rule::{AlertError, AlertErrorKind, AlertRule, AlertState, Severity};
use super::window::Window;
use crate::metric::Registry;

const MOST_RULES: usize = 1024;

/// What happened to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transition {
    /// It was raised.
    Firing,
    /// Its condition has ceased to hold.
    Resolved,
}

/// An alert was raised or resolved.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AlertNotification {
    /// The rule's name.
    pub rule: String,
    /// What happened.
    pub transition: Transition,
    /// How urgent it is.
    pub severity: Severity,
    /// When, by the time of the evaluation.
    pub at: SystemTime,
    /// The number that the condition looked at; `None` when there was none any more.
    pub value: Option<f64>,
    /// What it was compared with.
    pub condition: Condition,
    /// The rule's labels.
    pub labels: Vec<(String, String)>,
    /// The rule's message.
    pub message: String,
}

/// One line for a log.
impl fmt::Display for AlertNotification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.transition {
            Transition::Firing => "firing",
            Transition::Resolved => "resolved",
        };
        write!(f, "{what} {} {}: {}", self.severity, self.rule, self.condition)?;
        if let Some(value) = self.value {
            write!(f, ", is {value}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// Where a rule stands, and since when.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AlertStatus {
    /// The rule.
    pub rule: Arc<AlertRule>,
    /// Where it stands.
    pub state: AlertState,
    /// Since when; at first, since it was added.
    pub since: SystemTime,
    /// The number at the last evaluation.
    pub value: Option<f64>,
}

/// A series that has just changed.
#[cfg(feature = "audit")]
pub(crate) struct Touched<'a> {
    pub(crate) metric: &'a str,
    pub(crate) labels: &'a crate::metric::Labels,
}

#[derive(Debug)]
struct Watch {
    rule: Arc<AlertRule>,
    window: Option<Window>,
    state: AlertState,
    since: SystemTime,
    value: Option<f64>,
}

#[derive(Debug)]
struct Watches {
    watches: Vec<Watch>,
    /// The latest moment of any evaluation: a clock that was set back must not reorder things.
    latest: SystemTime,
}

#[derive(Debug)]
pub(crate) struct Engine {
    watches: Mutex<Watches>,
}

impl Engine {
    pub(crate) fn new(now: SystemTime) -> Self {
        Self { watches: Mutex::new(Watches { watches: Vec::new(), latest: now }) }
    }

    // A panic in between leaves at worst one evaluation incomplete; the next one completes it.
    fn lock(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(
        &self,
        rule: AlertRule,
        registry: &Registry,
        now: SystemTime,
    ) -> Result<(), AlertError> {
        rule.check()?;
        let query = &rule.condition.query;
        if let Some(kind) = registry.kind(&query.metric)
            && !query.fits(kind)
        {
            return Err(AlertError::new(
                AlertErrorKind::KindMismatch,
                format!("alert rule {:?}: {query} cannot be asked of a {kind}; use another query", rule.name),
            ));
        }
        let mut inner = self.lock();
        if inner.watches.iter().any(|watch| watch.rule.name == rule.name) {
            return Err(AlertError::new(
                AlertErrorKind::Duplicate,
                format!("alert rule {:?}: there is one of this name; remove it first", rule.name),
            ));
        }
        if inner.watches.len() >= MOST_RULES {
            return Err(AlertError::new(
                AlertErrorKind::TooManyRules,
                format!(
                    "alert rule {:?}: the monitor holds its limit of {MOST_RULES} rules; remove some",
                    rule.name
                ),
            ));
        }
        inner.latest = inner.latest.max(now);
        let now = inner.latest;
        let window = query.window().map(|width| Window::new(width, now, query.total(registry)));
        let watch =
            Watch { rule: Arc::new(rule), window, state: AlertState::Inactive, since: now, value: None };
        inner.watches.push(watch);
        Ok(())
    }

    pub(crate) fn remove(&self, name: &str) -> bool {
        let mut inner = self.lock();
        let before = inner.watches.len();
        inner.watches.retain(|watch| watch.rule.name != name);
        inner.watches.len() < before
    }

    pub(crate) fn status(&self) -> Vec<AlertStatus> {
        let status = |watch: &Watch| AlertStatus {
            rule: Arc::clone(&watch.rule),
            state: watch.state,
            since: watch.since,
            value: watch.value,
        };
        self.lock().watches.iter().map(status).collect()
    }

    /// Evaluates every rule at `now`. `hand_over` is called with the notifications while the rules are
    /// still locked, so that they are queued in the order in which they came about; it must be quick.
    pub(crate) fn evaluate(
        &self,
        registry: &Registry,
        now: SystemTime,
        hand_over: impl FnOnce(&[AlertNotification]),
    ) -> Vec<AlertNotification> {
        self.evaluate_where(registry, now, |_| true, hand_over)
    }

    /// Evaluates the rules that look at one of the series that changed.
    #[cfg(feature = "audit")]
    pub(crate) fn evaluate_touched(
        &self,
        registry: &Registry,
        now: SystemTime,
        touched: &[Touched<'_>],
        hand_over: impl FnOnce(&[AlertNotification]),
    ) {
        let concerned = |rule: &AlertRule| {
            let query = &rule.condition.query;
            touched.iter().any(|t| t.metric == query.metric && t.labels.contain(&query.labels))
        };
        self.evaluate_where(registry, now, concerned, hand_over);
    }

    fn evaluate_where(
        &self,
        registry: &Registry,
        now: SystemTime,
        concerned: impl Fn(&AlertRule) -> bool,
        hand_over: impl FnOnce(&[AlertNotification]),
    ) -> Vec<AlertNotification> {
        let mut inner = self.lock();
        inner.latest = inner.latest.max(now);
        let now = inner.latest;
        let concerned = inner.watches.iter_mut().filter(|watch| concerned(&watch.rule));
        let notifications: Vec<_> = concerned.filter_map(|watch| watch.step(registry, now)).collect();
        if !notifications.is_empty() {
            hand_over(&notifications);
        }
        notifications
    }
}

impl Watch {
    fn step(&mut self, registry: &Registry, now: SystemTime) -> Option<AlertNotification> {
        let (value, holds) = self.rule.condition.check(registry, self.window.as_mut(), now);
        self.value = value;
        let next = match (self.state, holds) {
            (AlertState::Firing, true) => AlertState::Firing,
            (AlertState::Firing, false) => AlertState::Resolved,
            (AlertState::Pending, false) => AlertState::Inactive,
            (settled, false) => settled,
            (AlertState::Pending, true) => {
                let held = now.duration_since(self.since).unwrap_or_default();
                if held >= self.rule.pending_for { AlertState::Firing } else { AlertState::Pending }
            }
            (AlertState::Inactive | AlertState::Resolved, true) => {
                if self.rule.pending_for.is_zero() {
                    AlertState::Firing
                } else {
                    AlertState::Pending
                }
            }
        };
        if next == self.state {
            return None;
        }
        (self.state, self.since) = (next, now);
        let transition = match next {
            AlertState::Firing => Transition::Firing,
            AlertState::Resolved => Transition::Resolved,
            AlertState::Inactive | AlertState::Pending => return None,
        };
        Some(AlertNotification {
            rule: self.rule.name.clone(),
            transition,
            severity: self.rule.severity,
            at: now,
            value,
            condition: self.rule.condition.clone(),
            labels: self.rule.labels.clone(),
            message: self.rule.message.clone(),
        })
    }
}
