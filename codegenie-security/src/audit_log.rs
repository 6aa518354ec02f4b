//! The tamper-evident encrypted log behind [`AuditSink`].

mod anchor;
mod anchoring;
mod asking;
mod certifying;
mod checked;
mod codec;
mod commits;
mod disk;
mod encoded;
mod epoch;
mod error;
mod frame;
mod gone;
mod header;
mod index;
mod kept;
mod keys;
mod layout;
mod meta;
mod open;
mod opened;
mod options;
mod proof;
mod pruned;
mod reader;
mod recording;
mod records;
mod retention;
mod shred;
mod subjects;
mod subscription;
mod tiles;
mod told;
mod verdict;
mod verify;
mod walk;
#[cfg(feature = "witness")]
mod witness;
mod writer;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::audit::{AuditError, AuditErrorKind, AuditSink};
use crate::crypto::SealingKey;
use crate::files::Locked;
use crate::tlog::{Note, NoteVerifier, TreeHead};
pub use anchor::{
    Anchor, AnchorError, AnchorObjection, AnchorUpdate, AnchoredCheckpoint, BadAnchoredCheckpoint,
    CallbackAnchor, FileAnchor,
};
pub use anchoring::AnchorStatus;
use anchoring::{Anchoring, AnchoringParts, witness_signer};
use commits::{Accepted, Commits, Listener};
use disk::{Directory, Disk};
use encoded::EncodedEvents;
use error::io_error;
pub use error::{AuditLogError, Fault, FaultKind};
use keys::KeyStore;
pub use open::Recovery;
use open::Settings;
pub use options::{AuditLogOptions, Durability, WhenFull};
pub use proof::{RecordProof, RecordProofError};
pub use reader::{AuditReader, StoredEvent};
use recording::lost_event;
pub use records::Records;
pub use retention::RetentionPolicy;
pub use shred::Shredded;
pub(crate) use shred::{ACTION as SHRED_ACTION, SLOTS as SHRED_KEYS};
pub use subscription::Subscription;
use told::Told;
pub use verdict::{Verdict, Verification};
use verify::Means;
#[cfg(feature = "witness")]
pub use witness::{BadWitness, Cosigned, HttpWitness};
use writer::{CommitFailure, Committed, Writer};

