//! The proof that one record is in a log, for somebody who has neither the log nor its keys.

use std::fmt;
use std::path::Path;

use super::codec::{self, Input};
use super::disk::Disk;
use super::epoch::open_certificate;
use super::error::{AuditLogError, FaultKind};
use super::frame::{RecordFrame, Salt, record_entry, record_leaf};
use super::kept::last_of;
use super::keys::identity_name;
use super::layout;
use super::opened::{OpenedSegment, RecordOf};
use super::reader::{StoredEvent, begin};
use super::verify;
use super::walk::Step;
use crate::crypto::KeyWrapper;
use crate::tlog::{
    Checkpoint, Hash, InclusionProof, LoggedProof, LoggedProofError, MemoryTree, Note, NoteVerifier,
};

const VERSION: u8 = 1;

/// Why a proof of a record was not read, or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProofError {
    /// The proof, or the checkpoint in it.
    #[error(transparent)]
    Logged(#[from] LoggedProofError),
    /// What stands beside the proof is not of this format.
    #[error("the data beside the proof is not that of a record of an audit log; get the proof again")]
    Malformed,
    /// The key that signed the checkpoint is not certified by the identity.
    #[error(
        "the checkpoint of the proof is not signed by a key that the log's identity certified; do not believe it"
    )]
    NotCertified,
}

/// The proof that a record is in a log.
///
/// Its text is a `c2sp.org/tlog-proof`. The extra data is `version u8 = 1 | epoch u64 | certificate, u16 and
/// bytes | leaf hash 32`, and unless the record was shredded `sequence u64 | salt 16 | event`. The entry of the leaf is
/// `1 | salt | event`.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordProof {
    logged: LoggedProof,
    epoch: u64,
    certificate: Note,
    leaf: Hash,
    opening: Option<Opening>,
}

/// What shows the event behind a leaf.
type Opening = (Salt, StoredEvent, Vec<u8>);

impl RecordProof {
    pub(super) fn make(
        disk: &dyn Disk,
        path: &Path,
        key: &dyn KeyWrapper,
        identity: Option<&NoteVerifier>,
        sequence: u64,
    ) -> Result<Self, AuditLogError> {
        let walk = begin(disk, path, identity)?;
        let kept_from = walk.pruned.as_ref().map_or(0, |pruned| pruned.sequence);
        if sequence < kept_from {
            return Err(AuditLogError::Pruned { path: path.to_owned(), kept_from });
        }
        let first = last_of(disk, walk.segments(), |header| header.first <= sequence);
        drop(walk);
        match Self::make_from(disk, path, key, identity, sequence, first) {
            // The header that told where to begin may have lied. From the beginning it is seen.
            Err(AuditLogError::NoSuchRecord { .. }) => {
                Self::make_from(disk, path, key, identity, sequence, None)
            }
            made => made,
        }
    }

