//! Checkpoints that are kept elsewhere: what shows that a log was put back to an earlier state.

use std::fmt;
use std::path::{Path, PathBuf};

use super::epoch::open_certificate;
use super::error::FaultKind;
use super::keys::identity_name;
use crate::crypto;
use crate::files;
use crate::tlog::{Checkpoint, ConsistencyProof, Note, NoteVerifier, TreeHead};

/// What an anchor holds against a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnchorObjection {
    /// It knows a later state: the log was put back.
    #[non_exhaustive]
    RolledBack {
        /// Leaves of the tree that it knows.
        anchored: u64,
    },
    /// It knows another history.
    #[non_exhaustive]
    Forked {
        /// Leaves of the tree that it knows; 0 where that is of another log.
        anchored: u64,
    },
}

impl AnchorObjection {
    /// The log was put back from so many leaves.
    #[must_use]
    pub fn rolled_back(anchored: u64) -> Self {
        Self::RolledBack { anchored }
    }

    /// The first so many leaves of the log were others.
    #[must_use]
    pub fn forked(anchored: u64) -> Self {
        Self::Forked { anchored }
    }

    pub(super) fn fault(self) -> FaultKind {
        match self {
            Self::RolledBack { .. } => FaultKind::RolledBack,
            Self::Forked { .. } => FaultKind::Forked,
        }
    }
}

/// Why an anchor did not take or give a checkpoint.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct AnchorError {
    reason: String,
    objection: Option<AnchorObjection>,
}

impl AnchorError {
    /// One lowercase line: what failed, where, what to do.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), objection: None }
    }

    /// Nothing failed: the anchor knows something that the log contradicts.
    pub fn objecting(objection: AnchorObjection, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), objection: Some(objection) }
    }

    /// What the anchor holds against the log, if it is not merely out of reach.
    #[must_use]
    pub fn objection(&self) -> Option<AnchorObjection> {
        self.objection
    }
}

/// A checkpoint of an audit log, with the certificate of the key that signed it: enough to be believed by whoever
/// knows the identity of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchoredCheckpoint {
    epoch: u64,
    certificate: Note,
    checkpoint: Note,
}

/// A text that is no anchored checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint as an anchor keeps it; take it from the anchor again")]
pub struct BadAnchoredCheckpoint(());

const FIRST_WORD: &str = "codegenie-audit-anchor-v1";

impl AnchoredCheckpoint {
    pub(super) fn new(epoch: u64, certificate: Note, checkpoint: Note) -> Self {
        Self { epoch, certificate, checkpoint }
    }

    /// The checkpoint, as it was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// The certificate of the key that signed it: a note of the log's identity.
    #[must_use]
    pub fn certificate(&self) -> &Note {
        &self.certificate
    }

    /// Reads what `Display` writes. Nothing is verified yet.
    pub fn parse(text: &str) -> Result<Self, BadAnchoredCheckpoint> {
        Self::parsed(text).ok_or(BadAnchoredCheckpoint(()))
    }

    fn parsed(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let mut words = first.split(' ');
        let (word, epoch, len) = (words.next()?, words.next()?, words.next()?);
        let (certificate, checkpoint) = rest.split_at_checked(len.parse().ok()?)?;
        let anchored = Self {
            epoch: epoch.parse().ok()?,
            certificate: Note::parse(certificate.as_bytes()).ok()?,
            checkpoint: Note::parse(checkpoint.as_bytes()).ok()?,
        };
        (word == FIRST_WORD && anchored.to_string() == text).then_some(anchored)
    }

    /// What it says, before anything is believed.
    pub(super) fn claim(&self) -> Option<Checkpoint> {
        self.checkpoint.unverified_text().parse().ok()
    }

    /// Size and root, if a key signed them that the identity of the log `origin` certified.
    #[must_use]
    pub fn open(&self, origin: &str, identity: &NoteVerifier) -> Option<TreeHead> {
        if identity.name() != identity_name(origin) {
            return None;
        }
        let certificate = self.certificate.to_string();
        let signer = open_certificate(certificate.as_bytes(), identity, origin, self.epoch)?;
        Some(Checkpoint::open(&self.checkpoint, origin, &signer).ok()?.head())
    }
}

