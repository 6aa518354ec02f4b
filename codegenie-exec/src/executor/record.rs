//! What goes on record, step by step.

use super::{ExecError, Privileges};
use crate::approval::{Approval, GrantsError};
use crate::sandbox::{ConnectionEvent, ConnectionStage, EndReason, RunOutput, SandboxError, SandboxRequest};
use crate::validate::{ParseError, PolicyFileError, Verdict};
use codegenie_security::{
    AuditError, AuditEvent, AuditResult, AuditSink, Decision as Permission, EventClass, OperationId, Session,
    SessionError, ThreatLevel,
};
use std::path::Path;
use std::time::Duration;

/// Builds the events of one operation.
pub(super) struct Recorder<'a, A> {
    audit: &'a A,
    operation: OperationId,
    class: EventClass,
    action: &'static str,
    command: &'a str,
    actor: String,
    agent: Option<String>,
    session: Option<String>,
    /// From the root to the session itself, where it was derived from another.
    lineage: Vec<String>,
    verdict: Option<Verdict>,
    files: Vec<String>,
}

/// How a command ended, for the record.
pub(super) struct Outcome<'a> {
    pub(super) output: &'a RunOutput,
    pub(super) from_cache: bool,
}

impl<'a, A: AuditSink> Recorder<'a, A> {
    pub(super) fn new(audit: &'a A, command: &'a str) -> Self {
        Self::of(EventClass::Command, "execute", audit, command)
    }

    /// For an operation of another kind: `command` is what it is called on record.
    pub(super) fn of(class: EventClass, action: &'static str, audit: &'a A, command: &'a str) -> Self {
        let operation = OperationId::generate();
        let (actor, files, agent, session, verdict) = (String::new(), Vec::new(), None, None, None);
        let lineage = Vec::new();
        Self { audit, operation, class, action, command, actor, agent, session, lineage, verdict, files }
    }

    pub(super) fn operation(&self) -> OperationId {
        self.operation
    }

    pub(super) fn session(&mut self, session: &Session) {
        session.user().clone_into(&mut self.actor);
        self.agent = session.agent().map(str::to_owned);
        self.session = Some(session.id().to_string());
        if session.parent().is_some() {
            self.lineage = session.lineage().iter().map(ToString::to_string).collect();
        }
    }

    pub(super) fn verdict(&mut self, verdict: &Verdict) {
        self.verdict = Some(verdict.clone());
    }

    /// The files that the operation is about.
    #[cfg(feature = "edit")]
    pub(super) fn files(&mut self, paths: &[std::path::PathBuf]) {
        self.files = paths.iter().map(|path| path.to_string_lossy().escape_debug().to_string()).collect();
    }

    fn event(&self, class: EventClass, action: &str, result: AuditResult) -> AuditEvent {
        let mut event = AuditEvent::new(class, action, self.command)
            .actor(self.actor.as_str())
            .operation(self.operation)
            .result(result);
        event.agent.clone_from(&self.agent);
        event.session.clone_from(&self.session);
        if !self.lineage.is_empty() {
            event = event.detail("lineage", self.lineage.clone());
        }
        if !self.files.is_empty() {
            event = event.detail("files", self.files.clone());
        }
        if let Some(verdict) = &self.verdict {
            event = event
                .detail("decision", verdict.decision.as_str())
                .detail("class", verdict.class.as_str())
                .detail("rule", verdict.rule.as_str())
                .detail("reason", verdict.reason.as_str());
        }
        event
    }

    /// An event of the operation itself.
    pub(super) fn own_event(&self, result: AuditResult) -> AuditEvent {
        self.event(self.class, self.action, result)
    }