/// An append-only log of audit events in a directory: encrypted, a transparency log, and durable before
/// [`record`](AuditSink::record) returns.
///
/// ```
/// use codegenie_security::{AuditEvent, AuditLog, AuditSink, EventClass, SealingKey};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("audit");
/// let key = SealingKey::generate()?;
///
/// let log = AuditLog::open(&path, &key)?;
/// log.record(&AuditEvent::new(EventClass::Command, "execute", "git status").actor("alice"))?;
/// drop(log);
///
/// assert!(AuditLog::verify(&path, &key)?.is_intact());
/// for stored in AuditLog::read(&path, &key)? {
///     assert_eq!(stored?.event.actor, "alice");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is kept
///
/// The events of one commit are sealed together into a frame, and frames follow each other in a segment. A
/// Merkle tree (RFC 9162) has a leaf for each record, a salted commitment to the event, and one for each frame, its
/// hash. After the frame is on stable storage, the tree is signed (`c2sp.org/tlog-checkpoint`), and only then `record`
/// returns. Threads that record at once share a commit.
///
/// Each segment is an epoch with keys of its own. The keys of an epoch are derived from those of the one before, which are then
/// wiped; the key to read it is wrapped for the host's reading key and for [auditors](AuditLogOptions::auditor); the key
/// that signs it is certified by the log's identity, which is in memory only while it [certifies](Self::certify). So whoever
/// takes over the process reads no earlier segment, and can neither alter one nor make another in its place: what does not
/// come in its epoch is refused.
///
/// Beside the log lies the directory of its keys, sealed under the host's key. Files are for their owner
/// only; a lock keeps a second writer out.
///
/// # What is detected
///
/// Any change of what was acknowledged: an altered bit, a record or frame deleted, moved or repeated, a segment
/// removed, replaced or brought in from another log, the tail cut off. [`verify`](Self::verify) names the first record
/// that cannot be believed and the byte where it begins; [`verify_public`](Self::verify_public) does so without any key. A
/// log that was tampered with is not opened for writing.
///
/// Cut back to an earlier checkpoint, with that checkpoint put back, a log looks whole by itself. Before the current epoch the
/// keys beside it show this, to [`verify`](Self::verify) and at the opening; within the epoch, or where the keys were put
/// back as well, only an [anchor](AuditLogOptions::anchor) elsewhere does: [`AuditReader::verify_against`].
///
/// # Shredding
///
/// Events of an actor are encrypted with a key of that actor. [`shred`](Self::shred) destroys an actor's keys: nobody reads
/// those events any more, and the log verifies as before; a key that is put back later is a fault, to who verifies with a key. An
/// auditor takes a shredding that a crash interrupted for one until the log is opened again, which finishes it. File systems and disks that write elsewhere instead of in place may
/// keep the old bytes for a while.
///
/// # What is not
///
/// - Whoever takes over the process can record what he likes from then on, and reads the segment that is written.
/// - The key of an actor that somebody destroys who can write the files is missed with a key, and not by
///   [`verify_public`](Self::verify_public). Where [retention](AuditLogOptions::retention) begins is signed by an epoch: who takes over
///   the process can say that more of the past was removed, and an anchor in that part then tells nothing.
/// - An auditor has the keys to read, and so could make frames that another auditor's
///   [query](AuditReader::query) takes for the log's; reading in order and verifying notice it.
/// - Who holds the host's key and the directory of keys can write a whole new log, which an anchor or the pinned
///   [identity](Self::identity) shows.
/// - Visible without a key: how many records there are, in which commits, the length of each commit, how many actors a
///   segment has, and when segments begin.
///
/// # When writing fails
///
/// On a full disk `record` fails with [`AuditErrorKind::Full`], nothing of the event is left, and the next one may go well,
/// also where a segment has to be begun for it.
/// Any other error of a write, and every error of a sync, ends the log: every later `record` fails with the same
/// [kind](AuditError::kind), since after a failed sync nobody knows what the disk holds. Open the log
/// again to recover. An event of more than 1 MiB is rejected, and harms nothing.
///
/// Other platforms than unix are not supported yet: opening fails with an error of kind `Unsupported`.
pub struct AuditLog {
    shared: Arc<Shared>,
    recovery: Recovery,
    durability: Durability,
    accepted: Option<(Arc<Accepted>, JoinHandle<()>)>,
    redacted: bool,
    origin: String,
    identity: NoteVerifier,
    witness: NoteVerifier,
    /// A forked child shares the lock with its parent, and would fork the chain.
    process: u32,
    lock: Option<Locked>,
    certify_ahead: u32,
}

struct Shared {
    path: PathBuf,
    commits: Commits,
    told: Arc<Told>,
}

/// Makes the directory of a log and locks it.
fn lock(path: &Path, directory: &Directory, options: &AuditLogOptions) -> Result<Locked, AuditLogError> {
    let missing = || AuditLogError::Missing { path: path.to_owned() };
    if options.must_exist {
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            _ => {}
        }
    } else {
        directory.make_dir("").map_err(io_error("make", path))?;
    }
    directory.lock(layout::LOCK).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => AuditLogError::Locked { path: path.to_owned() },
        _ => io_error("lock", path)(error),
    })
}

impl AuditLog {
    /// Opens the log in a directory to append to it, and creates it if there is none. Its keys are in a directory beside it,
    /// named as the log with `.keys` at the end, and sealed under `key`.
    ///
    /// The public part of the whole log is verified first. [`AuditLogOptions`] has more to choose from.
    pub fn open(path: impl AsRef<Path>, key: &SealingKey) -> Result<Self, AuditLogError> {
        AuditLogOptions::new().open(path, key)
    }

    /// As [`open`](Self::open), but a log that is not there is an error.
    pub fn open_existing(path: impl AsRef<Path>, key: &SealingKey) -> Result<Self, AuditLogError> {
        AuditLogOptions::new().must_exist().open(path, key)
    }

