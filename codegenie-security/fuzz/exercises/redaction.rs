//! What must hold for any text that secrets are taken out of. Shared by the fuzz target and by a bounded test that runs with
//! the others.

use codegenie_security::{
    AuditError, AuditEvent, AuditSink, AuditValue, EventClass, RedactingSink, Retention, redact,
};
use std::sync::Mutex;

#[derive(Default)]
struct Last(Mutex<Option<AuditEvent>>);

impl AuditSink for Last {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        *self.0.lock().expect("nobody panics with it") = Some(event.clone());
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::Volatile
    }
}

/// Takes secrets out of a text and of a list, twice: once is enough.
pub(crate) fn redaction(text: &str, items: Vec<String>) {
    let once = redact(text).into_owned();
    assert_eq!(redact(&once), once, "of {text:?}");

    let many = items.len();
    let sink = RedactingSink::new(Last::default());
    let event = AuditEvent::new(EventClass::Command, "execute", text).detail("argv", items);
    sink.record(&event).expect("it is kept");
    let kept = sink.sink().0.lock().expect("nobody panics with it").take().expect("an event");
    assert_eq!(kept.resource, once);
    assert!(matches!(kept.get_detail("argv"), Some(AuditValue::List(items)) if items.len() == many));
}
