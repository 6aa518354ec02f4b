//! Why a command did not run or files were not edited, or both went unrecorded.

use super::Execution;
use crate::approval::Approval;
use crate::sandbox::SandboxError;
use crate::validate::{ParseError, Verdict};
use codegenie_security::{AuditError, OperationId, SessionError};

/// Why [`execute`](super::SecureExecutor::execute) gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The session may not act.
    #[error("{error}; nothing was done")]
    #[non_exhaustive]
    Session {
        /// Joins the audit events.
        operation: OperationId,
        /// Why.
        error: SessionError,
    },
    /// The session's roles do not permit a program of the command.
    #[error("not permitted: {action} {resource}: {reason}; nothing was done")]
    #[non_exhaustive]
    NotPermitted {
        /// Joins the audit events.
        operation: OperationId,
        /// What was to be done: `execute` or `edit`.
        action: &'static str,
        /// On what it was not permitted.
        resource: String,
        /// The rule that decided, or that none did.
        reason: String,
    },
    /// The text is not a command.
    #[error("{error}; nothing was done")]
    #[non_exhaustive]
    Unparsable {
        /// Joins the audit events.
        operation: OperationId,
        /// Why.
        error: ParseError,
    },
    /// It takes a shell, and the sandbox has none that would execute what was judged.
    #[error("{problem}; nothing was done")]
    #[non_exhaustive]
    NoShell {
        /// Joins the audit events.
        operation: OperationId,
        /// What is missing, and what to do.
        problem: String,
    },
    /// The policy denies it.
    #[error("denied by {}: {}; nothing was done", verdict.rule, verdict.reason)]
    #[non_exhaustive]
    Denied {
        /// Joins the audit events.
        operation: OperationId,
        /// What was decided, part by part.
        verdict: Box<Verdict>,
    },
    /// The policy asks, and the approver did not agree.
    #[error(
        "not approved by {}: {} ({}: {}); nothing was done",
        approval.approver, approval.note, verdict.rule, verdict.reason
    )]
    #[non_exhaustive]
    NotApproved {
        /// Joins the audit events.
        operation: OperationId,
        /// What was decided, part by part.
        verdict: Box<Verdict>,
        /// What the approver said.
        approval: Approval,
    },
    /// The intent, or a refusal, could not be recorded.
    #[error("the audit sink did not record the step, so nothing was done: {error}")]
    #[non_exhaustive]
    NotRecorded {
        /// Joins the audit events.
        operation: OperationId,
        /// Why.
        error: AuditError,
    },
    /// The sandbox did not run it, or lost sight of it; the tree has ended either way.
    #[error("{error}{}", unrecorded.as_ref().map_or_else(String::new, |e| format!(" (and the audit sink did not record that: {e})")))]
    #[non_exhaustive]
    Sandbox {
        /// Joins the audit events.
        operation: OperationId,
        /// Why.
        error: SandboxError,
        /// Why this is not on record, where it is not. The intent is.
        unrecorded: Option<AuditError>,
    },
    /// The files were not edited: a path is refused, the edit does not fit them, or they changed meanwhile.
    #[cfg(feature = "edit")]
    #[error("{error}{}", unrecorded.as_ref().map_or_else(String::new, |e| format!(" (and the audit sink did not record that: {e})")))]
    #[non_exhaustive]
    Edit {
        /// Joins the audit events.
        operation: OperationId,
        /// Why.
        error: Box<crate::edit::EditError>,
        /// Why this is not on record, where it is not. The intent, if there was one, is.
        unrecorded: Option<AuditError>,
    },
    /// No editor is wired in.
    #[cfg(feature = "edit")]
    #[error("no editor is wired into the executor: name one by ExecutorBuilder::editor; nothing was done")]
    #[non_exhaustive]
    NoEditor {
        /// Joins the audit events.
        operation: OperationId,
    },
    /// The files were edited, but that could not be recorded. The intent was.
    #[cfg(feature = "edit")]
    #[error("the files were edited ({}), but the audit sink did not record it: {error}", edited.applied.undo)]
    #[non_exhaustive]
    EditNotRecorded {
        /// What was done.
        edited: Box<super::EditExecution>,
        /// Why it is not on record.
        error: AuditError,
    },
    /// It ran, but its outcome could not be recorded. The intent was.
    #[error("the command ran ({}), but the audit sink did not record its outcome: {error}", execution.output.status.reason)]
    #[non_exhaustive]
    OutcomeNotRecorded {
        /// What ran.
        execution: Box<Execution>,
        /// Why it is not on record.
        error: AuditError,
    },
}

impl ExecError {
    pub(super) fn outcome_not_recorded(execution: Execution, error: AuditError) -> Self {
        Self::OutcomeNotRecorded { execution: Box::new(execution), error }
    }

    /// What the policy said, where it was asked.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Denied { verdict, .. } | Self::NotApproved { verdict, .. } => Some(verdict),
            Self::OutcomeNotRecorded { execution, .. } => Some(&execution.verdict),
            #[cfg(feature = "edit")]
            Self::EditNotRecorded { edited, .. } => Some(&edited.verdict),
            _ => None,
        }
    }
}
