//! From one segment to the next: the epoch ends, and its key is gone.

use std::collections::HashMap;
use std::io;
use std::time::{Instant, SystemTime};

use super::super::disk::Disk;
use super::super::epoch::Epoch;
use super::super::error::AuditLogError;
use super::super::frame::{self, FrameKeys};
use super::super::header::Header;
use super::super::index::IndexBuilder;
use super::super::keys::EpochState;
use super::super::layout;
use super::super::pruned::Pruned;
use super::super::retention::Kept;
use super::super::subjects::SlotKey;
use super::super::walk::WRITE_AHEAD;
use super::{ActiveSegment, Base, CommitFailure, Rotation, Writer, bad_key, full_or_broken, is_full, sign};
use crate::crypto;
use crate::tlog::Tree;

/// A rotation on its way: a full disk stops it between two steps, and it goes on there when there is room.
pub(super) struct Turning {
    next: EpochState,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Replaces the stored key by the next one. From here on there is no way back.
    Store,
    Begin,
    Release,
}

impl Writer {
    pub(super) fn rotate_if_due(&mut self) -> Result<(), CommitFailure> {
        if self.turning.is_some() {
            return self.turn();
        }
        let Rotation { bytes, age } = self.base.rotation;
        let old = self.segment.since.elapsed() >= age;
        if self.segment.length < bytes && !old || self.segment.index.is_empty() {
            return Ok(());
        }
        self.end_segment()
    }

    /// Ends the segment and its epoch, and begins the next.
    pub(in super::super) fn rotate(&mut self) -> Result<(), CommitFailure> {
        self.guarded(|writer| if writer.turning.is_some() { writer.turn() } else { writer.end_segment() })
    }

    fn end_segment(&mut self) -> Result<(), CommitFailure> {
        let next = self.segment.epoch.next();
        let next = next.filter(|next| self.base.certificates.of(next.number).is_some()).ok_or_else(|| {
            CommitFailure::Broken(io::Error::other(
                "the identity has certified no more epochs; open the log again, which certifies some",
            ))
        })?;
        // Only the last segment may end in zeros.
        let trimmed = self.segment.file.trim().and_then(|()| self.segment.file.sync());
        trimmed.map_err(CommitFailure::Broken)?;
        let closing = self.checkpoint.to_string().into_bytes();
        let next = EpochState { epoch: next, signed: false, closing };
        self.turning = Some(Turning { next, step: Step::Store });
        self.turn()
    }

    /// Goes on with a rotation. When the disk is full, it is gone on with later.
    fn turn(&mut self) -> Result<(), CommitFailure> {
        let Some(mut turning) = self.turning.take() else { return Ok(()) };
        let outcome = self.steps(&mut turning);
        if matches!(outcome, Err(CommitFailure::Full(_))) {
            self.turning = Some(turning);
        }
        outcome
    }

    /// Each step can be done again.
    fn steps(&mut self, turning: &mut Turning) -> Result<(), CommitFailure> {
        let Turning { next, step } = turning;
        if *step == Step::Store {
            self.store_epoch(next)?;
            self.write_index();
            *step = Step::Begin;
        }
        if *step == Step::Begin {
            let number = next.epoch.number;
            let begun = begin_segment(
                &self.base,
                next.epoch.same(),
                next.closing.clone(),
                self.tree.clone(),
                self.records,
            );
            let (segment, tree) = begun.map_err(|failure| match failure {
                // What there is of it was never signed for.
                CommitFailure::Full(error) => match remove_segment(&*self.base.disk, number) {
                    Ok(()) => CommitFailure::Full(error),
                    Err(left) => CommitFailure::Broken(left),
                },
                broken @ CommitFailure::Broken(_) => broken,
            })?;
            self.kept.push(Kept {
                number: self.segment.epoch.number,
                bytes: self.segment.length,
                begun: self.segment.begun,
            });
            self.segment = segment;
            self.tree = tree;
            self.root = self.tree.root();
            *step = Step::Release;
        }
        let checkpoint = sign(&self.base.meta.origin, self.head(), &self.segment.signer);
        checkpoint.and_then(|checkpoint| self.release_durably(checkpoint)).map_err(full_or_broken)?;
        next.signed = true;
        self.store_epoch(next)?;
        match self.prune() {
            // What is too much is removed at the next rotation.
            Err(error) if is_full(&error) => Ok(()),
            other => other.map_err(CommitFailure::Broken),
        }
    }