    /// Of the log from a segment on: the state of the tree in its header is believed as it leads to the root that was signed.
    fn make_from(
        disk: &dyn Disk,
        path: &Path,
        key: &dyn KeyWrapper,
        identity: Option<&NoteVerifier>,
        sequence: u64,
        first: Option<u64>,
    ) -> Result<Self, AuditLogError> {
        let checkpoint = verify::read_checkpoint(disk, path)?;
        let mut tree = MemoryTree::new();
        let mut walk = begin(disk, path, identity)?.with_leaves(&mut tree);
        if let Some(first) = first {
            walk.skip_to(first);
        }
        let claimed = checkpoint.as_ref().map(|checkpoint| checkpoint.claimed);
        if let Some(claimed) = claimed {
            walk.mark(claimed.size);
        }
        let (mut found, mut last, mut certificates) = (None, None, Vec::new());
        loop {
            match walk.step()? {
                Step::Segment(segment) => {
                    certificates.push((segment.number, segment.header.certificate.clone()));
                    if (segment.header.first..walk.records).contains(&sequence) {
                        let opened = OpenedSegment::open(path, *segment, key)?;
                        found = Some(find(path, &opened, sequence)?);
                        last = Some(Box::new(opened.segment));
                    } else {
                        last = Some(segment);
                    }
                }
                Step::Unborn { .. } => {}
                Step::End => break,
            }
        }
        let records = walk.records;
        let missing = || AuditLogError::NoSuchRecord { path: path.to_owned(), sequence, records };
        let note = checkpoint.as_ref().and_then(verify::ClaimedCheckpoint::note);
        let Some(last) = last else { return Err(missing()) };
        verify::judge_ending(&walk, &last, checkpoint)?;
        let Some((index, leaf, opening)) = found else { return Err(missing()) };
        let (Some(note), Some(claimed)) = (note, claimed) else {
            return Err(walk.tampered(FaultKind::CheckpointMissing, layout::CHECKPOINT, 0));
        };
        let signed_by =
            walk.signers.iter().rev().find(|(_, signer)| note.open(std::slice::from_ref(signer)).is_ok());
        let epoch = signed_by.map(|(epoch, _)| *epoch);
        let certificate = certificates.iter().find(|(number, _)| Some(*number) == epoch);
        let certificate = certificate.and_then(|(_, bytes)| Note::parse(bytes).ok());
        let (Some(epoch), Some(certificate)) = (epoch, certificate) else {
            return Err(walk.tampered(FaultKind::CheckpointAltered, layout::CHECKPOINT, 0));
        };
        drop(walk);
        // A record of a commit that is just being made is not signed yet.
        let path = InclusionProof::make(&tree, claimed.size, index).map_err(|_| missing())?;
        let mut proof =
            Self { logged: LoggedProof::new(index, path, note), epoch, certificate, leaf, opening };
        proof.logged = proof.logged.clone().extra_data(proof.extra());
        Ok(proof)
    }

    fn extra(&self) -> Vec<u8> {
        let certificate = self.certificate.to_string();
        // A certificate is read from a header, where it has such a length.
        let len = u16::try_from(certificate.len()).unwrap_or(0);
        let mut extra = vec![VERSION];
        extra.extend_from_slice(&self.epoch.to_le_bytes());
        extra.extend_from_slice(&len.to_le_bytes());
        extra.extend_from_slice(certificate.as_bytes());
        extra.extend_from_slice(self.leaf.as_bytes());
        if let Some((salt, stored, event)) = &self.opening {
            extra.extend_from_slice(&stored.sequence.to_le_bytes());
            extra.extend_from_slice(salt);
            extra.extend_from_slice(event);
        }
        extra
    }

