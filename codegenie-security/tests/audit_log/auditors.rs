//! Readers on other machines: each has a key of his own, and none has the log's.

use codegenie_security::{
    AuditLog, AuditLogError, AuditLogOptions, AuditReader, AuditSink, Identity, RecipientKind,
};

use super::{Fixture, event, key};

fn resources(reader: &AuditReader) -> Result<Vec<String>, AuditLogError> {
    reader.records()?.map(|stored| Ok(stored?.event.resource)).collect()
}

#[test]
fn an_auditor_reads_what_was_sealed_for_him_and_nothing_before() {
    let fixture = Fixture::new(&[1]);
    let auditor = Identity::generate(RecipientKind::X25519).unwrap();
    let log = AuditLogOptions::new().auditor(auditor.recipient_key()).open(&fixture.path, &key()).unwrap();
    log.record(&event(1)).unwrap();
    let identity = log.identity();
    drop(log);
    let reader = AuditReader::with_key(&fixture.path, auditor, Some(identity));
    let error = resources(&reader).unwrap_err();
    assert!(matches!(error, AuditLogError::NotAReader { segment: 0, .. }), "{error}");

    let auditor = Identity::generate(RecipientKind::XWing).unwrap();
    let fixture = Fixture::with(AuditLogOptions::new().auditor(auditor.recipient_key()), &[2, 1]);
    let identity = AuditLog::verify(&fixture.path, &key()).unwrap().identity().unwrap().clone();
    // He has a copy of the log, and not its keys.
    std::fs::remove_dir_all(fixture.keys()).unwrap();
    let reader = AuditReader::with_key(&fixture.path, auditor, Some(identity));
    assert_eq!(resources(&reader).unwrap(), ["command:0", "command:1", "command:2"]);
    assert!(reader.verify(&[]).unwrap().is_intact());
}

#[test]
fn somebody_else_reads_nothing() {
    let fixture = Fixture::new(&[1]);
    let stranger = Identity::generate(RecipientKind::XWing).unwrap();
    let reader = AuditReader::with_key(&fixture.path, stranger, None);
    assert!(matches!(resources(&reader), Err(AuditLogError::NotAReader { .. })));
    assert!(matches!(reader.verify(&[]), Err(AuditLogError::NotAReader { .. })));
    // All the same he can verify what is public.
    assert!(AuditLog::verify_public(&fixture.path, None, &[]).unwrap().is_intact());
}

/// The machine that writes need not be able to read.
#[test]
fn a_log_without_an_own_reader_is_read_by_auditors_only() {
    let auditor = Identity::generate(RecipientKind::XWing).unwrap();
    let options = AuditLogOptions::new().auditor(auditor.recipient_key()).without_own_reader();
    let fixture = Fixture::with(options, &[1, 2]);
    assert!(matches!(AuditLog::read(&fixture.path, &key()), Err(AuditLogError::NoKeys { .. })));
    let reader = AuditReader::with_key(&fixture.path, auditor, None);
    assert_eq!(resources(&reader).unwrap().len(), 3);
}
