//! The judgement over a log, with a key or without.

use std::path::Path;
use std::time::Duration;

use super::anchor::AnchoredCheckpoint;
use super::checked::check_records;
use super::disk::Disk;
use super::error::{AuditLogError, FaultKind, io_error};
use super::frame::RecordFrame;
use super::gone;
use super::index;
use super::layout;
use super::meta::LogMeta;
use super::opened::OpenedSegment;
use super::shred::Shreddings;
use super::subjects::SLOT_LEN;
use super::tiles;
use super::verdict::{Verdict, Verification};
use super::walk::{Segment, Step, Walk, fault, open_checkpoint, tampered};
use crate::crypto::KeyWrapper;
use crate::tlog::{Checkpoint, Note, NoteVerifier, TreeHead};

/// The checkpoint in the directory, before anything is believed.
pub(super) struct ClaimedCheckpoint {
    bytes: Vec<u8>,
    pub(super) claimed: TreeHead,
}

impl ClaimedCheckpoint {
    /// The note, if it is one.
    pub(super) fn note(&self) -> Option<Note> {
        Note::parse(&self.bytes).ok()
    }
}

/// `None` when the file is not there.
pub(super) fn read_checkpoint(
    disk: &dyn Disk,
    path: &Path,
) -> Result<Option<ClaimedCheckpoint>, AuditLogError> {
    let file = path.join(layout::CHECKPOINT);
    let mut before = None;
    let (bytes, claimed) = loop {
        let Some(bytes) = disk.read(layout::CHECKPOINT).map_err(io_error("read", &file))? else {
            return Ok(None);
        };
        let note = Note::parse(&bytes).ok();
        let checkpoint = note.and_then(|note| note.unverified_text().parse::<Checkpoint>().ok());
        // It may be just being written: then it is another one at the next look.
        if checkpoint.is_some() || before.as_ref() == Some(&bytes) {
            break (bytes, checkpoint.map(|checkpoint| checkpoint.head()));
        }
        before = Some(bytes);
        std::thread::sleep(PAUSE);
    };
    // What cannot be read is refused when it is judged.
    let claimed = claimed.unwrap_or(TreeHead { size: u64::MAX, root: crate::tlog::Hash::EMPTY });
    Ok(Some(ClaimedCheckpoint { bytes, claimed }))
}

/// What stands behind the last checkpoint.
pub(super) struct Ending {
    pub(super) unsigned_records: u64,
    /// The size of the tree that is signed.
    pub(super) unsigned_from: u64,
    /// In which epoch.
    pub(super) epoch: u64,
    pub(super) torn_bytes: u64,
}

/// Does the end of the log fit its last checkpoint?
pub(super) fn judge_ending(
    walk: &Walk<'_>,
    last: &Segment,
    checkpoint: Option<ClaimedCheckpoint>,
) -> Result<Ending, AuditLogError> {
    let Some(checkpoint) = checkpoint else {
        return Err(walk.tampered(FaultKind::CheckpointMissing, layout::CHECKPOINT, 0));
    };
    // Of the last epoch; or of an earlier one, if crashes came before the first checkpoint of those that follow, which then have
    // no records.
    let mut signers = walk.signers.iter().rev();
    let signed = signers.find_map(|(epoch, signer)| {
        Some((*epoch, open_checkpoint(&checkpoint.bytes, &walk.meta.origin, signer)?))
    });
    // Or the log went on after the checkpoint was read. Of one that did, all but the last segment is vouched for by the
    // headers that follow.
    let goes_on =
        || walk.read(layout::CHECKPOINT).is_ok_and(|now| now.is_some_and(|now| now != checkpoint.bytes));
    let signed = signed.filter(|(epoch, _)| *epoch == last.number || last.frames.is_empty() || goes_on());
    let Some((epoch, head)) = signed else {
        return Err(walk.tampered(FaultKind::CheckpointAltered, layout::CHECKPOINT, 0));
    };
    let name = layout::segment(last.number);
    if head.size > walk.tree.size() {
        return Err(walk.tampered(FaultKind::RecordsMissing, &name, last.end as u64));
    }
    if walk.root_at(head.size) != Some(head.root) {
        return Err(walk.tampered(FaultKind::RootDiffers, &name, 0));
    }
    let unsigned = last.frames.iter().zip(&last.leaves_before).filter(|(_, before)| **before >= head.size);
    let unsigned_records = unsigned
        .filter_map(|(range, _)| RecordFrame::parse(range.bytes(&last.bytes)))
        .map(|frame| frame.leaves.len() as u64)
        .sum();
    let torn_bytes = (last.torn + last.torn_slots) as u64;
    Ok(Ending { unsigned_records, unsigned_from: head.size, epoch, torn_bytes })
}

/// Before the walk: remember the root that an anchor asks about.
pub(super) fn mark_anchor(walk: &mut Walk<'_>, anchor: &AnchoredCheckpoint) {
    if let Some(head) = anchor.open(&walk.meta.origin, &walk.meta.identity) {
        walk.mark(head.size);
    }
}

