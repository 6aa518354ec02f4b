#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

#[cfg(codegenie_native)]
#[allow(unsafe_code, reason = "system calls that no crate wraps; every block says why it is sound")]
mod native;
mod sandbox;

#[cfg(codegenie_native)]
pub use native::NativeSandbox;
pub use sandbox::{
    DynSandbox, EndReason, EnforcementReport, Layer, LayerReport, LayerStatus, Limits, Network, OutputChunk,
    OutputStream, Requirement, ResourceUsage, RunOutput, Running, Sandbox, SandboxError, SandboxErrorKind,
    SandboxPolicy, SandboxPolicyError, SandboxProcess, SandboxRequest, SandboxStatus,
};
