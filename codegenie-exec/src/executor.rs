//! The one path on which a command runs: session, permission, policy, approval, record, confinement, record.

mod builder;
mod connections;
#[cfg(feature = "edit")]
mod edit;
mod error;
mod permission;
mod privilege;
mod record;
mod results;
mod shell;
mod status;

pub use builder::{BuildError, ExecutorBuilder, NoAuditYet};
#[cfg(feature = "edit")]
pub use edit::EditExecution;
pub use error::ExecError;
pub use privilege::Privileges;
pub use status::{ActiveOperation, ExecutorStatus, ExecutorTotals, OperationStage};

use self::connections::Connections;
use self::privilege::Confinements;
use self::record::{Outcome, Recorder};
use self::results::ResultCache;
use self::status::{Activity, Watch};
use crate::approval::{Approval, ApprovalRequest, Binding, DynApprover, Grants, seen};
use crate::command::{CommandRequest, ParsedCommand};
use crate::sandbox::{
    DynSandbox, EnforcementReport, Network, RunOutput, Sandbox, SandboxError, SandboxPolicy, SandboxRequest,
    Shell,
};
use crate::validate::{self, CommandPolicy, Decision, PolicyFile, Verdict};
use codegenie_perf::{CacheBackend, CacheStats, NoCache};
use codegenie_security::{AccessControl, AuditSink, OperationId, Session};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// Runs the commands of agents: nothing unchecked, nothing unconfined, nothing unrecorded.
///
/// [`execute`](Self::execute) goes one way only: the session is validated, the command parsed, the
/// permission for each of its programs checked, the policy asked, an approver asked where the
/// policy says so, the intent recorded, the result looked up where the policy calls the command
/// pure, the command run in the sandbox, and the outcome recorded. Whatever fails ends the way
/// there, is recorded, and nothing runs; if the intent cannot be recorded, nothing runs either. A
/// command that runs already is not ended by its session's end: drop the future for that.
///
/// The three parameters are the host's own sandbox, audit sink and cache, or ours.
/// [`into_dyn`](Self::into_dyn) erases them.
#[derive(Debug)]
pub struct SecureExecutor<S, A, C = NoCache> {
    sandbox: S,
    audit: A,
    results: ResultCache<C>,
    access: Arc<AccessControl>,
    policy: PolicySource,
    confinements: Confinements,
    /// Of the sandbox, once it was asked.
    shell: OnceCell<Option<Shell>>,
    workspace: PathBuf,
    approver: DynApprover,
    approval_deadline: Duration,
    /// How much of a diff or an input an approver is shown.
    shown_bytes: usize,
    asks_about_unseen: bool,
    grants: Grants,
    activity: Activity,
    #[cfg(feature = "edit")]
    editor: Option<Arc<crate::edit::Editor>>,
}

/// Where the host's rules come from.
#[derive(Debug)]
enum PolicySource {
    Fixed(Arc<CommandPolicy>),
    File(PolicyFile),
}

/// A command that ran, and how it came to run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Execution {
    /// Joins the command's audit events.
    pub operation: OperationId,
    /// What the policy said.
    pub verdict: Verdict,
    /// What the approver said, where one was asked.
    pub approval: Option<Approval>,
    /// What it was given of the host's confinement.
    pub privileges: Privileges,
    /// What came out.
    pub output: RunOutput,
    /// The result was taken from the cache; nothing ran this time.
    pub from_cache: bool,
}

impl<S: Sandbox> SecureExecutor<S, NoAuditYet, NoCache> {
    /// Begins to wire an executor. `confinement` is what every command runs under; its first
    /// writable path, or else its first readable directory, is the workspace.
    pub fn builder(
        sandbox: S,
        access: impl Into<Arc<AccessControl>>,
        confinement: SandboxPolicy,
    ) -> ExecutorBuilder<S, NoAuditYet, NoCache> {
        ExecutorBuilder::new(sandbox, access.into(), confinement)
    }
}

