//! What an executor does now and did so far, for a dashboard.

use super::ExecError;
use crate::sandbox::EndReason;
use codegenie_security::{OperationId, Session};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is shown of a command, in characters.
const SHOWN: usize = 256;

/// An executor, at one moment. Counts are since it was built; they may be of moments that lie a little apart.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ExecutorStatus {
    /// What confines the commands.
    pub sandbox: String,
    /// Where they work.
    pub workspace: PathBuf,
    /// What is under way, the oldest first.
    pub active: Vec<ActiveOperation>,
    /// How many of those wait for an approver's answer.
    pub pending_approvals: usize,
    /// What has ended, by how it did.
    pub totals: ExecutorTotals,
    /// Approvals that hold for later runs.
    pub grants: usize,
    /// Results that came from the cache.
    pub cache_hits: u64,
    /// Results that were looked for there in vain.
    pub cache_misses: u64,
    /// The file that the rules come from; `None`: the host's own, as they were when it was built.
    pub policy_file: Option<PathBuf>,
    /// Why the policy's file was not read again, where it was not: the rules are older than the file.
    pub policy_problem: Option<String>,
}

/// A command or an edit that is under way.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ActiveOperation {
    /// Joins it to its audit events.
    pub operation: OperationId,
    /// The command, or what the edit is called; cut where it is long. It is an agent's text.
    pub command: String,
    /// Who wants it.
    pub user: String,
    /// Which agent acts for them.
    pub agent: Option<String>,
    /// How far it has come.
    pub stage: OperationStage,
    /// For how long it has been under way.
    pub since: Duration,
}

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationStage {
    /// It is looked at.
    Checking,
    /// An approver is asked.
    Asking,
    /// It runs, or files change.
    Running,
}

/// Operations that have ended, by how they did. Each counts once; the last three tell of some of them, and of some
/// that are under way, once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ExecutorTotals {
    /// Ran, or were answered from the cache; whatever their exit status was.
    pub completed: u64,
    /// Refused: no valid session.
    pub without_session: u64,
    /// Refused: the session lacks a permission.
    pub not_permitted: u64,
    /// Refused: not understood as a command.
    pub unparsable: u64,
    /// Refused by the policy.
    pub denied: u64,
    /// Refused by an approver, or for want of an answer.
    pub not_approved: u64,
    /// Not done: the sandbox or the editor failed or refused.
    pub failed: u64,
    /// Not done, or done, with something that could not be recorded.
    pub not_recorded: u64,
    /// The caller did not wait for the end.
    pub given_up: u64,
    /// An approver was asked: no grant was held.
    pub asked: u64,
    /// Ran longer, or printed nothing for longer, than the confinement allows.
    pub timed_out: u64,
    /// Answered from the cache, without running anything.
    pub from_cache: u64,
}

#[derive(Debug)]
struct Active {
    operation: OperationId,
    command: String,
    user: String,
    agent: Option<String>,
    stage: OperationStage,
    since: Instant,
}

/// Counts operations. Each is watched from its beginning to its end.
#[derive(Debug, Default)]
pub(super) struct Activity {
    next: AtomicU64,
    active: Mutex<BTreeMap<u64, Active>>,
    ended: [AtomicU64; 9],
    asked: AtomicU64,
    timed_out: AtomicU64,
    from_cache: AtomicU64,
}

/// How an operation ended: a place in [`Activity::ended`].
#[derive(Clone, Copy)]
enum End {
    Completed,
    WithoutSession,
    NotPermitted,
    Unparsable,
    Denied,
    NotApproved,
    Failed,
    NotRecorded,
    GivenUp,
}

impl Activity {
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch { activity: self, id: self.next.fetch_add(1, Ordering::Relaxed), end: End::GivenUp }
    }

    pub(super) fn active(&self) -> Vec<ActiveOperation> {
        let active = self.locked();
        let told = active.values().map(|active| ActiveOperation {
            operation: active.operation,
            command: active.command.clone(),
            user: active.user.clone(),
            agent: active.agent.clone(),
            stage: active.stage,
            since: active.since.elapsed(),
        });
        told.collect()
    }

    pub(super) fn totals(&self) -> ExecutorTotals {
        let of = |end: End| self.ended.get(end as usize).map_or(0, |count| count.load(Ordering::Relaxed));
        ExecutorTotals {
            completed: of(End::Completed),
            without_session: of(End::WithoutSession),
            not_permitted: of(End::NotPermitted),
            unparsable: of(End::Unparsable),
            denied: of(End::Denied),
            not_approved: of(End::NotApproved),
            failed: of(End::Failed),
            not_recorded: of(End::NotRecorded),
            given_up: of(End::GivenUp),
            asked: self.asked.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
            from_cache: self.from_cache.load(Ordering::Relaxed),
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<u64, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operation under way. Dropped without an end, it was given up.
pub(super) struct Watch<'a> {
    activity: &'a Activity,
    id: u64,
    end: End,
}

impl Watch<'_> {
    /// Whose it is: from now on it is listed.
    pub(super) fn begun(&self, operation: OperationId, command: &str, session: &Session) {
        let active = Active {
            operation,
            command: command.chars().take(SHOWN).collect(),
            user: session.user().to_owned(),
            agent: session.agent().map(str::to_owned),
            stage: OperationStage::Checking,
            since: Instant::now(),
        };
        self.activity.locked().insert(self.id, active);
    }

    pub(super) fn stage(&self, stage: OperationStage) {
        if stage == OperationStage::Asking {
            self.activity.asked.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(active) = self.activity.locked().get_mut(&self.id) {
            active.stage = stage;
        }
    }

    /// What came of a command, whether or not that can be recorded.
    pub(super) fn came_out(&self, reason: EndReason, from_cache: bool) {
        if from_cache {
            self.activity.from_cache.fetch_add(1, Ordering::Relaxed);
        } else if matches!(reason, EndReason::TimedOut | EndReason::IdleTimedOut) {
            self.activity.timed_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts how it ended, and gives that on.
    pub(super) fn ended<T>(mut self, result: Result<T, ExecError>) -> Result<T, ExecError> {
        self.end = match &result {
            Ok(_) => End::Completed,
            Err(ExecError::Session { .. }) => End::WithoutSession,
            Err(ExecError::NotPermitted { .. }) => End::NotPermitted,
            Err(ExecError::Unparsable { .. }) => End::Unparsable,
            Err(ExecError::Denied { .. }) => End::Denied,
            Err(ExecError::NotApproved { .. }) => End::NotApproved,
            Err(ExecError::NotRecorded { .. } | ExecError::OutcomeNotRecorded { .. }) => End::NotRecorded,
            #[cfg(feature = "edit")]
            Err(ExecError::EditNotRecorded { .. }) => End::NotRecorded,
            Err(_) => End::Failed,
        };
        result
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.activity.locked().remove(&self.id);
        if let Some(count) = self.activity.ended.get(self.end as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
