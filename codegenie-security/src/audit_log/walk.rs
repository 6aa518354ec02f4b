//! Goes through a log from its first segment to its last, and believes nothing that no signature leads to.
//!
//! No key is needed. Opening, verifying, reading and proving share it.

use std::path::Path;

use rayon::prelude::*;

use super::disk::Disk;
use super::epoch::open_certificate;
use super::error::{AuditLogError, Fault, FaultKind, io_error};
use super::frame::{self, FrameRange, RecordFrame};
use super::header::Header;
use super::kept::Leaves;
use super::layout::{self, SegmentFile};
use super::meta::LogMeta;
use super::pruned::Pruned;
use super::subjects::{self, SLOT_LEN};
use crate::tlog::{Checkpoint, Hash, Note, NoteVerifier, Tree, TreeHead};

/// The walk, between two segments.
pub(super) struct Walk<'a> {
    disk: &'a dyn Disk,
    path: &'a Path,
    pub(super) meta: LogMeta,
    pub(super) pruned: Option<Pruned>,
    /// Those that are there and not pruned, in order.
    segments: Vec<u64>,
    done: usize,
    pub(super) tree: Tree,
    /// How many records came before.
    pub(super) records: u64,
    /// Keys that were certified on the way.
    pub(super) signers: Vec<(u64, NoteVerifier)>,
    /// At which sizes the root shall be remembered, and the root where it was.
    pub(super) marks: Vec<(u64, Option<Hash>)>,
    /// Is given every leaf, with what is in it.
    each_leaf: Option<&'a mut dyn Leaves>,
}

/// A walk between two segments, without the disk.
pub(super) struct Paused {
    tree: Tree,
    records: u64,
    signers: Vec<(u64, NoteVerifier)>,
    marks: Vec<(u64, Option<Hash>)>,
}

/// A segment whose header was believed and whose frames are in the tree.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
    /// Its frames of records.
    pub(super) frames: Vec<FrameRange>,
    /// Where the last whole frame ends.
    pub(super) end: usize,
    /// Bytes of a torn frame that follow, in the last segment.
    pub(super) torn: usize,
    /// Bytes at the end of the last segment's file of subjects that are no whole keys, and that no frame counts.
    pub(super) torn_slots: usize,
    pub(super) slots: Vec<u8>,
    /// The size of the tree before each frame.
    pub(super) leaves_before: Vec<u64>,
}

/// What comes next.
pub(super) enum Step {
    Segment(Box<Segment>),
    /// The last segment was never finished: so many bytes of its header are there.
    Unborn {
        number: u64,
        bytes: u64,
    },
    End,
}

impl<'a> Walk<'a> {
    /// Begins at the first segment. `None` when there is no log.
    pub(super) fn begin(disk: &'a dyn Disk, path: &'a Path) -> Result<Option<Self>, AuditLogError> {
        let read = |name: &str| disk.read(name).map_err(io_error("read", &path.join(name)));
        let segments_dir = path.join(layout::SEGMENTS);
        let files = disk.list(layout::SEGMENTS).map_err(io_error("read", &segments_dir))?;
        let Some(bytes) = read(layout::LOG)? else {
            if files.is_empty() && read(layout::CHECKPOINT)?.is_none() {
                return Ok(None);
            }
            return Err(tampered(path, fault(FaultKind::LogAltered, layout::LOG, 0, 0)));
        };
        let log_fault = || tampered(path, fault(FaultKind::LogAltered, layout::LOG, 0, 0));
        let meta = LogMeta::read(&bytes, path)?.ok_or_else(log_fault)?;

        let pruned_fault = || tampered(path, fault(FaultKind::HeaderAltered, layout::PRUNED, 0, 0));
        let pruned = read(layout::PRUNED)?
            .map(|bytes| Pruned::parse(&bytes, &meta.origin).ok_or_else(pruned_fault))
            .transpose()?;
        let first = pruned.as_ref().map_or(0, |pruned| pruned.first);
        let records = pruned.as_ref().map_or(0, |pruned| pruned.sequence);

        let (mut segments, mut subjects) = (Vec::new(), Vec::new());
        for name in files {
            match layout::parse_segment_file(&name) {
                Some(SegmentFile::Segment(number)) => segments.push(number),
                Some(SegmentFile::Subjects(number)) => subjects.push(number),
                None => {
                    let name = format!("{}/{name}", layout::SEGMENTS);
                    return Err(tampered(path, fault(FaultKind::StrangeFile, &name, records, 0)));
                }
            }
        }
        // What retention was about to remove when a crash came.
        segments.retain(|number| *number >= first);
        segments.sort_unstable();
        for (number, expected) in segments.iter().zip(first..) {
            if *number != expected {
                let name = layout::segment(expected);
                return Err(tampered(path, fault(FaultKind::SegmentMissing, &name, records, 0)));
            }
        }
        if let Some(number) = subjects.iter().find(|number| **number >= first && !segments.contains(number)) {
            let name = layout::segment(*number);
            return Err(tampered(path, fault(FaultKind::SegmentMissing, &name, records, 0)));
        }
        Ok(Some(Self {
            disk,
            path,
            meta,
            pruned,
            segments,
            done: 0,
            tree: Tree::new(),
            records,
            signers: Vec::new(),
            marks: Vec::new(),
            each_leaf: None,
        }))
    }

