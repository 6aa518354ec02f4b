//! Destroying the keys of a subject, so that what was recorded of it can be read by nobody any more.
//!
//! First the log says what it is about to destroy, then it does. So a key that is gone without a word of the log is
//! a fault, and a crash in between is made good when the log is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::codec;
use super::disk::Disk;
use super::encoded::EncodedEvents;
use super::error::{AuditLogError, io_error};
use super::layout;
use super::subjects::{self, SLOT_LEN, SubjectId};
use super::writer::{Committed, Writer, is_full};
use crate::audit::{AuditEvent, AuditValue, EventClass};

pub(crate) const ACTION: &str = "shred_subject";
pub(crate) const SLOTS: &str = "keys";
/// How many keys one record names.
const PER_RECORD: usize = 10_000;

/// A key of a subject: its segment, and its number there.
type KeyPlace = (u64, u32);

/// What shredding destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shredded {
    /// How many keys, one or more for each segment in which the subject acted.
    pub keys: u64,
}

/// Destroys all keys of a subject.
///
/// `told` hears of each commit. After an error the writer is broken, unless nothing was said or done yet: the disk was full.
pub(super) fn shred(
    writer: &mut Writer,
    subject: &str,
    told: &dyn Fn(&Committed, &EncodedEvents, &Writer),
) -> Result<Shredded, AuditLogError> {
    whole_or_broken(writer, subject, told, false)
}

/// `is_said` tells whether the log may have said already that it will.
fn whole_or_broken(
    writer: &mut Writer,
    subject: &str,
    told: &dyn Fn(&Committed, &EncodedEvents, &Writer),
    mut is_said: bool,
) -> Result<Shredded, AuditLogError> {
    let shredded = try_shred(writer, subject, told, &mut is_said);
    let is_undone = |error: &AuditLogError, writer: &Writer| {
        let is_full = matches!(error, AuditLogError::Io { source, .. } if is_full(source));
        is_full && !is_said && writer.base().keys.end_shredding().is_ok()
    };
    if shredded.as_ref().is_err_and(|error| !is_undone(error, writer)) {
        // What was said and what was done are no longer the same.
        writer.break_off();
    }
    shredded
}

fn try_shred(
    writer: &mut Writer,
    subject: &str,
    told: &dyn Fn(&Committed, &EncodedEvents, &Writer),
    is_said: &mut bool,
) -> Result<Shredded, AuditLogError> {
    let path = writer.base().path.clone();
    writer.base().keys.begin_shredding(subject)?;
    let places = find(writer, subject)?;
    for part in places.chunks(PER_RECORD) {
        let names: Vec<String> =
            part.iter().map(|((segment, slot), _)| format!("{segment}/{slot}")).collect();
        let pseudonym: String =
            writer.base().names.id(u64::MAX, subject).iter().map(|byte| format!("{byte:02x}")).collect();
        let event = AuditEvent::new(EventClass::Configuration, ACTION, format!("subject:{pseudonym}"));
        let encoded = codec::encode(&event.detail(SLOTS, names)).unwrap_or_default();
        let events = [encoded].into_iter().collect();
        let committed = writer.commit(&events).map_err(|failure| failure.into_log_error(&path))?;
        *is_said = true;
        told(&committed, &events, writer);
    }
    *is_said = true;
    erase(writer, &places)?;
    writer.forget_subject(subject);
    writer.base().keys.end_shredding()?;
    Ok(Shredded { keys: places.len() as u64 })
}

/// Finishes what a crash interrupted.
pub(super) fn finish(writer: &mut Writer) -> Result<bool, AuditLogError> {
    let Some(subject) = writer.base().keys.shredding()? else { return Ok(false) };
    // Nobody listens before the log is open.
    whole_or_broken(writer, &subject, &|_, _, _| (), true)?;
    Ok(true)
}

fn find(writer: &Writer, subject: &str) -> Result<Vec<(KeyPlace, SubjectId)>, AuditLogError> {
    let base = writer.base();
    let mut places = Vec::new();
    for segment in writer.segments() {
        let name = layout::subjects(segment);
        let bytes = base.disk.read(&name).map_err(io_error("read", &base.path.join(&name)))?;
        let id = base.names.id(segment, subject);
        let bytes = bytes.unwrap_or_default();
        for (slot, number) in bytes.as_chunks::<SLOT_LEN>().0.iter().zip(0..) {
            if subjects::id_of(slot) == id && !subjects::is_shredded(slot) {
                places.push(((segment, number), id));
            }
        }
    }
    Ok(places)
}