impl<S, A, C> SecureExecutor<S, A, C>
where
    S: Sandbox + 'static,
    A: AuditSink + 'static,
    C: CacheBackend + 'static,
{
    /// The same executor with its parameters erased, for hosts that store it beside others.
    pub fn into_dyn(self) -> SecureExecutor<DynSandbox, Arc<dyn AuditSink>, Arc<dyn CacheBackend>> {
        SecureExecutor {
            sandbox: DynSandbox::new(self.sandbox),
            audit: Arc::new(self.audit),
            results: self.results.map(|cache| Arc::new(cache) as Arc<dyn CacheBackend>),
            access: self.access,
            policy: self.policy,
            confinements: self.confinements,
            shell: self.shell,
            workspace: self.workspace,
            approver: self.approver,
            approval_deadline: self.approval_deadline,
            shown_bytes: self.shown_bytes,
            asks_about_unseen: self.asks_about_unseen,
            grants: self.grants,
            activity: self.activity,
            #[cfg(feature = "edit")]
            editor: self.editor,
        }
    }
}

impl<S: Sandbox, A: AuditSink, C: CacheBackend> SecureExecutor<S, A, C> {
    /// Runs one command for the session that `token` opens.
    ///
    /// The recording calls of the audit sink are made on the calling task. When the returned future is
    /// dropped, the command's whole process tree ends, and that is recorded.
    pub async fn execute(
        &self,
        token: impl AsRef<str> + Send,
        request: &CommandRequest,
    ) -> Result<Execution, ExecError> {
        let watch = self.activity.watch();
        let result = self.execute_watched(token.as_ref(), request, &watch).await;
        watch.ended(result)
    }

    async fn execute_watched(
        &self,
        token: &str,
        request: &CommandRequest,
        watch: &Watch<'_>,
    ) -> Result<Execution, ExecError> {
        let line = request.line.display();
        let mut recorder = Recorder::new(&self.audit, &line);

        let session = match self.access.validate(token) {
            Ok(session) => session,
            Err(error) => return Err(recorder.refuse_session(error)),
        };
        recorder.session(&session);
        watch.begun(recorder.operation(), &line, &session);

        let parsed = match validate::parse(&request.line) {
            Ok(parsed) => parsed,
            Err(error) => return Err(recorder.refuse_unparsable(error)),
        };
        let cwd = request.cwd.clone().unwrap_or_else(|| self.workspace.clone());
        self.permit(&recorder, &session, &parsed, &cwd)?;

        let mut policy = self.policy(&recorder)?;
        let mut verdict = validate::judge(&policy, request, &parsed, Some(&self.workspace));
        recorder.verdict(&verdict);
        if verdict.decision == Decision::Deny {
            return Err(recorder.refuse_by_policy(verdict));
        }
        let shell = self.shell_for(&recorder, request, &parsed).await?;
        let approval = match verdict.decision {
            Decision::Allow | Decision::Deny => None,
            Decision::Ask => {
                let binding = Binding::new(request, &cwd, &session);
                let held = self.grants.find(&binding, verdict.class);
                let (approval, waited) = match held {
                    Some(approval) => (approval, Duration::ZERO),
                    None => {
                        watch.stage(OperationStage::Asking);
                        self.ask(recorder.operation(), &session, &line, request, &cwd, &verdict).await
                    }
                };
                recorder.approval(&approval, waited)?;
                if approval.granted
                    && let Err(error) = self.grants.insert(binding, &approval, verdict.class, &line)
                {
                    // It holds for this run; that it could not be kept for later ones is on record.
                    recorder.grant_not_kept(&error)?;
                }
                if !approval.granted {
                    return Err(recorder.refuse_by_approver(verdict, approval));
                }
                Some(approval)
            }
        };
        // Approval takes time: what was true before it may not be any more.
        if let Err(error) = self.access.validate(token) {
            return Err(recorder.refuse_session(error));
        }
        self.permit(&recorder, &session, &parsed, &cwd)?;
        if approval.is_some() {
            policy = self.policy(&recorder)?;
            let now = validate::judge(&policy, request, &parsed, Some(&self.workspace));
            verdict = agreed_still(&mut recorder, &verdict, now)?;
        }

        let privileges = Privileges::needed(&verdict, policy.only_reads());
        let confinement = self.confinements.with(validate::folders(&policy, &self.workspace)).of(&privileges);
        let mut to_run = sandbox_request(request, &parsed, shell.as_ref(), cwd, confinement);
        let connections = match to_run.policy.network {
            Network::Domains(_) => Some(Connections::observe(&mut to_run)),
            _ => None,
        };
        let intent = recorder.intent(&to_run, self.sandbox.name(), &privileges)?;
        watch.stage(OperationStage::Running);
        let run = self.run(&to_run, verdict.pure);
        let (result, from_cache) = match connections {
            // Recorded here, while the command runs: a connection that cannot be recorded is not opened.
            Some(connections) => connections.record_during(run, &recorder).await,
            None => run.await,
        };
        let output = match result {
            Ok(output) => output,
            Err(error) => return Err(intent.not_run(error)),
        };
        watch.came_out(output.status.reason, from_cache);
        let outcome = Outcome { output: &output, from_cache };
        let recorded = intent.done(&outcome);
        let operation = recorder.operation();
        let execution = Execution { operation, verdict, approval, privileges, output, from_cache };
        match recorded {
            Ok(()) => Ok(execution),
            Err(error) => Err(ExecError::outcome_not_recorded(execution, error)),
        }
    }

