//! An index that another reader of the log made, who has its key: it hides an event from queries, and verifying tells.

use super::super::disk::Directory;
use super::super::index::IndexBuilder;
use super::super::keys::{KeyStore, default_dir};
use super::super::opened::{OpenedSegment, RecordOf};
use super::super::walk::{Step, Walk};
use super::super::{AuditLog, AuditReader, FaultKind, codec, frame, layout};
use crate::audit::{AuditEvent, AuditSink, EventClass};
use crate::crypto::SealingKey;
use crate::query::AuditQuery;

#[test]
fn an_index_that_hides_a_record_is_a_fault_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (path, key) = (dir.path().join("audit"), SealingKey::from_bytes([7; 32]));
    let log = AuditLog::open(&path, &key).unwrap();
    for (number, actor) in ["alice", "bob", "mallory", "alice", "carol"].into_iter().enumerate() {
        let event = AuditEvent::new(EventClass::Command, "execute", format!("command:{number}")).actor(actor);
        log.record(&event).unwrap();
    }
    log.shred("carol").unwrap();
    drop(log);
    let reader = AuditReader::open(&path, &key).unwrap();
    let found = || reader.query(&AuditQuery::new().actor("mallory")).unwrap().events.len();
    assert_eq!(found(), 1);
    assert!(reader.verify(&[]).unwrap().is_intact());

    let disk = Directory::new(path.clone());
    let own = KeyStore::at(&default_dir(&path), &key).reader().unwrap().unwrap();
    let mut walk = Walk::begin(&disk, &path).unwrap().unwrap();
    let Step::Segment(segment) = walk.step().unwrap() else { panic!("no segment") };
    let opened = OpenedSegment::open(&path, *segment, &own).unwrap();
    let (segment, keys) = (&opened.segment, &opened.keys);
    // The same index again, but for what `as_if` makes of each record.
    let forge = |as_if: &dyn Fn(u64, &mut String) -> bool, frames: usize| {
        let mut builder = IndexBuilder::new(&keys.read, segment.header.first);
        for range in segment.frames.iter().take(frames) {
            let parsed = frame::RecordFrame::parse(range.bytes(&segment.bytes)).unwrap();
            let (_, entries) = parsed.open(&keys.frames).unwrap();
            let records: Vec<_> = entries
                .iter()
                .enumerate()
                .map(|(place, entry)| match keys.record(&parsed, place, entry) {
                    RecordOf::Event(record) => Some(record.event),
                    _ => None,
                })
                .collect();
            let mut actors = vec![String::new(); records.len()];
            let facets =
                records.iter().zip(&mut actors).zip(parsed.first..).map(|((event, actor), sequence)| {
                    let mut facets = codec::facets(event.as_deref()?)?;
                    *actor = facets.actor.to_owned();
                    if !as_if(sequence, actor) {
                        return None;
                    }
                    facets.actor = actor;
                    Some(facets)
                });
            let facets: Vec<_> = facets.collect();
            builder.add_frame(range.start as u64, parsed.first, facets.iter().map(Option::as_ref));
        }
        let bytes = builder.seal(&keys.read, &segment.header.log_id, segment.number).unwrap();
        std::fs::write(path.join(layout::index(segment.number)), bytes).unwrap();
    };
    let sequence = || {
        let verification = reader.verify(&[]).unwrap();
        verification.fault().map(|fault| (fault.kind(), fault.sequence()))
    };
    forge(&|_, _| true, usize::MAX);
    assert_eq!((found(), sequence()), (1, None), "the honest one");

    forge(&|number, _| number != 2, usize::MAX);
    assert_eq!(found(), 0, "the event is hidden from a query");
    assert_eq!(sequence(), Some((FaultKind::DerivedAltered, 2)));
    let renamed = |number, actor: &mut String| {
        if number == 2 {
            *actor = "alice".to_owned();
        }
        true
    };
    forge(&renamed, usize::MAX);
    assert_eq!((found(), sequence()), (0, Some((FaultKind::DerivedAltered, 2))));
    forge(&|_, _| true, 2);
    assert_eq!((found(), sequence()), (0, Some((FaultKind::DerivedAltered, 2))));
    // Without a key it is a file like another, and the log itself is whole.
    assert!(AuditLog::verify_public(&path, None, &[]).unwrap().is_intact());
    // It is derived: without it, all is found.
    std::fs::remove_file(path.join(layout::index(segment.number))).unwrap();
    assert_eq!((found(), sequence()), (1, None));
}
