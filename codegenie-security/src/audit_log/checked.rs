//! What only a key shows of a segment: that its records are those that were committed to, and its index tells of all.

use std::path::Path;
use std::time::Duration;

use rayon::prelude::*;

use super::codec;
use super::disk::Disk;
use super::error::{AuditLogError, Fault, FaultKind};
use super::frame::{RecordFrame, TableEntry};
use super::index::{FrameRows, IndexFile, Rows};
use super::layout;
use super::opened::{OpenedSegment, RecordOf};
use super::shred::Shreddings;
use super::subjects::{self, SLOT_LEN};
use super::walk::{fault, tampered};

/// What decrypting a segment showed.
pub(super) struct Decrypted {
    pub(super) shredded: u64,
    pub(super) clock_regressions: u64,
    /// What an index hides. The least of what can be wrong: told when nothing else is.
    pub(super) index: Option<Fault>,
}

/// Decrypts all records of a segment on all cores, and compares them with their commitments, and with the index on a disk.
pub(super) fn check_records(
    path: &Path,
    opened: &OpenedSegment,
    index_of: Option<&dyn Disk>,
    shreddings: &mut Shreddings,
    time: &mut Duration,
) -> Result<Decrypted, AuditLogError> {
    let segment = &opened.segment;
    let name = layout::segment(segment.number);
    let rows_of = index_of.map(|_| Rows::new(&opened.keys.read));
    let frames = segment.frames.par_iter().map(|range| {
        let out_of_place = |first| fault(FaultKind::FrameOutOfPlace, &name, first, range.start as u64);
        let Some(frame) = RecordFrame::parse(range.bytes(&segment.bytes)) else {
            return Err(out_of_place(opened.segment.header.first));
        };
        let (time, entries) = frame.open(&opened.keys.frames).ok_or_else(|| out_of_place(frame.first))?;
        let (mut shredded, mut told) = (0, Shreddings::default());
        let mut rows = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let sequence = frame.first.saturating_add(number as u64);
            match opened.keys.record(&frame, number, entry) {
                RecordOf::Event(record) => {
                    let event = codec::decode(&record.event);
                    let event = event.ok_or_else(|| {
                        fault(FaultKind::RecordAltered, &name, sequence, range.start as u64)
                    })?;
                    told.hear(&event);
                    rows.extend(rows_of.as_ref().map(|rows| Some(rows.of(&codec::facets(&record.event)?))));
                }
                RecordOf::Shredded => {
                    shredded += 1;
                    rows.extend(rows_of.as_ref().map(|_| None));
                }
                RecordOf::Altered => {
                    return Err(fault(FaultKind::RecordAltered, &name, sequence, range.start as u64));
                }
                RecordOf::SubjectAltered => return Err(subject_fault(segment.number, sequence, entry)),
            }
        }
        Ok((time, shredded, told, (range.start as u64, frame.first, rows)))
    });
    let mut decrypted = Decrypted { shredded: 0, clock_regressions: 0, index: None };
    let mut indexed: Vec<FrameRows> = Vec::new();
    for frame in frames.collect::<Vec<_>>() {
        let (commit, shredded, told, rows) = frame.map_err(|fault| tampered(path, fault))?;
        indexed.push(rows);
        decrypted.shredded += shredded;
        decrypted.clock_regressions += u64::from(commit.saturating_add(Duration::from_secs(1)) < *time);
        *time = commit;
        shreddings.join(told);
    }
    shreddings.count(segment.number, segment.slots.len() / SLOT_LEN);
    for (slot, number) in segment.slots.as_chunks::<SLOT_LEN>().0.iter().zip(0..) {
        if subjects::is_shredded(slot) {
            shreddings.see(segment.number, number);
        }
    }
    decrypted.index = index_of.and_then(|disk| index_fault(opened, disk, &indexed));
    Ok(decrypted)
}

/// Does the index of a closed segment tell of every record what it is? Another reader of the log has the key to make one that
/// hides some.
fn index_fault(opened: &OpenedSegment, disk: &dyn Disk, frames: &[FrameRows]) -> Option<Fault> {
    let header = &opened.segment.header;
    let index = IndexFile::open(disk, &opened.keys.read, &header.log_id, header.segment);
    let sequence = match index {
        Some(index) => index.differs(header.first, frames)?,
        None => header.first,
    };
    let name = layout::index(header.segment);
    // It may have been removed meanwhile, by a shredding.
    let is_there = disk.read(&name).is_ok_and(|bytes| bytes.is_some());
    is_there.then(|| fault(FaultKind::DerivedAltered, &name, sequence, 0))
}

fn subject_fault(segment: u64, sequence: u64, entry: &TableEntry) -> Fault {
    let offset = u64::from(entry.subject) * SLOT_LEN as u64;
    fault(FaultKind::SubjectAltered, &layout::subjects(segment), sequence, offset)
}