    /// Reads a proof. Nothing is verified yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordProofError> {
        let logged = LoggedProof::parse(bytes)?;
        Self::parsed(logged).ok_or(RecordProofError::Malformed)
    }

    fn parsed(logged: LoggedProof) -> Option<Self> {
        let extra = logged.unverified_extra_data().to_vec();
        let mut input = Input::new(&extra);
        if input.byte()? != VERSION {
            return None;
        }
        let epoch = u64::from_le_bytes(input.array()?);
        let len = u16::from_le_bytes(input.array()?);
        let certificate = Note::parse(input.bytes(len.into())?).ok()?;
        let leaf = Hash::from_bytes(input.array()?);
        let opening = match input.is_empty() {
            true => None,
            false => {
                let (sequence, salt) = (u64::from_le_bytes(input.array()?), input.array()?);
                let event = input.rest().to_vec();
                Some((salt, StoredEvent { sequence, event: codec::decode(&event)? }, event))
            }
        };
        Some(Self { logged, epoch, certificate, leaf, opening })
    }

    /// The record, if the proof opens its leaf. Believe it after [`verify`](Self::verify), except its number, which is
    /// the claim of who made the proof.
    ///
    /// `None` does not show that the record was shredded: anybody can cut the opening off. Nor does it show that the leaf is one
    /// of a record, since the log has others, for its frames.
    #[must_use]
    pub fn event(&self) -> Option<&StoredEvent> {
        self.opening.as_ref().map(|(_, stored, _)| stored)
    }

    /// The proof as any transparency log has it.
    #[must_use]
    pub fn logged(&self) -> &LoggedProof {
        &self.logged
    }

    /// The entry of the leaf: `1 | salt | event`. `None` where the proof does not open it, as [`event`](Self::event).
    #[must_use]
    pub fn entry(&self) -> Option<Vec<u8>> {
        self.opening.as_ref().map(|(salt, _, event)| record_entry(salt, event))
    }

    /// The hash of the leaf.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        self.leaf
    }

    /// The key that signed the checkpoint, if the identity certified it.
    pub fn signer(&self, identity: &NoteVerifier) -> Result<NoteVerifier, RecordProofError> {
        let checkpoint = self.logged.checkpoint().unverified_text();
        let origin = checkpoint.lines().next().unwrap_or_default();
        let certificate = self.certificate.to_string();
        let signer = open_certificate(certificate.as_bytes(), identity, origin, self.epoch);
        signer.filter(|_| identity.name() == identity_name(origin)).ok_or(RecordProofError::NotCertified)
    }

    /// The checkpoint that the leaf is under, if all holds: the [event](Self::event), if there is one, is what the leaf commits
    /// the log to, the leaf is in the tree, and a key that the identity certified signed the tree.
    pub fn verify(&self, identity: &NoteVerifier) -> Result<Checkpoint, RecordProofError> {
        if let Some((salt, _, event)) = &self.opening
            && record_leaf(salt, event) != self.leaf
        {
            return Err(RecordProofError::Malformed);
        }
        let signer = self.signer(identity)?;
        Ok(self.logged.verify(&self.leaf, signer.name(), &signer)?)
    }
}

/// The leaf of a record, its hash, and what opens it.
fn find(
    path: &Path,
    opened: &OpenedSegment,
    sequence: u64,
) -> Result<(u64, Hash, Option<Opening>), AuditLogError> {
    let segment = &opened.segment;
    let name = layout::segment(segment.number);
    let altered =
        |kind, offset| super::walk::tampered(path, super::walk::fault(kind, &name, sequence, offset));
    for (range, before) in segment.frames.iter().zip(&segment.leaves_before) {
        let offset = range.start as u64;
        let Some(frame) = RecordFrame::parse(range.bytes(&segment.bytes)) else { continue };
        let place = sequence.checked_sub(frame.first).and_then(|place| usize::try_from(place).ok());
        let leaf = place.and_then(|place| frame.record_leaves().nth(place));
        let (Some(place), Some(leaf)) = (place, leaf) else { continue };
        let frame_opened = frame.open(&opened.keys.frames);
        let (_, entries) = frame_opened.ok_or_else(|| altered(FaultKind::FrameOutOfPlace, offset))?;
        let entry = entries.get(place).ok_or_else(|| altered(FaultKind::FrameAltered, offset))?;
        let opening = match opened.keys.record(&frame, place, entry) {
            RecordOf::Shredded => None,
            RecordOf::Altered => return Err(altered(FaultKind::RecordAltered, offset)),
            RecordOf::SubjectAltered => return Err(altered(FaultKind::SubjectAltered, offset)),
            RecordOf::Event(record) => {
                let event = codec::decode(&record.event);
                let event = event.ok_or_else(|| altered(FaultKind::RecordAltered, offset))?;
                Some((record.salt, StoredEvent { sequence, event }, record.event))
            }
        };
        return Ok((before.saturating_add(place as u64), leaf, opening));
    }
    Err(altered(FaultKind::FrameAltered, 0))
}

impl fmt::Display for RecordProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.logged.fmt(f)
    }
}