fn erase(writer: &Writer, places: &[(KeyPlace, SubjectId)]) -> Result<(), AuditLogError> {
    let base = writer.base();
    for part in places.chunk_by(|((one, _), _), ((other, _), _)| one == other) {
        let Some(((segment, _), _)) = part.first() else { continue };
        let name = layout::subjects(*segment);
        let path = base.path.join(&name);
        let mut file = match base.disk.open(&name) {
            // Retention has removed the segment meanwhile, keys and all.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(io_error("open", &path))?,
        };
        for ((_, number), id) in part {
            let offset = u64::from(*number) * SLOT_LEN as u64;
            file.write_at(&subjects::shredded(*number, id), offset).map_err(io_error("shred in", &path))?;
        }
        file.sync().map_err(io_error("sync", &path))?;
        // It has a hash of the name. It can be made again, without.
        match base.disk.remove(&layout::index(*segment)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_error("remove", &base.path.join(layout::index(*segment)))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// How often, and how long after each other, it is looked whether a key is being destroyed.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Is there a key, by now?
fn is_there(disk: &dyn Disk, (segment, slot): &KeyPlace) -> bool {
    let bytes = disk.read(&layout::subjects(*segment)).ok().flatten().unwrap_or_default();
    let slot = bytes.as_chunks::<SLOT_LEN>().0.get(*slot as usize);
    slot.is_some_and(|slot| !subjects::is_shredded(slot))
}

/// Is this what only the log itself says?
pub(super) fn is_reserved(event: &AuditEvent) -> bool {
    event.class == EventClass::Configuration && event.action == ACTION
}

/// Which keys are destroyed, and which the log said it would.
#[derive(Default)]
pub(super) struct Shreddings {
    seen: BTreeSet<KeyPlace>,
    told: BTreeSet<KeyPlace>,
    /// How many keys, destroyed or not, there are by segment.
    there: BTreeMap<u64, u32>,
}

impl Shreddings {
    /// So many keys a segment has.
    pub(super) fn count(&mut self, segment: u64, keys: usize) {
        self.there.insert(segment, u32::try_from(keys).unwrap_or(u32::MAX));
    }

    /// A key that is destroyed.
    pub(super) fn see(&mut self, segment: u64, slot: u32) {
        self.seen.insert((segment, slot));
    }

    /// An event, which may be the log's word.
    pub(super) fn hear(&mut self, event: &AuditEvent) {
        if !is_reserved(event) {
            return;
        }
        let Some(AuditValue::List(names)) = event.get_detail(SLOTS) else { return };
        let place = |name: &String| {
            let (segment, slot) = name.split_once('/')?;
            Some((segment.parse().ok()?, slot.parse().ok()?))
        };
        self.told.extend(names.iter().filter_map(place));
    }

    pub(super) fn join(&mut self, mut other: Self) {
        self.seen.append(&mut other.seen);
        self.told.append(&mut other.told);
        self.there.append(&mut other.there);
    }

    /// A destroyed key of which the log said nothing.
    pub(super) fn unrecorded(&self) -> Option<KeyPlace> {
        self.seen.difference(&self.told).next().copied()
    }

    /// A key that is there though the log said that it destroyed it, and stays: it may be just about to. Retention takes others
    /// away with their segments.
    pub(super) fn undone(&self, disk: &dyn Disk) -> Option<KeyPlace> {
        let was_there = |(segment, slot): &&KeyPlace| self.there.get(segment).is_some_and(|keys| slot < keys);
        // Where some are destroyed meanwhile, so are the others.
        let places = self.told.difference(&self.seen).filter(was_there).copied();
        let mut places: Vec<_> = places.take(16).collect();
        for _ in 0..LOOKS {
            if places.is_empty() {
                return None;
            }
            std::thread::sleep(PAUSE);
            places.retain(|place| is_there(disk, place));
        }
        places.first().copied()
    }
}
