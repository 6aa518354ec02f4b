//! Wiring an executor.

use super::privilege::Confinements;
use super::results::ResultCache;
use super::status::Activity;
use super::{PolicySource, SecureExecutor};
use crate::approval::{Approver, DynApprover, Grants, RefuseAll};
use crate::real_path::in_real_folder;
use crate::sandbox::{Sandbox, SandboxPolicy};
use crate::validate::{CommandPolicy, PolicyFile};
use codegenie_perf::{CacheBackend, NoCache};
use codegenie_security::{
    AccessControl, AuditEvent, AuditResult, AuditSink, DangerousNoAudit, EventClass, Retention, ThreatLevel,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Stands where an audit sink is still missing: an executor cannot be built over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoAuditYet;

/// Why an executor was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The policy grants no directory to work in.
    #[error("the sandbox policy grants no readable or writable directory: name a workspace")]
    NoWorkspace,
    /// The confinement cannot be used.
    #[error("the sandbox policy cannot be used: {0}")]
    Confinement(#[from] crate::sandbox::SandboxPolicyError),
    /// The sink would lose what it is told.
    #[error(
        "the audit sink does not keep events of commands, or of edits (it retains nothing, or declines their class): wire in one that does, \
         or say dangerous_without_audit()"
    )]
    NothingRecorded,
    /// A command could change what it is allowed to do.
    #[error(
        "the {what} {} lies where commands or edits may write, and decides what they may do: keep it outside of the workspace",
        path.display()
    )]
    #[non_exhaustive]
    WritableByCommands {
        /// `command policy`, `file of grants` or `editor's journal`.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// The editor would edit what no command may write.
    #[cfg(feature = "edit")]
    #[error("the editor's root {} lies in no writable path of the sandbox policy: edit within the workspace", root.display())]
    #[non_exhaustive]
    EditorOutside {
        /// The editor's root.
        root: PathBuf,
    },
}

/// Wires a [`SecureExecutor`]. Begun by [`SecureExecutor::builder`].
#[derive(Debug)]
pub struct ExecutorBuilder<S, A, C> {
    sandbox: S,
    audit: A,
    audit_waived: bool,
    cache: C,
    cache_ttl: Duration,
    access: Arc<AccessControl>,
    policy: PolicySource,
    confinement: SandboxPolicy,
    approver: DynApprover,
    approval_deadline: Duration,
    shown_bytes: usize,
    asks_about_unseen: bool,
    grants: Grants,
    #[cfg(feature = "edit")]
    editor: Option<crate::edit::Editor>,
}

impl<S> ExecutorBuilder<S, NoAuditYet, NoCache> {
    pub(super) fn new(sandbox: S, access: Arc<AccessControl>, confinement: SandboxPolicy) -> Self {
        Self {
            sandbox,
            audit: NoAuditYet,
            audit_waived: false,
            cache: NoCache,
            cache_ttl: Duration::from_secs(300),
            access,
            policy: PolicySource::Fixed(Arc::new(CommandPolicy::default())),
            confinement,
            approver: DynApprover::new(RefuseAll),
            approval_deadline: Duration::from_secs(300),
            shown_bytes: 64 << 10,
            asks_about_unseen: false,
            grants: Grants::in_memory(),
            #[cfg(feature = "edit")]
            editor: None,
        }
    }
}

impl<S, A, C> ExecutorBuilder<S, A, C> {
    fn with_audit<B>(self, audit: B, audit_waived: bool) -> ExecutorBuilder<S, B, C> {
        ExecutorBuilder {
            sandbox: self.sandbox,
            audit,
            audit_waived,
            cache: self.cache,
            cache_ttl: self.cache_ttl,
            access: self.access,
            policy: self.policy,
            confinement: self.confinement,
            approver: self.approver,
            approval_deadline: self.approval_deadline,
            shown_bytes: self.shown_bytes,
            asks_about_unseen: self.asks_about_unseen,
            grants: self.grants,
            #[cfg(feature = "edit")]
            editor: self.editor,
        }
    }

    /// Sets where every step is recorded. A tuple fans out to several sinks.
    pub fn audit<B: AuditSink>(self, audit: B) -> ExecutorBuilder<S, B, C> {
        self.with_audit(audit, false)
    }

    /// Records nothing. What agents do over this executor cannot be reconstructed.
    pub fn dangerous_without_audit(self) -> ExecutorBuilder<S, DangerousNoAudit, C> {
        self.with_audit(DangerousNoAudit, true)
    }

    /// Sets where results of pure commands are kept, and for how long at the most.
    pub fn cache<B: CacheBackend>(self, cache: B, ttl: Duration) -> ExecutorBuilder<S, A, B> {
        ExecutorBuilder {
            sandbox: self.sandbox,
            audit: self.audit,
            audit_waived: self.audit_waived,
            cache,
            cache_ttl: ttl,
            access: self.access,
            policy: self.policy,
            confinement: self.confinement,
            approver: self.approver,
            approval_deadline: self.approval_deadline,
            shown_bytes: self.shown_bytes,
            asks_about_unseen: self.asks_about_unseen,
            grants: self.grants,
            #[cfg(feature = "edit")]
            editor: self.editor,
        }
    }

    /// Sets the host's rules about commands. Without, only what is known of common programs holds,
    /// and everything else is asked about.
    #[must_use]
    pub fn command_policy(mut self, policy: CommandPolicy) -> Self {
        self.policy = PolicySource::Fixed(Arc::new(policy));
        self
    }

