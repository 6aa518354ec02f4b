//! The least that a command needs: derived from what was judged of it, never more than the host gives.

use crate::sandbox::{Network, SandboxPolicy};
use crate::validate::{Class, Decision, Verdict};
use std::sync::Arc;

/// What a command was given of the executor's confinement, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Privileges {
    /// It may write what the confinement lets be written: on the host, or copy-on-write. Without, all of that is
    /// read-only.
    pub writes: bool,
    /// It may reach what the confinement lets be reached. Without, nothing.
    pub network: bool,
    /// Why, in a few words.
    pub reason: String,
}

impl Privileges {
    /// What a command with this verdict needs. What is not known gets all that the host gives.
    pub(super) fn needed(verdict: &Verdict) -> Self {
        let judged_by_class = verdict.parts.iter().all(|part| part.class < Class::Unknown);
        let (writes, network) = match verdict.class {
            _ if !judged_by_class => (true, true),
            Class::ReadOnly => (false, verdict.network),
            Class::WritesWorkspace => (true, verdict.network),
            _ => (true, true),
        };
        let reason = match (writes, network) {
            (false, false) => "it only reads",
            (false, true) => "it only reads, also from the service that it is configured for",
            (true, false) => "it works within the workspace",
            (true, true) if verdict.decision == Decision::Ask => "it was approved as it is",
            (true, true) => "what it needs is not known, or a rule of the host allows it",
        };
        Self { writes, network, reason: reason.to_owned() }
    }
}

/// The confinement with less and less in it, made once.
#[derive(Debug)]
pub(super) struct Confinements {
    full: Arc<SandboxPolicy>,
    offline: Arc<SandboxPolicy>,
    read_only: Arc<SandboxPolicy>,
    reads_remote: Arc<SandboxPolicy>,
}

impl Confinements {
    pub(super) fn new(full: SandboxPolicy) -> Self {
        let offline = |policy: &SandboxPolicy| {
            if policy.network == Network::None { None } else { Some(policy.without_network()) }
        };
        let full = Arc::new(full);
        let shared = |policy: Option<SandboxPolicy>, otherwise: &Arc<SandboxPolicy>| {
            policy.map_or_else(|| Arc::clone(otherwise), Arc::new)
        };
        let reads_remote = shared(full.writable().next().is_some().then(|| full.without_writing()), &full);
        Self {
            offline: shared(offline(&full), &full),
            read_only: shared(offline(&reads_remote), &reads_remote),
            reads_remote,
            full,
        }
    }

    /// All that the host gives.
    pub(super) fn full(&self) -> &Arc<SandboxPolicy> {
        &self.full
    }

    /// The least that a command gets.
    pub(super) fn least(&self) -> &Arc<SandboxPolicy> {
        &self.read_only
    }

    pub(super) fn of(&self, privileges: &Privileges) -> Arc<SandboxPolicy> {
        Arc::clone(match (privileges.writes, privileges.network) {
            (true, true) => &self.full,
            (true, false) => &self.offline,
            (false, true) => &self.reads_remote,
            (false, false) => &self.read_only,
        })
    }
}