impl fmt::Display for AnchoredCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificate = self.certificate.to_string();
        writeln!(f, "{FIRST_WORD} {} {}", self.epoch, certificate.len())?;
        write!(f, "{certificate}{}", self.checkpoint)
    }
}

/// What an anchor is given.
pub struct AnchorUpdate<'a> {
    pub(super) anchored: &'a AnchoredCheckpoint,
    pub(super) prove: &'a dyn Fn(u64) -> Result<ConsistencyProof, AnchorError>,
    pub(super) cosign: &'a dyn Fn(&Note) -> Result<Note, AnchorError>,
    pub(super) now: &'a dyn Fn() -> Option<u64>,
    pub(super) identity: Option<&'a NoteVerifier>,
    /// What anchors were told before, since the log was opened.
    pub(super) told: Option<&'a AnchoredCheckpoint>,
}

impl AnchorUpdate<'_> {
    /// The checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &AnchoredCheckpoint {
        self.anchored
    }

    /// The proof that the tree of the first `old` leaves is the beginning of the checkpoint's. It reads the log.
    pub fn consistency(&self, old: u64) -> Result<ConsistencyProof, AnchorError> {
        (self.prove)(old)
    }

    /// The checkpoint signed by the key of the log that stays the same over all epochs, for witnesses that know
    /// one key of each log ([`AuditLog::witness_key`](crate::AuditLog::witness_key)).
    pub fn signed_for_witness(&self) -> Result<Note, AnchorError> {
        (self.cosign)(&self.anchored.checkpoint)
    }

    /// Is a checkpoint that an anchor holds the beginning of this one? The error [objects](AnchorError::objection) to a log that was
    /// put back or has another history, and to a checkpoint of another log (as forked at 0 leaves). It reads the log, unless that
    /// checkpoint is the last one that was told.
    pub fn goes_on_from(&self, held: &AnchoredCheckpoint) -> Result<(), AnchorError> {
        if self.told == Some(held) {
            return Ok(());
        }
        let own = self.anchored.claim().ok_or_else(|| AnchorError::new("the log's checkpoint is none"))?;
        let known = self.identity.and_then(|identity| held.open(own.origin(), identity));
        let Some(known) = known else {
            let text = "it holds the checkpoint of another log, which stays; give each log an anchor of its own, or find out who \
                        replaced the log";
            return Err(AnchorError::objecting(AnchorObjection::forked(0), text));
        };
        let (head, size) = (own.head(), known.size);
        if size > head.size {
            let text = format!(
                "it holds a later checkpoint of the log, of {size} leaves, which was put back; find out by whom"
            );
            return Err(AnchorError::objecting(AnchorObjection::rolled_back(size), text));
        }
        let same = match size == head.size {
            true => known.root == head.root,
            false => self.consistency(size)?.verify(&known, &head).is_ok(),
        };
        if same {
            return Ok(());
        }
        let text = format!(
            "it holds other {size} leaves than the log has, which has two histories; find out since when"
        );
        Err(AnchorError::objecting(AnchorObjection::forked(size), text))
    }

    /// How many leaves the log's last checkpoint claims by now: another process may have told the anchor of a later one.
    #[must_use]
    pub fn size_now(&self) -> Option<u64> {
        (self.now)()
    }
}

/// A place that an attacker of this machine cannot write back: another disk, a service, a witness.
///
/// It is told checkpoints in the order in which they were signed, from a thread of its own.
pub trait Anchor: Send + Sync {
    /// Keeps a checkpoint, durably. Returning `Ok` means that it is kept.
    fn publish(&self, update: &AnchorUpdate<'_>) -> Result<(), AnchorError>;

    /// The last checkpoint that was kept, for comparing at the opening of a log; `None` where there is none, or
    /// the anchor cannot tell. A log to which the anchor [objects](AnchorError::objecting) is not opened.
    fn latest(&self) -> Result<Option<AnchoredCheckpoint>, AnchorError>;

    /// Is this checkpoint of an intact log one that goes on from what the anchor knows? For anchors that have to be asked, since
    /// they do not give back what they keep: by default `false`, which says nothing. An error is one of [`publish`](Self::publish).
    fn confirms(&self, _: &AnchorUpdate<'_>) -> Result<bool, AnchorError> {
        Ok(false)
    }
}

impl<T: Anchor + ?Sized> Anchor for std::sync::Arc<T> {
    fn publish(&self, update: &AnchorUpdate<'_>) -> Result<(), AnchorError> {
        (**self).publish(update)
    }