    /// The audit sink.
    #[cfg(feature = "edit")]
    pub(super) fn audit(&self) -> &'a A {
        self.audit
    }

    /// Records a refusal, and gives the refusal; or that it could not be recorded.
    pub(super) fn refuse(&self, event: AuditEvent, refusal: ExecError) -> ExecError {
        let event = event.detail("refusal", refusal.to_string());
        match self.audit.record(&event) {
            Ok(()) => refusal,
            Err(error) => ExecError::NotRecorded { operation: self.operation, error },
        }
    }

    pub(super) fn refuse_session(&self, error: SessionError) -> ExecError {
        let event = self.event(EventClass::Authentication, self.action, AuditResult::Denied);
        let refusal = ExecError::Session { operation: self.operation, error };
        self.refuse(event.threat(ThreatLevel::Medium), refusal)
    }

    pub(super) fn refuse_unparsable(&self, error: ParseError) -> ExecError {
        let event = self.own_event(AuditResult::Denied);
        let refusal = ExecError::Unparsable { operation: self.operation, error };
        self.refuse(event.threat(ThreatLevel::Low), refusal)
    }

    pub(super) fn refuse_without_shell(&self, problem: String) -> ExecError {
        let event = self.own_event(AuditResult::Denied);
        let refusal = ExecError::NoShell { operation: self.operation, problem };
        self.refuse(event.threat(ThreatLevel::Low), refusal)
    }

    /// The sandbox failed before there was anything to intend.
    pub(super) fn sandbox_failed(&self, error: SandboxError) -> ExecError {
        let event = self.own_event(AuditResult::Failure).detail("refusal", error.to_string());
        let unrecorded = self.audit.record(&event).err();
        ExecError::Sandbox { operation: self.operation, error, unrecorded }
    }

    pub(super) fn refuse_permission(
        &self,
        action: &'static str,
        resource: &str,
        decision: &Permission,
    ) -> ExecError {
        let event = self.event(EventClass::Authorization, self.action, AuditResult::Denied);
        let refusal = ExecError::NotPermitted {
            operation: self.operation,
            action,
            resource: resource.to_owned(),
            reason: decision.to_string(),
        };
        self.refuse(event.threat(ThreatLevel::Medium), refusal)
    }

    pub(super) fn refuse_by_policy(&self, verdict: Verdict) -> ExecError {
        let event = self.own_event(AuditResult::Denied);
        let refusal = ExecError::Denied { operation: self.operation, verdict: Box::new(verdict) };
        self.refuse(event.threat(ThreatLevel::High), refusal)
    }

    pub(super) fn refuse_by_approver(&self, verdict: Verdict, approval: Approval) -> ExecError {
        let event = self.own_event(AuditResult::Denied);
        let refusal =
            ExecError::NotApproved { operation: self.operation, verdict: Box::new(verdict), approval };
        self.refuse(event.threat(ThreatLevel::Medium), refusal)
    }

    /// Records who answered what.
    pub(super) fn approval(&self, approval: &Approval, waited: Duration) -> Result<(), ExecError> {
        let result = if approval.granted { AuditResult::Success } else { AuditResult::Denied };
        let event = self
            .event(EventClass::Approval, "approve", result)
            .detail("approver", approval.approver.as_str())
            .detail("note", approval.note.as_str())
            .detail("waited_ms", waited.as_secs_f64() * 1e3)
            .detail("scope", format!("{:?}", approval.scope));
        self.record(&event)
    }

    pub(super) fn grant_not_kept(&self, error: &GrantsError) -> Result<(), ExecError> {
        let event = self.event(EventClass::Approval, "keep grant", AuditResult::Failure);
        self.record(&event.detail("problem", error.to_string()))
    }

    pub(super) fn record(&self, event: &AuditEvent) -> Result<(), ExecError> {
        self.audit.record(event).map_err(|error| ExecError::NotRecorded { operation: self.operation, error })
    }

    /// Records what became of a connection that the command asked for; whether it could be recorded.
    pub(super) fn connection(&self, connection: &ConnectionEvent) -> bool {
        let (result, threat) = match &connection.stage {
            ConnectionStage::Opening => (AuditResult::Pending, ThreatLevel::None),
            ConnectionStage::Denied { .. } => (AuditResult::Denied, ThreatLevel::Medium),
            ConnectionStage::Failed { .. } => (AuditResult::Failure, ThreatLevel::None),
            ConnectionStage::Closed { .. } => (AuditResult::Success, ThreatLevel::None),
        };
        // The resource is where the connection goes; the command is told by the operation's other events.
        let mut event = AuditEvent::new(EventClass::NetworkActivity, "connect", connection.target_text())
            .actor(self.actor.as_str())
            .operation(self.operation)
            .result(result)
            .threat(threat)
            .detail("protocol", connection.protocol)
            .detail("attempt", connection.attempt);
        event.agent.clone_from(&self.agent);
        event.session.clone_from(&self.session);
        if !self.lineage.is_empty() {
            event = event.detail("lineage", self.lineage.clone());
        }
        if let Some(address) = connection.address {
            event = event.detail("address", address.to_string());
        }
        if let Some(rule) = &connection.rule {
            event = event.detail("rule", rule.as_str());
        }
        event = match &connection.stage {
            ConnectionStage::Opening => event,
            ConnectionStage::Denied { reason } => event.detail("reason", reason.as_str()),
            ConnectionStage::Failed { error } => event.detail("error", error.as_str()),
            ConnectionStage::Closed { sent, received } => {
                event.detail("sent_bytes", *sent).detail("received_bytes", *received)
            }
        };
        self.audit.record(&event).is_ok()
    }

    /// Records that a policy file was read again, or could not be.
    pub(super) fn policy_file(
        &self,
        path: &Path,
        read: &Result<bool, PolicyFileError>,
    ) -> Result<(), ExecError> {
        let event =
            AuditEvent::new(EventClass::Configuration, "load command policy", path.display().to_string());
        let event = match read {
            Ok(false) => return Ok(()),
            Ok(true) => event,
            Err(error) => event
                .result(AuditResult::Failure)
                .threat(ThreatLevel::Low)
                .detail("problem", error.to_string()),
        };
        self.record(&event.operation(self.operation))
    }

    /// Records that the command is about to run.
    pub(super) fn intent<'r>(
        &'r self,
        request: &SandboxRequest,
        sandbox: &str,
        privileges: &Privileges,
    ) -> Result<Intent<'r, 'a, A>, ExecError> {
        let event = self
            .event(EventClass::Command, "execute", AuditResult::Pending)
            .detail("sandbox", sandbox)
            .detail("may_write", privileges.writes)
            .detail("may_connect", privileges.network)
            .detail("program", request.program.to_string_lossy().into_owned())
            .detail("cwd", request.cwd.display().to_string());
        self.record(&event)?;
        Ok(Intent { recorder: self, open: true })
    }
}

