//! Anchors that do not give back what they keep are asked about the log as it is.

use std::path::Path;
use std::sync::Arc;

use super::anchor::{Anchor, AnchorError, AnchorObjection, AnchorUpdate, AnchoredCheckpoint};
use super::anchoring::{Own, with_update};
use super::disk::Disk;
use super::epoch::open_certificate;
use super::error::AuditLogError;
use super::kept::header;
use super::layout;
use super::verdict::{Verdict, Verification};
use super::verify::read_checkpoint;
use super::walk::{Walk, fault, tampered};
use crate::tlog::{Note, NoteSigner, NoteVerifier};

/// What anchors hold, before a log is opened to be written.
pub(super) fn latest(
    path: &Path,
    anchors: &[Arc<dyn Anchor>],
    required: bool,
) -> Result<Vec<AnchoredCheckpoint>, AuditLogError> {
    let mut anchored = Vec::new();
    for anchor in anchors {
        match anchor.latest() {
            Ok(latest) => anchored.extend(latest),
            Err(error) if required || error.objection().is_some() => return Err(refusal(path, &error)),
            Err(_) => {}
        }
    }
    Ok(anchored)
}

/// Why a log is not opened, by what an anchor says.
fn refusal(path: &Path, error: &AnchorError) -> AuditLogError {
    match error.objection() {
        Some(objection) => tampered(path, fault(objection.fault(), layout::CHECKPOINT, 0, 0)),
        None => AuditLogError::Anchor { path: path.to_owned(), reason: error.to_string() },
    }
}

/// The log that they are asked about.
pub(super) struct Asked<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) path: &'a Path,
    pub(super) witness: Option<&'a NoteSigner>,
    pub(super) identity: Option<&'a NoteVerifier>,
}

impl Asked<'_> {
    fn own(&self) -> Own<'_> {
        Own { witness: self.witness, identity: self.identity, told: None }
    }

    /// Every anchor has to answer about a checkpoint, and to hold nothing against it; and to know the log, unless that is new.
    pub(super) fn require(
        &self,
        anchors: &[Arc<dyn Anchor>],
        anchored: &AnchoredCheckpoint,
        is_new: bool,
    ) -> Result<(), AuditLogError> {
        let knows = |anchor: &Arc<dyn Anchor>, update: &AnchorUpdate<'_>| -> Result<(), AnchorError> {
            if anchor.confirms(update)? || is_new || anchor.latest()?.is_some() {
                return Ok(());
            }
            // One that was taken away looks the same as one that never was.
            Err(AnchorError::new(
                "it knows nothing of the log, which has records; look whether its disk is there, and if it is a new one, let it \
                 be told once by opening the log without `require_anchors`",
            ))
        };
        with_update(self.disk, self.path, &self.own(), anchored, |update| {
            let asked = anchors.iter().try_for_each(|anchor| knows(anchor, update));
            asked.map_err(|error| refusal(self.path, &error))
        })
    }

    /// What becomes of a verdict by what anchors say. Of a log that is not whole nobody is told anything.
    pub(super) fn judge(
        &self,
        mut verification: Verification,
        anchors: &[&dyn Anchor],
        mut objections: Vec<AnchorObjection>,
    ) -> Verification {
        if !matches!(verification.verdict, Verdict::Anchored | Verdict::Unanchored) {
            return verification;
        }
        if objections.is_empty()
            && let Some(anchored) = self.last()
        {
            with_update(self.disk, self.path, &self.own(), &anchored, |update| {
                for anchor in anchors {
                    match anchor.confirms(update) {
                        Ok(true) => verification.verdict = Verdict::Anchored,
                        Ok(false) => {}
                        Err(error) => match error.objection() {
                            Some(objection) => objections.push(objection),
                            None => verification.anchor_errors.push(error.to_string()),
                        },
                    }
                }
            });
        }
        verification.verdict = match objections.first() {
            Some(AnchorObjection::RolledBack { anchored }) => Verdict::RolledBack { anchored: *anchored },
            Some(AnchorObjection::Forked { anchored }) => Verdict::Forked { anchored: *anchored },
            None => verification.verdict,
        };
        verification
    }

    /// The last checkpoint, with the certificate of the key that signed it.
    fn last(&self) -> Option<AnchoredCheckpoint> {
        let checkpoint = read_checkpoint(self.disk, self.path).ok()??.note()?;
        let walk = Walk::begin(self.disk, self.path).ok()??;
        // Of the last epoch, or of one before where crashes came before the next one's first.
        walk.segments().iter().rev().find_map(|number| {
            let certificate = header(self.disk, *number)?.certificate;
            let signer = open_certificate(&certificate, &walk.meta.identity, &walk.meta.origin, *number)?;
            checkpoint.open(std::slice::from_ref(&signer)).ok()?;
            Some(AnchoredCheckpoint::new(*number, Note::parse(&certificate).ok()?, checkpoint.clone()))
        })
    }
}