    /// What the sandbox enforces on this executor's commands.
    pub async fn enforcement(&self) -> Result<EnforcementReport, SandboxError> {
        self.sandbox.enforcement(self.confinements.own().full()).await
    }

    /// Forgets cached results: for hosts that change the workspace by other ways than this executor.
    pub fn workspace_changed(&self) {
        self.results.workspace_changed();
    }

    /// What the cache of results did so far.
    pub fn cache_stats(&self) -> CacheStats {
        self.results.stats()
    }

    /// What it does now and did so far.
    pub fn status(&self) -> ExecutorStatus {
        let cache = self.results.stats();
        let active = self.activity.active();
        let (policy_file, policy_problem) = match &self.policy {
            PolicySource::Fixed(_) => (None, None),
            PolicySource::File(file) => (Some(file.path().to_owned()), file.problem()),
        };
        ExecutorStatus {
            sandbox: self.sandbox.name().to_owned(),
            workspace: self.workspace.clone(),
            pending_approvals: active.iter().filter(|one| one.stage == OperationStage::Asking).count(),
            active,
            totals: self.activity.totals(),
            grants: self.grants.list().len(),
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            policy_file,
            policy_problem,
        }
    }

    /// Approvals that hold for later runs.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The audit sink.
    pub fn audit(&self) -> &A {
        &self.audit
    }

    /// The policy as it is now. A file that does not load any more leaves the one that was loaded last, and
    /// that is recorded.
    fn policy(&self, recorder: &Recorder<'_, A>) -> Result<Arc<CommandPolicy>, ExecError> {
        match &self.policy {
            PolicySource::Fixed(policy) => Ok(Arc::clone(policy)),
            PolicySource::File(file) => {
                let refreshed = file.refresh();
                recorder.policy_file(file.path(), &refreshed)?;
                Ok(file.current())
            }
        }
    }

    fn permit(
        &self,
        recorder: &Recorder<'_, A>,
        session: &Session,
        parsed: &ParsedCommand,
        cwd: &Path,
    ) -> Result<(), ExecError> {
        match permission::refused(&self.access, session, parsed, cwd) {
            None => Ok(()),
            Some((resource, decision)) => Err(recorder.refuse_permission("execute", &resource, &decision)),
        }
    }