    fn latest(&self) -> Result<Option<AnchoredCheckpoint>, AnchorError> {
        (**self).latest()
    }

    fn confirms(&self, update: &AnchorUpdate<'_>) -> Result<bool, AnchorError> {
        (**self).confirms(update)
    }
}

/// An anchor that is a file, which makes sense on another disk than the log, better on another machine.
///
/// What does not go on from the checkpoint in the file does not replace it. That is so as well where the log's retention has
/// removed what would show it, which the [status](crate::AuditLog::anchors) tells: look what it was, and then move the file away.
#[derive(Clone, Debug)]
pub struct FileAnchor {
    path: PathBuf,
}

impl FileAnchor {
    /// The file need not be there yet. Its directory must be.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Anchor for FileAnchor {
    /// What it holds is only replaced by a checkpoint that [goes on](AnchorUpdate::goes_on_from) from it: all else it keeps, as
    /// evidence.
    fn publish(&self, update: &AnchorUpdate<'_>) -> Result<(), AnchorError> {
        let path = &self.path;
        let held = self.latest()?;
        if let Some(held) = &held {
            update.goes_on_from(held).map_err(|AnchorError { reason, objection }| AnchorError {
                reason: format!("anchor {path:?}: {reason}"),
                objection,
            })?;
        }
        let failed = |error: &dyn fmt::Display| {
            AnchorError::new(format!(
                "cannot write anchor {path:?}: {error}; check the directory and its disk"
            ))
        };
        let name = crypto::random::<8>().map_err(|error| failed(&error))?;
        let text = update.anchored.to_string();
        let still = || match self.latest() {
            Ok(now) if now == held => Ok(()),
            _ => Err(std::io::Error::other("it changed meanwhile")),
        };
        let name = u64::from_le_bytes(name);
        files::replace_shared_if(path, name, text.as_bytes(), still).map_err(|error| failed(&error))
    }

    fn latest(&self) -> Result<Option<AnchoredCheckpoint>, AnchorError> {
        let path = &self.path;
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let text = format!("cannot read anchor {path:?}: {error}; check the directory and its disk");
                Err(AnchorError::new(text))
            }
            Ok(text) => match AnchoredCheckpoint::parse(&text) {
                Ok(anchored) => Ok(Some(anchored)),
                Err(error) => Err(AnchorError::new(format!("anchor {path:?} is {error}"))),
            },
        }
    }
}

/// An anchor that is two functions of the host.
pub struct CallbackAnchor<P, L> {
    publish: P,
    latest: L,
}

impl<P, L> CallbackAnchor<P, L>
where
    P: Fn(&AnchoredCheckpoint) -> Result<(), AnchorError> + Send + Sync,
    L: Fn() -> Result<Option<AnchoredCheckpoint>, AnchorError> + Send + Sync,
{
    /// `publish` keeps a checkpoint, `latest` gives back the last one.
    pub fn new(publish: P, latest: L) -> Self {
        Self { publish, latest }
    }
}

impl<P, L> Anchor for CallbackAnchor<P, L>
where
    P: Fn(&AnchoredCheckpoint) -> Result<(), AnchorError> + Send + Sync,
    L: Fn() -> Result<Option<AnchoredCheckpoint>, AnchorError> + Send + Sync,
{
    fn publish(&self, update: &AnchorUpdate<'_>) -> Result<(), AnchorError> {
        (self.publish)(update.anchored)
    }

    fn latest(&self) -> Result<Option<AnchoredCheckpoint>, AnchorError> {
        (self.latest)()
    }
}

impl<P, L> fmt::Debug for CallbackAnchor<P, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackAnchor").finish_non_exhaustive()
    }
}

impl fmt::Debug for AnchorUpdate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnchorUpdate").field("checkpoint", &self.anchored).finish_non_exhaustive()
    }
}