    fn open_on(
        path: &Path,
        disk: Arc<dyn Disk>,
        keys: Box<dyn Disk>,
        keys_path: &Path,
        key: &SealingKey,
        options: AuditLogOptions,
        lock: Option<Locked>,
    ) -> Result<Self, AuditLogError> {
        let anchored = asking::latest(path, &options.anchors, options.anchor_required)?;
        let settings = Settings {
            must_exist: options.must_exist,
            origin: options.origin,
            auditors: options.auditors,
            own_reader: options.own_reader,
            rotation: options.rotation,
            retention: options.retention,
            certify_ahead: options.certify_ahead,
        };
        let store = KeyStore::new(keys, keys_path, key);
        let (mut writer, recovery) = open::open(path, Arc::clone(&disk), store, key, settings, &anchored)?;
        if let Some(lock) = &lock {
            writer.watch(lock.try_clone().map_err(io_error("lock", path))?);
        }
        let (origin, identity) = (writer.base().meta.origin.clone(), writer.base().meta.identity.clone());
        let witness = witness_signer(&origin, key)?;
        let verifier = witness.verifier();
        if let Some(anchored) = writer.anchored().filter(|_| options.anchor_required) {
            let (witness, identity) = (Some(&witness), Some(&identity));
            let asked = asking::Asked { disk: &*disk, path, witness, identity };
            asked.require(&options.anchors, &anchored, writer.records == 0)?;
        }
        let parts = AnchoringParts {
            anchors: options.anchors,
            interval: options.anchor_interval,
            disk: Arc::clone(&disk),
            path: path.to_owned(),
            witness,
            identity: identity.clone(),
        };
        let anchoring = Anchoring::start(parts).map_err(io_error("start a thread for", path))?;
        if let (Some(anchoring), Some(anchored)) = (&anchoring, writer.anchored()) {
            anchoring.tell(anchored);
        }
        let told = Arc::new(Told::new(anchoring));
        let commits = Commits::new(format!("{path:?}"), writer, Box::new(Arc::clone(&told)));
        let shared = Arc::new(Shared { path: path.to_owned(), commits, told });
        let accepted = match options.durability {
            Durability::Durable => None,
            Durability::DangerousAccepted { .. } => {
                let accepted = Arc::new(Accepted::new());
                let (own, theirs) = (Arc::clone(&shared), Arc::clone(&accepted));
                let thread = std::thread::Builder::new()
                    .name("audit-commits".to_owned())
                    .spawn(move || {
                        let ran = catch_unwind(AssertUnwindSafe(|| theirs.run(&own.commits, lost_event)));
                        if ran.is_err() {
                            own.commits.stop(AuditErrorKind::Unavailable, "the thread that commits panicked");
                        }
                    })
                    .map_err(io_error("start a thread for", path))?;
                Some((accepted, thread))
            }
        };
        Ok(Self {
            shared,
            recovery,
            durability: options.durability,
            accepted,
            redacted: options.redacted,
            origin,
            identity,
            witness: verifier,
            process: std::process::id(),
            lock,
            certify_ahead: options.certify_ahead,
        })
    }

    /// Checks a whole log, also one that is being written, and says what is wrong with it and where. Every record is
    /// decrypted.
    ///
    /// An error means that no verdict was reached, as with the wrong key or a missing file.
    pub fn verify(path: impl AsRef<Path>, key: &SealingKey) -> Result<Verification, AuditLogError> {
        AuditReader::open(path, key)?.verify(&[])
    }

    /// Checks all that can be checked of a log without a key: every byte of the frames, the tree, the signatures of
    /// every epoch, and that the last checkpoint is there and fits. A log that was cut back to where an earlier
    /// checkpoint was signed, that checkpoint put in its place, looks whole: give it an anchor.
    ///
    /// Without `identity`, the log is believed about who it is: whoever replaces all of it by another is not noticed.
    pub fn verify_public(
        path: impl AsRef<Path>,
        identity: Option<&NoteVerifier>,
        anchored: &[AnchoredCheckpoint],
    ) -> Result<Verification, AuditLogError> {
        let path = path.as_ref();
        let disk = Directory::new(path.to_owned());
        verify::verify(&disk, path, &Means { identity, anchored, ..Means::default() })
    }

    /// Reads the events of a log in order, also of one that is being written.
    pub fn read(path: impl AsRef<Path>, key: &SealingKey) -> Result<Records, AuditLogError> {
        AuditReader::open(path, key)?.records()
    }

    /// What opening had to repair.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The directory of the log.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The name of the log in its checkpoints.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Who the log is: the key that certifies its epochs. Auditors keep it, from somewhere they trust.
    #[must_use]
    pub fn identity(&self) -> NoteVerifier {
        self.identity.clone()
    }

