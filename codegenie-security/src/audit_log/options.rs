//! How a log is opened, when the defaults are not what a host wants.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::AuditLog;
use super::anchor::Anchor;
use super::disk::{Directory, Disk};
use super::error::AuditLogError;
use super::keys::default_dir;
use super::open::DAY;
use super::retention::RetentionPolicy;
use super::writer::Rotation;
use crate::crypto::{RecipientKey, SealingKey};

/// What becomes of an event that is accepted while as many wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// `record` waits for room.
    Wait,
    /// `record` fails, and with it what was to be recorded.
    Fail,
    /// The event is lost. How many were is recorded as soon as there is room.
    DangerousLose,
}

/// When [`record`](crate::AuditSink::record) returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When the event is on stable storage, and signed.
    Durable,
    /// When the event waits for a thread of the log. A crash loses what waits, and an action may have run of which
    /// nothing is on record: the log's [retention](crate::AuditSink::retention) is then `Volatile`.
    #[non_exhaustive]
    DangerousAccepted {
        /// How many may wait.
        waiting: usize,
        /// What becomes of more.
        when_full: WhenFull,
    },
}

impl Durability {
    /// Accepts up to `waiting` events before they are durable.
    #[must_use]
    pub fn dangerous_accepted(waiting: usize, when_full: WhenFull) -> Self {
        Self::DangerousAccepted { waiting: waiting.max(1), when_full }
    }
}

/// Opens an [`AuditLog`].
///
/// ```
/// use codegenie_security::{AuditLogOptions, FileAnchor, RetentionPolicy, SealingKey};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let dir = tempfile::tempdir()?;
/// let log = AuditLogOptions::new()
///     .origin("example.com/agents/7")
///     .segment_age(Duration::from_secs(3600))
///     .retention(RetentionPolicy::forever().max_age(Duration::from_secs(365 * 24 * 3600)))
///     .anchor(Arc::new(FileAnchor::new(dir.path().join("on another disk"))))
///     .open(dir.path().join("audit"), &SealingKey::generate()?)?;
/// assert_eq!(log.origin(), "example.com/agents/7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "options open nothing by themselves"]
pub struct AuditLogOptions {
    pub(super) must_exist: bool,
    pub(super) keys: Option<PathBuf>,
    pub(super) origin: Option<String>,
    pub(super) auditors: Vec<RecipientKey>,
    pub(super) own_reader: bool,
    pub(super) rotation: Rotation,
    pub(super) retention: RetentionPolicy,
    pub(super) certify_ahead: u32,
    pub(super) durability: Durability,
    pub(super) redacted: bool,
    pub(super) anchors: Vec<Arc<dyn Anchor>>,
    pub(super) anchor_interval: Duration,
    pub(super) anchor_required: bool,
}

impl Default for AuditLogOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl AuditLogOptions {
    /// A log that is created if there is none, keeps everything, acknowledges what is durable, and begins a
    /// segment when 64 MiB are full or a day is over.
    pub fn new() -> Self {
        Self {
            must_exist: false,
            keys: None,
            origin: None,
            auditors: Vec::new(),
            own_reader: true,
            rotation: Rotation { bytes: 64 << 20, age: DAY },
            retention: RetentionPolicy::forever(),
            certify_ahead: 256,
            durability: Durability::Durable,
            redacted: true,
            anchors: Vec::new(),
            anchor_interval: Duration::from_secs(1),
            anchor_required: false,
        }
    }

    /// A log that is not there is an error: for hosts that know that there must be one, so that the
    /// deletion of log and keys together is seen.
    pub fn must_exist(mut self) -> Self {
        self.must_exist = true;
        self
    }

    /// The directory of the keys. By default it stands beside the log, named as it is with `.keys` at the end.
    pub fn keys(mut self, dir: impl Into<PathBuf>) -> Self {
        self.keys = Some(dir.into());
        self
    }

    /// The name of a new log: usually a URL without its scheme, 1 to 150 bytes. By default a random one. It stands
    /// in every checkpoint.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Seals the segments from now on for this reader as well.
    pub fn auditor(mut self, auditor: RecipientKey) -> Self {
        self.auditors.push(auditor);
        self
    }

    /// Makes no key for reading in the directory of keys of a new log: only auditors can read it. Whoever takes over
    /// the machine with its keys then still reads nothing of the past.
    pub fn without_own_reader(mut self) -> Self {
        self.own_reader = false;
        self
    }

    /// Bytes of a segment after which the next one is begun, in a new epoch.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.rotation.bytes = bytes.max(1);
        self
    }

    /// Age of a segment after which the next one is begun, with the next event. Who steals the process reads no
    /// segment before the last.
    pub fn segment_age(mut self, age: Duration) -> Self {
        self.rotation.age = age;
        self
    }

    /// How much is kept.
    pub fn retention(mut self, retention: RetentionPolicy) -> Self {
        self.retention = retention;
        self
    }

    /// How many epochs the identity certifies at the opening; it is then wiped from memory. When they are used up,
    /// the log stops until it is opened again, unless it was told to [certify](crate::AuditLog::certify) more before. By
    /// default 256, at least 2.
    pub fn certify_ahead(mut self, epochs: u32) -> Self {
        self.certify_ahead = epochs.max(2);
        self
    }

    /// When `record` returns.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Records events as they are. By default secrets of well-known forms are [taken out](crate::redact) first.
    pub fn dangerous_keep_secrets(mut self) -> Self {
        self.redacted = false;
        self
    }

    /// Tells this anchor of checkpoints, and compares the log with what it holds at the opening: a log that was
    /// put back behind it is not opened.
    pub fn anchor(mut self, anchor: Arc<dyn Anchor>) -> Self {
        self.anchors.push(anchor);
        self
    }

    /// The least time between two publications to the anchors. By default a second.
    pub fn anchor_interval(mut self, interval: Duration) -> Self {
        self.anchor_interval = interval;
        self
    }

    /// An anchor that does not answer at the opening is an error, and one that has to be asked, as a witness, is asked then. So
    /// is one that knows nothing of a log that has records: its disk may not be there. By default a failure is only
    /// [told](AuditLog::anchors).
    pub fn require_anchors(mut self) -> Self {
        self.anchor_required = true;
        self
    }

    /// Opens the log. `key` seals the directory of keys: the identity, the host's reading key, the current epoch.
    ///
    /// The public part of the whole log is verified first.
    pub fn open(self, path: impl AsRef<Path>, key: &SealingKey) -> Result<AuditLog, AuditLogError> {
        let path = path.as_ref();
        let directory = Directory::new(path.to_owned());
        let lock = super::lock(path, &directory, &self)?;
        let keys_path = self.keys.clone().unwrap_or_else(|| default_dir(path));
        let keys: Box<dyn Disk> = Box::new(Directory::new(keys_path.clone()));
        AuditLog::open_on(path, Arc::new(directory), keys, &keys_path, key, self, Some(lock))
    }
}

impl fmt::Debug for AuditLogOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLogOptions")
            .field("origin", &self.origin)
            .field("durability", &self.durability)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}
