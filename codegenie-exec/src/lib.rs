#![cfg_attr(all(codegenie_native, feature = "executor"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(codegenie_native, feature = "executor")),
    doc = "The trait layer of codegenie-exec, and whichever features are on. The README shows all of it."
)]
#![deny(unsafe_code)]

#[cfg(feature = "executor")]
mod approval;
#[cfg(feature = "native")]
mod background;
#[cfg(any(codegenie_native, all(feature = "edit", target_os = "linux")))]
mod beneath;
#[cfg(any(codegenie_native, all(feature = "edit", target_os = "linux")))]
mod codec;
#[cfg(feature = "executor")]
mod command;
#[cfg(all(feature = "container", unix))]
mod container;
#[cfg(feature = "edit")]
mod edit;
#[cfg(feature = "executor")]
mod executor;
mod gate;
#[cfg(feature = "lifecycle")]
mod lifecycle;
#[cfg(any(codegenie_native, all(feature = "edit", target_os = "linux")))]
#[allow(unsafe_code, reason = "a system call that no crate wraps so; every block says why it is sound")]
#[path = "native/lock.rs"]
mod lock;
#[cfg(codegenie_native)]
#[allow(unsafe_code, reason = "system calls that no crate wraps; every block says why it is sound")]
mod native;
#[cfg(codegenie_native)]
mod overlay;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(any(codegenie_native, all(feature = "edit", target_os = "linux")))]
mod quoted;
#[cfg(feature = "executor")]
mod real_path;
mod sandbox;
#[cfg(feature = "executor")]
mod stamp;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(all(feature = "native", not(codegenie_native)))]
mod unavailable;
#[cfg(feature = "native")]
mod unconfined;
#[cfg(feature = "executor")]
mod validate;
#[cfg(any(codegenie_native, all(feature = "container", unix)))]
#[cfg_attr(
    not(codegenie_native),
    allow(dead_code, reason = "the system's part of a view is the native sandbox's alone")
)]
mod view;
#[cfg(any(codegenie_native, all(feature = "edit", target_os = "linux")))]
#[allow(unsafe_code, reason = "system calls that no crate here wraps; every block says why it is sound")]
#[path = "native/xattr.rs"]
mod xattr;

#[cfg(feature = "executor")]
pub use approval::{
    Approval, ApprovalQueue, ApprovalRequest, ApproveWith, Approver, Binding, Grant, GrantScope, Grants,
    GrantsError, NoSuchQuestion, PendingApproval, PromptApprover, RefuseAll, RevokeError, approve_with,
};
#[cfg(feature = "native")]
pub use background::Background;
#[cfg(feature = "executor")]
pub use command::{
    CommandLine, CommandRequest, DynamicWord, ParsedCommand, Redirect, SimpleCommand, VariableValue, Word,
};
#[cfg(feature = "executor")]
pub use validate::{
    ApprovalPolicy, Class, CommandPolicy, CommandRule, Decision, Judgement, ParseError, Permissions,
    PolicyFile, PolicyFileError, PolicyLint, PolicyProfile, SandboxMode, UnknownCommand, Verdict,
};

#[cfg(feature = "edit")]
pub use edit::{
    Applied, BadHash, BadUndoId, ContentHash, Edit, EditError, EditLimits, Editor, FileChange, FilePatch,
    HunkPlace, Patch, PatchError, PatchLimits, Patched, Preview, Recovery, Refusal, UndoId,
};
#[cfg(all(feature = "edit", feature = "executor"))]
pub use executor::EditExecution;
#[cfg(feature = "executor")]
pub use executor::{
    ActiveOperation, BuildError, ExecError, Execution, ExecutorBuilder, ExecutorStatus, ExecutorTotals,
    NoAuditYet, OperationStage, Privileges, SecureExecutor,
};
pub use gate::{ContentGate, GateFinding, GateSeverity};
#[cfg(feature = "lifecycle")]
pub use lifecycle::{
    LifecycleError, NamedSandbox, OwnerUsage, SandboxOptions, SandboxQuota, SandboxRegistry, SandboxSnapshot,
    SandboxState, SandboxUsage,
};
/// What the fuzz targets call; there under `--cfg fuzzing` only.
#[cfg(all(codegenie_native, fuzzing))]
#[doc(hidden)]
pub use overlay::fuzzing;

#[cfg(all(feature = "container", unix))]
pub use container::{ContainerSandbox, ContainerSandboxBuilder};
#[cfg(codegenie_native)]
pub use native::NativeSandbox;
#[cfg(codegenie_native)]
pub use overlay::{
    Change, ChangeKind, Committed, CowDiff, CowError, CowErrorKind, CowLimits, CowWorkspace, FileKind,
    FileState, Recovered,
};
pub use sandbox::{
    Access, Attempt, Denial, DynSandbox, EndReason, EnforcementReport, Layer, LayerReport, LayerStatus,
    Limits, Network, OutputChunk, OutputStream, Overlay, Requirement, ResourceUsage, RunOutput, Running,
    Sandbox, SandboxError, SandboxErrorKind, SandboxPolicy, SandboxPolicyError, SandboxProcess,
    SandboxRequest, SandboxStatus, Shell, Signal, Stdio, TerminalSize,
};
pub use sandbox::{ConnectionEvent, ConnectionObserver, ConnectionStage, DomainRule, HostName, Observed};
#[cfg(all(feature = "native", not(codegenie_native)))]
pub use unavailable::NativeSandbox;
#[cfg(feature = "native")]
pub use unconfined::DangerousNoSandbox;

// The traits and types of the sibling crates that appear in this crate's API.
pub use codegenie_perf::{CacheBackend, NoCache};
#[cfg(feature = "executor")]
pub use codegenie_security::AccessControl;
pub use codegenie_security::{AuditSink, DangerousNoAudit, OperationId};