/// A recorded intent, which gets an outcome whatever happens: also when the future that would have
/// told it is dropped.
pub(super) struct Intent<'r, 'a, A: AuditSink> {
    recorder: &'r Recorder<'a, A>,
    open: bool,
}

impl<A: AuditSink> Intent<'_, '_, A> {
    /// The command ran, or its result was known.
    pub(super) fn done(mut self, outcome: &Outcome<'_>) -> Result<(), AuditError> {
        self.open = false;
        let output = outcome.output;
        let (status, usage) = (&output.status, &output.status.usage);
        let result = if status.reason.is_success() { AuditResult::Success } else { AuditResult::Failure };
        let threat = match status.reason {
            EndReason::TimedOut | EndReason::OutputLimit => ThreatLevel::Low,
            _ => ThreatLevel::None,
        };
        let names = |layers: Vec<&str>| layers.into_iter().map(str::to_owned).collect::<Vec<String>>();
        let mut event = self
            .recorder
            .event(EventClass::Command, "execute", result)
            .threat(threat)
            .detail("end", status.reason.to_string())
            .detail("sandbox", output.report.sandbox.as_str())
            .detail("enforced", names(output.report.enforced()))
            .detail("partly_enforced", names(output.report.partly_enforced()))
            .detail("duration_ms", usage.wall.as_secs_f64() * 1e3)
            .detail("output_bytes", usage.output_bytes)
            .detail("from_cache", outcome.from_cache);
        if !output.refused.is_empty() {
            let refused = output.refused.iter().map(ToString::to_string).collect::<Vec<String>>();
            event = event.detail("refused", refused);
        }
        if let Some(cpu) = usage.cpu {
            event = event.detail("cpu_ms", cpu.as_secs_f64() * 1e3);
        }
        self.recorder.audit.record(&event)
    }

    /// The sandbox did not run it.
    pub(super) fn not_run(mut self, error: SandboxError) -> ExecError {
        self.open = false;
        self.recorder.sandbox_failed(error)
    }
}

impl<A: AuditSink> Drop for Intent<'_, '_, A> {
    fn drop(&mut self) {
        if self.open {
            let event = self
                .recorder
                .event(EventClass::Command, "execute", AuditResult::Failure)
                .detail("end", EndReason::Cancelled.to_string());
            // The intent stands without an outcome if this fails, which is what a reader will see.
            let _ = self.recorder.audit.record(&event);
        }
    }
}
