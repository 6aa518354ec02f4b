//! Queries through the index give what reading everything gives.

use std::time::{Duration, SystemTime};

use codegenie_security::{
    AuditEvent, AuditLog, AuditPage, AuditQuery, AuditReader, AuditResult, AuditSink, EventClass, ThreatLevel,
};

use super::{Fixture, key};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Several segments, of which the last is still written.
fn filled() -> (Fixture, AuditLog) {
    let fixture = Fixture::new(&[]);
    let mut number = 0;
    let mut fill = |log: &AuditLog, count| {
        for _ in 0..count {
            let n: u64 = number;
            let class = EventClass::ALL[(n % 10) as usize];
            let mut event = AuditEvent::new(class, ["run", "read"][(n % 2) as usize], format!("item {n}"))
                .actor(["alice", "bob", ""][(n % 3) as usize])
                .at(at(1000 + n * 10))
                .result([AuditResult::Success, AuditResult::Denied][(n / 7 % 2) as usize])
                .threat([ThreatLevel::None, ThreatLevel::High][usize::from(n.is_multiple_of(11))]);
            event.agent = n.is_multiple_of(5).then(|| "coder".to_owned());
            event.session = Some(format!("s{}", n % 4));
            log.record(&event).unwrap();
            number += 1;
        }
    };
    for _ in 0..3 {
        fill(&AuditLog::open(&fixture.path, &key()).unwrap(), 40);
    }
    let log = AuditLog::open(&fixture.path, &key()).unwrap();
    fill(&log, 25);
    log.rotate().unwrap();
    fill(&log, 25);
    (fixture, log)
}

fn queries() -> Vec<AuditQuery> {
    let q = AuditQuery::new;
    let mut queries = vec![
        q(),
        q().actor("alice"),
        q().actor(""),
        q().actor("nobody"),
        q().actor("alice").actor("bob").agent("coder"),
        q().session("s1").since(at(1200)).until(at(2000)),
        q().action("read").result(AuditResult::Denied),
        q().class(EventClass::Command).class(EventClass::Approval),
        q().threat_at_least(ThreatLevel::Low),
        q().text("ITEM 7").actor("bob"),
        q().resource("item 33"),
        q().sequences(30..90),
        q().sequences(..5),
        q().sequences(168..),
        q().since(at(1)).until(at(1000)),
    ];
    queries.extend(queries.clone().into_iter().map(AuditQuery::oldest_first));
    queries
}

fn pages(query: &AuditQuery, mut run: impl FnMut(&AuditQuery) -> AuditPage) -> Vec<AuditPage> {
    let mut pages = vec![run(query)];
    while let Some(next) = pages.last().unwrap().next {
        pages.push(run(&query.clone().after(next)));
        assert!(pages.len() < 1000);
    }
    pages
}

#[test]
fn every_page_is_the_one_that_reading_everything_gives() {
    let (fixture, log) = filled();
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    for limit in [13, 1000] {
        for query in queries() {
            let query = query.limit(limit);
            let by_index = pages(&query, |query| reader.query(query).unwrap());
            let by_reading = pages(&query, |query| query.run(reader.records().unwrap()).unwrap());
            assert_eq!(by_index, by_reading, "{query:?}");
        }
    }
    // And after the indexes are gone, and the log was closed.
    drop(log);
    let before = pages(&AuditQuery::new().limit(9), |query| reader.query(query).unwrap());
    std::fs::remove_dir_all(fixture.path.join("index")).unwrap();
    assert_eq!(pages(&AuditQuery::new().limit(9), |query| reader.query(query).unwrap()), before);
}

/// What the index says is only where to look.
#[test]
fn an_index_of_another_log_changes_no_answer() {
    let (fixture, log) = filled();
    let (other, other_log) = filled();
    drop((log, other_log));
    let query = AuditQuery::new().actor("alice").limit(500);
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let before = reader.query(&query).unwrap();
    for name in std::fs::read_dir(other.path.join("index")).unwrap() {
        let name = name.unwrap();
        std::fs::copy(name.path(), fixture.path.join("index").join(name.file_name())).unwrap();
    }
    assert_eq!(reader.query(&query).unwrap(), before);
}

#[test]
fn a_summary_of_a_query_counts_what_the_query_finds() {
    let (fixture, _log) = filled();
    let reader = AuditReader::open(&fixture.path, &key()).unwrap();
    let query = AuditQuery::new().actor("bob").limit(1);
    let summary = reader.summary(&query).unwrap();
    let found = reader.query(&query.clone().limit(10_000)).unwrap().events;
    assert_eq!(summary.events(), found.len() as u64);
    assert_eq!(summary.actors().top(5).len(), 1);
}
