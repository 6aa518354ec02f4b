//! The native sandbox where there is none: it compiles, and says so.

use crate::proxy::{ProxyLimits, Resolve};
use crate::sandbox::{
    EnforcementReport, Layer, RunOutput, Running, Sandbox, SandboxError, SandboxPolicy, SandboxRequest,
};
use std::io;

/// The native sandbox needs Linux on x86_64 or aarch64. On this system [`new`](Self::new) is always
/// an error: nothing is enforced here, and nothing is run.
#[derive(Clone, Debug)]
pub enum NativeSandbox {}

impl NativeSandbox {
    /// Always [`SandboxErrorKind::LayerUnavailable`](crate::SandboxErrorKind::LayerUnavailable) here.
    pub fn new() -> Result<Self, SandboxError> {
        Err(SandboxError::layer_unavailable(
            Layer::UserNamespace,
            "look for Linux namespaces",
            &io::Error::from(io::ErrorKind::Unsupported),
            "run the host on Linux (x86_64 or aarch64), or wire in a sandbox of your own",
        ))
    }

    /// As on Linux.
    #[must_use]
    pub fn resolver(self, _resolver: impl Resolve + 'static) -> Self {
        match self {}
    }

    /// As on Linux.
    #[must_use]
    pub fn proxy_limits(self, _limits: ProxyLimits) -> Self {
        match self {}
    }
}

impl Sandbox for NativeSandbox {
    async fn start(&self, _request: &SandboxRequest) -> Result<Running, SandboxError> {
        match *self {}
    }
    async fn enforcement(&self, _policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        match *self {}
    }
    async fn run(&self, _request: &SandboxRequest) -> Result<RunOutput, SandboxError> {
        match *self {}
    }
    fn name(&self) -> &str {
        match *self {}
    }
}
