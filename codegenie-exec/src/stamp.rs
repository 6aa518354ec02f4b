//! Whether a file is still what it was.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

/// By what a file is told to have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Device, inode and the time of the last change of either content or attributes, which nobody can set.
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

/// So long after a change there may be another one at what the file system takes for the same time.
const SETTLED: Duration = Duration::from_secs(1);

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        };
        Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            #[cfg(unix)]
            identity,
        }
    }

    fn changed_at(&self) -> Option<SystemTime> {
        #[cfg(unix)]
        {
            let (.., seconds, nanoseconds) = self.identity;
            let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        }
        #[cfg(not(unix))]
        self.modified
    }

    /// Whether the same stamp means the same content from `now` on.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        self.changed_at()
            .and_then(|changed| now.duration_since(changed).ok())
            .is_some_and(|since| since > SETTLED)
    }
}
