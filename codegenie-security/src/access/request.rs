//! What a policy is asked.

use std::sync::Arc;
use std::time::SystemTime;

use super::condition::{Circumstances, known};

/// May `user` do `action` to `resource`, in these circumstances? Asked by hosts that have no session;
/// [`AccessControl::permit`](crate::AccessControl::permit) asks for one.
///
/// All roles of the user are active, at the lowest level, without labels and tags, where nothing else is said. A
/// request that does not say [when](Self::at) is held against the worst of times: permissions and roles that end,
/// and permissions with hours or weekdays, do not count, and prohibitions of that kind do.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request decides nothing"]
pub struct AccessRequest<'a> {
    pub(super) user: &'a str,
    pub(super) action: &'a str,
    pub(super) resource: &'a str,
    pub(super) roles: Option<&'a [String]>,
    pub(super) now: Option<u64>,
    pub(super) level: u8,
    pub(super) labels: &'a [Arc<str>],
    pub(super) tags: &'a [(String, String)],
}

impl<'a> AccessRequest<'a> {
    /// May `user` do `action` to `resource`?
    pub fn new(user: &'a str, action: &'a str, resource: &'a str) -> Self {
        Self { user, action, resource, roles: None, now: None, level: 0, labels: &[], tags: &[] }
    }

    /// Acts in these roles only. One that the user is not given counts for nothing.
    pub fn roles(mut self, roles: &'a [String]) -> Self {
        self.roles = Some(roles);
        self
    }

    /// At this time. One before 1970 is taken for none: it is that of a clock that was never set.
    pub fn at(mut self, now: SystemTime) -> Self {
        self.now = known(now);
        self
    }

    /// At this level.
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// With these labels.
    pub fn labels(mut self, labels: &'a [Arc<str>]) -> Self {
        self.labels = labels;
        self
    }

    /// With these tags.
    pub fn tags(mut self, tags: &'a [(String, String)]) -> Self {
        self.tags = tags;
        self
    }

    pub(super) fn circumstances(&self) -> Circumstances<'a> {
        Circumstances { now: self.now, level: self.level, labels: self.labels, tags: self.tags }
    }
}
