//! Anchors that do not give back what they keep are asked about the log as it is.

use std::path::Path;

use super::anchor::{Anchor, AnchorObjection, AnchoredCheckpoint};
use super::anchoring::with_update;
use super::disk::Disk;
use super::epoch::open_certificate;
use super::kept::header;
use super::verify::{Verdict, Verification, read_checkpoint};
use super::walk::Walk;
use crate::tlog::{Note, NoteSigner};

/// The log that they are asked about.
pub(super) struct Asked<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) path: &'a Path,
    pub(super) witness: Option<&'a NoteSigner>,
}

impl Asked<'_> {
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
            with_update(self.disk, self.path, self.witness, &anchored, |update| {
                for anchor in anchors {
                    match anchor.confirms(update) {
                        Ok(true) => verification.verdict = Verdict::Anchored,
                        Ok(false) => {}
                        Err(error) => objections.extend(error.objection()),
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
