//! The sandbox trait layer: [`Sandbox`], what it is asked to run, what it answers.
//!
//! Only std and the crate's own types appear here, so that implementing the trait costs a third
//! party no dependency.

mod connection;
pub(crate) mod defaults;
mod denial;
mod domain;
mod erased;
mod error;
mod overlay;
mod policy;
mod process;
mod report;
mod shell;

pub use connection::{ConnectionEvent, ConnectionObserver, ConnectionStage, Observed};
pub use denial::{Access, Denial};
pub use domain::{DomainRule, HostName};
#[cfg(feature = "proxy")]
pub(crate) use domain::{HostPattern, rule_for};
pub use erased::DynSandbox;
pub use error::{SandboxError, SandboxErrorKind};
pub use overlay::Overlay;
pub use policy::{Limits, Network, SandboxPolicy, SandboxPolicyError};
pub use process::{
    EndReason, OutputChunk, OutputStream, ResourceUsage, RunOutput, Running, SandboxProcess, SandboxStatus,
    Signal, TerminalSize,
};
pub use report::{Attempt, EnforcementReport, Layer, LayerReport, LayerStatus, Requirement};
pub use shell::Shell;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

/// Runs commands confined.
///
/// The contract, which the conformance kit (feature `testing`) checks:
/// - a command runs under everything that its policy requires, or it does not run: there is no
///   fallback to running unconfined;
/// - nothing of the host's environment reaches the command, only what the request and its policy name;
/// - when the returned [`Running`] is dropped, or a limit is reached, the whole process tree ends;
/// - the report says what is enforced, and claims nothing else.
///
/// [`start`](Self::start) is the primitive; [`run`](Self::run) collects its output.
pub trait Sandbox: Send + Sync {
    /// Starts a command. An error means that nothing of the command ran.
    fn start(&self, request: &SandboxRequest) -> impl Future<Output = Result<Running, SandboxError>> + Send;

    /// What this sandbox enforces on this machine for `policy`, found out by confining something
    /// harmless under it.
    fn enforcement(
        &self,
        policy: &SandboxPolicy,
    ) -> impl Future<Output = Result<EnforcementReport, SandboxError>> + Send;

    /// Runs a command to its end and collects what it printed, up to the policy's output limit.
    fn run(&self, request: &SandboxRequest) -> impl Future<Output = Result<RunOutput, SandboxError>> + Send {
        async { self.start(request).await?.collect().await }
    }

    /// The shell by which a command that takes one is executed under `policy`. `None`: none is known, and such
    /// commands are refused. Without an implementation of its own, the sandbox's `/bin/sh` is run once and looks for
    /// bash at the usual places; an executor asks once.
    fn shell(
        &self,
        policy: &SandboxPolicy,
    ) -> impl Future<Output = Result<Option<Shell>, SandboxError>> + Send {
        shell::ask(self, policy)
    }

    /// The sandbox's name in reports, audit events and messages.
    fn name(&self) -> &str;
}

/// What a command's standard streams are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stdio {
    /// Output goes to the host; what there is to read is in the request.
    #[default]
    Captured,
    /// Output goes to the host, and the host writes input while the command runs:
    /// [`Running::write_input`].
    Piped,
    /// All three are a terminal of this size, private to the sandbox. What is printed comes as standard
    /// output, in the terminal's manner: lines end with carriage returns.
    Terminal(TerminalSize),
}

/// One command and the policy that confines it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SandboxRequest {
    /// The program: a path, or a name that is looked up in the request's own `PATH`.
    pub program: OsString,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// The working directory: an absolute path that the policy makes readable.
    pub cwd: PathBuf,
    /// Added to the policy's environment, and stronger. Nothing is inherited from the host.
    pub env: BTreeMap<OsString, OsString>,
    /// What the command reads from its standard input. Empty: it reads end of file at once.
    pub stdin: Vec<u8>,
    /// What its standard streams are.
    pub stdio: Stdio,
    /// The confinement.
    pub policy: Arc<SandboxPolicy>,
    /// Who is told of every connection, where the policy permits some ([`Network::Domains`]), and without
    /// whose consent none is opened.
    pub observer: Option<Arc<dyn ConnectionObserver>>,
}

impl SandboxRequest {
    /// A request that runs `program` in the first writable path of `policy`, copy-on-write or not, or
    /// in `/tmp`.
    pub fn new(program: impl Into<OsString>, policy: impl Into<Arc<SandboxPolicy>>) -> Self {
        let policy = policy.into();
        let cwd = policy.writable().next().cloned();
        Self {
            program: program.into(),
            args: Vec::new(),
            cwd: cwd.unwrap_or_else(|| PathBuf::from("/tmp")),
            env: BTreeMap::new(),
            stdin: Vec::new(),
            stdio: Stdio::default(),
            policy,
            observer: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I, T>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = cwd.into();
        self
    }

    /// Sets one variable of the command's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets what the command reads from its standard input.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Sets what the command's standard streams are.
    #[must_use]
    pub fn stdio(mut self, stdio: Stdio) -> Self {
        self.stdio = stdio;
        self
    }

    /// Sets who is told of every connection.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn ConnectionObserver>) -> Self {
        self.observer = Some(observer);
        self
    }
}

impl SandboxRequest {
    /// For implementors: checks what would be misread rather than refused, such as names of variables
    /// that hold a `=`.
    pub fn check(&self) -> Result<(), SandboxError> {
        if self.program.is_empty() {
            return Err(SandboxError::invalid_request("the request names no program; nothing was run"));
        }
        let bad = |name: &&OsString| name.is_empty() || name.as_encoded_bytes().contains(&b'=');
        match self.env.keys().find(bad) {
            None => Ok(()),
            Some(name) => Err(SandboxError::invalid_request(format!(
                "environment variable {name:?}: a name is not empty and holds no '='; nothing was run"
            ))),
        }
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: Sandbox + ?Sized> Sandbox for $pointer {
            fn start(&self, request: &SandboxRequest) -> impl Future<Output = Result<Running, SandboxError>> + Send {
                (**self).start(request)
            }
            fn enforcement(
                &self,
                policy: &SandboxPolicy,
            ) -> impl Future<Output = Result<EnforcementReport, SandboxError>> + Send {
                (**self).enforcement(policy)
            }
            fn run(&self, request: &SandboxRequest) -> impl Future<Output = Result<RunOutput, SandboxError>> + Send {
                (**self).run(request)
            }
            fn shell(
                &self,
                policy: &SandboxPolicy,
            ) -> impl Future<Output = Result<Option<Shell>, SandboxError>> + Send {
                (**self).shell(policy)
            }
            fn name(&self) -> &str {
                (**self).name()
            }
        }
    )*};
}

forward_to_pointee!(&T, Box<T>, Arc<T>);
