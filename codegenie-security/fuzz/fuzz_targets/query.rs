//! Texts that claim to be queries, and events with any text: no panic, errors and exports that fit on a line, pages
//! within their limit.
#![no_main]

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use codegenie_security::export::{Exporter, Origin, Syslog};
use codegenie_security::{AuditEvent, AuditQuery, EventClass, StoredEvent};

libfuzzer_sys::fuzz_target!(|input: (&str, Vec<(u8, u64, &str, &str)>)| {
    let (query, events) = input;
    let stored: Vec<_> = (0..)
        .zip(events)
        .map(|(sequence, (class, seconds, resource, detail))| {
            let class = EventClass::ALL[usize::from(class) % EventClass::ALL.len()];
            let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            let event = AuditEvent::new(class, detail, resource).at(time.unwrap_or(SystemTime::UNIX_EPOCH));
            StoredEvent::new(sequence, event.actor(resource).detail(detail, resource))
        })
        .collect();
    let origin = || Origin::new().hostname(query);
    for exporter in
        [Exporter::OcsfJson(origin()), Exporter::Cef(origin()), Exporter::Syslog(Syslog::new(origin()))]
    {
        assert!(stored.iter().all(|stored| !exporter.encode(stored).contains(char::is_control)));
    }
    match query.parse::<AuditQuery>() {
        Err(error) => assert!(!error.to_string().contains('\n')),
        Ok(query) => {
            let page = query.run(stored.iter().cloned().map(Ok::<_, Infallible>)).unwrap();
            assert!(page.events.iter().all(|stored| query.matches(stored)));
            assert!(page.next.is_none() || page.next == page.events.last().map(|last| last.sequence));
        }
    }
});
