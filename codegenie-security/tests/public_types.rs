//! Promises about the public types as such.

fn send_sync<T: Send + Sync>() {}

#[test]
fn public_types_are_send_and_sync() {
    use codegenie_security as s;
    send_sync::<s::AuditEvent>();
    send_sync::<s::AuditError>();
    send_sync::<s::DangerousNoAudit>();
    send_sync::<Box<dyn s::AuditSink>>();
    send_sync::<s::Detector>();
    send_sync::<s::DetectionRules>();
    send_sync::<s::DetectingSink<s::DangerousNoAudit>>();
    #[cfg(feature = "crypto")]
    {
        send_sync::<s::SealingKey>();
        send_sync::<s::KeyFile>();
        send_sync::<s::KeyFileError>();
        send_sync::<s::SealError>();
        send_sync::<s::OpenError>();
        send_sync::<s::FileSealer<'_>>();
        send_sync::<s::FileOpener<'_>>();
        send_sync::<s::FileError>();
        send_sync::<s::SealingWriter<Vec<u8>>>();
        send_sync::<s::OpeningReader<&[u8]>>();
        send_sync::<s::Identity>();
        send_sync::<s::RecipientKey>();
        send_sync::<s::SigningKey>();
        send_sync::<s::VerifyingKey>();
        send_sync::<s::PasswordHasher>();
        send_sync::<s::Keyset>();
        send_sync::<Box<dyn s::KeyWrapper>>();
    }
    #[cfg(feature = "access")]
    {
        send_sync::<s::AccessControl>();
        send_sync::<s::Policy>();
        send_sync::<s::PolicyError>();
        send_sync::<s::Pattern>();
        send_sync::<s::Decision>();
        send_sync::<s::Session>();
        send_sync::<s::SessionToken>();
        send_sync::<s::SessionStore>();
        send_sync::<s::SessionError>();
        send_sync::<s::OpenSessionError>();
        send_sync::<s::SystemClock>();
        send_sync::<s::ManualClock>();
        send_sync::<s::PolicyFile>();
        send_sync::<s::TotpVerifier>();
        send_sync::<s::LoginThrottle>();
        send_sync::<Box<dyn s::SessionPersistence>>();
    }
    #[cfg(all(feature = "access", feature = "crypto"))]
    {
        send_sync::<s::ChainToken>();
        send_sync::<s::ChainVerifier>();
        send_sync::<s::FileSessions>();
        send_sync::<Box<dyn s::ChainMemory>>();
    }
    #[cfg(all(feature = "access", feature = "audit-log"))]
    send_sync::<s::SecurityFramework>();
    #[cfg(feature = "audit-log")]
    {
        send_sync::<s::AuditLog>();
        send_sync::<s::AuditLogError>();
        send_sync::<s::Records>();
        send_sync::<s::Verification>();
        send_sync::<s::AuditQuery>();
        send_sync::<s::AuditPage>();
        send_sync::<s::AuditSummary>();
        send_sync::<s::ComplianceReport>();
        send_sync::<s::BadQuery>();
        send_sync::<s::export::Exporter>();
        send_sync::<s::export::SyslogTcp<Vec<u8>>>();
        send_sync::<s::tlog::Tree>();
        send_sync::<s::tlog::MemoryTree>();
        send_sync::<s::tlog::NoteSigner>();
        send_sync::<s::tlog::Note>();
        send_sync::<s::tlog::CosignatureVerifier>();
        send_sync::<s::tlog::LoggedProof>();
        send_sync::<s::tlog::LoggedProofError>();
        send_sync::<s::tlog::EntryBundle>();
        send_sync::<s::tlog::TileError<std::io::Error>>();
    }
    #[cfg(feature = "witness")]
    {
        send_sync::<s::HttpWitness>();
        send_sync::<s::BadWitness>();
        send_sync::<s::Cosigned>();
    }
    #[cfg(feature = "testing")]
    send_sync::<s::testing::ConformanceError>();
}

#[cfg(feature = "serde")]
#[test]
fn events_are_the_same_after_json() {
    use codegenie_security::{AuditEvent, EventClass, OperationId};
    let event = AuditEvent::new(EventClass::Command, "execute", "command:git")
        .at(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_800_000_000, 5))
        .operation(OperationId::generate())
        .detail("count", 3_i64)
        .detail("share", 0.5)
        .detail("list", vec!["a".to_owned()]);
    let json = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<AuditEvent>(&json).unwrap(), event);
}