    /// Remembers the root when the tree is of this size.
    pub(super) fn mark(&mut self, size: u64) {
        self.marks.push((size, (size == 0).then_some(Hash::EMPTY)));
    }

    /// Hands out each leaf in order, and before them the tree that they go on from.
    pub(super) fn with_leaves(mut self, each: &'a mut dyn Leaves) -> Self {
        self.each_leaf = Some(each);
        self
    }

    pub(super) fn root_at(&self, size: u64) -> Option<Hash> {
        self.marks.iter().find(|(marked, _)| *marked == size).and_then(|(_, root)| *root)
    }

    /// A file of the log as it is now.
    pub(super) fn read(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        self.disk.read(name)
    }

    /// The directory of the log.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// The numbers of the segments, pruned ones excepted.
    pub(super) fn segments(&self) -> &[u64] {
        &self.segments
    }

    /// Goes straight to a segment, believing what its header says of those before: for looking, not for judging.
    pub(super) fn skip_to(&mut self, number: u64) {
        self.done = self.segments.iter().position(|known| *known == number).unwrap_or(self.segments.len());
        self.signers.clear();
    }

    /// What it takes to go on from here.
    pub(super) fn pause(self) -> Paused {
        Paused { tree: self.tree, records: self.records, signers: self.signers, marks: self.marks }
    }

    /// Goes on before a segment.
    pub(super) fn resume(&mut self, number: u64, paused: Paused) {
        self.skip_to(number);
        let Paused { tree, records, signers, marks } = paused;
        (self.tree, self.records, self.signers, self.marks) = (tree, records, signers, marks);
    }

    pub(super) fn step(&mut self) -> Result<Step, AuditLogError> {
        let Some(number) = self.segments.get(self.done).copied() else { return Ok(Step::End) };
        let is_last = self.done + 1 == self.segments.len();
        let name = layout::segment(number);
        let file = self.path.join(&name);
        let bytes = self.disk.read(&name).map_err(io_error("read", &file))?.unwrap_or_default();

        let header = frame::frame_at(&bytes, 0).filter(|range| frame::is_whole(range.bytes(&bytes)));
        let Some(range) = header else {
            self.done += 1;
            if is_last && bytes.len() <= MAX_HEADER {
                return Ok(Step::Unborn { number, bytes: bytes.len() as u64 });
            }
            return Err(self.tampered(FaultKind::HeaderAltered, &name, 0));
        };
        let Some(header) = Header::parse(range.bytes(&bytes)) else {
            if Header::is_of_another_version(range.bytes(&bytes)) {
                let what = format!("segment {number}");
                return Err(AuditLogError::UnknownVersion { path: self.path.to_owned(), what });
            }
            return Err(self.tampered(FaultKind::HeaderAltered, &name, 0));
        };
        let signer = self.check_header(number, &header)?;
        if !Header::is_signed(range.bytes(&bytes), &signer) {
            return Err(self.tampered(FaultKind::HeaderAltered, &name, 0));
        }
        if self.signers.is_empty() {
            (self.tree, self.records) = (header.tree.clone(), header.first);
            if let Some(each) = &mut self.each_leaf {
                each.begin(&self.tree);
            }
            self.remember();
        }
        self.signers.push((number, signer));
        self.append(&[frame::frame_leaf(range.bytes(&bytes))]);
        self.remember();

        let (frames, end) = self.frames(&name, &bytes, range.end, is_last)?;
        let leaves_before = self.absorb(&bytes, &frames);
        let (slots, torn_slots) = self.slots(number, &bytes, &frames)?;
        self.done += 1;
        // Zeros at the end of the last segment are written ahead, for the frames to come.
        let rest = bytes.get(end..).unwrap_or_default();
        let torn = if is_zero(rest) && rest.len() <= WRITE_AHEAD { 0 } else { rest.len() };
        Ok(Step::Segment(Box::new(Segment {
            number,
            header,
            bytes,
            frames,
            end,
            torn,
            torn_slots,
            slots,
            leaves_before,
        })))
    }

