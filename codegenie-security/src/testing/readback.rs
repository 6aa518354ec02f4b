//! The laws that need reading back.

use std::collections::HashMap;
use std::fmt::Display;

use super::ConformanceError;
use super::probe::{
    accept, audit_sink, guarded, in_threads, odd_events, ordinary_events, record_odd, thread_events,
};
use crate::audit::{AuditEvent, AuditSink, AuditValue, OperationId, Retention};

/// Checks the laws of [`audit_sink`](super::audit_sink), and by reading back all that the sink has
/// kept, in its order:
///
/// - `readback`: reading succeeds, and what was there before stays as it was, at the front;
/// - `kept`: [`retention`](AuditSink::retention) is not `None`, and every event of an enabled class is
///   there after `record` returned;
/// - `once`: none is there twice;
/// - `unchanged`: each is as it was recorded, to the last bit;
/// - `order`: the events of one thread are in the order in which it recorded them;
/// - `rejected`: an event that was rejected is not there.
///
/// Events that the kit did not record, such as those of another writer, are passed over.
pub fn audit_sink_with_readback<S, R, E>(sink: &S, read: R) -> Result<(), ConformanceError>
where
    S: AuditSink + ?Sized,
    R: Fn() -> Result<Vec<AuditEvent>, E> + Send + Sync,
    E: Display,
{
    if sink.retention() == Retention::None {
        let what = "retention is `None`, so there is nothing to read back; run `audit_sink` instead";
        return Err(ConformanceError::new("kept", what));
    }
    audit_sink(sink)?;
    guarded(|| {
        let read = || read().map_err(|error| ConformanceError::new("readback", error.to_string()));
        let before = read()?;

        let (mut wanted, mut rejected) = (ordinary_events(), Vec::new());
        for event in &wanted {
            accept(sink, event)?;
        }
        for event in odd_events() {
            if record_odd(sink, &event)? {
                wanted.push(event);
            } else {
                rejected.push(event);
            }
        }
        let after = read()?;
        let new = continued(&before, &after)?;
        check(sink, &[wanted], &rejected, new)?;

        let lists = thread_events();
        in_threads(sink, &lists)?;
        let last = read()?;
        check(sink, &lists, &[], continued(&after, &last)?)
    })
}

/// What came after `before`, which must stand at the front.
fn continued<'a>(
    before: &[AuditEvent],
    after: &'a [AuditEvent],
) -> Result<&'a [AuditEvent], ConformanceError> {
    let (front, new) = after.split_at_checked(before.len()).ok_or_else(|| {
        let what = format!("{} events were there, later only {}", before.len(), after.len());
        ConformanceError::new("readback", what)
    })?;
    match front.iter().zip(before).position(|(now, then)| difference(then, now).is_some()) {
        Some(place) => Err(ConformanceError::new(
            "readback",
            format!("event {place} is not the one that was there before"),
        )),
        None => Ok(new),
    }
}

fn check<S: AuditSink + ?Sized>(
    sink: &S,
    lists: &[Vec<AuditEvent>],
    rejected: &[AuditEvent],
    found: &[AuditEvent],
) -> Result<(), ConformanceError> {
    let mut places: HashMap<OperationId, Vec<(usize, &AuditEvent)>> = HashMap::new();
    for (place, event) in found.iter().enumerate() {
        if let Some(operation) = event.operation {
            places.entry(operation).or_default().push((place, event));
        }
    }
    let at = |event: &AuditEvent| {
        event.operation.and_then(|operation| places.get(&operation)).map_or(&[][..], Vec::as_slice)
    };
    for list in lists {
        let mut previous = None;
        for event in list.iter().filter(|event| sink.enabled(event.class)) {
            let name = || format!("the {} event on {:.60?}", event.class, event.resource);
            let (place, kept) = match at(event) {
                [] => return Err(ConformanceError::new("kept", format!("{} is not there", name()))),
                [one] => *one,
                many => {
                    let what = format!("{} is there {} times", name(), many.len());
                    return Err(ConformanceError::new("once", what));
                }
            };
            if let Some(field) = difference(event, kept) {
                return Err(ConformanceError::new("unchanged", format!("the {field} of {} changed", name())));
            }
            if previous.is_some_and(|previous| place < previous) {
                let what = format!("{} stands before one that its thread recorded earlier", name());
                return Err(ConformanceError::new("order", what));
            }
            previous = Some(place);
        }
    }
    match rejected.iter().find(|event| !at(event).is_empty()) {
        Some(event) => {
            let what = format!("the event on {:.60?} was rejected, and is there", event.resource);
            Err(ConformanceError::new("rejected", what))
        }
        None => Ok(()),
    }
}

/// The first field that differs. Unlike `==`, it takes a NaN for what it is.
fn difference(left: &AuditEvent, right: &AuditEvent) -> Option<&'static str> {
    let fields = [
        ("time", left.time == right.time),
        ("class", left.class == right.class),
        ("actor", left.actor == right.actor),
        ("agent", left.agent == right.agent),
        ("session", left.session == right.session),
        ("operation", left.operation == right.operation),
        ("action", left.action == right.action),
        ("resource", left.resource == right.resource),
        ("result", left.result == right.result),
        ("threat", left.threat == right.threat),
        ("details", same_details(&left.details, &right.details)),
    ];
    fields.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
}

fn same_details(left: &[(String, AuditValue)], right: &[(String, AuditValue)]) -> bool {
    let same_value = |left: &AuditValue, right: &AuditValue| match (left, right) {
        (AuditValue::Float(left), AuditValue::Float(right)) => {
            left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
        }
        _ => left == right,
    };
    left.len() == right.len()
        && left.iter().zip(right).all(|((a, left), (b, right))| a == b && same_value(left, right))
}
