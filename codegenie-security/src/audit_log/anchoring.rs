//! The thread that tells anchors of checkpoints, out of the way of those who record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use zeroize::Zeroizing;

use super::anchor::{Anchor, AnchorError, AnchorObjection, AnchorUpdate, AnchoredCheckpoint};
use super::disk::Disk;
use super::error::AuditLogError;
use super::kept::last_of;
use super::verify::read_checkpoint;
use super::walk::{Step, Walk};
use crate::crypto::{SealingKey, SigningKey};
use crate::tlog::{ConsistencyProof, MemoryTree, Note, NoteSigner, NoteVerifier};

/// How it went with the anchors of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnchorStatus {
    /// Checkpoints that every anchor has taken.
    pub published: u64,
    /// Leaves of the last one.
    pub last_size: u64,
    /// Publications that failed since the last one that went well.
    pub failures: u64,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// What an anchor held against the log at the last failure. Recording goes on: the host decides what to make of it.
    pub objection: Option<AnchorObjection>,
}

#[derive(Default)]
struct Mail {
    newest: Option<AnchoredCheckpoint>,
    /// How many checkpoints were handed over, and of how many it is known what became of them.
    posted: u64,
    settled: u64,
    flush: bool,
    closed: bool,
    status: AnchorStatus,
}

struct Mailbox {
    mail: Mutex<Mail>,
    changed: Condvar,
}

impl Mailbox {
    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The anchors of a log and their thread.
pub(super) struct Anchoring {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs to know.
pub(super) struct AnchoringParts {
    pub(super) anchors: Vec<Arc<dyn Anchor>>,
    /// The least time between two publications.
    pub(super) interval: Duration,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    pub(super) witness: NoteSigner,
    pub(super) identity: NoteVerifier,
}

impl Anchoring {
    /// `None` where there are no anchors.
    pub(super) fn start(parts: AnchoringParts) -> std::io::Result<Option<Self>> {
        if parts.anchors.is_empty() {
            return Ok(None);
        }
        let mailbox = Arc::new(Mailbox { mail: Mutex::default(), changed: Condvar::new() });
        let own = Arc::clone(&mailbox);
        let thread =
            std::thread::Builder::new().name("audit-anchors".to_owned()).spawn(move || run(&own, &parts))?;
        Ok(Some(Self { mailbox, thread: Some(thread) }))
    }

    /// A newer checkpoint takes the place of one that was not told yet.
    pub(super) fn tell(&self, anchored: AnchoredCheckpoint) {
        let mut mail = self.mailbox.mail();
        mail.newest = Some(anchored);
        mail.posted += 1;
        drop(mail);
        self.mailbox.changed.notify_all();
    }

    pub(super) fn status(&self) -> AnchorStatus {
        self.mailbox.mail().status.clone()
    }

