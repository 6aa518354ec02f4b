//! Asking somebody, where the policy says so.

mod grant;
mod queue;
mod seen;
#[cfg(unix)]
mod socket;
mod terminal;

pub use grant::{Binding, Grant, GrantScope, Grants, GrantsError, RevokeError};
pub use queue::{ApprovalQueue, NoSuchQuestion, PendingApproval};
pub(crate) use seen::seen;
pub use terminal::PromptApprover;

use crate::executor::Privileges;
use crate::validate::Verdict;
use codegenie_security::OperationId;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What an approver is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApprovalRequest {
    /// Joins the question to the audit events of the command.
    pub operation: OperationId,
    /// Who wants it.
    pub user: String,
    /// Which agent acts for them.
    pub agent: Option<String>,
    /// The command as one line.
    pub command: String,
    /// Where it would run.
    pub cwd: PathBuf,
    /// The variables that it asks to be set.
    pub environment: BTreeMap<String, String>,
    /// What it would read from its standard input; `None`: nothing. All of it, unless the host has said
    /// [`dangerously_ask_about_unseen_content`](crate::ExecutorBuilder::dangerously_ask_about_unseen_content): then it may be
    /// cut, and says so, with size and hash of the whole. Bytes that are no UTF-8 are written as `\xNN`. Replace control characters before it
    /// goes to a terminal.
    pub input: Option<String>,
    /// For an edit of files: what it changes, as a unified diff. All of it, unless the host has said
    /// [`dangerously_ask_about_unseen_content`](crate::ExecutorBuilder::dangerously_ask_about_unseen_content). Bytes that are
    /// no UTF-8 are written as `\xNN`; for the rest lines are as they are in the files: replace control characters before they
    /// go to a terminal.
    pub diff: Option<String>,
    /// What the command would be given of the host's confinement; `None` for an edit.
    pub privileges: Option<Privileges>,
    /// How long there is to answer.
    pub deadline: Duration,
    /// What the policy says, part by part.
    pub verdict: Verdict,
}

/// What an approver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Approval {
    /// Whether the command may run, this once.
    pub granted: bool,
    /// Who answered.
    pub approver: String,
    /// What they said.
    pub note: String,
    /// Whether it holds for later runs of exactly the same command.
    pub scope: GrantScope,
}

impl Approval {
    /// Yes, also for later runs of exactly the same command.
    pub fn granted_for(approver: impl Into<String>, scope: GrantScope) -> Self {
        Self { scope, ..Self::granted(approver) }
    }

    /// Yes, this once.
    pub fn granted(approver: impl Into<String>) -> Self {
        Self { granted: true, approver: approver.into(), note: String::new(), scope: GrantScope::Once }
    }

    /// No.
    pub fn refused(approver: impl Into<String>, note: impl Into<String>) -> Self {
        Self { granted: false, approver: approver.into(), note: note.into(), scope: GrantScope::Once }
    }
}

/// Somebody who can be asked: a person at a terminal, a queue, a second agent.
///
/// Asked only where the policy says "ask": a denial cannot be approved away. An executor bounds the
/// waiting; no answer in time is a refusal.
pub trait Approver: Send + Sync {
    /// Answers one request.
    fn decide(&self, request: &ApprovalRequest) -> impl Future<Output = Approval> + Send;
}

/// Refuses everything: what an executor does where nobody was named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefuseAll;

impl Approver for RefuseAll {
    async fn decide(&self, _request: &ApprovalRequest) -> Approval {
        Approval::refused("nobody", "no approver is wired in")
    }
}

/// An approver from a function. Made by [`approve_with`].
pub struct ApproveWith<F>(Arc<F>);

impl<F> Clone for ApproveWith<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> fmt::Debug for ApproveWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApproveWith")
    }
}

/// Makes an approver from a function. It runs on a thread for what blocks: an answer that it gives after the deadline is none.
/// Should it panic, that is a refusal.
pub fn approve_with<F>(decide: F) -> ApproveWith<F>
where
    F: Fn(&ApprovalRequest) -> Approval + Send + Sync + 'static,
{
    ApproveWith(Arc::new(decide))
}

impl<F> Approver for ApproveWith<F>
where
    F: Fn(&ApprovalRequest) -> Approval + Send + Sync + 'static,
{
    async fn decide(&self, request: &ApprovalRequest) -> Approval {
        let (decide, request) = (Arc::clone(&self.0), request.clone());
        let answer = tokio::task::spawn_blocking(move || decide(&request)).await;
        answer.unwrap_or_else(|_| Approval::refused("nobody", "the function that answers panicked"))
    }
}

trait ErasedApprover: Send + Sync {
    fn decide<'a>(
        &'a self,
        request: &'a ApprovalRequest,
    ) -> Pin<Box<dyn Future<Output = Approval> + Send + 'a>>;
}

impl<T: Approver> ErasedApprover for T {
    fn decide<'a>(
        &'a self,
        request: &'a ApprovalRequest,
    ) -> Pin<Box<dyn Future<Output = Approval> + Send + 'a>> {
        Box::pin(Approver::decide(self, request))
    }
}

/// Any [`Approver`] behind one type.
#[derive(Clone)]
pub(crate) struct DynApprover(Arc<dyn ErasedApprover>);

impl DynApprover {
    pub(crate) fn new(approver: impl Approver + 'static) -> Self {
        Self(Arc::new(approver))
    }

    pub(crate) async fn decide(&self, request: &ApprovalRequest) -> Approval {
        self.0.decide(request).await
    }
}

impl fmt::Debug for DynApprover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynApprover")
    }
}
