//! Opening a log to write: creation, recovery, and the step into a new epoch.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::disk::Disk;
use super::epoch::{Certificates, Epoch};
use super::error::{AuditLogError, FaultKind, io_error};
use super::frame::{self, FrameKeys, RecordFrame};
use super::keys::{EpochState, KeyStore, LogIdentity};
use super::layout;
use super::meta::LogMeta;
use super::retention::{Kept, RetentionPolicy};
use super::subjects::{SLOT_LEN, SubjectNames};
use super::verify::{self, Ending};
use super::walk::{Segment, Step, Walk, fault, tampered};
use super::writer::{Base, Rotation, Writer, remove_segment, sign};
use super::{AnchoredCheckpoint, shred};
use crate::crypto::{RecipientKey, SealingKey};
use crate::tlog::Tree;

/// What opening a log had to repair after a crash. All of it concerns commits that were not
/// acknowledged; nothing that was is ever dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Bytes of a commit that was half written, which were cut off.
    pub truncated_bytes: u64,
    /// Records that were on the disk before the last checkpoint told of them, and are now signed.
    pub adopted_records: u64,
    /// The creation of the log, or of its last segment, had been interrupted.
    pub interrupted_start: bool,
    /// A shredding had been interrupted, and was finished.
    pub finished_shredding: bool,
}

