use codegenie_security::{
    AuditEvent, AuditQuery, AuditResult, AuditValue, EventClass, StoredEvent, ThreatLevel,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::{at, events, name, stored};

/// The same filters, told in another way.
#[derive(Clone, Debug)]
pub(crate) struct Naive {
    actors: Vec<String>,
    agents: Vec<String>,
    sessions: Vec<String>,
    actions: Vec<String>,
    resources: Vec<String>,
    classes: Vec<EventClass>,
    results: Vec<AuditResult>,
    threat: ThreatLevel,
    times: (Option<u64>, Option<u64>),
    sequences: (Option<u64>, Option<u64>),
    texts: Vec<String>,
}

pub(crate) fn naive() -> impl Strategy<Value = Naive> {
    // Mostly no filter of a kind, so that something is left.
    let names = || prop_oneof![4 => Just(Vec::new()), 1 => vec(name(), 1..4)];
    let named = (names(), names(), names(), names(), names());
    let classes = prop::sample::select(EventClass::ALL[..4].to_vec());
    let classes = prop_oneof![3 => Just(Vec::new()), 1 => vec(classes, 1..3)];
    let results = prop::sample::select(events::RESULTS.to_vec());
    let results = prop_oneof![3 => Just(Vec::new()), 1 => vec(results, 1..3)];
    let threat =
        prop_oneof![3 => Just(ThreatLevel::None), 1 => prop::sample::select(events::THREATS.to_vec())];
    let range = || (option::weighted(0.3, 0..8_u64), option::weighted(0.3, 3..12_u64));
    let sequences = (option::weighted(0.3, 0..50_u64), option::weighted(0.3, 10..100_u64));
    let texts = prop_oneof![5 => name(), 1 => Just("TRUE".to_owned())];
    let texts = prop_oneof![3 => Just(Vec::new()), 2 => vec(texts, 1..3)];
    (named, classes, results, threat, range(), sequences, texts).prop_map(
        |(
            (actors, agents, sessions, actions, resources),
            classes,
            results,
            threat,
            times,
            sequences,
            texts,
        )| {
            Naive {
                actors,
                agents,
                sessions,
                actions,
                resources,
                classes,
                results,
                threat,
                times,
                sequences,
                texts,
            }
        },
    )
}

impl Naive {
    pub(crate) fn query(&self) -> AuditQuery {
        let mut query = AuditQuery::new().threat_at_least(self.threat);
        query = self.actors.iter().fold(query, AuditQuery::actor);
        query = self.agents.iter().fold(query, AuditQuery::agent);
        query = self.sessions.iter().fold(query, AuditQuery::session);
        query = self.actions.iter().fold(query, AuditQuery::action);
        query = self.resources.iter().fold(query, AuditQuery::resource);
        query = self.classes.iter().copied().fold(query, AuditQuery::class);
        query = self.results.iter().copied().fold(query, AuditQuery::result);
        query = self.texts.iter().fold(query, AuditQuery::text);
        query = self.times.0.into_iter().fold(query, |query, time| query.since(at(time)));
        query = self.times.1.into_iter().fold(query, |query, time| query.until(at(time)));
        match self.sequences {
            (None, None) => query,
            (Some(from), None) => query.sequences(from..),
            (None, Some(to)) => query.sequences(..=to),
            (Some(from), Some(to)) => query.sequences(from..to),
        }
    }

    pub(crate) fn passes(&self, stored: &StoredEvent) -> bool {
        let event = &stored.event;
        let any = |wanted: &[String], found: Option<&str>| {
            wanted.is_empty() || wanted.iter().any(|wanted| Some(wanted.as_str()) == found)
        };
        let sequence = stored.sequence;
        any(&self.actors, Some(&event.actor))
            && any(&self.agents, event.agent.as_deref())
            && any(&self.sessions, event.session.as_deref())
            && any(&self.actions, Some(&event.action))
            && any(&self.resources, Some(&event.resource))
            && (self.classes.is_empty() || self.classes.contains(&event.class))
            && (self.results.is_empty() || self.results.contains(&event.result))
            && event.threat >= self.threat
            && self.times.0.is_none_or(|from| at(from) <= event.time)
            && self.times.1.is_none_or(|to| event.time < at(to))
            && match self.sequences {
                (None, None) => true,
                (Some(from), None) => from <= sequence,
                (None, Some(to)) => sequence <= to,
                (Some(from), Some(to)) => from <= sequence && sequence < to,
            }
            && self.texts.iter().all(|text| haystack(event).iter().any(|hay| fold(hay).contains(&fold(text))))
    }
}

fn fold(text: &str) -> String {
    text.chars().map(|c| c.to_lowercase().to_string().replace('ς', "σ")).collect()
}

fn haystack(event: &AuditEvent) -> Vec<String> {
    let mut all = vec![event.action.clone(), event.resource.clone()];
    for (name, value) in &event.details {
        all.push(name.clone());
        match value {
            AuditValue::List(values) => all.extend(values.clone()),
            other => all.push(other.to_string()),
        }
    }
    all
}

proptest! {
    #[test]
    fn a_query_passes_what_a_naive_filter_passes(naive in naive(), events in stored()) {
        let query = naive.query();
        for stored in &events {
            assert_eq!(query.matches(stored), naive.passes(stored), "{query:?} {stored:?}");
        }
    }
}

#[test]
fn texts_are_found_in_whichever_case() {
    let event = AuditEvent::new(EventClass::Command, "execute", "ls ΟΔΟΣ /Tmp")
        .detail("Reason", "Überlauf")
        .detail("list", vec!["one".to_owned(), "two".to_owned()])
        .detail("count", 42)
        .detail("late", true);
    let stored = StoredEvent::new(0, event);
    for found in ["EXEC", "/tmp", "οδος", "οδοσ", "ΟΔΟΣ", "überLAUF", "reason", "two", "42", "TRUE", ""]
    {
        assert!(AuditQuery::new().text(found).matches(&stored), "{found}");
    }
    for missing in ["one, two", "onetwo", "executels", "alice"] {
        assert!(!AuditQuery::new().text(missing).matches(&stored), "{missing}");
    }
    assert!(AuditQuery::new().text("exec").text("tmp").matches(&stored));
    assert!(!AuditQuery::new().text("exec").text("nowhere").matches(&stored));
}
