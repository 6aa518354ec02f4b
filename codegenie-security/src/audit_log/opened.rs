//! A segment that can be read: its keys, and those of its subjects.

use std::path::Path;

use super::error::AuditLogError;
use super::frame::{FrameKeys, NO_SUBJECT, Record, RecordFrame, TableEntry};
use super::header::Header;
use super::subjects::{SLOT_LEN, Slot, SlotKey};
use super::walk::Segment;
use crate::crypto::{KeyWrapper, SealingKey};

/// The keys of a segment, for reading.
pub(super) struct SegmentKeys {
    pub(super) read: SealingKey,
    pub(super) frames: FrameKeys,
    /// `None` for one that was altered.
    slots: Vec<Option<Slot>>,
}

/// What became of a record.
pub(super) enum RecordOf {
    Event(Record),
    Shredded,
    Altered,
    SubjectAltered,
}

impl SegmentKeys {
    pub(super) fn open(
        path: &Path,
        header: &Header,
        slots: &[u8],
        reader: &dyn KeyWrapper,
    ) -> Result<Self, AuditLogError> {
        let (log_id, segment) = (header.log_id, header.segment);
        let not_a_reader = || AuditLogError::NotAReader { path: path.to_owned(), segment };
        let read = header.read_key(reader).ok_or_else(not_a_reader)?;
        let slot_key = SlotKey::derive(&read, log_id, segment);
        let slots = slots.as_chunks::<SLOT_LEN>().0.iter().zip(0..);
        let slots = slots.map(|(slot, number)| slot_key.open(number, slot)).collect();
        Ok(Self { frames: FrameKeys::derive(&read, log_id, segment, &header.salt), read, slots })
    }

    /// Decrypts a record of a frame that was opened.
    pub(super) fn record(&self, frame: &RecordFrame<'_>, number: usize, entry: &TableEntry) -> RecordOf {
        let slot = usize::try_from(entry.subject).ok().and_then(|slot| self.slots.get(slot));
        let key = match slot {
            _ if entry.subject == NO_SUBJECT => self.frames.without_subject(),
            Some(Some(Slot::Key(key))) => key,
            Some(Some(Slot::Shredded)) => return RecordOf::Shredded,
            Some(None) | None => return RecordOf::SubjectAltered,
        };
        frame.event(number, entry, key).map_or(RecordOf::Altered, RecordOf::Event)
    }
}

/// A segment that was walked over, with its keys.
pub(super) struct OpenedSegment {
    pub(super) segment: Segment,
    pub(super) keys: SegmentKeys,
}

impl OpenedSegment {
    pub(super) fn open(
        path: &Path,
        segment: Segment,
        reader: &dyn KeyWrapper,
    ) -> Result<Self, AuditLogError> {
        let keys = SegmentKeys::open(path, &segment.header, &segment.slots, reader)?;
        Ok(Self { segment, keys })
    }
}
