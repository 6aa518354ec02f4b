//! What a sandbox is made with.

use super::error::LifecycleError;
use std::time::Duration;

/// The longest name, in bytes.
const LONGEST: usize = 128;

/// What a sandbox is made with, beside its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SandboxOptions {
    /// By which it is found, among all sandboxes of the registry that are open.
    pub name: String,
    /// Whose it is, and against whose quota it counts: an agent, a user.
    pub owner: String,
    /// It expires when nothing has run in it for so long.
    pub idle: Option<Duration>,
    /// It expires so long after it was made, whatever runs in it.
    pub lifetime: Option<Duration>,
}

impl SandboxOptions {
    /// A sandbox that does not expire.
    pub fn new(name: impl Into<String>, owner: impl Into<String>) -> Self {
        Self { name: name.into(), owner: owner.into(), idle: None, lifetime: None }
    }

    /// Lets it expire when nothing has run in it for `time`.
    #[must_use]
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = Some(time);
        self
    }

    /// Lets it expire `time` after it was made; what runs in it is then killed by a sweep.
    #[must_use]
    pub fn lifetime(mut self, time: Duration) -> Self {
        self.lifetime = Some(time);
        self
    }

    /// Names end up in lists, file names of records and messages.
    pub(super) fn check(&self) -> Result<(), LifecycleError> {
        for name in [&self.name, &self.owner] {
            let fits = (1..=LONGEST).contains(&name.len());
            if !fits || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-:/@".contains(c)) {
                return Err(LifecycleError::BadName(name.chars().take(LONGEST).collect()));
            }
        }
        Ok(())
    }
}
