//! Questions to a log: which events, in which order, how many at a time; and summaries of what there is.

mod names;
mod page;
mod parse;
mod summary;
mod time;

use std::ops::{Bound, RangeBounds};
use std::time::SystemTime;

use crate::{AuditEvent, AuditResult, AuditValue, EventClass, StoredEvent, ThreatLevel};
pub use names::{NameCount, NameCounts};
pub use page::AuditPage;
pub(crate) use page::PageBuilder;
pub use parse::{BadQuery, BadQueryKind};
pub use summary::AuditSummary;

/// How many events a page has if the query does not say.
const DEFAULT_LIMIT: usize = 100;

/// Which events, in which order, and how many at a time.
///
/// Filters of different kinds must all hold. Of filters of one kind, such as two actors, one is enough; of
/// several [texts](Self::text) each must be there.
///
/// ```
/// use codegenie_security::{AuditEvent, AuditLog, AuditQuery, AuditSink, EventClass, SealingKey, ThreatLevel};
///
/// let dir = tempfile::tempdir()?;
/// let (path, key) = (dir.path().join("audit"), SealingKey::generate()?);
/// let log = AuditLog::open(&path, &key)?;
/// for command in ["git status", "git push", "ls"] {
///     log.record(&AuditEvent::new(EventClass::Command, "execute", command).actor("alice"))?;
/// }
///
/// let query = AuditQuery::new().actor("alice").text("GIT").limit(1);
/// let page = query.run(AuditLog::read(&path, &key)?)?;
/// assert_eq!(page.events[0].event.resource, "git push");
/// let page = query.after(page.next.unwrap()).run(AuditLog::read(&path, &key)?)?;
/// assert_eq!(page.events[0].event.resource, "git status");
/// assert_eq!(page.next, None);
///
/// // The same as a text.
/// let query: AuditQuery = "actor:alice git limit:1".parse()?;
/// # assert_eq!(query, AuditQuery::new().actor("alice").text("GIT").limit(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # As a text
///
/// `actor:alice class:command threat:high "rm -rf"`: terms with spaces between them. A word is a text to search
/// for. `field:value` is a filter, where the field is one of `actor`, `agent`, `session`, `action`,
/// `resource`, `class`, `result`, `threat` (at least), `since`, `until` (RFC 3339 in UTC: `2026-01-31`,
/// `2026-01-31T12:00:00Z`, with up to nine digits of a second), `sequence` (`7`, or `7..9` without the 9, where
/// either may be left out), `order` (`newest`, `oldest`), `limit` and `after`. A word or value with spaces or
/// a colon stands in double quotes, in which `\"` and `\\` stand for themselves without the backslash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    actors: Vec<String>,
    agents: Vec<String>,
    sessions: Vec<String>,
    actions: Vec<String>,
    resources: Vec<String>,
    classes: Vec<EventClass>,
    results: Vec<AuditResult>,
    threat: ThreatLevel,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    sequences: (Bound<u64>, Bound<u64>),
    /// In lower case.
    texts: Vec<String>,
    oldest_first: bool,
    limit: usize,
    after: Option<u64>,
}

impl Default for AuditQuery {
    fn default() -> Self {
        Self::new()
    }
}

impl AuditQuery {
    /// All events, newest first, 100 a page.
    #[must_use]
    pub fn new() -> Self {
        Self {
            actors: Vec::new(),
            agents: Vec::new(),
            sessions: Vec::new(),
            actions: Vec::new(),
            resources: Vec::new(),
            classes: Vec::new(),
            results: Vec::new(),
            threat: ThreatLevel::None,
            since: None,
            until: None,
            sequences: (Bound::Unbounded, Bound::Unbounded),
            texts: Vec::new(),
            oldest_first: false,
            limit: DEFAULT_LIMIT,
            after: None,
        }
    }

