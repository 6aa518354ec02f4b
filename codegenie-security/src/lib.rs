#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod audit;

pub use audit::{
    AuditError, AuditErrorKind, AuditEvent, AuditResult, AuditSink, AuditValue, DangerousNoAudit, EventClass,
    OperationId, Retention, ThreatLevel,
};
