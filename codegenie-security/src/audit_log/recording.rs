//! How events come into a log, and what their callers are told.

use zeroize::Zeroizing;

use super::encoded::EncodedEvents;
use super::error::AuditLogError;
use super::options::{Durability, WhenFull};
use super::{AuditLog, codec, commits, frame, shred, writer};
use crate::audit::{
    AuditError, AuditErrorKind, AuditEvent, AuditSink, EventClass, Retention, ThreatLevel, redacted,
};

impl AuditLog {
    /// Records several events at once, in their order: in one commit if they are no more than 65,536 and 4 MiB. Returns
    /// when all are durable, whatever the log's [durability](crate::AuditLogOptions::durability).
    ///
    /// If one of them is rejected, none is recorded. After another error, those of an earlier commit may be on record.
    pub fn record_all<'e>(&self, events: impl IntoIterator<Item = &'e AuditEvent>) -> Result<(), AuditError> {
        let mut encoded = EncodedEvents::default();
        for event in events {
            encoded.push_with(|bytes| self.encode(event, bytes))?;
        }
        self.check()?;
        if let Some((accepted, _)) = &self.accepted {
            accepted.drain(&self.shared.commits).map_err(commits::Failure::into_error)?;
        }
        self.shared.commits.commit(encoded.iter()).map_err(commits::Failure::into_error)
    }

    /// Puts the event without its secrets at the end of `bytes`, as the log keeps it.
    fn encode(&self, event: &AuditEvent, bytes: &mut Vec<u8>) -> Result<(), AuditError> {
        if shred::is_reserved(event) {
            return Err(self
                .rejected("its class and action are the log's own, for shredding; call `AuditLog::shred`"));
        }
        let without_secrets = if self.redacted { redacted(event) } else { None };
        let event = without_secrets.as_ref().unwrap_or(event);
        let before = bytes.len();
        codec::encode_into(bytes, event)
            .ok_or_else(|| self.rejected("a time or a length is out of range; correct the event"))?;
        let length = bytes.len() - before;
        if length > frame::MAX_EVENT {
            return Err(
                self.rejected(&format!("{length} bytes, where 1 MiB is the most; shorten its details"))
            );
        }
        Ok(())
    }

    /// May anything be recorded?
    pub(super) fn check(&self) -> Result<(), AuditError> {
        let path = &self.shared.path;
        if self.process != std::process::id() {
            let message =
                format!("audit log {path:?} was opened by process {}; open a log in each", self.process);
            return Err(AuditError::unavailable(message));
        }
        match self.shared.commits.stopped() {
            Some(stopped) => Err(stopped.into_error()),
            None => Ok(()),
        }
    }

    /// After an error between two states, the log ends.
    pub(super) fn broken(&self, error: AuditLogError) -> AuditError {
        let kind = match &error {
            AuditLogError::Io { source, .. } if writer::is_full(source) => AuditErrorKind::Full,
            _ => AuditErrorKind::Unavailable,
        };
        self.shared.commits.stop(kind, "an earlier error");
        AuditError::new(kind, error.to_string()).with_source(error)
    }

    fn rejected(&self, why: &str) -> AuditError {
        AuditError::new(
            AuditErrorKind::Rejected,
            format!("audit log {:?} cannot hold the event: {why}", self.shared.path),
        )
    }
}

/// What the log says about events that were lost.
pub(super) fn lost_event(lost: u64) -> Option<Vec<u8>> {
    let event = AuditEvent::new(EventClass::ApiActivity, "lose_events", "audit log")
        .threat(ThreatLevel::High)
        .detail("lost", lost);
    codec::encode(&event)
}

impl AuditSink for AuditLog {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        let mut encoded = Zeroizing::new(Vec::with_capacity(512));
        self.encode(event, &mut encoded)?;
        let commits = &self.shared.commits;
        match (&self.accepted, self.durability) {
            (Some((accepted, _)), Durability::DangerousAccepted { waiting, when_full }) => {
                self.check()?;
                let waits = when_full == WhenFull::Wait;
                let Err(_) = accepted.accept(std::mem::take(&mut *encoded), waiting, waits, commits) else {
                    return Ok(());
                };
                self.check()?;
                if when_full == WhenFull::DangerousLose {
                    accepted.lose(commits);
                    return Ok(());
                }
                let message = format!(
                    "audit log {:?} has no room: {waiting} events wait for the disk; record again later",
                    self.shared.path
                );
                Err(AuditError::new(AuditErrorKind::Full, message))
            }
            _ => {
                if self.process != std::process::id() {
                    return self.check();
                }
                commits.commit(std::iter::once(encoded.as_slice())).map_err(commits::Failure::into_error)
            }
        }
    }

    fn retention(&self) -> Retention {
        match self.durability {
            Durability::Durable => Retention::Durable,
            Durability::DangerousAccepted { .. } => Retention::Volatile,
        }
    }

    fn enabled(&self, _class: EventClass) -> bool {
        true
    }

    /// Waits until all that was accepted is durable.
    fn flush(&self) -> Result<(), AuditError> {
        self.check()?;
        let commits = &self.shared.commits;
        if let Some((accepted, _)) = &self.accepted {
            accepted.drain(commits).map_err(commits::Failure::into_error)?;
        }
        commits.drain().map_err(commits::Failure::into_error)
    }
}