    /// Whatever fails here leaves two states: the old key, or the new one.
    fn store_epoch(&self, state: &EpochState) -> Result<(), CommitFailure> {
        self.base.keys.store_epoch(state).map_err(|error| match error {
            AuditLogError::Io { source, .. } => full_or_broken(source),
            other => CommitFailure::Broken(io::Error::other(other)),
        })
    }

    /// Removes what is older or more than the policy keeps.
    pub(in super::super) fn prune(&mut self) -> io::Result<()> {
        let gone = self.base.retention.excess(&self.kept, self.segment.length);
        let Some(last) = self.kept.get(..gone).and_then(<[Kept]>::last) else { return Ok(()) };
        let first_kept = last.number + 1;
        let name = layout::segment(first_kept);
        let bytes = self.base.disk.read(&name)?.unwrap_or_default();
        let header = frame::frame_at(&bytes, 0).and_then(|range| Header::parse(range.bytes(&bytes)));
        let header = header.ok_or_else(|| io::Error::other(format!("{name} has no header")))?;
        let note =
            Pruned::sign(&self.base.meta.origin, &header, &self.segment.signer).map_err(io::Error::other)?;
        self.base.disk.replace(layout::PRUNED, &note)?;
        for kept in self.kept.drain(..gone) {
            remove_segment(&*self.base.disk, kept.number)?;
        }
        self.base.disk.sync_dir(layout::SEGMENTS)
    }

    /// Writes the index of the segment, which is derived: a failure is no loss.
    pub(super) fn write_index(&mut self) {
        let number = self.segment.epoch.number;
        let read = self.segment.epoch.read_key();
        if self.segment.index.is_empty() {
            return;
        }
        let Some(bytes) = self.segment.index.seal(&read, &self.base.meta.log_id, number) else { return };
        let disk = &self.base.disk;
        let name = layout::index(number);
        // All at once, so that a crash leaves no half of one, which would look like tampering.
        let _ = disk.make_dir(layout::INDEXES).and_then(|()| disk.replace(&name, &bytes));
    }
}

pub(in super::super) fn remove_segment(disk: &dyn Disk, number: u64) -> io::Result<()> {
    for name in [layout::index(number), layout::subjects(number), layout::segment(number)] {
        match disk.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn begin_segment(
    base: &Base,
    epoch: Epoch,
    closing: Vec<u8>,
    mut tree: Tree,
    records: u64,
) -> Result<(ActiveSegment, Tree), CommitFailure> {
    let broken = |text: String| CommitFailure::Broken(io::Error::other(text));
    let (log_id, number) = (base.meta.log_id, epoch.number);
    let certificate = base.certificates.of(number);
    let certificate = certificate.ok_or_else(|| broken(format!("epoch {number} is not certified")))?;
    let read = epoch.read_key();
    let readers = base.readers.iter().map(|reader| Header::wrap(&log_id, number, &read, reader));
    let readers = readers.collect::<Result<_, _>>().map_err(|error| broken(error.to_string()))?;
    let begun = SystemTime::now();
    let salt = crypto::random().map_err(|error| broken(error.to_string()))?;
    let header = Header {
        log_id,
        segment: number,
        salt,
        time: begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        boot: boot_id(),
        first: records,
        tree: tree.clone(),
        closing,
        certificate: certificate.to_string().into_bytes(),
        readers,
    };
    let bytes = header
        .to_frame(&epoch.signing_key())
        .ok_or_else(|| broken("the header of the segment is too long".to_owned()))?;
    let name = layout::segment(number);
    let mut file = base.disk.create(&name).map_err(full_or_broken)?;
    file.append(&bytes).map_err(full_or_broken)?;
    file.write_ahead(WRITE_AHEAD);
    file.sync().map_err(CommitFailure::Broken)?;
    base.disk.sync_dir(layout::SEGMENTS).map_err(CommitFailure::Broken)?;
    tree.append(frame::frame_leaf(&bytes)).map_err(|error| broken(error.to_string()))?;
    let segment = ActiveSegment {
        signer: epoch.signer(&base.meta.origin).map_err(|error| CommitFailure::Broken(bad_key(error)))?,
        frame_keys: FrameKeys::derive(&read, log_id, number, &salt),
        slot_key: SlotKey::derive(&read, log_id, number),
        epoch,
        file,
        length: bytes.len() as u64,
        begun,
        since: Instant::now(),
        failed: 0,
        subjects: HashMap::new(),
        slots_file: None,
        slots: 0,
        index: IndexBuilder::new(&read, records),
    };
    Ok((segment, tree))
}

/// Which start of the machine this is; zeros where it does not tell.
fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.trim().chars().filter(|char| *char != '-').collect();
    u128::from_str_radix(&digits, 16).unwrap_or_default().to_be_bytes()
}
