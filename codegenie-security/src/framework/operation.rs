//! One operation of the host's own: checked, and on record from its beginning to its end.

use std::future::Future;

use super::{OperationError, SecurityContext, SecurityFramework, about};
use crate::audit::{AuditEvent, AuditResult, AuditSink, EventClass, OperationId, ThreatLevel};

impl<A: AuditSink> SecurityFramework<A> {
    /// Runs `operation`, if the session may do `action` to `resource`.
    ///
    /// What is refused does not run, and is on record with the rule that refused it. What is allowed is recorded before
    /// it is polled for the first time, and not recorded means not run; its end is recorded under the same operation
    /// id, also when the future is dropped in the middle. The operation's own error comes back as it is.
    ///
    /// Recording may block, since a record is durable before it counts.
    pub async fn secure_operation<T, E: std::fmt::Display>(
        &self,
        context: &SecurityContext,
        action: &str,
        resource: &str,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, OperationError<T, E>> {
        let decision = self.access.permit(&context.session, action, resource);
        let event =
            AuditEvent::new(EventClass::ApiActivity, action, resource).operation(OperationId::generate());
        let event = about(event, &context.session).detail("decision", decision.to_string());
        if !decision.is_allowed() {
            let event = event.result(AuditResult::Denied).threat(ThreatLevel::Medium);
            self.audit.record(&event).map_err(OperationError::NotRecorded)?;
            return Err(OperationError::Denied(decision));
        }
        self.audit
            .record(&event.clone().result(AuditResult::Pending))
            .map_err(OperationError::NotRecorded)?;
        let mut end = End { audit: &self.audit, event: Some(event) };
        let result = operation.await;
        let recorded = match &result {
            Ok(_) => end.record(AuditResult::Success, None),
            Err(error) => end.record(AuditResult::Failure, Some(error.to_string())),
        };
        match (recorded, result) {
            (Ok(()), result) => result.map_err(OperationError::Operation),
            (Err(error), result) => Err(OperationError::EndNotRecorded { error, result }),
        }
    }
}

/// Records the end, once: when it is told to, or when it is dropped.
struct End<'a, A: AuditSink> {
    audit: &'a A,
    event: Option<AuditEvent>,
}

impl<A: AuditSink> End<'_, A> {
    fn record(&mut self, result: AuditResult, error: Option<String>) -> Result<(), crate::audit::AuditError> {
        let Some(event) = self.event.take() else { return Ok(()) };
        let event = event.result(result).at(std::time::SystemTime::now());
        match error {
            Some(error) => self.audit.record(&event.detail("error", error)),
            None => self.audit.record(&event),
        }
    }
}

impl<A: AuditSink> Drop for End<'_, A> {
    fn drop(&mut self) {
        // Nobody is left to be told where this fails; the beginning is on record without an end.
        let _ = self.record(AuditResult::Failure, Some("cancelled before its end".to_owned()));
    }
}
