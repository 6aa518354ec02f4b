//! Errors that are a verdict all the same: a log that is gone though an anchor knows of it, and files that are none any more.

use std::io::ErrorKind;
use std::path::Path;

use super::anchor::AnchoredCheckpoint;
use super::error::{AuditLogError, FaultKind};
use super::layout;
use super::tiles;
use super::verdict::Verdict;
use super::walk::fault;
use crate::tlog::NoteVerifier;

/// What an error says of a log. `None` where it says nothing.
pub(super) fn verdict(
    error: &AuditLogError,
    log: &Path,
    identity: Option<&NoteVerifier>,
    anchored: &[AnchoredCheckpoint],
) -> Option<Verdict> {
    match error {
        AuditLogError::Missing { .. } => {
            let known = anchored.iter().find_map(|anchor| size_in(anchor, identity));
            known.map(|anchored| Verdict::RolledBack { anchored })
        }
        AuditLogError::Io { path, .. } => {
            let name = replaced(log, path)?;
            Some(Verdict::Corrupt(fault(FaultKind::FileReplaced, &name, 0, 0)))
        }
        _ => None,
    }
}

/// How many leaves an anchor knows of the log with this identity; without one there is nobody else to ask.
fn size_in(anchor: &AnchoredCheckpoint, identity: Option<&NoteVerifier>) -> Option<u64> {
    let claim = anchor.claim()?;
    match identity {
        Some(identity) => Some(anchor.open(claim.origin(), identity)?.size),
        None => Some(claim.head().size),
    }
}

/// The name of what stands in the log where a file or a directory has to be.
fn replaced(log: &Path, file: &Path) -> Option<String> {
    let mut place = file;
    loop {
        let name = place.strip_prefix(log).ok()?.to_str().filter(|name| !name.is_empty())?;
        match std::fs::symlink_metadata(place) {
            Ok(found) => {
                let is_right = match name {
                    layout::SEGMENTS | layout::INDEXES | tiles::DIR => found.is_dir(),
                    _ => found.is_file(),
                };
                return (!is_right).then(|| name.to_owned());
            }
            // What it lies in is no directory.
            Err(error) if error.kind() == ErrorKind::NotADirectory => place = place.parent()?,
            Err(_) => return None,
        }
    }
}