    /// The key by which checkpoints are signed for witnesses, the same over all epochs.
    #[must_use]
    pub fn witness_key(&self) -> NoteVerifier {
        self.witness.clone()
    }

    /// How many records the log holds, those that retention removed included.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.shared.commits.writer().records
    }

    /// Size and root of the tree, as the last checkpoint has them.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.shared.commits.writer().head()
    }

    /// The last checkpoint, signed by the key of its epoch.
    #[must_use]
    pub fn checkpoint(&self) -> Note {
        self.shared.commits.writer().checkpoint.clone()
    }

    /// The epoch that is written, and the first that is not certified. At that one the log ends: before, it has to
    /// [certify](Self::certify) more, or to be opened again.
    #[must_use]
    pub fn epochs(&self) -> (u64, u64) {
        let writer = self.shared.commits.writer();
        (writer.epoch(), writer.certified_until())
    }

    /// Events that were accepted, and lost since too many waited, and of which the log does not tell yet.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.commits.lost()
    }

    /// How it goes with the anchors.
    #[must_use]
    pub fn anchors(&self) -> AnchorStatus {
        self.shared.told.anchoring().map(|anchoring| anchoring.status()).unwrap_or_default()
    }

    /// Waits until the anchors were told the last checkpoint, or telling them failed: as long as the anchors take.
    pub fn flush_anchors(&self) -> AnchorStatus {
        self.shared.told.anchoring().map(|anchoring| anchoring.flush()).unwrap_or_default()
    }

    /// The events from now on, each after it is durable; at most `waiting` wait for the subscriber.
    #[must_use]
    pub fn subscribe(&self, waiting: usize) -> Subscription {
        self.shared.told.subscribers.add(waiting)
    }

    /// Ends the segment, and with it the epoch: what was recorded so far can then not be read with the keys in memory.
    pub fn rotate(&self) -> Result<(), AuditError> {
        self.check()?;
        let mut writer = self.shared.commits.writer();
        match writer.rotate() {
            Ok(()) => {
                self.shared.told.anchor(&writer);
                Ok(())
            }
            Err(CommitFailure::Full(error)) => {
                let path = &self.shared.path;
                let message = format!(
                    "cannot rotate audit log {path:?}: {error}; nothing was lost: make room, and it goes on"
                );
                Err(AuditError::new(AuditErrorKind::Full, message).with_source(error))
            }
            Err(failure) => {
                drop(writer);
                Err(self.broken(failure.into_log_error(&self.shared.path)))
            }
        }
    }

    /// Makes all durable that was accepted, and closes the log. Dropping it does the same, and tells nobody what failed.
    pub fn close(self) -> Result<(), AuditError> {
        self.flush()
    }

    /// Destroys the keys of an actor's events, so that nobody can read them any more. That it was done is on record,
    /// by a pseudonym. What the actor does from then on is recorded under new keys.
    pub fn shred(&self, actor: &str) -> Result<Shredded, AuditError> {
        self.check()?;
        self.flush()?;
        let mut writer = self.shared.commits.writer();
        let told = |committed: &Committed, events: &EncodedEvents, writer: &Writer| {
            self.shared.told.committed(committed, events, writer);
        };
        shred::shred(&mut writer, actor, &told).map_err(|error| {
            let is_broken = writer.is_broken();
            drop(writer);
            if is_broken {
                return self.broken(error);
            }
            let message =
                format!("{error}; nothing was shredded and nothing lost: make room, and shred again");
            AuditError::new(AuditErrorKind::Full, message).with_source(error)
        })
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // A forked child: threads, files and lock are its parent's, and so they are left as they are.
            std::mem::forget(Arc::clone(&self.shared));
            std::mem::forget(self.lock.take());
            std::mem::forget(self.accepted.take());
            return;
        }
        if let Some((accepted, thread)) = self.accepted.take() {
            accepted.close();
            // A thread that panicked has printed so.
            let _ = thread.join();
        }
        if self.shared.commits.stopped().is_none() {
            let mut writer = self.shared.commits.writer();
            // Nothing is lost if it fails: the next opening does the rest.
            let _ = writer.close();
        }
        self.shared.told.end_anchoring();
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
