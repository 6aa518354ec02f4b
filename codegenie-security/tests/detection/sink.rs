use super::*;
use codegenie_security::{AuditError, AuditErrorKind, AuditSink, DetectingSink, OperationId, Retention};
use std::sync::Mutex;

/// Keeps events, and refuses some.
#[derive(Default)]
struct Memory {
    events: Mutex<Vec<AuditEvent>>,
    refused: Option<EventClass>,
}

impl Memory {
    fn events(&self) -> Vec<AuditEvent> {
        self.events.lock().unwrap().clone()
    }
}

impl AuditSink for Memory {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        if self.refused == Some(event.class) {
            return Err(AuditError::new(AuditErrorKind::Full, "no room for this class"));
        }
        self.events.lock().unwrap().push(event.clone());
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::Volatile
    }
}

#[test]
fn a_finding_stands_after_its_cause() {
    let sink = DetectingSink::new(Memory::default(), only_denials().denials(2));
    for n in 0..3 {
        let operation = OperationId::from_bytes([n; 16]);
        sink.record(&denied(n.into()).operation(operation)).unwrap();
    }
    let events = sink.sink().events();
    let classes: Vec<_> = events.iter().map(|event| event.class).collect();
    let command = EventClass::Command;
    assert_eq!(classes, [command, command, EventClass::DetectionFinding, command]);
    assert_eq!(events[2].operation, events[1].operation);
    assert_eq!((sink.lost(), sink.forgotten()), (0, 0));
}

#[test]
fn a_finding_that_cannot_be_recorded_fails_nothing() {
    let memory = Memory { refused: Some(EventClass::DetectionFinding), ..Memory::default() };
    let sink = DetectingSink::new(memory, only_denials().denials(1));
    sink.record(&denied(0)).unwrap();
    assert_eq!(sink.sink().events().len(), 1);
    assert_eq!(sink.lost(), 1);
}

#[test]
fn what_is_not_on_record_does_not_count() {
    let memory = Memory { refused: Some(EventClass::Command), ..Memory::default() };
    let sink = DetectingSink::new(memory, only_denials().denials(2));
    for n in 0..10 {
        assert_eq!(sink.record(&denied(n)).unwrap_err().kind(), AuditErrorKind::Full);
    }
    assert_eq!(sink.sink().events(), []);
}

#[test]
fn threads_together_make_one_burst() {
    let sink = DetectingSink::new(Memory::default(), only_denials().denials(40));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|n| sink.record(&denied(n)).unwrap()));
        }
    });
    let findings =
        sink.sink().events().into_iter().filter(|event| event.class == EventClass::DetectionFinding);
    assert_eq!(findings.count(), 1);
}

#[test]
fn a_detector_that_has_learned_goes_on() {
    let mut detector = Detector::new(only_denials().denials(2));
    let _ = detector.observe(&denied(0));
    let sink = DetectingSink::with_detector(Memory::default(), detector);
    sink.record(&denied(1)).unwrap();
    assert_eq!(sink.sink().events().len(), 2);
}

#[cfg(feature = "testing")]
#[test]
fn it_is_a_sink_as_the_trait_says() {
    use codegenie_security::testing::audit_sink_with_readback;
    let sink = DetectingSink::new(Memory::default(), DetectionRules::new());
    audit_sink_with_readback(&sink, || Ok::<_, String>(sink.sink().events())).unwrap();
    assert_eq!(sink.lost(), 0);

    // Also when nearly everything is a finding; those are not the kit's.
    let rules = DetectionRules::new().denials(1).escalations(1).climbs(1).widenings(1).learning_days(1);
    let sink = DetectingSink::new(Memory::default(), rules);
    let own = |event: &AuditEvent| event.get_detail("rule").is_none();
    let read = || Ok::<_, String>(sink.sink().events().into_iter().filter(own).collect());
    audit_sink_with_readback(&sink, read).unwrap();
    assert!(!sink.sink().events().iter().all(own));
}
