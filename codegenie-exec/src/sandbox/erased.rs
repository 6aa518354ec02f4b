//! The erased mirror of [`Sandbox`]: one type for sandboxes that are chosen at run time.

use super::{
    EnforcementReport, RunOutput, Running, Sandbox, SandboxError, SandboxPolicy, SandboxRequest, Shell,
};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SandboxError>> + Send + 'a>>;

trait ErasedSandbox: Send + Sync {
    fn start<'a>(&'a self, request: &'a SandboxRequest) -> BoxFuture<'a, Running>;
    fn enforcement<'a>(&'a self, policy: &'a SandboxPolicy) -> BoxFuture<'a, EnforcementReport>;
    fn run<'a>(&'a self, request: &'a SandboxRequest) -> BoxFuture<'a, RunOutput>;
    fn shell<'a>(&'a self, policy: &'a SandboxPolicy) -> BoxFuture<'a, Option<Shell>>;
    fn name(&self) -> &str;
}

impl<T: Sandbox> ErasedSandbox for T {
    fn start<'a>(&'a self, request: &'a SandboxRequest) -> BoxFuture<'a, Running> {
        Box::pin(Sandbox::start(self, request))
    }
    fn enforcement<'a>(&'a self, policy: &'a SandboxPolicy) -> BoxFuture<'a, EnforcementReport> {
        Box::pin(Sandbox::enforcement(self, policy))
    }
    fn run<'a>(&'a self, request: &'a SandboxRequest) -> BoxFuture<'a, RunOutput> {
        Box::pin(Sandbox::run(self, request))
    }
    fn shell<'a>(&'a self, policy: &'a SandboxPolicy) -> BoxFuture<'a, Option<Shell>> {
        Box::pin(Sandbox::shell(self, policy))
    }
    fn name(&self) -> &str {
        Sandbox::name(self)
    }
}

/// Any [`Sandbox`] behind one type. Cloning shares it.
#[derive(Clone)]
pub struct DynSandbox(Arc<dyn ErasedSandbox>);

impl DynSandbox {
    /// Erases the type of `sandbox`.
    pub fn new(sandbox: impl Sandbox + 'static) -> Self {
        Self(Arc::new(sandbox))
    }
}

impl fmt::Debug for DynSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynSandbox").field(&self.0.name()).finish()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Sandbox for DynSandbox {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        self.0.start(request).await
    }
    async fn enforcement(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        self.0.enforcement(policy).await
    }
    async fn run(&self, request: &SandboxRequest) -> Result<RunOutput, SandboxError> {
        self.0.run(request).await
    }
    async fn shell(&self, policy: &SandboxPolicy) -> Result<Option<Shell>, SandboxError> {
        self.0.shell(policy).await
    }
    fn name(&self) -> &str {
        self.0.name()
    }
}
