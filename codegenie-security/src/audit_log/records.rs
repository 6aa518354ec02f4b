//! The events of a log, one after the other.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec;
use super::disk::Disk;
use super::error::{AuditLogError, FaultKind};
use super::frame::RecordFrame;
use super::layout;
use super::opened::{OpenedSegment, RecordOf};
use super::reader::{StoredEvent, begin};
use super::verify::{self, ClaimedCheckpoint};
use super::walk::{Paused, Step, fault, tampered};
use crate::crypto::KeyWrapper;
use crate::tlog::NoteVerifier;

/// The events of a log from the first that is kept to the last, each checked before it is given out. Made by
/// [`AuditLog::read`](crate::AuditLog::read) and [`AuditReader::records`](crate::AuditReader::records).
///
/// A fault ends the events with an error. Only the end of the iteration without one says that
/// nothing is missing. What no checkpoint tells of yet is not given out. Shredded records are left out, and [counted](Self::shredded).
pub struct Records {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    key: Arc<dyn KeyWrapper>,
    identity: Option<NoteVerifier>,
    checkpoint: Option<ClaimedCheckpoint>,
    /// How many leaves it claims.
    signed: u64,
    /// Where the walk stands between two segments.
    state: Option<Between>,
    segment: Option<OpenedSegment>,
    next_frame: usize,
    /// Decoded events of the current frame, the next one last.
    ready: Vec<StoredEvent>,
    shredded: u64,
    ended: bool,
}

/// What a walk needs to go on.
struct Between {
    next: u64,
    /// The last segment there was at the beginning.
    last: Option<u64>,
    paused: Paused,
}

impl Records {
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        path: &Path,
        key: Arc<dyn KeyWrapper>,
        identity: Option<&NoteVerifier>,
    ) -> Result<Self, AuditLogError> {
        let checkpoint = verify::read_checkpoint(&*disk, path)?;
        let mut walk = begin(&*disk, path, identity)?;
        if let Some(checkpoint) = &checkpoint {
            walk.mark(checkpoint.claimed.size);
        }
        let next = walk.segments().first().copied().unwrap_or(0);
        let between = Between { next, last: walk.segments().last().copied(), paused: walk.pause() };
        Ok(Self {
            disk,
            path: path.to_owned(),
            key,
            identity: identity.cloned(),
            signed: checkpoint.as_ref().map_or(u64::MAX, |checkpoint| checkpoint.claimed.size),
            checkpoint,
            state: Some(between),
            segment: None,
            next_frame: 0,
            ready: Vec::new(),
            shredded: 0,
            ended: false,
        })
    }

    /// How many records were left out so far, since they were shredded.
    #[must_use]
    pub fn shredded(&self) -> u64 {
        self.shredded
    }

    fn next_event(&mut self) -> Result<Option<StoredEvent>, AuditLogError> {
        loop {
            if let Some(event) = self.ready.pop() {
                return Ok(Some(event));
            }
            if !self.read_frame()? && !self.read_segment()? {
                return Ok(None);
            }
        }
    }

    /// Decodes the next frame. False at the end of the segment.
    fn read_frame(&mut self) -> Result<bool, AuditLogError> {
        let Some(opened) = &self.segment else { return Ok(false) };
        let segment = &opened.segment;
        let Some(range) = segment.frames.get(self.next_frame) else { return Ok(false) };
        // What no checkpoint tells of is not acknowledged yet.
        let before = segment.leaves_before.get(self.next_frame).copied().unwrap_or(u64::MAX);
        if before >= self.signed {
            return Ok(false);
        }
        self.next_frame += 1;
        let name = layout::segment(segment.number);
        let altered = |kind, sequence| tampered(&self.path, fault(kind, &name, sequence, range.start as u64));
        let frame = RecordFrame::parse(range.bytes(&segment.bytes));
        let frame = frame.ok_or_else(|| altered(FaultKind::FrameAltered, segment.header.first))?;
        let opened_frame = frame.open(&opened.keys.frames);
        let (_, entries) = opened_frame.ok_or_else(|| altered(FaultKind::FrameOutOfPlace, frame.first))?;
        for (place, entry) in entries.iter().enumerate() {
            let sequence = frame.first.saturating_add(place as u64);
            let record = match opened.keys.record(&frame, place, entry) {
                RecordOf::Event(record) => record,
                RecordOf::Shredded => {
                    self.shredded += 1;
                    continue;
                }
                RecordOf::Altered => return Err(altered(FaultKind::RecordAltered, sequence)),
                RecordOf::SubjectAltered => return Err(altered(FaultKind::SubjectAltered, sequence)),
            };
            // It is authentic, so it was this library that wrote it.
            let event = codec::decode(&record.event).ok_or_else(|| AuditLogError::UnknownVersion {
                path: self.path.clone(),
                what: format!("record {sequence}"),
            })?;
            self.ready.push(StoredEvent { sequence, event });
        }
        self.ready.reverse();
        Ok(true)
    }

    /// Walks over the next segment. False at the end of the log, which is then judged.
    fn read_segment(&mut self) -> Result<bool, AuditLogError> {
        let Some(Between { next, last, paused }) = self.state.take() else { return Ok(false) };
        let mut walk = begin(&*self.disk, &self.path, self.identity.as_ref())?;
        walk.resume(next, paused);
        let is_past_the_end = last.is_none_or(|last| next > last);
        let step = if is_past_the_end { Step::End } else { walk.step()? };
        match step {
            Step::Segment(segment) => {
                self.segment = Some(OpenedSegment::open(&self.path, *segment, &*self.key)?);
                self.next_frame = 0;
                self.state = Some(Between { next: next.saturating_add(1), last, paused: walk.pause() });
                Ok(true)
            }
            Step::Unborn { .. } | Step::End => {
                let Some(last) = self.segment.as_ref().map(|opened| &opened.segment) else {
                    return Err(walk.tampered(FaultKind::SegmentMissing, &layout::segment(next), 0));
                };
                verify::judge_ending(&walk, last, self.checkpoint.take())?;
                Ok(false)
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<StoredEvent, AuditLogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.next_event();
        self.ended = !matches!(item, Ok(Some(_)));
        item.transpose()
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("path", &self.path).finish_non_exhaustive()
    }
}
