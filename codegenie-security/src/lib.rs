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
#[cfg(feature = "audit-log")]
pub mod export;
#[cfg(feature = "crypto")]
mod files;
#[cfg(all(feature = "access", feature = "audit-log"))]
mod framework;
#[cfg(feature = "audit-log")]
mod query;
#[cfg(feature = "audit-log")]
mod report;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "audit-log")]
pub mod tlog;

#[cfg(feature = "access")]
pub use access::{
    AccessControl, AccessRequest, Attenuation, BadCondition, BadPattern, Clock, Condition, Consideration,
    Decision, Effect, Explanation, Lint, LintKind, LoginThrottle, ManualClock, MemorySessions,
    OpenSessionError, Pattern, Permission, PersistenceError, Policy, PolicyBuilder, PolicyError, PolicyFile,
    PolicyFileError, PolicyFormat, Reason, Reload, Role, Rule, RuleRef, Separation, Session, SessionError,
    SessionId, SessionPersistence, SessionRecord, SessionRequest, SessionStore, SessionToken, SystemClock,
    Throttled, TotpError, TotpVerifier,
};
#[cfg(all(feature = "access", feature = "crypto"))]
pub use access::{
    BadChain, ChainBlock, ChainError, ChainMemory, ChainToken, ChainVerifier, FileSessions, RevocationId,
    SeenOnce, VerifiedChain,
};
pub use audit::{
    AlertingSink, AuditAlert, AuditError, AuditErrorKind, AuditEvent, AuditResult, AuditSink, AuditValue,
    DangerousNoAudit, DetectingSink, DetectionRules, Detector, EventClass, OperationId, RedactingSink,
    Retention, ThreatLevel, redact,
};
#[cfg(feature = "audit-log")]
pub use audit_log::{
    Anchor, AnchorError, AnchorObjection, AnchorStatus, AnchorUpdate, AnchoredCheckpoint, AuditLog,
    AuditLogError, AuditLogOptions, AuditReader, BadAnchoredCheckpoint, CallbackAnchor, Durability, Fault,
    FaultKind, FileAnchor, RecordProof, RecordProofError, Records, Recovery, RetentionPolicy, Shredded,
    StoredEvent, Subscription, Verdict, Verification, WhenFull,
};
#[cfg(feature = "witness")]
pub use audit_log::{BadWitness, Cosigned, HttpWitness};
#[cfg(feature = "aws-lc")]
pub use crypto::AwsLc;
#[cfg(feature = "crypto")]
pub use crypto::{
    AeadBackend, AeadKey, AeadRefused, BadRecipientKey, BadVerifyingKey, FileError, FileErrorKind,
    FileOpener, FileSealer, Identity, KeyFile, KeyFileError, KeyId, KeyWrapper, Keyset, KeysetError,
    NoRandomness, OpenError, OpeningReader, Passphrase, PasswordError, PasswordHasher, PasswordMatch,
    RecipientKey, RecipientKind, RustCrypto, SealError, SealingKey, SealingWriter, SecretBytes, SecretString,
    Signature, SignatureRefused, SigningKey, Token, TokenHash, UnwrapError, VerifyingKey, WrapError,
    rewrap_file,
};
#[cfg(feature = "channel")]
pub use crypto::{ChannelError, ChannelIdentity, ChannelPeer, ChannelSecret, SecureChannel};
#[cfg(feature = "keyring")]
pub use crypto::{KeyringError, KeyringKey};
#[cfg(all(feature = "access", feature = "audit-log"))]
pub use framework::{FrameworkError, Login, LoginError, OperationError, SecurityContext, SecurityFramework};
#[cfg(feature = "audit-log")]
pub use query::{AuditPage, AuditQuery, AuditSummary, BadQuery, BadQueryKind, NameCount, NameCounts};
#[cfg(feature = "audit-log")]
pub use report::ComplianceReport;
