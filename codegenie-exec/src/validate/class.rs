//! What a command does, in one word.

use std::fmt;

/// What a command does at most, as far as its text tells. Ordered from harmless to grave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// Reads what its sandbox shows.
    ReadOnly,
    /// Changes files of the workspace.
    WritesWorkspace,
    /// Connects to other machines.
    Network,
    /// Nothing is known of it.
    Unknown,
    /// Changes something outside of the workspace.
    WritesOutside,
    /// Runs code that its text does not show: a script, the project's own, a configuration's.
    ExecutesCode,
    /// Deletes, overwrites or ends what was there.
    Destroys,
    /// Gains or gives privileges, or reads secrets.
    Escalates,
}

impl Class {
    /// The name used in policies, tables and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::WritesWorkspace => "writes_workspace",
            Self::Network => "network",
            Self::Unknown => "unknown",
            Self::WritesOutside => "writes_outside",
            Self::ExecutesCode => "executes_code",
            Self::Destroys => "destroys",
            Self::Escalates => "escalates",
        }
    }

    pub(crate) const fn described(self) -> &'static str {
        match self {
            Self::ReadOnly => "only reads",
            Self::WritesWorkspace => "works within the workspace",
            Self::Network => "connects to other machines",
            Self::Unknown => "what it does is not known",
            Self::WritesOutside => "changes something outside of the workspace",
            Self::ExecutesCode => "runs code that the command does not show",
            Self::Destroys => "deletes, overwrites or ends what is there",
            Self::Escalates => "gains or gives privileges, or tells secrets",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
