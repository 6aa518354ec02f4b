//! Who was asked, what was answered, and how long that took.

use super::newest::Newest;
use crate::query::NameCounts;
use crate::{AuditEvent, AuditResult, AuditValue, EventClass, StoredEvent};

#[derive(Clone, Debug)]
pub(super) struct Approvals {
    pub(super) answers: u64,
    pub(super) granted: u64,
    pub(super) denied: u64,
    /// Of an answer that never came, or could not be kept.
    pub(super) other: u64,
    pub(super) approvers: NameCounts,
    pub(super) scopes: NameCounts,
    pub(super) raises_granted: u64,
    pub(super) raises_denied: u64,
    pub(super) waits: Waits,
    pub(super) newest: Newest,
}

/// How long answers took, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    pub(super) count: u64,
    pub(super) total: f64,
    pub(super) longest: f64,
}

impl Waits {
    fn add(&mut self, millis: f64) {
        // It was measured by somebody else.
        if millis.is_finite() && millis >= 0.0 {
            self.count += 1;
            self.total += millis;
            self.longest = self.longest.max(millis);
        }
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total / self.count as f64)
    }
}

impl Approvals {
    pub(super) fn new(names: usize, events: usize) -> Self {
        Self {
            answers: 0,
            granted: 0,
            denied: 0,
            other: 0,
            approvers: NameCounts::with_bound(names),
            scopes: NameCounts::with_bound(names),
            raises_granted: 0,
            raises_denied: 0,
            waits: Waits::default(),
            newest: Newest::of(events),
        }
    }

    pub(super) fn add(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        match (event.class, event.action.as_str(), event.result) {
            (EventClass::Authentication, "raise", AuditResult::Success) => self.raises_granted += 1,
            (EventClass::Authentication, "raise", AuditResult::Denied) => self.raises_denied += 1,
            (EventClass::Approval, ..) => self.answer(stored),
            _ => {}
        }
    }

    fn answer(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        // What is not an answer, such as grants that were revoked, names no approver.
        let Some(approver) = text(event, "approver") else {
            self.other += 1;
            return;
        };
        self.answers += 1;
        match event.result {
            AuditResult::Success => self.granted += 1,
            AuditResult::Denied => self.denied += 1,
            AuditResult::Pending | AuditResult::Failure => {}
        }
        self.approvers.add(approver);
        if let Some(scope) = text(event, "scope") {
            // `Session(60s)` is one of many of its kind.
            self.scopes.add(scope.split('(').next().unwrap_or(scope));
        }
        match event.get_detail("waited_ms") {
            Some(AuditValue::Float(millis)) => self.waits.add(*millis),
            Some(AuditValue::Int(millis)) => self.waits.add(*millis as f64),
            _ => {}
        }
        self.newest.add(stored);
    }
}

pub(super) fn text<'a>(event: &'a AuditEvent, name: &str) -> Option<&'a str> {
    match event.get_detail(name) {
        Some(AuditValue::Text(text)) => Some(text),
        _ => None,
    }
}