impl Recovery {
    /// Was there nothing to repair?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// How a log is to be opened.
pub(super) struct Settings {
    pub(super) must_exist: bool,
    pub(super) origin: Option<String>,
    pub(super) auditors: Vec<RecipientKey>,
    pub(super) own_reader: bool,
    pub(super) rotation: Rotation,
    pub(super) retention: RetentionPolicy,
    pub(super) certify_ahead: u32,
}

pub(super) fn open(
    path: &Path,
    disk: Arc<dyn Disk>,
    keys: KeyStore,
    host: &SealingKey,
    settings: Settings,
    anchored: &[AnchoredCheckpoint],
) -> Result<(Writer, Recovery), AuditLogError> {
    match keys.epoch()? {
        // Before the first checkpoint of the first epoch its creation was interrupted: nothing was acknowledged.
        Some(state) if state.signed || state.epoch.number > 0 => {
            resume(path, disk, keys, host, settings, state, anchored)
        }
        state => create(path, disk, keys, host, settings, anchored, state.is_some()),
    }
}

fn create(
    path: &Path,
    disk: Arc<dyn Disk>,
    mut keys: KeyStore,
    host: &SealingKey,
    settings: Settings,
    anchored: &[AnchoredCheckpoint],
    was_begun: bool,
) -> Result<(Writer, Recovery), AuditLogError> {
    if !was_begun && Walk::begin(&*disk, path)?.is_some() {
        return Err(AuditLogError::NoKeys { path: keys.path().to_owned() });
    }
    if settings.must_exist {
        return Err(AuditLogError::Missing { path: path.to_owned() });
    }
    keys.make()?;
    let identity = match keys.identity()? {
        Some(identity) => identity,
        None => {
            let identity = LogIdentity::generate(settings.origin.as_deref())?;
            keys.store_identity(&identity)?;
            identity
        }
    };
    let reader = match keys.reader()? {
        Some(reader) => Some(reader),
        None if settings.own_reader => Some(keys.make_reader()?),
        None => None,
    };
    let epoch = Epoch::first()?;
    let state = EpochState { epoch, signed: false, closing: Vec::new() };
    keys.store_epoch(&state)?;
    keys.forget_lasting();

    disk.make_dir(layout::SEGMENTS).map_err(io_error("make", &path.join(layout::SEGMENTS)))?;
    // Of a creation that a crash interrupted.
    for number in [0, 1] {
        remove_segment(&*disk, number).map_err(io_error("remove", path))?;
    }
    let meta = LogMeta::of(&identity)?;
    check_anchors(path, &meta, anchored, None)?;
    disk.replace(layout::LOG, &meta.sign(&identity)?).map_err(io_error("write", &path.join(layout::LOG)))?;
    disk.sync_dir("").map_err(io_error("sync", path))?;
    let mut readers = settings.auditors;
    readers.extend(reader.map(|reader| reader.recipient_key()));
    let certificates = certificates(&identity, &state.epoch, settings.certify_ahead)?;
    let base = Base {
        path: path.to_owned(),
        disk,
        keys,
        meta,
        names: SubjectNames::new(host),
        certificates,
        readers,
        rotation: settings.rotation,
        retention: settings.retention,
    };
    let writer = Writer::begin(base, state.epoch, Vec::new(), Tree::new(), 0, Vec::new())?;
    Ok((writer, Recovery { interrupted_start: was_begun, ..Recovery::default() }))
}

fn certificates(identity: &LogIdentity, epoch: &Epoch, ahead: u32) -> Result<Certificates, AuditLogError> {
    Certificates::ahead(&identity.signer()?, &identity.origin, epoch, ahead)
        .ok_or_else(|| AuditLogError::BadOrigin { origin: identity.origin.clone() })
}

/// Is a log at least as far as its anchors know?
fn check_anchors(
    path: &Path,
    meta: &LogMeta,
    anchored: &[AnchoredCheckpoint],
    walk: Option<&Walk<'_>>,
) -> Result<(), AuditLogError> {
    for anchor in anchored {
        let judged = verify::judge_anchor(meta, anchor, walk);
        if let Err(kind) = judged {
            return Err(tampered(
                path,
                fault(kind, layout::CHECKPOINT, walk.map_or(0, |walk| walk.records), 0),
            ));
        }
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "each is one thing that opening needs")]
fn resume(
    path: &Path,
    disk: Arc<dyn Disk>,
    mut keys: KeyStore,
    host: &SealingKey,
    settings: Settings,
    state: EpochState,
    anchored: &[AnchoredCheckpoint],
) -> Result<(Writer, Recovery), AuditLogError> {
    let identity = keys.identity()?;
    let identity = identity.ok_or_else(|| AuditLogError::NoKeys { path: keys.path().to_owned() })?;
    let reader = keys.reader()?;
    keys.forget_lasting();
    let own = LogMeta::of(&identity)?;
    let checkpoint = verify::read_checkpoint(&*disk, path)?;
    let Some(mut walk) = Walk::begin(&*disk, path)? else {
        return Err(tampered(path, fault(FaultKind::LogAltered, layout::LOG, 0, 0)));
    };
    if walk.meta.log_id != own.log_id || walk.meta.identity != own.identity {
        return Err(walk.tampered(FaultKind::AnotherLog, layout::LOG, 0));
    }
    if let Some(checkpoint) = &checkpoint {
        walk.mark(checkpoint.claimed.size);
    }
    for anchor in anchored {
        verify::mark_anchor(&mut walk, anchor);
    }
    let (mut last, mut kept, mut unborn) = (None, Vec::new(), None);
    loop {
        match walk.step()? {
            Step::Segment(segment) => {
                let begun = SystemTime::UNIX_EPOCH.checked_add(segment.header.time);
                kept.push(Kept {
                    number: segment.number,
                    bytes: segment.end as u64,
                    begun: begun.unwrap_or(SystemTime::UNIX_EPOCH),
                });
                last = Some(segment);
            }
            Step::Unborn { number, .. } => unborn = Some(number),
            Step::End => break,
        }
    }
    let segments_file = || layout::segment(state.epoch.number);
    let Some(last) = last else {
        return Err(walk.tampered(FaultKind::SegmentMissing, &segments_file(), 0));
    };
    if walk.pruned.as_ref().is_some_and(|pruned| !pruned.is_signed_by(&walk.signers)) {
        return Err(walk.tampered(FaultKind::HeaderAltered, layout::PRUNED, 0));
    }
    let mut recovery = Recovery::default();
    let ending = verify::judge_ending(&walk, &last, checkpoint)?;
    let Ending { unsigned_records, unsigned_from, epoch: signed_in, .. } = ending;
    // What was signed in this epoch was acknowledged, or may have been.
    if state.signed && (last.number != state.epoch.number || unborn.is_some()) {
        return Err(walk.tampered(FaultKind::SegmentMissing, &segments_file(), 0));
    }
    if state.signed && signed_in != state.epoch.number {
        return Err(walk.tampered(FaultKind::RolledBack, layout::CHECKPOINT, 0));
    }
    check_anchors(path, &own, anchored, Some(&walk))?;

    if let Some(number) = unborn {
        if number != state.epoch.number {
            return Err(walk.tampered(FaultKind::HeaderAltered, &layout::segment(number), 0));
        }
        remove_segment(&*disk, number).map_err(io_error("remove", &path.join(layout::segment(number))))?;
        recovery.interrupted_start = true;
    }
    let torn = last.torn;
    let (epoch, closing) = if last.number == state.epoch.number && unborn.is_none() {
        check_unsigned(&walk, &last, &state, unsigned_from)?;
        recovery.adopted_records = unsigned_records;
        repair(&*disk, path, &last)?;
        recovery.truncated_bytes = torn as u64;
        let signer = state.epoch.signer(&own.origin);
        let signer = signer.map_err(|_| AuditLogError::BadOrigin { origin: own.origin.clone() })?;
        let closing = sign(&own.origin, walk.tree.head(), &signer).map_err(io_error("sign", path))?;
        let next = state.epoch.next();
        let next = next.ok_or_else(|| walk.tampered(FaultKind::KeysDisagree, &segments_file(), 0))?;
        let closing = closing.to_string().into_bytes();
        let next = EpochState { epoch: next, signed: false, closing };
        keys.store_epoch(&next)?;
        (next.epoch, next.closing)
    } else if last.number.checked_add(1) == Some(state.epoch.number) {
        // The crash came between the key of the new epoch and its segment.
        let signer = walk.signers.last().map(|(_, signer)| signer);
        let head =
            signer.and_then(|signer| super::walk::open_checkpoint(&state.closing, &own.origin, signer));
        if head != Some(walk.tree.head()) || torn > 0 {
            return Err(walk.tampered(
                FaultKind::RecordsMissing,
                &layout::segment(last.number),
                last.end as u64,
            ));
        }
        // Zeros that were written ahead, if the disk has not cut them as it said.
        repair(&*disk, path, &last)?;
        (state.epoch, state.closing)
    } else {
        return Err(walk.tampered(FaultKind::KeysDisagree, &segments_file(), 0));
    };

    let mut readers = settings.auditors;
    readers.extend(reader.map(|reader| reader.recipient_key()));
    let (tree, records) = (walk.tree.clone(), walk.records);
    let first = kept.first().map_or(0, |kept| kept.number);
    drop(walk);
    remove_leftovers(&*disk, first).map_err(io_error("remove", path))?;
    let base = Base {
        path: path.to_owned(),
        disk,
        certificates: certificates(&identity, &epoch, settings.certify_ahead)?,
        keys,
        meta: own,
        names: SubjectNames::new(host),
        readers,
        rotation: settings.rotation,
        retention: settings.retention,
    };
    let mut writer = Writer::begin(base, epoch, closing, tree, records, kept)?;
    recovery.finished_shredding = shred::finish(&mut writer)?;
    writer.prune().map_err(io_error("remove", path))?;
    Ok((writer, recovery))
}

/// The frames that no checkpoint tells of: did the epoch's key seal them, each after the one before?
fn check_unsigned(
    walk: &Walk<'_>,
    last: &Segment,
    state: &EpochState,
    signed: u64,
) -> Result<(), AuditLogError> {
    let read = state.epoch.read_key();
    let keys = FrameKeys::derive(&read, last.header.log_id, last.number, &last.header.salt);
    let name = layout::segment(last.number);
    let mut tree = last.header.tree.clone();
    let append = |leaf, tree: &mut Tree| {
        // A log of 2^64 leaves does not fit on a disk.
        let _ = tree.append(leaf);
    };
    let header = frame::frame_at(&last.bytes, 0).map(|range| range.bytes(&last.bytes)).unwrap_or_default();
    append(frame::frame_leaf(header), &mut tree);
    for range in &last.frames {
        let bytes = range.bytes(&last.bytes);
        let Some(parsed) = RecordFrame::parse(bytes) else { continue };
        let sealed = || parsed.before == tree.root() && parsed.open(&keys).is_some();
        if tree.size() >= signed && !sealed() {
            return Err(tampered(
                walk.path(),
                fault(FaultKind::FrameOutOfPlace, &name, parsed.first, range.start as u64),
            ));
        }
        parsed.record_leaves().chain([frame::frame_leaf(bytes)]).for_each(|leaf| append(leaf, &mut tree));
    }
    Ok(())
}

/// Cuts what a crash left of a commit.
fn repair(disk: &dyn Disk, path: &Path, last: &Segment) -> Result<(), AuditLogError> {
    let name = layout::segment(last.number);
    let cut = |name: &str, len: u64| -> Result<(), AuditLogError> {
        let mut file = disk.open(name).map_err(io_error("open", &path.join(name)))?;
        file.set_len(len).and_then(|()| file.sync()).map_err(io_error("repair", &path.join(name)))
    };
    // Also where nothing is cut: what was written may not have been synced when the crash came.
    cut(&name, last.end as u64)?;
    let needed = last.frames.last().and_then(|range| RecordFrame::parse(range.bytes(&last.bytes)));
    let needed = needed.map_or(0, |frame| frame.subjects as usize * SLOT_LEN);
    if last.slots.len() > needed {
        cut(&layout::subjects(last.number), needed as u64)?;
    }
    Ok(())
}

/// Segments that retention had begun to remove.
fn remove_leftovers(disk: &dyn Disk, first: u64) -> io::Result<()> {
    for name in disk.list(layout::SEGMENTS)? {
        if let Some(layout::SegmentFile::Segment(number) | layout::SegmentFile::Subjects(number)) =
            layout::parse_segment_file(&name)
            && number < first
        {
            remove_segment(disk, number)?;
        }
    }
    Ok(())
}

/// The default age of a segment.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