    async fn ask(
        &self,
        operation: OperationId,
        session: &Session,
        command: &str,
        asked: &CommandRequest,
        cwd: &Path,
        verdict: &Verdict,
    ) -> (Approval, Duration) {
        let since = Instant::now();
        if asked.stdin.len() > self.shown_bytes && !self.asks_about_unseen {
            let note = format!(
                "nobody can agree to what they are not shown: its input of {} bytes is longer than {}; put it into a file, \
                 or have the host say that it is to be asked about all the same",
                asked.stdin.len(),
                self.shown_bytes
            );
            return (Approval::refused("nobody", note), since.elapsed());
        }
        let request = ApprovalRequest {
            operation,
            user: session.user().to_owned(),
            agent: session.agent().map(str::to_owned),
            command: command.to_owned(),
            cwd: cwd.to_path_buf(),
            environment: asked.env.clone(),
            input: (!asked.stdin.is_empty()).then(|| seen(&asked.stdin, self.shown_bytes)),
            diff: None,
            // What is approved is not bounded by the mode.
            privileges: Some(Privileges::needed(verdict, false)),
            deadline: self.approval_deadline,
            verdict: verdict.clone(),
        };
        (self.answered(&request).await, since.elapsed())
    }

    /// The approver's answer, or a refusal where it does not come in time.
    async fn answered(&self, request: &ApprovalRequest) -> Approval {
        let since = Instant::now();
        match tokio::time::timeout(self.approval_deadline, self.approver.decide(request)).await {
            // One that blocked its thread was not interrupted, and is as late.
            Ok(approval) if since.elapsed() <= self.approval_deadline => approval,
            Ok(_) | Err(_) => {
                let seconds = self.approval_deadline.as_secs();
                Approval::refused("nobody", format!("no answer within {seconds} s"))
            }
        }
    }

    async fn run(&self, request: &SandboxRequest, pure: bool) -> (Result<RunOutput, SandboxError>, bool) {
        if !pure {
            let _meanwhile = self.results.workspace_changes();
            return (self.sandbox.run(request).await, false);
        }
        let seen = self.results.generation();
        if let Some(output) = self.results.get(request) {
            return (Ok(output), true);
        }
        let result = self.sandbox.run(request).await;
        if let Ok(output) = &result {
            self.results.put(request, output, seen);
        }
        (result, false)
    }
}

/// What the policy says after somebody agreed, unless that is not what they agreed to.
fn agreed_still<A: AuditSink>(
    recorder: &mut Recorder<'_, A>,
    agreed_to: &Verdict,
    now: Verdict,
) -> Result<Verdict, ExecError> {
    recorder.verdict(&now);
    match now.decision {
        Decision::Deny => Err(recorder.refuse_by_policy(now)),
        Decision::Ask if now != *agreed_to => {
            let note = "the policy changed while somebody was asked: send it again";
            Err(recorder.refuse_by_approver(now, Approval::refused("nobody", note)))
        }
        Decision::Ask | Decision::Allow => Ok(now),
    }
}

fn sandbox_request(
    request: &CommandRequest,
    parsed: &ParsedCommand,
    shell: Option<&Shell>,
    cwd: PathBuf,
    confinement: Arc<SandboxPolicy>,
) -> SandboxRequest {
    let (program, args) = match shell {
        Some(shell) => (shell.path().into(), vec!["-c".to_owned(), request.line.display()]),
        None => {
            let simple = parsed.commands.first().and_then(|command| command.literal_words());
            let mut words = simple.unwrap_or_default().into_iter().map(str::to_owned);
            // Without words there is no program, which a sandbox refuses.
            (OsString::from(words.next().unwrap_or_default()), words.collect())
        }
    };
    let mut to_run =
        SandboxRequest::new(program, confinement).args(args).cwd(cwd).stdin(request.stdin.clone());
    to_run.env.extend(request.env.iter().map(|(name, value)| (name.into(), value.into())));
    to_run
}
