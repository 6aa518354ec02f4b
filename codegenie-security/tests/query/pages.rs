use std::cell::Cell;
use std::convert::Infallible;

use codegenie_security::{AuditQuery, StoredEvent};
use proptest::prelude::*;

use crate::filters::naive;
use crate::stored;

fn run(query: &AuditQuery, events: &[StoredEvent]) -> (Vec<u64>, Option<u64>) {
    let page = query.run(events.iter().cloned().map(Ok::<_, Infallible>)).unwrap();
    (page.events.iter().map(|stored| stored.sequence).collect(), page.next)
}

proptest! {
    /// The log grows before each page.
    #[test]
    fn pages_joined_are_every_match_once_in_order(
        naive in naive(),
        events in stored(),
        limit in 1..6_usize,
        oldest_first in any::<bool>(),
        mut length in 0..60_usize,
        growth in proptest::collection::vec(0..5_usize, 60),
    ) {
        let order = if oldest_first { AuditQuery::oldest_first } else { AuditQuery::newest_first };
        let query = order(naive.query()).limit(limit);
        let at_first = length.min(events.len());
        let mut seen_by_last = at_first;
        let mut joined = Vec::new();
        let mut next = None;
        for grown in growth {
            seen_by_last = length.min(events.len());
            let this = next.map_or(query.clone(), |next| query.clone().after(next));
            let (page, following) = run(&this, &events[..seen_by_last]);
            assert!(page.len() <= limit);
            assert!(following.is_none() || page.len() == limit, "only the last page is short");
            joined.extend(page);
            next = following;
            length += grown;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(next, None);
        let all = &events[..if oldest_first { seen_by_last } else { at_first }];
        let mut expected: Vec<u64> =
            all.iter().filter(|stored| naive.passes(stored)).map(|stored| stored.sequence).collect();
        if !oldest_first {
            expected.reverse();
        }
        assert_eq!(joined, expected);
    }

    #[test]
    fn no_more_is_read_than_is_needed(events in stored(), limit in 1..6_usize, after in 0..60_u64) {
        let reads = |query: AuditQuery| {
            let read = Cell::new(0);
            let counted = events.iter().inspect(|_| read.set(read.get() + 1)).cloned();
            query.run(counted.map(Ok::<_, Infallible>)).unwrap();
            read.get()
        };
        let up_to = |end: u64| events.iter().filter(|stored| stored.sequence < end).count();
        assert_eq!(reads(AuditQuery::new().oldest_first().limit(limit)), events.len().min(limit + 1));
        assert_eq!(reads(AuditQuery::new().limit(limit).after(after)), events.len().min(up_to(after) + 1));
        assert_eq!(reads(AuditQuery::new().sequences(..after)), events.len().min(up_to(after) + 1));
    }
}

#[test]
fn an_error_is_passed_on_if_it_comes_in_time() {
    let event = |sequence| {
        let event = codegenie_security::AuditEvent::new(codegenie_security::EventClass::Command, "a", "b");
        StoredEvent::new(sequence, event)
    };
    let events = || [Ok(event(0)), Ok(event(1)), Err("broken")];
    assert_eq!(AuditQuery::new().run(events()), Err("broken"));
    assert_eq!(AuditQuery::new().oldest_first().run(events()), Err("broken"));
    assert_eq!(AuditQuery::new().oldest_first().limit(1).run(events()).unwrap().next, Some(0));
    assert_eq!(AuditQuery::new().limit(0).after(1).run(events()).unwrap().events.len(), 1);
}

#[cfg(unix)]
#[test]
fn a_log_is_read_page_by_page() {
    use codegenie_security::{AuditEvent, AuditLog, AuditSink, EventClass, SealingKey};
    let dir = tempfile::tempdir().unwrap();
    let (path, key) = (dir.path().join("log"), SealingKey::from_bytes([1; 32]));
    let log = AuditLog::open(&path, &key).unwrap();
    let record = |number: u64| {
        let actor = if number.is_multiple_of(3) { "alice" } else { "bob" };
        log.record(&AuditEvent::new(EventClass::Command, "execute", number.to_string()).actor(actor))
            .unwrap();
    };
    (0..10).for_each(record);
    let query = AuditQuery::new().actor("alice").limit(3);
    let page = query.run(AuditLog::read(&path, &key).unwrap()).unwrap();
    assert_eq!(page.events.iter().map(|stored| stored.sequence).collect::<Vec<_>>(), [9, 6, 3]);
    (10..13).for_each(record);
    let page = query.after(page.next.unwrap()).run(AuditLog::read(&path, &key).unwrap()).unwrap();
    assert_eq!(page.events.iter().map(|stored| stored.sequence).collect::<Vec<_>>(), [0]);
    assert_eq!(page.next, None);
}
