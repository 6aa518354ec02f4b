//! Takes secrets out of what is recorded: a log is kept for long, and read by many.

mod names;
mod text;
mod tokens;

pub use self::text::redact;

use self::names::is_secret;
use self::text::{Expected, redact_item};
use super::{AuditError, AuditEvent, AuditSink, AuditValue, EventClass, Retention};
use std::borrow::Cow;

/// Stands where a secret was.
pub(super) const REDACTED: &str = "[redacted]";
/// The detail that tells how many texts of an event were changed.
const COUNT: &str = "redacted";

/// A sink that takes secrets out of events before another one records them.
///
/// Looked at are the action, the resource and the values of details: passwords in addresses, the values of variables and
/// options whose names say that they are secret, authorization headers, private keys in PEM, and tokens of well-known forms
/// ([`redact`]). The items of a list are read one after the other, as arguments of a program: one may tell that the next is
/// secret. A detail whose own name says so loses its whole value, a number as well as a text. An event that was changed has
/// the detail `redacted` with the number of its values that were.
///
/// Not looked at are the names of details and what else an event has, such as its actor.
///
/// What looks like nothing in particular cannot be told from a secret: this lessens what a log gives away, and is no reason
/// to write secrets to it.
///
/// ```
/// use codegenie_security::{AuditError, AuditEvent, AuditSink, EventClass, RedactingSink, Retention};
/// use std::sync::Mutex;
///
/// #[derive(Default)]
/// struct Last(Mutex<String>);
///
/// impl AuditSink for Last {
///     fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
///         *self.0.lock().unwrap() = event.resource.clone();
///         Ok(())
///     }
///     fn retention(&self) -> Retention {
///         Retention::Volatile
///     }
/// }
///
/// let sink = RedactingSink::new(Last::default());
/// sink.record(&AuditEvent::new(EventClass::Command, "execute", "curl https://ada:hunter2@example.org/"))?;
/// assert_eq!(*sink.sink().0.lock().unwrap(), "curl https://ada:[redacted]@example.org/");
/// # Ok::<(), AuditError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RedactingSink<S> {
    sink: S,
}

impl<S: AuditSink> RedactingSink<S> {
    /// Records by `sink` what is left of events.
    pub fn new(sink: S) -> Self {
        Self { sink }
    }

    /// The sink that records.
    #[must_use]
    pub fn sink(&self) -> &S {
        &self.sink
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: AuditSink> AuditSink for RedactingSink<S> {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        match redacted(event) {
            Some(event) => self.sink.record(&event),
            None => self.sink.record(event),
        }
    }

    fn retention(&self) -> Retention {
        self.sink.retention()
    }

    fn enabled(&self, class: EventClass) -> bool {
        self.sink.enabled(class)
    }

    fn flush(&self) -> Result<(), AuditError> {
        self.sink.flush()
    }
}

/// The event without its secrets; `None` where it has none.
pub(crate) fn redacted(event: &AuditEvent) -> Option<AuditEvent> {
    let action = changed(&event.action, false);
    let resource = changed(&event.resource, false);
    let mut count = i64::from(action.is_some()) + i64::from(resource.is_some());
    let mut details = Vec::new();
    for (at, (name, value)) in event.details.iter().enumerate() {
        let whole = is_secret(name);
        let new = match value {
            AuditValue::Text(text) => changed(text, whole).map(|text| {
                count = count.saturating_add(1);
                AuditValue::Text(text)
            }),
            AuditValue::List(texts) => {
                let each = items(texts, whole);
                let some = each.iter().flatten().count();
                count = count.saturating_add(i64::try_from(some).unwrap_or(i64::MAX));
                let kept = each.into_iter().zip(texts).map(|(new, old)| new.unwrap_or_else(|| old.clone()));
                (some > 0).then(|| AuditValue::List(kept.collect()))
            }
            AuditValue::Bool(_) | AuditValue::Int(_) | AuditValue::Float(_) => whole.then(|| {
                count = count.saturating_add(1);
                AuditValue::Text(REDACTED.to_owned())
            }),
        };
        details.extend(new.map(|new| (at, new)));
    }
    if count == 0 {
        return None;
    }
    let mut event = event.clone();
    event.action = action.unwrap_or(event.action);
    event.resource = resource.unwrap_or(event.resource);
    for (at, new) in details {
        if let Some((_, old)) = event.details.get_mut(at) {
            *old = new;
        }
    }
    Some(event.detail(COUNT, count))
}

/// The items of a list that change.
fn items(texts: &[String], whole: bool) -> Vec<Option<String>> {
    let mut expected = Expected::Nothing;
    let item = |text: &String| if whole { changed(text, whole) } else { redact_item(text, &mut expected) };
    texts.iter().map(item).collect()
}

/// A text without its secrets, or without all of it; `None` where it has none.
fn changed(text: &str, whole: bool) -> Option<String> {
    if whole && !text.is_empty() {
        return (text != REDACTED).then(|| REDACTED.to_owned());
    }
    match redact(text) {
        Cow::Owned(text) => Some(text),
        Cow::Borrowed(_) => None,
    }
}
