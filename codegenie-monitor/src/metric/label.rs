//! [`Labels`]: what tells the series of one metric apart.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::error::{MetricError, MetricErrorKind};

/// The labels of one series, ordered by name. Cloning is cheap.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

/// Marks the series in which a metric's values end up that had no room for one of their own.
pub(super) const OVERFLOW: &str = "overflow";
const MOST_LABELS: usize = 32;
const LONGEST_NAME: usize = 200;
const LONGEST_VALUE: usize = 1024;

impl Labels {
    /// The value of the label `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Names and values, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether this is the series of the values that had no room for one of their own.
    #[must_use]
    pub fn is_overflow(&self) -> bool {
        self.get(OVERFLOW).is_some()
    }

    pub(super) fn overflow() -> Self {
        Self([(OVERFLOW.into(), "true".into())].into())
    }

    /// Whether every pair of `wanted` is among the labels.
    pub(crate) fn contain(&self, wanted: &[(String, String)]) -> bool {
        wanted.iter().all(|(name, value)| self.get(name) == Some(value))
    }

    /// Checks and orders what a caller gave.
    pub(super) fn parse(metric: &str, pairs: &[(&str, &str)]) -> Result<Self, MetricError> {
        let refuse = |why: String| {
            Err(MetricError::new(MetricErrorKind::Label, format!("labels of metric {metric:?}: {why}")))
        };
        if pairs.len() > MOST_LABELS {
            return refuse(format!("{} labels, at most {MOST_LABELS} are allowed", pairs.len()));
        }
        let mut sorted = pairs.to_vec();
        sorted.sort_unstable();
        let mut before = None;
        for (name, value) in &sorted {
            if !is_name(name) {
                return refuse(format!("the name {} is not one; use letters, digits and _", brief(name)));
            }
            if *name == OVERFLOW {
                return refuse(format!("the name {OVERFLOW:?} is reserved; choose another"));
            }
            if before == Some(name) {
                return refuse(format!("the name {name:?} comes twice; give each label once"));
            }
            if value.len() > LONGEST_VALUE {
                return refuse(format!(
                    "the value of {name:?} is {} bytes long, at most {LONGEST_VALUE} are allowed",
                    value.len()
                ));
            }
            before = Some(name);
        }
        Ok(Self(sorted.into_iter().map(|(name, value)| (name.into(), value.into())).collect()))
    }

    /// The same labels with their texts shared.
    pub(super) fn interned(&self, interner: &mut Interner) -> Self {
        Self(self.0.iter().map(|(name, value)| (interner.intern(name), interner.intern(value))).collect())
    }
}

/// Whether `name` can name a metric or a label: a letter or `_`, then letters, digits or `_`; for
/// metrics `:` as well.
pub(super) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= LONGEST_NAME
}

/// A name for an error message: one line, not endless.
pub(super) fn brief(name: &str) -> String {
    let short: String = name.chars().take(60).collect();
    if short.len() < name.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

/// Keeps each text once. It grows with registered series only, whose number is bounded.
#[derive(Debug, Default)]
pub(super) struct Interner(BTreeSet<Arc<str>>);

impl Interner {
    fn intern(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        self.0.insert(Arc::clone(text));
        Arc::clone(text)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// As in the text format of Prometheus: `{a="1",b="2"}`, nothing when there are none.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, value)) in self.iter().enumerate() {
            f.write_str(if n == 0 { "{" } else { "," })?;
            write!(f, "{name}={value:?}")?;
        }
        f.write_str(if self.0.is_empty() { "" } else { "}" })
    }
}