    /// Does the header follow from what came before? Returns the key that signs in its epoch.
    fn check_header(&self, number: u64, header: &Header) -> Result<NoteVerifier, AuditLogError> {
        let name = layout::segment(number);
        let refuse = |kind| Err(self.tampered(kind, &name, 0));
        if header.log_id != self.meta.log_id {
            return refuse(FaultKind::AnotherLog);
        }
        if header.segment != number {
            return refuse(FaultKind::HeaderAltered);
        }
        let (identity, origin) = (&self.meta.identity, &self.meta.origin);
        let Some(signer) = open_certificate(&header.certificate, identity, origin, number) else {
            return refuse(FaultKind::CertificateRefused);
        };
        match (self.signers.last(), &self.pruned) {
            (Some((_, before)), _) => {
                let closing = open_checkpoint(&header.closing, origin, before);
                let Some(closing) = closing else { return refuse(FaultKind::HeaderAltered) };
                if closing != self.tree.head() {
                    let before = layout::segment(number.saturating_sub(1));
                    return Err(self.tampered(FaultKind::RootDiffers, &before, 0));
                }
                if header.tree != self.tree || header.first != self.records {
                    return refuse(FaultKind::HeaderAltered);
                }
            }
            (None, Some(pruned)) if number == pruned.first => {
                if header.tree.head() != pruned.head || header.first != pruned.sequence {
                    return refuse(FaultKind::HeaderAltered);
                }
            }
            (None, None) if number == 0 => {
                if header.tree.size() != 0 || header.first != 0 || !header.closing.is_empty() {
                    return refuse(FaultKind::HeaderAltered);
                }
            }
            // After `skip_to`.
            (None, _) => {}
        }
        Ok(signer)
    }

    /// The frames of a segment from `start` on, and where the last one ends.
    fn frames(
        &self,
        name: &str,
        bytes: &[u8],
        start: usize,
        is_last: bool,
    ) -> Result<(Vec<FrameRange>, usize), AuditLogError> {
        let (mut frames, mut end, mut records) = (Vec::new(), start, self.records);
        let mut out_of_place = false;
        while let Some(range) = frame::frame_at(bytes, end) {
            let Some(parsed) = RecordFrame::parse(range.bytes(bytes)) else { break };
            if parsed.first != records {
                // Unless a crash tore it.
                out_of_place = frame::is_whole(range.bytes(bytes));
                break;
            }
            records = records.saturating_add(parsed.leaves.len() as u64);
            end = range.end;
            frames.push(range);
        }
        let bad = frames.par_iter().position_first(|range| !frame::is_whole(range.bytes(bytes)));
        if let Some(bad) = bad {
            let before = frames.iter().take(bad);
            let count = |range: &FrameRange| {
                RecordFrame::parse(range.bytes(bytes)).map_or(0, |frame| frame.leaves.len() as u64)
            };
            records = self.records.saturating_add(before.map(count).sum());
            end = frames.get(bad).map_or(start, |range| range.start);
            frames.truncate(bad);
            out_of_place = false;
        }
        let rest = bytes.get(end..).unwrap_or_default();
        let whole = frame::frame_at(bytes, end).is_some_and(|range| frame::is_whole(range.bytes(bytes)));
        let torn = is_last && !out_of_place && !whole && (is_zero(rest) || may_be_torn(rest, records));
        if rest.is_empty() || torn {
            return Ok((frames, end));
        }
        let kind = if whole { FaultKind::FrameOutOfPlace } else { FaultKind::FrameAltered };
        Err(tampered(self.path, fault(kind, name, records, end as u64)))
    }

    /// Takes the frames into the tree. Their leaves are computed on all cores.
    fn absorb(&mut self, bytes: &[u8], frames: &[FrameRange]) -> Vec<u64> {
        let own: Vec<Hash> = frames.par_iter().map(|range| frame::frame_leaf(range.bytes(bytes))).collect();
        let mut before = Vec::with_capacity(frames.len());
        let mut leaves = Vec::new();
        for (range, own) in frames.iter().zip(own) {
            before.push(self.tree.size() + leaves.len() as u64);
            if let Some(frame) = RecordFrame::parse(range.bytes(bytes)) {
                self.records = self.records.saturating_add(frame.leaves.len() as u64);
                leaves.extend(frame.record_leaves());
            }
            leaves.push(own);
            if self.is_marked(self.tree.size() + leaves.len() as u64) {
                self.append(&leaves);
                self.remember();
                leaves.clear();
            }
        }
        self.append(&leaves);
        before
    }