    /// Events of this actor. The empty text is nobody.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actors.push(actor.into());
        self
    }

    /// Events of this agent.
    #[must_use]
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.agents.push(agent.into());
        self
    }

    /// Events of this session, by its public id.
    #[must_use]
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.sessions.push(session.into());
        self
    }

    /// Events of this action, the whole verb.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.actions.push(action.into());
        self
    }

    /// Events of this resource, the whole of it. For a part of it there is [`text`](Self::text).
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Events of this class.
    #[must_use]
    pub fn class(mut self, class: EventClass) -> Self {
        self.classes.push(class);
        self
    }

    /// Events that ended so.
    #[must_use]
    pub fn result(mut self, result: AuditResult) -> Self {
        self.results.push(result);
        self
    }

    /// Events of at least this threat level.
    #[must_use]
    pub fn threat_at_least(mut self, threat: ThreatLevel) -> Self {
        self.threat = threat;
        self
    }

    /// Events of this time or later, by the [time that they claim](AuditEvent::time).
    #[must_use]
    pub fn since(mut self, time: SystemTime) -> Self {
        self.since = Some(time);
        self
    }

    /// Events before this time, by the [time that they claim](AuditEvent::time).
    #[must_use]
    pub fn until(mut self, time: SystemTime) -> Self {
        self.until = Some(time);
        self
    }

    /// Events with these sequence numbers.
    #[must_use]
    pub fn sequences(mut self, range: impl RangeBounds<u64>) -> Self {
        self.sequences = (range.start_bound().cloned(), range.end_bound().cloned());
        self
    }

    /// Events with this text in the action, the resource, or the name or a value of a detail, in whichever case.
    #[must_use]
    pub fn text(mut self, text: impl AsRef<str>) -> Self {
        self.texts.push(lowercase(text.as_ref()));
        self
    }

    /// Oldest first. Without this, newest first.
    #[must_use]
    pub fn oldest_first(mut self) -> Self {
        self.oldest_first = true;
        self
    }

    /// Newest first, which is the default.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.oldest_first = false;
        self
    }

    /// How many events a page has at the most; at least one. It is also how many are in memory.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.max(1);
        self
    }

    /// Goes on after the event with this sequence number, in the order of the query: [`AuditPage::next`].
    #[must_use]
    pub fn after(mut self, sequence: u64) -> Self {
        self.after = Some(sequence);
        self
    }

    pub(crate) fn actors(&self) -> &[String] {
        &self.actors
    }

    pub(crate) fn agents(&self) -> &[String] {
        &self.agents
    }

    pub(crate) fn sessions(&self) -> &[String] {
        &self.sessions
    }

    pub(crate) fn actions(&self) -> &[String] {
        &self.actions
    }

    pub(crate) fn classes(&self) -> &[EventClass] {
        &self.classes
    }

    pub(crate) fn results(&self) -> &[AuditResult] {
        &self.results
    }

    pub(crate) fn least_threat(&self) -> ThreatLevel {
        self.threat
    }

    pub(crate) fn since_time(&self) -> Option<SystemTime> {
        self.since
    }

    pub(crate) fn until_time(&self) -> Option<SystemTime> {
        self.until
    }

    pub(crate) fn is_oldest_first(&self) -> bool {
        self.oldest_first
    }

    /// Sums up what passes, whatever the limit. The first error ends it.
    pub fn summarize<E>(
        &self,
        events: impl IntoIterator<Item = Result<StoredEvent, E>>,
    ) -> Result<AuditSummary, E> {
        let mut summary = AuditSummary::new();
        for stored in events {
            let stored = stored?;
            if self.matches(&stored) {
                summary.add(&stored);
            }
        }
        Ok(summary)
    }

    /// Does the event pass all filters? Order, limit and [`after`](Self::after) are no filters.
    #[must_use]
    pub fn matches(&self, stored: &StoredEvent) -> bool {
        let event = &stored.event;
        event.threat >= self.threat
            && self.sequences.contains(&stored.sequence)
            && is_one_of(&self.classes, &event.class)
            && is_one_of(&self.results, &event.result)
            && self.since.is_none_or(|since| event.time >= since)
            && self.until.is_none_or(|until| event.time < until)
            && is_one_of(&self.actors, &event.actor)
            && is_one_of_some(&self.agents, event.agent.as_ref())
            && is_one_of_some(&self.sessions, event.session.as_ref())
            && is_one_of(&self.actions, &event.action)
            && is_one_of(&self.resources, &event.resource)
            && self.texts.iter().all(|text| mentions(event, text))
    }
}

fn is_one_of<T: PartialEq>(wanted: &[T], found: &T) -> bool {
    wanted.is_empty() || wanted.contains(found)
}

fn is_one_of_some<T: PartialEq>(wanted: &[T], found: Option<&T>) -> bool {
    wanted.is_empty() || found.is_some_and(|found| wanted.contains(found))
}

fn mentions(event: &AuditEvent, text: &str) -> bool {
    contains(&event.action, text)
        || contains(&event.resource, text)
        || event.details.iter().any(|(name, value)| {
            contains(name, text)
                || match value {
                    AuditValue::Text(value) => contains(value, text),
                    AuditValue::List(values) => values.iter().any(|value| contains(value, text)),
                    other => contains(&other.to_string(), text),
                }
        })
}

/// Does `text` contain `part`, which is in lower case?
fn contains(text: &str, part: &str) -> bool {
    if !text.is_ascii() {
        return lowercase(text).contains(part);
    }
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// Character by character, and with one sigma, where `str::to_lowercase` has another one at the end of a word.
fn lowercase(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}
