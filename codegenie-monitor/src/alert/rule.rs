//! [`AlertRule`], its severity and its states.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::query::{Condition, QueryKind};

/// How urgent an alert is. Ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look, in office hours.
    #[default]
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// The severity's name, in lowercase.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum AlertState {
    /// The condition does not hold.
    Inactive,
    /// The condition holds, not yet for long enough.
    Pending,
    /// The alert was raised, and the condition still holds.
    Firing,
    /// The alert was raised, and the condition has ceased to hold.
    Resolved,
}

/// When to raise an alert, and what it says.
///
/// One rule raises one alert, however many series its query looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    pub(super) name: String,
    pub(super) condition: Condition,
    pub(super) pending_for: Duration,
    pub(super) severity: Severity,
    pub(super) labels: Vec<(String, String)>,
    pub(super) message: String,
}

impl AlertRule {
    /// A rule that raises a warning as soon as `condition` holds. Names are unique in a monitor.
    pub fn new(name: impl Into<String>, condition: Condition) -> Self {
        Self {
            name: name.into(),
            condition,
            pending_for: Duration::ZERO,
            severity: Severity::default(),
            labels: Vec::new(),
            message: String::new(),
        }
    }

    /// Raises the alert only after the condition held at every evaluation for this long. The monitor
    /// has no thread: somebody has to [`evaluate`](crate::Monitor::evaluate) after that time.
    #[must_use]
    pub fn pending_for(mut self, time: Duration) -> Self {
        self.pending_for = time;
        self
    }

    /// Sets how urgent the alert is.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Adds a label that the notifications carry, for routing.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Sets what the notifications say to people.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The rule's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When the alert is raised.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// How urgent the alert is.
    #[must_use]
    pub fn get_severity(&self) -> Severity {
        self.severity
    }

    /// The labels that the notifications carry.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What the notifications say to people.
    #[must_use]
    pub fn get_message(&self) -> &str {
        &self.message
    }

    pub(super) fn check(&self) -> Result<(), AlertError> {
        let invalid = |why: &str| {
            Err(AlertError::new(AlertErrorKind::Invalid, format!("alert rule {:?}: {why}", self.name)))
        };
        if self.name.is_empty() {
            return invalid("the name is empty; give it one");
        }
        if !self.condition.threshold.is_finite() {
            return invalid("the threshold is not a finite number; give one that is");
        }
        if self.condition.query.window().is_some_and(|width| width.is_zero()) {
            return invalid("the window is empty; give it a length");
        }
        if let QueryKind::Quantile(q) = self.condition.query.kind
            && !(0.0..=1.0).contains(&q)
        {
            return invalid("the quantile is not between 0 and 1; 0.99 is the 99th percentile");
        }
        Ok(())
    }
}

/// Why a rule was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlertErrorKind {
    /// The rule makes no sense by itself.
    Invalid,
    /// There is a rule of this name.
    Duplicate,
    /// The metric is of a kind of which the query cannot be asked.
    KindMismatch,
    /// The monitor holds as many rules as it may.
    TooManyRules,
}

/// A rule was not added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertError {
    kind: AlertErrorKind,
    message: String,
}

impl AlertError {
    pub(super) fn new(kind: AlertErrorKind, message: String) -> Self {
        Self { kind, message }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> AlertErrorKind {
        self.kind
    }
}

impl fmt::Display for AlertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for AlertError {}
