//! What looks at the content that an edit is about to write, before it is written.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum GateSeverity {
    /// Worth knowing.
    Info,
    /// Little harm, or little likely.
    Low,
    /// Harm under conditions.
    Medium,
    /// Harm, likely.
    High,
    /// Harm at once: a credential, an open door.
    Critical,
}

impl GateSeverity {
    /// The name in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Something that a [`ContentGate`] found in new content.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GateFinding {
    /// How much it weighs.
    pub severity: GateSeverity,
    /// The rule that found it, by a name that stays.
    pub rule: String,
    /// What is wrong, for the one who made the edit.
    pub message: String,
    /// The line in the new content, from 1, where there is one.
    pub line: Option<u64>,
}

impl GateFinding {
    /// A finding without a line.
    pub fn new(severity: GateSeverity, rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity, rule: rule.into(), message: message.into(), line: None }
    }

    /// Says on which line of the new content it is, from 1.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }
}

impl fmt::Display for GateFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |text: &str| text.escape_debug().to_string();
        write!(f, "{} {}: {}", self.severity.as_str(), escape(&self.rule), escape(&self.message))?;
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

/// Looks at new content. Whoever writes it sets the severity from which a finding refuses the edit.
///
/// Called once for each file of a transaction whose content changes, before anything is written; also for
/// previews. It must not block for long: a lock is held meanwhile.
pub trait ContentGate: Send + Sync {
    /// What is found in `after`, which is to be the content of `path`, relative to the root. `before` is what
    /// it has now; `None`: the file is new. What was wrong before need not be found again.
    fn inspect(&self, path: &Path, before: Option<&[u8]>, after: &[u8]) -> Vec<GateFinding>;
}

macro_rules! forward {
    ($($holder:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<G: ContentGate + ?Sized> ContentGate for $holder {
            fn inspect(&self, path: &Path, before: Option<&[u8]>, after: &[u8]) -> Vec<GateFinding> {
                (**self).inspect(path, before, after)
            }
        }
    )*};
}

forward!(&G, Box<G>, Arc<G>);
