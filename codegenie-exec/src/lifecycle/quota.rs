//! How much an owner may have.

use std::time::Duration;

/// How much one owner may have and use.
///
/// Time is counted when a run ends: whoever starts `running` runs at once can overdraw by what the policy's own limits let
/// these use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SandboxQuota {
    /// Sandboxes at once, until they are gone.
    pub sandboxes: usize,
    /// Runs at once, in all of them.
    pub running: usize,
    /// Runs begun within a window.
    pub runs: Option<u64>,
    /// CPU time used within a window, where the sandbox tells it; else the wall time counts.
    pub cpu: Option<Duration>,
    /// How long a window is. It begins with the first run after the last one's end.
    pub window: Duration,
}

impl Default for SandboxQuota {
    /// 16 sandboxes and 16 runs at once, and any number and time in windows of an hour.
    fn default() -> Self {
        Self { sandboxes: 16, running: 16, runs: None, cpu: None, window: Duration::from_secs(3600) }
    }
}

impl SandboxQuota {
    /// Sets how many sandboxes there may be at once.
    #[must_use]
    pub fn sandboxes(mut self, most: usize) -> Self {
        self.sandboxes = most;
        self
    }

    /// Sets how many runs there may be at once.
    #[must_use]
    pub fn running(mut self, most: usize) -> Self {
        self.running = most;
        self
    }

    /// Sets how many runs may begin within a window.
    #[must_use]
    pub fn runs(mut self, most: u64) -> Self {
        self.runs = Some(most);
        self
    }

    /// Sets how much CPU time may be used within a window.
    #[must_use]
    pub fn cpu(mut self, most: Duration) -> Self {
        self.cpu = Some(most);
        self
    }

    /// Sets how long a window is.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }
}