/// Does the log have what an anchor knows? Without a walk there is no log.
pub(super) fn judge_anchor(
    meta: &LogMeta,
    anchor: &AnchoredCheckpoint,
    walk: Option<&Walk<'_>>,
) -> Result<bool, FaultKind> {
    let head = anchor.open(&meta.origin, &meta.identity).ok_or(FaultKind::Forked)?;
    let Some(walk) = walk else { return Err(FaultKind::RolledBack) };
    if head.size > walk.tree.size() {
        return Err(FaultKind::RolledBack);
    }
    let first = walk.pruned.as_ref().map_or(0, |pruned| pruned.head.size);
    match walk.root_at(head.size) {
        Some(root) if root == head.root => Ok(true),
        // Within what retention removed, nothing can be said; at its end it can.
        None if head.size < first => Ok(false),
        _ => Err(FaultKind::Forked),
    }
}

/// What to verify with.
#[derive(Default)]
pub(super) struct Means<'a> {
    /// The identity that the log must have; without one, that which it says it has.
    pub(super) identity: Option<&'a NoteVerifier>,
    pub(super) reader: Option<&'a dyn KeyWrapper>,
    /// The epoch that the host's keys know to be signed: the log cannot end before it.
    pub(super) least_epoch: Option<u64>,
    /// The host's keys know that nothing of the log was ever signed: its creation is going on, or was interrupted.
    pub(super) is_unborn: bool,
    pub(super) anchored: &'a [AnchoredCheckpoint],
    /// Is a shredding begun and not finished, as the host's keys know?
    pub(super) is_shredding: Option<&'a dyn Fn() -> bool>,
}

/// How often a log is looked at that changes while it is looked at, and how long it is waited in between.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(1);

