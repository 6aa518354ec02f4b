//! The laws that show without reading back, and the events that probe a sink.

use std::thread;
use std::time::{Duration, SystemTime};

use super::ConformanceError;
use crate::audit::{
    AuditErrorKind, AuditEvent, AuditResult, AuditSink, EventClass, OperationId, ThreatLevel,
};

pub(super) const THREADS: usize = 4;
pub(super) const PER_THREAD: usize = 16;

/// Checks the laws of [`AuditSink`] that show without reading back:
///
/// - `accepts`: ordinary events of every class are recorded, also those of a class that is not
///   [`enabled`](AuditSink::enabled);
/// - `odd`: an event with odd texts, numbers or times is recorded or
///   [`Rejected`](AuditErrorKind::Rejected), and a rejection does no harm to the next event;
/// - `threads`: many threads may record at once;
/// - `flush`: `flush` succeeds;
/// - `stable`: `retention` and `enabled` answer the same each time;
/// - `no panic`: no method panics.
pub fn audit_sink<S: AuditSink + ?Sized>(sink: &S) -> Result<(), ConformanceError> {
    guarded(|| {
        let before = answers(sink);
        for event in ordinary_events() {
            accept(sink, &event)?;
        }
        for event in odd_events() {
            if record_odd(sink, &event)? {
                continue;
            }
            let next = probe_event(EventClass::Command, "after a rejection");
            sink.record(&next).map_err(|error| {
                let what = format!("the event after one that was rejected failed: {error}");
                ConformanceError::new("odd", what)
            })?;
        }
        in_threads(sink, &thread_events())?;
        sink.flush().map_err(|error| ConformanceError::new("flush", error.to_string()))?;
        if answers(sink) != before {
            let what = "retention or enabled changed between two calls";
            return Err(ConformanceError::new("stable", what));
        }
        Ok(())
    })
}

/// A panic of the sink becomes an error.
pub(super) fn guarded(
    check: impl FnOnce() -> Result<(), ConformanceError> + Send,
) -> Result<(), ConformanceError> {
    thread::scope(|scope| scope.spawn(check).join()).unwrap_or_else(|_| {
        Err(ConformanceError::new("no panic", "a method panicked; see its message above"))
    })
}

fn answers<S: AuditSink + ?Sized>(sink: &S) -> (crate::audit::Retention, [bool; 10]) {
    (sink.retention(), EventClass::ALL.map(|class| sink.enabled(class)))
}

pub(super) fn accept<S: AuditSink + ?Sized>(sink: &S, event: &AuditEvent) -> Result<(), ConformanceError> {
    sink.record(event).map_err(|error| {
        ConformanceError::new(
            "accepts",
            format!("an ordinary event of class {} failed: {error}", event.class),
        )
    })
}

/// True when the event was recorded, false when it was rejected.
pub(super) fn record_odd<S: AuditSink + ?Sized>(
    sink: &S,
    event: &AuditEvent,
) -> Result<bool, ConformanceError> {
    match sink.record(event) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == AuditErrorKind::Rejected => Ok(false),
        Err(error) => {
            let what = format!("an odd event may be rejected, but failed as {:?}: {error}", error.kind());
            Err(ConformanceError::new("odd", what))
        }
    }
}

/// Records each list from a thread of its own, all at once.
pub(super) fn in_threads<S: AuditSink + ?Sized>(
    sink: &S,
    lists: &[Vec<AuditEvent>],
) -> Result<(), ConformanceError> {
    thread::scope(|scope| {
        let workers: Vec<_> = lists
            .iter()
            .map(|list| scope.spawn(move || list.iter().try_for_each(|event| sink.record(event))))
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(ConformanceError::new("threads", error.to_string())),
                Err(_) => return Err(ConformanceError::new("no panic", "`record` panicked in a thread")),
            }
        }
        Ok(())
    })
}

/// An event that is known again by its operation id.
pub(super) fn probe_event(class: EventClass, resource: impl Into<String>) -> AuditEvent {
    AuditEvent::new(class, "conform", resource).actor("conformance kit").operation(OperationId::generate())
}

/// One of each class, and of each result and threat level.
pub(super) fn ordinary_events() -> Vec<AuditEvent> {
    let mut events: Vec<_> = EventClass::ALL.map(|class| probe_event(class, "ordinary")).into();
    for result in [AuditResult::Pending, AuditResult::Success, AuditResult::Failure, AuditResult::Denied] {
        events.push(probe_event(EventClass::Command, "result").result(result));
    }
    for threat in [ThreatLevel::Low, ThreatLevel::Medium, ThreatLevel::High, ThreatLevel::Critical] {
        events.push(probe_event(EventClass::DetectionFinding, "threat").threat(threat));
    }
    let full = probe_event(EventClass::Command, "full").agent("agent").session("session");
    let full = full.detail("text", "value").detail("yes", true).detail("count", 7_i64).detail("share", 0.25);
    events.push(full.detail("list", vec!["a".to_owned(), "b".to_owned()]).detail("text", "again"));
    events
}

/// What breaks formats: quotes, ends of lines and of strings, other scripts, sizes, numbers, times.
pub(super) fn odd_events() -> Vec<AuditEvent> {
    let texts = [
        String::new(),
        "nul \0 inside".to_owned(),
        "two\nlines\r\nand a tab\t".to_owned(),
        "\"quoted\" 'twice' \\ and, separated; | <xml> & %s ${x} {}".to_owned(),
        "combining e\u{301}, wide 漢字, emoji 👩‍👩‍👧, right-to-left \u{202e}gpj".to_owned(),
        "\u{feff}\u{fffd}\u{10ffff}".to_owned(),
        " surrounded by spaces ".to_owned(),
        "\u{1b}[31mred\u{1b}[0m".to_owned(),
        "long ".repeat(16 * 1024),
    ];
    let mut events: Vec<_> = texts
        .into_iter()
        .map(|text| {
            let mut event = probe_event(EventClass::Command, text.clone());
            event.action.clone_from(&text);
            event = event.actor(text.clone()).agent(text.clone()).session(text.clone());
            event.detail(text.clone(), text.clone()).detail("list", vec![text, String::new()])
        })
        .collect();
    let odd = || probe_event(EventClass::ApiActivity, "odd");
    for number in [f64::NAN, f64::INFINITY, -0.0, f64::MIN_POSITIVE, 0.1 + 0.2, 1e300] {
        events.push(odd().detail("number", number));
    }
    for number in [i64::MIN, i64::MAX, 0] {
        events.push(odd().detail("number", number));
    }
    events.push(odd().detail("empty list", Vec::new()).detail("", ""));
    events.push(odd().at(SystemTime::UNIX_EPOCH));
    if let Some(time) = SystemTime::UNIX_EPOCH.checked_sub(Duration::new(86_400, 1)) {
        events.push(odd().at(time));
    }
    if let Some(time) = SystemTime::UNIX_EPOCH.checked_add(Duration::new(253_402_300_800, 999_999_999)) {
        events.push(odd().at(time));
    }
    events.push((0..300).fold(odd(), |event, number| event.detail(format!("detail {number}"), number)));
    events
}

/// A list for each thread.
pub(super) fn thread_events() -> Vec<Vec<AuditEvent>> {
    (0..THREADS)
        .map(|thread| {
            let event = |number| probe_event(EventClass::Command, format!("thread {thread}, event {number}"));
            (0..PER_THREAD).map(event).collect()
        })
        .collect()
}
