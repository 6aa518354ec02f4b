//! The least that a command needs: derived from what was judged of it, never more than the host gives.

use crate::sandbox::{Network, SandboxPolicy};
use crate::validate::{Class, Decision, Verdict};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// What a command with this verdict needs, by what it does and not by who allowed it. What is not known, and code that
    /// the command does not show, gets all that the host gives: a build fetches as well as it writes. Where commands are to
    /// read only, a rule that allows one gives it no write access; who approves one does.
    pub(super) fn needed(verdict: &Verdict, only_reads: bool) -> Self {
        let may_connect = |class: Class| {
            matches!(class, Class::Network | Class::Unknown | Class::WritesOutside | Class::ExecutesCode)
        };
        let network = verdict.network || verdict.parts.iter().any(|part| may_connect(part.class));
        let needs_to_write = verdict.parts.iter().any(|part| part.class != Class::ReadOnly);
        let bounded = needs_to_write && only_reads && verdict.decision == Decision::Allow;
        let mut reason = match (verdict.class, network) {
            (Class::ReadOnly, false) => "it only reads".to_owned(),
            (Class::ReadOnly, true) => {
                "it only reads, also from the service that it is configured for".to_owned()
            }
            (Class::WritesWorkspace, true) => {
                "it works within the workspace, and with the service that it is configured for".to_owned()
            }
            (Class::WritesWorkspace, false) => "it works within the workspace".to_owned(),
            (class, _) => {
                let allowed = match verdict.decision {
                    Decision::Ask => "approved",
                    Decision::Allow | Decision::Deny => "allowed",
                };
                format!("it is {allowed} as it is, and {}", class.described())
            }
        };
        if bounded {
            reason.push_str("; the policy has commands read only");
        }
        Self { writes: needs_to_write && !bounded, network, reason }
    }
}

/// The confinement with less and less in it, made once for the folders that the rules add to it.
#[derive(Debug)]
pub(super) struct Confinements {
    /// Without any of those folders.
    own: Arc<Narrowed>,
    /// Files of the host's that no command may replace.
    kept: Vec<PathBuf>,
    /// The folders that the rules named last.
    widened: Mutex<(Vec<PathBuf>, Arc<Narrowed>)>,
}

impl Confinements {
    pub(super) fn new(full: SandboxPolicy, kept: Vec<PathBuf>) -> Self {
        let own = Arc::new(Narrowed::new(full));
        Self { widened: Mutex::new((Vec::new(), Arc::clone(&own))), own, kept }
    }

    /// Without the folders that rules add.
    pub(super) fn own(&self) -> &Narrowed {
        &self.own
    }

    /// With these folders, but for those that cannot be given, and those in which the host's own files lie.
    pub(super) fn with(&self, folders: Vec<PathBuf>) -> Arc<Narrowed> {
        if folders.is_empty() {
            return Arc::clone(&self.own);
        }
        let mut widened = self.widened.lock().unwrap_or_else(PoisonError::into_inner);
        if widened.0 != folders {
            let keeps = |policy: &SandboxPolicy| !self.kept.iter().any(|path| policy.lets_replace(path));
            let full = folders.iter().fold(SandboxPolicy::clone(&self.own.full), |policy, folder| {
                policy.with_folder(folder).filter(keeps).unwrap_or(policy)
            });
            *widened = (folders, Arc::new(Narrowed::new(full)));
        }
        Arc::clone(&widened.1)
    }
}

/// One confinement with less and less in it.
#[derive(Debug)]
pub(super) struct Narrowed {
    full: Arc<SandboxPolicy>,
    offline: Arc<SandboxPolicy>,
    read_only: Arc<SandboxPolicy>,
    reads_remote: Arc<SandboxPolicy>,
}

impl Narrowed {
    fn new(full: SandboxPolicy) -> Self {
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
