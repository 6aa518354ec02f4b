//! What a registry tells about its sandboxes.

use crate::sandbox::{ResourceUsage, SandboxStatus};
use std::path::PathBuf;
use std::time::Duration;

/// Whether a sandbox takes runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SandboxState {
    /// It does.
    Open,
    /// It was closed.
    Closed,
    /// Nothing ran in it for too long.
    Idle,
    /// Its lifetime is over.
    Expired,
}

/// What was used by the runs that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SandboxUsage {
    /// Runs that have begun.
    pub runs: u64,
    /// Runs that the sandbox could not start.
    pub not_started: u64,
    /// Time from start to end, all runs together.
    pub wall: Duration,
    /// CPU time, as far as the sandbox tells it.
    pub cpu: Duration,
    /// The most memory that one run held, in bytes, as far as the sandbox tells it.
    pub peak_memory_bytes: u64,
    /// Bytes written to files, as far as the sandbox tells it.
    pub written_bytes: u64,
    /// Bytes of output.
    pub output_bytes: u64,
}

impl SandboxUsage {
    pub(super) fn add(&mut self, status: Option<SandboxStatus>, passed: Duration) {
        // Of a run that was given up only the time is known.
        let used = status.map_or_else(ResourceUsage::default, |status| status.usage);
        // Whatever a sandbox tells.
        self.wall = self.wall.saturating_add(if status.is_some() { used.wall } else { passed });
        self.cpu = self.cpu.saturating_add(used.cpu.unwrap_or_default());
        let peak = used.peak_memory_bytes.or(used.max_rss_bytes).unwrap_or_default();
        self.peak_memory_bytes = self.peak_memory_bytes.max(peak);
        self.written_bytes = self.written_bytes.saturating_add(used.written_bytes.unwrap_or_default());
        self.output_bytes = self.output_bytes.saturating_add(used.output_bytes);
    }
}

/// One sandbox, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SandboxSnapshot {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// Whether it takes runs.
    pub state: SandboxState,
    /// How long ago it was made.
    pub age: Duration,
    /// How long nothing has run in it; zero while something runs.
    pub idle: Duration,
    /// When it expires if nothing is run; `None`: never, or it has ended.
    pub expires_in: Option<Duration>,
    /// Runs at this moment.
    pub running: usize,
    /// What it has used.
    pub usage: SandboxUsage,
    /// Its private directory.
    pub directory: Option<PathBuf>,
    /// Why its private directory is still there although it has ended.
    pub problem: Option<String>,
}

/// What one owner has and used, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OwnerUsage {
    /// Who it is.
    pub owner: String,
    /// Sandboxes that are not gone.
    pub sandboxes: usize,
    /// Runs at this moment.
    pub running: usize,
    /// Runs that began in the present window.
    pub runs: u64,
    /// CPU time of the runs that ended in the present window.
    pub cpu: Duration,
}
