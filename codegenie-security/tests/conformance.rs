//! The conformance kit over every sink of the crate, and over sinks that are broken on purpose.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::{Arc, Mutex};

use codegenie_security::testing::{audit_sink, audit_sink_with_readback};
use codegenie_security::{
    AuditError, AuditErrorKind, AuditEvent, AuditSink, DangerousNoAudit, EventClass, Retention,
};

#[derive(Default)]
struct Collect(Mutex<Vec<AuditEvent>>);

impl Collect {
    fn push(&self, event: AuditEvent) {
        self.0.lock().unwrap().push(event);
    }
    fn events(&self) -> Result<Vec<AuditEvent>, String> {
        Ok(self.0.lock().unwrap().clone())
    }
}

impl AuditSink for Collect {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        self.push(event.clone());
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::Volatile
    }
}

/// Keeps what `keep` makes of each event.
struct Broken<K> {
    kept: Collect,
    keep: K,
}

impl<K: Fn(&Collect, &AuditEvent) -> Result<(), AuditError> + Send + Sync> AuditSink for Broken<K> {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        (self.keep)(&self.kept, event)
    }
    fn retention(&self) -> Retention {
        Retention::Volatile
    }
}

/// The law that the kit finds broken.
fn broken_law<K>(keep: K) -> &'static str
where
    K: Fn(&Collect, &AuditEvent) -> Result<(), AuditError> + Send + Sync,
{
    let sink = Broken { kept: Collect::default(), keep };
    audit_sink_with_readback(&sink, || sink.kept.events()).unwrap_err().law()
}

#[test]
fn a_collector_conforms_directly_and_through_every_blanket() {
    let sink = Collect::default();
    audit_sink_with_readback(&sink, || sink.events()).unwrap();
    audit_sink_with_readback(&&sink, || sink.events()).unwrap();
    let dynamic: &dyn AuditSink = &sink;
    audit_sink_with_readback(dynamic, || sink.events()).unwrap();

    let shared = Arc::new(Collect::default());
    audit_sink_with_readback(&shared, || shared.events()).unwrap();
    audit_sink_with_readback(&Box::new(shared.clone()), || shared.events()).unwrap();
    audit_sink_with_readback(&Some(shared.clone()), || shared.events()).unwrap();

    let other = Arc::new(Collect::default());
    let both = vec![shared.clone(), other.clone()];
    audit_sink_with_readback(&both, || shared.events()).unwrap();
    audit_sink_with_readback(&both, || other.events()).unwrap();
    let no = DangerousNoAudit;
    audit_sink_with_readback(&(&shared, &other), || other.events()).unwrap();
    audit_sink_with_readback(&(no, &shared, &other), || other.events()).unwrap();
    audit_sink_with_readback(&(no, &shared, no, &other), || other.events()).unwrap();
}

#[test]
fn sinks_that_keep_nothing_pass_the_write_laws_only() {
    audit_sink(&DangerousNoAudit).unwrap();
    audit_sink(&None::<Collect>).unwrap();
    audit_sink(&Vec::<Collect>::new()).unwrap();
    let error = audit_sink_with_readback(&DangerousNoAudit, || Ok::<_, String>(Vec::new())).unwrap_err();
    assert_eq!(error.law(), "kept");
    assert!(error.to_string().starts_with("law `kept` is broken: "), "{error}");
}

#[cfg(all(unix, feature = "audit-log"))]
#[test]
fn the_file_log_conforms() {
    use codegenie_security::{AuditLog, SealingKey};

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit");
    let key = SealingKey::generate().unwrap();
    let log = AuditLog::open(&path, &key).unwrap();
    let read = || AuditLog::read(&path, &key)?.map(|stored| Ok(stored?.event)).collect::<Result<Vec<_>, _>>();
    audit_sink_with_readback(&log, || read().map_err(|error: codegenie_security::AuditLogError| error))
        .unwrap();
    assert!(AuditLog::verify(&path, &key).unwrap().is_intact());
}

#[test]
fn a_class_that_is_not_enabled_may_be_ignored() {
    struct CommandsOnly(Collect);
    impl AuditSink for CommandsOnly {
        fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
            if self.enabled(event.class) { self.0.record(event) } else { Ok(()) }
        }
        fn retention(&self) -> Retention {
            self.0.retention()
        }
        fn enabled(&self, class: EventClass) -> bool {
            class == EventClass::Command
        }
    }
    let sink = CommandsOnly(Collect::default());
    audit_sink_with_readback(&sink, || sink.0.events()).unwrap();
}

#[test]
fn a_sink_may_reject_what_it_cannot_hold() {
    let sink = Broken {
        kept: Collect::default(),
        keep: |kept: &Collect, event: &AuditEvent| {
            if event.resource.len() > 1000 || event.resource.contains('\0') {
                return Err(AuditError::new(AuditErrorKind::Rejected, "too long for me"));
            }
            kept.record(event)
        },
    };
    audit_sink_with_readback(&sink, || sink.kept.events()).unwrap();
}

#[test]
fn broken_sinks_are_caught() {
    let drops = broken_law(|kept, event| match event.resource.as_str() {
        "threat" => Ok(()),
        _ => kept.record(event),
    });
    assert_eq!(drops, "kept");

    let drops_under_load = broken_law(|kept, event| match event.resource.as_str() {
        "thread 2, event 9" => Ok(()),
        _ => kept.record(event),
    });
    assert_eq!(drops_under_load, "kept");

    let truncates = broken_law(|kept, event| {
        let mut event = event.clone();
        event.resource = event.resource.chars().take(1024).collect();
        kept.record(&event)
    });
    assert_eq!(truncates, "unchanged");

    let loses_details = broken_law(|kept, event| {
        let mut event = event.clone();
        event.details.truncate(100);
        kept.record(&event)
    });
    assert_eq!(loses_details, "unchanged");

    let rounds_time = broken_law(|kept, event| {
        let mut event = event.clone();
        event.time = std::time::SystemTime::now();
        kept.record(&event)
    });
    assert_eq!(rounds_time, "unchanged");

    let duplicates = broken_law(|kept, event| {
        if event.class == EventClass::Approval {
            kept.record(event)?;
        }
        kept.record(event)
    });
    assert_eq!(duplicates, "once");

    let newest_first = broken_law(|kept, event| {
        kept.0.lock().unwrap().insert(0, event.clone());
        Ok(())
    });
    assert_eq!(newest_first, "readback");

    let keeps_rejected = broken_law(|kept, event| {
        kept.record(event)?;
        if event.resource.is_empty() {
            return Err(AuditError::new(AuditErrorKind::Rejected, "no resource"));
        }
        Ok(())
    });
    assert_eq!(keeps_rejected, "rejected");

    assert_eq!(broken_law(|_, _| Err(AuditError::unavailable("down"))), "accepts");
    let odd = broken_law(|kept, event| match event.resource.is_empty() {
        true => Err(AuditError::unavailable("confused")),
        false => kept.record(event),
    });
    assert_eq!(odd, "odd");
}

#[test]
fn a_panic_is_reported_not_passed_on() {
    struct Panics;
    impl AuditSink for Panics {
        fn record(&self, _event: &AuditEvent) -> Result<(), AuditError> {
            std::panic::resume_unwind(Box::new("quiet"))
        }
        fn retention(&self) -> Retention {
            Retention::Volatile
        }
    }
    assert_eq!(audit_sink(&Panics).unwrap_err().law(), "no panic");
}
