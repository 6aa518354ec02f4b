#![cfg_attr(all(feature = "access", feature = "audit-log"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "access", feature = "audit-log")),
    doc = "The trait layer of codegenie-security, and whichever features are on. The README shows all of it."
)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "access")]
mod access;
mod audit;
#[cfg(feature = "audit-log")]
mod audit_log;
#[cfg(feature = "crypto")]
mod crypto;
#[cfg(feature = "crypto")]
mod files;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "access")]
pub use access::{
    AccessControl, BadPattern, Clock, Decision, Effect, ManualClock, OpenSessionError, Pattern, Policy,
    PolicyBuilder, PolicyError, Reason, Role, Rule, Session, SessionError, SessionId, SessionRequest,
    SessionStore, SessionToken, SystemClock,
};
pub use audit::{
    AuditError, AuditErrorKind, AuditEvent, AuditResult, AuditSink, AuditValue, DangerousNoAudit, EventClass,
    OperationId, Retention, ThreatLevel,
};
#[cfg(feature = "audit-log")]
pub use audit_log::{
    AuditLog, AuditLogError, Fault, FaultKind, FaultyFile, Records, Recovery, StoredEvent, Verdict,
    Verification,
};
#[cfg(feature = "crypto")]
pub use crypto::{
    BadVerifyingKey, KeyFile, KeyFileError, KeyId, NoRandomness, OpenError, SealError, SealingKey,
    SecretBytes, SecretString, Signature, SignatureRefused, SigningKey, VerifyingKey,
};
