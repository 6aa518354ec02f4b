//! The newest events of a kind, with room for so many.

use std::collections::VecDeque;

use crate::{AuditEvent, AuditValue, StoredEvent};

/// So much of a text is kept, in bytes.
const KEPT: usize = 512;

#[derive(Clone, Debug)]
pub(super) struct Newest {
    events: VecDeque<StoredEvent>,
    most: usize,
    seen: u64,
}

impl Newest {
    pub(super) fn of(most: usize) -> Self {
        Self { events: VecDeque::new(), most, seen: 0 }
    }

    pub(super) fn add(&mut self, stored: &StoredEvent) {
        self.seen += 1;
        self.events.push_back(StoredEvent::new(stored.sequence, shortened(&stored.event)));
        if self.events.len() > self.most {
            self.events.pop_front();
        }
    }

    /// How many there were, also those that are not here any more.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &StoredEvent> {
        self.events.iter()
    }
}

/// The event with texts of a bounded length, and without its lists.
fn shortened(event: &AuditEvent) -> AuditEvent {
    let mut short = AuditEvent::new(event.class, cut(&event.action), cut(&event.resource))
        .at(event.time)
        .actor(cut(&event.actor))
        .result(event.result)
        .threat(event.threat);
    short.agent = event.agent.as_deref().map(cut);
    short.session = event.session.as_deref().map(cut);
    short.operation = event.operation;
    let told = ["approver", "note", "waited_ms", "scope", "rule", "reason", "count", "host", "hour"];
    for name in told {
        match event.get_detail(name) {
            Some(AuditValue::Text(text)) => short = short.detail(name, cut(text)),
            Some(AuditValue::List(_)) | None => {}
            Some(value) => short = short.detail(name, value.clone()),
        }
    }
    short
}

/// The beginning of a text, with a mark where it goes on.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= KEPT {
        return text.to_owned();
    }
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= KEPT).last();
    format!("{}…", text.get(..end.unwrap_or_default()).unwrap_or_default())
}