    /// Takes the host's rules from a file, and again when it changes. A change that does not load is
    /// recorded, and the rules stay as they were.
    #[must_use]
    pub fn command_policy_file(mut self, file: PolicyFile) -> Self {
        self.policy = PolicySource::File(file);
        self
    }

    /// Sets who is asked. Without, whatever would be asked is refused.
    #[must_use]
    pub fn approver(mut self, approver: impl Approver + 'static) -> Self {
        self.approver = DynApprover::new(approver);
        self
    }

    /// Sets where approvals are kept that hold for later runs; without, in memory.
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Sets what edits files for agents: [`SecureExecutor::edit`]. Its root must lie in a path that the confinement lets
    /// be written. What the confinement makes read-only or hides below it is not edited.
    #[cfg(feature = "edit")]
    #[must_use]
    pub fn editor(mut self, editor: crate::edit::Editor) -> Self {
        self.editor = Some(editor);
        self
    }

    /// Sets how many bytes of an edit's diff, and of a command's input, an approver is shown: 64 KiB by default. What is larger
    /// is refused where an approver would have to be asked.
    #[must_use]
    pub fn shown_bytes(mut self, bytes: usize) -> Self {
        self.shown_bytes = bytes;
        self
    }

    /// Asks an approver also about what they cannot see all of: inputs and diffs that are cut, see
    /// [`shown_bytes`](Self::shown_bytes), and binary files, of which size and hash are told. Whoever says yes to that does not
    /// know what they say yes to. Without this it is refused where somebody would have to be asked.
    #[must_use]
    pub fn dangerously_ask_about_unseen_content(mut self) -> Self {
        self.asks_about_unseen = true;
        self
    }

    /// Sets how long an approver has; five minutes by default. No answer in time is a refusal.
    #[must_use]
    pub fn approval_deadline(mut self, deadline: Duration) -> Self {
        self.approval_deadline = deadline;
        self
    }
}

impl<S: Sandbox, A: AuditSink, C: CacheBackend> ExecutorBuilder<S, A, C> {
    /// Checks what can be checked now, and builds the executor.
    pub fn build(self) -> Result<SecureExecutor<S, A, C>, BuildError> {
        let keeps = self.audit.retention() > Retention::None && self.audit.enabled(EventClass::Command);
        #[cfg(feature = "edit")]
        let keeps = keeps && (self.editor.is_none() || self.audit.enabled(EventClass::FileActivity));
        if !keeps && !self.audit_waived {
            return Err(BuildError::NothingRecorded);
        }
        let confinement = self.confinement.resolve().inspect_err(|error| {
            // Nothing will run, so nothing depends on whether this could be recorded.
            let _ = self.audit.record(
                &AuditEvent::new(EventClass::Configuration, "build executor", error.to_string())
                    .result(AuditResult::Failure)
                    .threat(ThreatLevel::Low),
            );
        })?;
        let workspace = confinement
            .writable()
            .next()
            .or_else(|| confinement.read.iter().find(|path| path.is_dir()))
            .cloned();
        let workspace = workspace.ok_or(BuildError::NoWorkspace)?;
        let policy = match &self.policy {
            PolicySource::File(file) => Some(("command policy", file.path())),
            PolicySource::Fixed(_) => None,
        };
        let kept: Vec<(&str, PathBuf)> = policy
            .into_iter()
            .chain(self.grants.path().map(|path| ("file of grants", path)))
            .map(|(what, path)| (what, path.to_path_buf()))
            .collect();
        for (what, path) in &kept {
            #[cfg(feature = "edit")]
            let edited = self.editor.as_ref().is_some_and(|editor| real(path).starts_with(editor.root()));
            #[cfg(not(feature = "edit"))]
            let edited = false;
            if edited
                || [real(path).as_path(), path.as_path()].iter().any(|path| confinement.lets_replace(path))
            {
                return Err(BuildError::WritableByCommands { what, path: path.clone() });
            }
        }
        let kept = kept.into_iter().flat_map(|(_, path)| [real(&path), path]);
        #[cfg(feature = "edit")]
        let kept = kept.chain(self.editor.iter().map(|editor| editor.state().to_path_buf()));
        let kept = kept.collect();
        #[cfg(feature = "edit")]
        if let Some(editor) = &self.editor {
            let root = editor.root();
            if !confinement.write.iter().any(|writable| root.starts_with(writable)) {
                return Err(BuildError::EditorOutside { root: root.to_path_buf() });
            }
            if confinement.lets_replace(editor.state()) {
                let (what, path) = ("editor's journal", editor.state().to_path_buf());
                return Err(BuildError::WritableByCommands { what, path });
            }
        }
        #[cfg(feature = "edit")]
        let editor = self.editor.map(|editor| editor.confined_to(&confinement)).transpose()?.map(Arc::new);
        Ok(SecureExecutor {
            sandbox: self.sandbox,
            audit: self.audit,
            results: ResultCache::new(self.cache, self.cache_ttl),
            access: self.access,
            policy: self.policy,
            confinements: Confinements::new(confinement, kept),
            shell: OnceCell::new(),
            workspace,
            approver: self.approver,
            approval_deadline: self.approval_deadline,
            shown_bytes: self.shown_bytes,
            asks_about_unseen: self.asks_about_unseen,
            grants: self.grants,
            activity: Activity::default(),
            #[cfg(feature = "edit")]
            editor,
        })
    }
}

/// Where a file is that may not be there yet.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| in_real_folder(path))
}