    /// Waits until the newest checkpoint was told, or telling it failed.
    pub(super) fn flush(&self) -> AnchorStatus {
        let mut mail = self.mailbox.mail();
        mail.flush = true;
        self.mailbox.changed.notify_all();
        // One that failed and waits is tried once more.
        let posted = mail.posted;
        if mail.newest.is_some() {
            mail.settled = mail.settled.min(posted.saturating_sub(1));
        }
        while mail.settled < posted {
            mail = self.mailbox.changed.wait(mail).unwrap_or_else(PoisonError::into_inner);
        }
        mail.flush = false;
        mail.status.clone()
    }
}

impl Drop for Anchoring {
    fn drop(&mut self) {
        self.mailbox.mail().closed = true;
        self.mailbox.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has printed so.
            let _ = thread.join();
        }
    }
}

fn run(mailbox: &Mailbox, parts: &AnchoringParts) {
    let mut told = None;
    loop {
        let mut mail = mailbox.mail();
        while mail.newest.is_none() && !mail.closed {
            mail = mailbox.changed.wait(mail).unwrap_or_else(PoisonError::into_inner);
        }
        let Some(anchored) = mail.newest.take() else { return };
        let (posted, closed) = (mail.posted, mail.closed);
        drop(mail);
        // An anchor of the host's own may panic; those who wait for it are told.
        let outcome = catch_unwind(AssertUnwindSafe(|| publish(parts, told.as_ref(), &anchored)))
            .unwrap_or_else(|_| Err(AnchorError::new("an anchor panicked")));
        told = Some(anchored.clone());
        let mut mail = mailbox.mail();
        mail.settled = posted;
        match outcome {
            Ok(()) => {
                mail.status.published += 1;
                mail.status.last_size = size_of(&anchored);
                mail.status.failures = 0;
                mail.status.last_error = None;
                mail.status.objection = None;
            }
            Err(error) => {
                mail.status.failures += 1;
                mail.status.last_error = Some(error.to_string());
                mail.status.objection = error.objection();
                // Tried again, unless a newer one has come meanwhile.
                mail.newest.get_or_insert(anchored);
                if closed {
                    mail.newest = None;
                    mailbox.changed.notify_all();
                    return;
                }
            }
        }
        mailbox.changed.notify_all();
        let again = std::time::Instant::now() + parts.interval;
        while !mail.closed && !mail.flush {
            let Some(left) = again.checked_duration_since(std::time::Instant::now()) else { break };
            if left.is_zero() {
                break;
            }
            mail = mailbox.changed.wait_timeout(mail, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn size_of(anchored: &AnchoredCheckpoint) -> u64 {
    anchored.claim().map_or(0, |checkpoint| checkpoint.head().size)
}

fn publish(
    parts: &AnchoringParts,
    told: Option<&AnchoredCheckpoint>,
    anchored: &AnchoredCheckpoint,
) -> Result<(), AnchorError> {
    let own = Own { witness: Some(&parts.witness), identity: Some(&parts.identity), told };
    with_update(&*parts.disk, &parts.path, &own, anchored, |update| {
        // All are told, then the first error is returned, and before others one that speaks against the log.
        let outcomes: Vec<_> = parts.anchors.iter().map(|anchor| anchor.publish(update)).collect();
        let mut errors: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        errors.sort_by_key(|error| error.objection().is_none());
        errors.into_iter().next().map_or(Ok(()), Err)
    })
}

/// Signs for witnesses, from the host's key: the same over all epochs.
pub(super) fn witness_signer(origin: &str, key: &SealingKey) -> Result<NoteSigner, AuditLogError> {
    let mut seed = Zeroizing::new([0; 32]);
    key.expand(None, &[b"codegenie audit witness v1"], &mut *seed);
    let signer = NoteSigner::new(origin, SigningKey::from_seed(*seed));
    signer.map_err(|_| AuditLogError::BadOrigin { origin: origin.to_owned() })
}

/// What is known of a log beside its files.
pub(super) struct Own<'a> {
    pub(super) witness: Option<&'a NoteSigner>,
    pub(super) identity: Option<&'a NoteVerifier>,
    pub(super) told: Option<&'a AnchoredCheckpoint>,
}

/// Hands a checkpoint, and what an anchor may ask about it, to who tells anchors.
pub(super) fn with_update<T>(
    disk: &dyn Disk,
    path: &Path,
    own: &Own<'_>,
    anchored: &AnchoredCheckpoint,
    tell: impl FnOnce(&AnchorUpdate<'_>) -> T,
) -> T {
    let size = size_of(anchored);
    let prove = |old: u64| consistency(disk, path, old, size);
    let cosign = |note: &Note| {
        let witness = own.witness;
        let witness =
            witness.ok_or_else(|| AnchorError::new("only the host of the log signs for witnesses"))?;
        let signed = Note::sign(note.unverified_text(), witness);
        signed.map_err(|error| AnchorError::new(error.to_string()))
    };
    let now = || Some(read_checkpoint(disk, path).ok()??.claimed.size).filter(|size| *size < u64::MAX);
    let Own { identity, told, .. } = *own;
    tell(&AnchorUpdate { anchored, prove: &prove, cosign: &cosign, now: &now, identity, told })
}

/// Reads the log from the segment on in which the older tree ends: what was before may be gone.
fn consistency(disk: &dyn Disk, path: &Path, old: u64, new: u64) -> Result<ConsistencyProof, AnchorError> {
    let failed = |error: &dyn std::fmt::Display| AnchorError::new(error.to_string());
    let mut tree = MemoryTree::new();
    if old == 0 || old >= new {
        // A proof of nothing, or none.
        return ConsistencyProof::make(&tree, old, new).map_err(|error| failed(&error));
    }
    let walk = Walk::begin(disk, path).map_err(|error| failed(&error))?;
    let mut walk = walk.ok_or_else(|| AnchorError::new("the log is gone"))?.with_leaves(&mut tree);
    let before = walk.pruned.as_ref().map_or(0, |pruned| pruned.head.size);
    if old < before {
        return Err(AnchorError::new(format!(
            "no proof from {old} leaves on: of audit log {path:?} those before {before} were removed by its retention; keep more"
        )));
    }
    if let Some(first) = last_of(disk, walk.segments(), |header| header.tree.size() <= old) {
        walk.skip_to(first);
    }
    while !matches!(walk.step().map_err(|error| failed(&error))?, Step::End) {}
    drop(walk);
    ConsistencyProof::make(&tree, old, new).map_err(|error| failed(&error))
}