    fn append(&mut self, leaves: &[Hash]) {
        if let Some(each) = &mut self.each_leaf {
            leaves.iter().for_each(|leaf| each.leaf(*leaf));
        }
        // A log of 2^64 leaves does not fit on a disk.
        let _ = self.tree.extend(leaves);
    }

    /// Is the root of a tree of this size wanted, and not known yet?
    fn is_marked(&self, size: u64) -> bool {
        self.marks.iter().any(|(marked, root)| *marked == size && root.is_none())
    }

    fn remember(&mut self) {
        let size = self.tree.size();
        if self.is_marked(size) {
            let root = self.tree.root();
            self.marks
                .iter_mut()
                .filter(|(marked, _)| *marked == size)
                .for_each(|(_, mark)| *mark = Some(root));
        }
    }

    /// The file of the keys of the segment's subjects, with each slot in order.
    fn slots(
        &self,
        number: u64,
        bytes: &[u8],
        frames: &[FrameRange],
    ) -> Result<(Vec<u8>, usize), AuditLogError> {
        let name = layout::subjects(number);
        let slots =
            self.disk.read(&name).map_err(io_error("read", &self.path.join(&name)))?.unwrap_or_default();
        let needed = frames.last().and_then(|range| RecordFrame::parse(range.bytes(bytes)));
        let needed = needed.map_or(0, |frame| frame.subjects) as usize * SLOT_LEN;
        let (whole, rest) = slots.as_chunks::<SLOT_LEN>();
        let bad = whole.iter().zip(0..).find(|(slot, number)| !subjects::is_whole(*number, slot));
        let offset = match bad {
            Some((_, number)) => Some(number as usize * SLOT_LEN),
            None if slots.len() < needed => Some(slots.len()),
            // A slot that no frame counts may be torn, or flipped: nothing depends on it.
            None if !rest.is_empty() => Some(whole.len() * SLOT_LEN),
            None => None,
        };
        match offset {
            Some(offset) if offset < needed || self.done + 1 < self.segments.len() => {
                let first = self.records;
                Err(tampered(self.path, fault(FaultKind::SubjectAltered, &name, first, offset as u64)))
            }
            Some(offset) => {
                let torn = slots.len().saturating_sub(offset);
                Ok((slots, torn))
            }
            None => Ok((slots, 0)),
        }
    }

    pub(super) fn tampered(&self, kind: FaultKind, file: &str, offset: u64) -> AuditLogError {
        tampered(self.path, fault(kind, file, self.records, offset))
    }
}

/// The largest header: three parts of 2^16 bytes and 255 readers.
const MAX_HEADER: usize = 4 * (1 << 16);

/// How many zeros a writer has written ahead of small commits. More would be written seldom enough, and let those wait long
/// who come then.
pub(super) const WRITE_AHEAD: usize = 256 << 10;

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Is this what a crash leaves of the one frame that was being written? Then no whole frame follows it.
fn may_be_torn(rest: &[u8], records: u64) -> bool {
    if rest.len() > frame::PREFIX_LEN + frame::MAX_BODY {
        return false;
    }
    // A later frame was written after this one was synced, so this one was not torn by a crash. What looks like more frames than
    // fit was put there by somebody.
    let mut budget = 4 * rest.len();
    (1..rest.len()).all(|start| {
        let Some(range) = frame::frame_at(rest, start) else { return true };
        let bytes = range.bytes(rest);
        if RecordFrame::parse(bytes).is_none_or(|frame| frame.first <= records) {
            return true;
        }
        let left = budget.checked_sub(bytes.len());
        budget = left.unwrap_or(0);
        left.is_some() && !frame::is_whole(bytes)
    })
}

/// The head in a checkpoint that a key of this log signed.
pub(super) fn open_checkpoint(bytes: &[u8], origin: &str, signer: &NoteVerifier) -> Option<TreeHead> {
    let checkpoint = Checkpoint::open(&Note::parse(bytes).ok()?, origin, signer).ok()?;
    checkpoint.extensions().is_empty().then(|| checkpoint.head())
}

pub(super) fn fault(kind: FaultKind, file: &str, sequence: u64, offset: u64) -> Fault {
    Fault { kind, file: file.to_owned(), sequence, offset }
}

pub(super) fn tampered(path: &Path, fault: Fault) -> AuditLogError {
    AuditLogError::Tampered { path: path.to_owned(), fault }
}
