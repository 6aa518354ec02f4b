//! What was decided about a command, and about each part of it.

use super::class::Class;
use std::fmt;

/// What is done with a command. Ordered from lax to strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Runs, confined.
    Allow,
    /// Runs, confined, when an approver agrees.
    Ask,
    /// Does not run. No approver can change that.
    Deny,
}

impl Decision {
    /// The name used in policies, tables and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What was decided about one part of a command.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Judgement {
    /// The part, as it was written.
    pub part: String,
    /// What is done with it.
    pub decision: Decision,
    /// What it does at most.
    pub class: Class,
    /// The rule that decided, such as `rule 2: make test` or `known: git log`.
    pub rule: String,
    /// Why, in a few words.
    pub reason: String,
    /// How many commands it stands in: 0 in the command itself, 1 in what that runs, and so on.
    pub depth: usize,
    /// Whether its output depends on the command alone, or the policy says so.
    pub pure: bool,
}

/// What was decided about a command.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The strictest decision of the parts.
    pub decision: Decision,
    /// The gravest class of the parts.
    pub class: Class,
    /// Whether it is of use only with a network.
    pub network: bool,
    /// The rule that made it.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Whether the result may be taken from a cache: every part is pure.
    pub pure: bool,
    /// Every part, in order.
    pub parts: Vec<Judgement>,
}
