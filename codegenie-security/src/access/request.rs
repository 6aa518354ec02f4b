//! What a policy is asked.

use std::sync::Arc;
use std::time::SystemTime;

use super::condition::{Circumstances, seconds};

/// May `user` do `action` to `resource`, in these circumstances? Asked by hosts that have no session;
/// [`AccessControl::permit`](crate::AccessControl::permit) asks for one.
///
/// All roles of the user are active, at the lowest level, without labels and tags, at the beginning of 1970,
/// where nothing else is said.
#[derive(Clone, Copy, Debug)]
#[must_use = "a request decides nothing"]
pub struct AccessRequest<'a> {
    pub(super) user: &'a str,
    pub(super) action: &'a str,
    pub(super) resource: &'a str,
    pub(super) roles: Option<&'a [String]>,
    pub(super) now: u64,
    pub(super) level: u8,
    pub(super) labels: &'a [Arc<str>],
    pub(super) tags: &'a [(String, String)],
}

impl<'a> AccessRequest<'a> {
    /// May `user` do `action` to `resource`?
    pub fn new(user: &'a str, action: &'a str, resource: &'a str) -> Self {
        Self { user, action, resource, roles: None, now: 0, level: 0, labels: &[], tags: &[] }
    }

    /// Acts in these roles only. One that the user is not given counts for nothing.
    pub fn roles(mut self, roles: &'a [String]) -> Self {
        self.roles = Some(roles);
        self
    }

    /// At this time.
    pub fn at(mut self, now: SystemTime) -> Self {
        self.now = seconds(now);
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