/// Verifies a log, also one that is being written: what does not fit together is believed when nothing was written
/// meanwhile, and a second look found the same.
pub(super) fn verify(disk: &dyn Disk, path: &Path, means: &Means<'_>) -> Result<Verification, AuditLogError> {
    let written = || (disk.read(layout::CHECKPOINT).ok(), disk.read(layout::PRUNED).ok());
    let mut before = written();
    let mut last = verify_once(disk, path, means);
    for _ in 1..LOOKS {
        if last.as_ref().is_ok_and(Verification::is_intact) {
            break;
        }
        std::thread::sleep(PAUSE);
        let now = written();
        let again = verify_once(disk, path, means);
        let same = match (&again, &last) {
            (Ok(again), Ok(last)) => again == last,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        let still = now == before && written() == now;
        (last, before) = (again, now);
        if same && still {
            break;
        }
    }
    last
}

fn verify_once(disk: &dyn Disk, path: &Path, means: &Means<'_>) -> Result<Verification, AuditLogError> {
    let mut found = Verification {
        records: 0,
        first_record: 0,
        shredded: 0,
        unsigned: 0,
        torn: 0,
        decrypted: means.reader.is_some(),
        identity: None,
        head: None,
        clock_regressions: 0,
        boots: 0,
        verdict: Verdict::Unanchored,
        anchor_errors: Vec::new(),
    };
    match judge(disk, path, means, &mut found) {
        Ok(()) => {}
        Err(AuditLogError::Tampered { fault, .. }) => {
            found.records = fault.sequence.max(found.records);
            found.verdict = Verdict::Corrupt(fault);
        }
        Err(other) => {
            found.verdict = gone::verdict(&other, path, means.identity, means.anchored).ok_or(other)?;
        }
    }
    Ok(found)
}

fn judge(
    disk: &dyn Disk,
    path: &Path,
    means: &Means<'_>,
    found: &mut Verification,
) -> Result<(), AuditLogError> {
    // In this order, since each may be of more than what was looked at before.
    let indexes = disk.list(layout::INDEXES).map_err(io_error("read", &path.join(layout::INDEXES)))?;
    let checkpoint = read_checkpoint(disk, path)?;
    let mut tiles = tiles::Comparison::begin(disk, path)?;
    let mut each = |leaf| tiles.leaf(leaf);
    let walk = Walk::begin(disk, path)?.ok_or_else(|| AuditLogError::Missing { path: path.to_owned() })?;
    let mut walk = walk.with_leaves(&mut each);
    found.identity = Some(walk.meta.identity.clone());
    found.first_record = walk.records;
    if means.identity.is_some_and(|expected| *expected != walk.meta.identity) {
        return Err(walk.tampered(FaultKind::AnotherLog, layout::LOG, 0));
    }
    if let Some(checkpoint) = &checkpoint {
        walk.mark(checkpoint.claimed.size);
    }
    for anchor in means.anchored {
        mark_anchor(&mut walk, anchor);
    }
    let mut last: Option<Box<Segment>> = None;
    let mut index_fault = None;
    let mut shreddings = Shreddings::default();
    let mut time = std::time::Duration::ZERO;
    let mut boot = None;
    loop {
        match walk.step()? {
            Step::Segment(segment) => {
                found.boots += u64::from(boot.replace(segment.header.boot) != Some(segment.header.boot));
                if let Some(reader) = means.reader {
                    let segment = OpenedSegment::open(path, *segment, reader)?;
                    let number = segment.segment.number;
                    // One that comes later may be of more records than are read here.
                    let indexed = indexes.iter().any(|name| layout::parse_number(name) == Some(number));
                    let index_of = indexed.then_some(disk);
                    let read = check_records(path, &segment, index_of, &mut shreddings, &mut time)?;
                    found.shredded += read.shredded;
                    found.clock_regressions += read.clock_regressions;
                    index_fault = index_fault.or(read.index);
                    last = Some(Box::new(segment.segment));
                } else {
                    last = Some(segment);
                }
                found.records = walk.records;
            }
            Step::Unborn { bytes, .. } => found.torn += bytes,
            Step::End => break,
        }
    }
    // Nothing was acknowledged before its first checkpoint.
    if means.is_unborn && checkpoint.is_none() && walk.records == 0 {
        found.verdict = judge_anchors(&walk, &walk.meta, means.anchored);
        return Ok(());
    }
    let Some(last) = last else {
        let name = layout::segment(0);
        return Err(walk.tampered(FaultKind::SegmentMissing, &name, 0));
    };
    if walk.pruned.as_ref().is_some_and(|pruned| !pruned.is_signed_by(&walk.signers)) {
        return Err(walk.tampered(FaultKind::HeaderAltered, layout::PRUNED, 0));
    }
    let ending = judge_ending(&walk, &last, checkpoint)?;
    if means.least_epoch.is_some_and(|least| ending.epoch < least) {
        // Whoever has an anchor is told how much is missing.
        found.verdict = judge_anchors(&walk, &walk.meta, means.anchored);
        if matches!(found.verdict, Verdict::RolledBack { .. } | Verdict::Forked { .. }) {
            return Ok(());
        }
        return Err(walk.tampered(FaultKind::RolledBack, layout::CHECKPOINT, 0));
    }
    found.unsigned = ending.unsigned_records;
    found.torn += ending.torn_bytes;
    found.head = Some(walk.tree.head());
    if means.reader.is_some()
        && let Some((segment, slot)) = shreddings.unrecorded().or_else(|| {
            let is_going_on = || means.is_shredding.is_some_and(|is_shredding| is_shredding());
            shreddings.undone(disk).filter(|_| !is_going_on())
        })
    {
        let name = layout::subjects(segment);
        return Err(walk.tampered(FaultKind::SubjectAltered, &name, u64::from(slot) * SLOT_LEN as u64));
    }
    check_indexes(disk, path, &walk, &indexes)?;
    if let Some(fault) = index_fault {
        return Err(tampered(path, fault));
    }
    let (meta, records) = (walk.meta.clone(), walk.records);
    let verdict = judge_anchors(&walk, &meta, means.anchored);
    let pruned = walk.pruned.is_some();
    drop(walk);
    if !pruned {
        tiles.end().map_err(|name| tampered(path, fault(FaultKind::DerivedAltered, &name, records, 0)))?;
    }
    found.verdict = verdict;
    Ok(())
}

fn judge_anchors(walk: &Walk<'_>, meta: &LogMeta, anchored: &[AnchoredCheckpoint]) -> Verdict {
    let mut verdict = Verdict::Unanchored;
    for anchor in anchored {
        let size = anchor.open(&meta.origin, &meta.identity).map_or(0, |head| head.size);
        match judge_anchor(meta, anchor, Some(walk)) {
            Ok(true) => verdict = Verdict::Anchored,
            Ok(false) => {}
            Err(FaultKind::RolledBack) => return Verdict::RolledBack { anchored: size },
            Err(_) => return Verdict::Forked { anchored: size },
        }
    }
    verdict
}

/// Index files that are damaged, or of no segment.
fn check_indexes(
    disk: &dyn Disk,
    path: &Path,
    walk: &Walk<'_>,
    indexes: &[String],
) -> Result<(), AuditLogError> {
    let first = walk.segments().first().copied().unwrap_or(0);
    for name in indexes {
        if name.ends_with(".tmp") {
            continue;
        }
        let number = layout::parse_number(name);
        let file = format!("{}/{name}", layout::INDEXES);
        match number {
            Some(number) if walk.segments().contains(&number) => {
                let bytes = disk.read(&file).map_err(io_error("read", &path.join(&file)))?;
                // One that is gone was derived, and can be made again.
                if bytes.is_some_and(|bytes| !index::is_whole(&bytes)) {
                    return Err(walk.tampered(FaultKind::DerivedAltered, &file, 0));
                }
            }
            // Retention removes them as well, and may have been interrupted.
            Some(number) if number < first => {}
            _ => return Err(walk.tampered(FaultKind::StrangeFile, &file, 0)),
        }
    }
    Ok(())
}
