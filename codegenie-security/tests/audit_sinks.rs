//! Sinks that stand before others: alerts and redaction.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use codegenie_security::{
    AlertingSink, AuditError, AuditEvent, AuditSink, EventClass, Retention, ThreatLevel,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

#[derive(Default)]
struct Memory {
    events: Mutex<Vec<AuditEvent>>,
    fails: AtomicBool,
}

impl AuditSink for Memory {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(AuditError::unavailable("the disk is gone"));
        }
        self.events.lock().unwrap().push(event.clone());
        Ok(())
    }
    fn retention(&self) -> Retention {
        Retention::Volatile
    }
}

fn event(resource: &str, threat: ThreatLevel) -> AuditEvent {
    AuditEvent::new(EventClass::Command, "execute", resource).threat(threat)
}

mod alerts {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn grave_events_are_told_after_they_are_recorded() {
        let memory = Arc::new(Memory::default());
        let (told, alerts) = mpsc::channel();
        let seen = Arc::clone(&memory);
        let sink = AlertingSink::new(Arc::clone(&memory), ThreatLevel::High, 8, move |alert| {
            let on_record = seen.events.lock().unwrap().contains(&alert.event);
            told.send((alert, on_record)).unwrap();
        })
        .unwrap();
        for (name, threat) in [
            ("a", ThreatLevel::Medium),
            ("b", ThreatLevel::High),
            ("c", ThreatLevel::None),
            ("d", ThreatLevel::Critical),
        ] {
            sink.record(&event(name, threat)).unwrap();
        }
        for name in ["b", "d"] {
            let (alert, on_record) = alerts.recv_timeout(SOON).unwrap();
            assert_eq!((alert.event.resource.as_str(), alert.recorded, alert.missed), (name, true, 0));
            assert!(on_record);
        }
        drop(sink);
        assert!(alerts.recv().is_err(), "the thread has ended");
        assert_eq!(memory.events.lock().unwrap().len(), 4);
    }

    #[test]
    fn what_could_not_be_recorded_is_told_and_is_still_an_error() {
        let memory = Arc::new(Memory::default());
        memory.fails.store(true, Ordering::SeqCst);
        let (told, alerts) = mpsc::channel();
        let sink =
            AlertingSink::new(memory, ThreatLevel::High, 8, move |alert| told.send(alert).unwrap()).unwrap();
        sink.record(&event("a", ThreatLevel::Critical)).unwrap_err();
        assert!(!alerts.recv_timeout(SOON).unwrap().recorded);
    }

    /// A listener that hangs keeps nothing waiting, and what it misses is counted.
    #[test]
    fn nobody_waits_for_a_slow_listener() {
        let memory = Arc::new(Memory::default());
        let (told, alerts) = mpsc::channel();
        let (entered, gate) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let theirs = (Arc::clone(&entered), Arc::clone(&gate));
        let mut first = true;
        let sink = AlertingSink::new(Arc::clone(&memory), ThreatLevel::High, 2, move |alert| {
            if std::mem::take(&mut first) {
                theirs.0.wait();
                theirs.1.wait();
            }
            told.send(alert).unwrap();
        })
        .unwrap();
        sink.record(&event("0", ThreatLevel::High)).unwrap();
        entered.wait();
        for n in 1..=10 {
            sink.record(&event(&n.to_string(), ThreatLevel::High)).unwrap();
        }
        assert_eq!(memory.events.lock().unwrap().len(), 11, "all are on record while it hangs");
        assert_eq!(sink.missed(), 8);
        gate.wait();
        let heard: Vec<(String, u64)> = (0..3)
            .map(|_| alerts.recv_timeout(SOON).map(|alert| (alert.event.resource, alert.missed)).unwrap())
            .collect();
        assert_eq!(heard, [("0".to_owned(), 0), ("1".to_owned(), 8), ("2".to_owned(), 0)]);
        sink.record(&event("11", ThreatLevel::High)).unwrap();
        assert_eq!(alerts.recv_timeout(SOON).unwrap().event.resource, "11");
    }

    /// A flood of alerts keeps no graver one from being told, and still no more wait than may.
    #[test]
    fn a_graver_event_takes_the_place_of_a_slighter_one() {
        let (told, alerts) = mpsc::channel();
        let (entered, gate) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let theirs = (Arc::clone(&entered), Arc::clone(&gate));
        let mut first = true;
        let sink = AlertingSink::new(Memory::default(), ThreatLevel::Medium, 8, move |alert| {
            if std::mem::take(&mut first) {
                theirs.0.wait();
                theirs.1.wait();
            }
            told.send(alert).unwrap();
        })
        .unwrap();
        sink.record(&event("first", ThreatLevel::High)).unwrap();
        entered.wait();
        sink.record(&event("m", ThreatLevel::Medium)).unwrap();
        for n in 0..100 {
            sink.record(&event(&format!("h{n}"), ThreatLevel::High)).unwrap();
        }
        for n in 0..2 {
            sink.record(&event(&format!("c{n}"), ThreatLevel::Critical)).unwrap();
        }
        sink.record(&event("late", ThreatLevel::Medium)).unwrap();
        assert_eq!(sink.missed(), 1 + 100 + 2 + 1 - 8);
        gate.wait();
        let heard: Vec<String> = (0..9).map(|_| alerts.recv_timeout(SOON).unwrap().event.resource).collect();
        assert_eq!(heard, ["first", "h0", "h1", "h2", "h3", "h4", "h5", "c0", "c1"]);
        drop(sink);
        assert!(alerts.recv().is_err());
    }

    #[test]
    fn a_listener_that_panics_is_told_the_next() {
        let (told, alerts) = mpsc::channel();
        let sink = AlertingSink::new(Memory::default(), ThreatLevel::High, 8, move |alert| {
            assert!(alert.event.resource != "a", "as a listener may");
            told.send(alert.event.resource).unwrap();
        })
        .unwrap();
        sink.record(&event("a", ThreatLevel::High)).unwrap();
        sink.record(&event("b", ThreatLevel::High)).unwrap();
        assert_eq!(alerts.recv_timeout(SOON).unwrap(), "b");
    }

    #[test]
    fn a_listener_that_never_returns_does_not_keep_the_host_from_ending() {
        let sink = AlertingSink::new(Memory::default(), ThreatLevel::High, 1, |_| {
            loop {
                std::thread::park();
            }
        })
        .unwrap();
        sink.record(&event("a", ThreatLevel::High)).unwrap();
        drop(sink);
    }
}

#[path = "audit_sinks/redaction.rs"]
mod redaction;
