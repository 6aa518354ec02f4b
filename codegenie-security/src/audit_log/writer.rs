//! The one that writes: seals a frame, makes it last, signs the tree, and then lets it be acknowledged.

mod rotation;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub(super) use self::rotation::remove_segment;
use self::rotation::{Turning, begin_segment};
use super::anchor::AnchoredCheckpoint;
use super::codec::{self, Facets};
use super::disk::{Disk, DiskFile};
use super::encoded::EncodedEvents;
use super::epoch::{Certificates, Epoch};
use super::error::{AuditLogError, io_error};
use super::frame::{self, FrameBuilder, FrameKeys, RecordKey};
use super::index::IndexBuilder;
use super::keys::{EpochState, KeyStore};
use super::layout;
use super::meta::LogMeta;
use super::retention::{Kept, RetentionPolicy};
use super::subjects::{SLOT_LEN, SlotKey, SubjectNames};
use crate::crypto::RecipientKey;
use crate::tlog::{BadNoteKey, Checkpoint, Hash, Note, NoteSigner, Tree, TreeHead};

/// What a writer has from its opening to its end.
pub(super) struct Base {
    pub(super) path: std::path::PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) keys: KeyStore,
    pub(super) meta: LogMeta,
    pub(super) names: SubjectNames,
    pub(super) certificates: Certificates,
    pub(super) readers: Vec<RecipientKey>,
    pub(super) rotation: Rotation,
    pub(super) retention: RetentionPolicy,
}

/// When a segment is followed by the next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    pub(super) bytes: u64,
    pub(super) age: Duration,
}

/// What is known of a commit that went well.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    /// The sequence number of its first record.
    pub(super) first: u64,
}

/// A commit that was not made.
pub(super) enum CommitFailure {
    /// Nothing of it is left, and the next one may go well: the disk was full.
    Full(io::Error),
    /// Nobody knows what the disk holds, or what comes next: the log has to be opened again.
    Broken(io::Error),
}

/// The log between two commits.
pub(super) struct Writer {
    base: Base,
    segment: ActiveSegment,
    /// Closed segments, the oldest first.
    kept: Vec<Kept>,
    pub(super) tree: Tree,
    root: Hash,
    pub(super) records: u64,
    pub(super) checkpoint: Note,
    checkpoint_file: Box<dyn DiskFile>,
    checkpoint_len: usize,
    /// Where frames are built.
    buffer: Vec<u8>,
    /// A rotation that has begun and must end before anything else is written.
    turning: Option<Turning>,
    /// What keeps a second writer out, as long as its name is there.
    lock: Option<std::fs::File>,
    /// Nobody knows what the disk holds: nothing is written any more.
    broken: bool,
}

/// The number and the key of an actor in a segment.
type Subject = (u32, RecordKey);

/// The segment that is being written.
struct ActiveSegment {
    epoch: Epoch,
    signer: NoteSigner,
    frame_keys: FrameKeys,
    slot_key: SlotKey,
    file: Box<dyn DiskFile>,
    length: u64,
    begun: SystemTime,
    /// The same by a clock that nobody sets.
    since: Instant,
    /// Commits that failed and left nothing.
    failed: u32,
    subjects: HashMap<String, Subject>,
    slots_file: Option<Box<dyn DiskFile>>,
    slots: u32,
    index: IndexBuilder,
}

/// Who the actor of each event is in the segment.
fn subjects_of<'s>(
    known: &'s HashMap<String, Subject>,
    events: &[Option<Facets<'_>>],
) -> Vec<Option<&'s Subject>> {
    events.iter().map(|facets| known.get(facets.as_ref()?.actor)).collect()
}

fn bad_key(_: BadNoteKey) -> io::Error {
    io::Error::other("the name of the log makes no key")
}

impl Writer {
    /// Begins a segment and signs its header: after the opening of a log, and at a rotation.
    pub(super) fn begin(
        base: Base,
        epoch: Epoch,
        closing: Vec<u8>,
        tree: Tree,
        records: u64,
        kept: Vec<Kept>,
    ) -> Result<Self, AuditLogError> {
        let path = base.path.join(layout::segment(epoch.number));
        let signed = EpochState { epoch: epoch.same(), signed: true, closing: closing.clone() };
        let (segment, tree) = begin_segment(&base, epoch, closing, tree, records)
            .map_err(|failure| failure.into_log_error(&path))?;
        let head = tree.head();
        let checkpoint_path = base.path.join(layout::CHECKPOINT);
        let checkpoint =
            sign(&base.meta.origin, head, &segment.signer).map_err(io_error("sign", &checkpoint_path))?;
        let text = checkpoint.to_string();
        let checkpoint_file = base
            .disk
            .replace(layout::CHECKPOINT, text.as_bytes())
            .and_then(|()| base.disk.open(layout::CHECKPOINT))
            .map_err(io_error("write", &checkpoint_path))?;
        let checkpoint_len = text.len();
        base.keys.store_epoch(&signed)?;
        Ok(Self {
            base,
            segment,
            kept,
            tree,
            root: head.root,
            records,
            checkpoint,
            checkpoint_file,
            checkpoint_len,
            buffer: Vec::new(),
            turning: None,
            lock: None,
            broken: false,
        })
    }

    /// Writes only as long as this file is there.
    pub(super) fn watch(&mut self, lock: std::fs::File) {
        self.lock = Some(lock);
    }

    pub(super) fn epoch(&self) -> u64 {
        self.segment.epoch.number
    }

    /// The first epoch that the identity has not certified.
    pub(super) fn certified_until(&self) -> u64 {
        self.base.certificates.end()
    }

    /// The epoch from which on it can be certified.
    pub(super) fn epoch_to_certify(&self) -> Epoch {
        self.segment.epoch.same()
    }

    /// Takes over certificates of the current epoch and more.
    pub(super) fn certify(&mut self, certificates: Certificates) {
        if certificates.end() > self.certified_until() {
            self.base.certificates = certificates;
        }
    }

    /// The last checkpoint as an anchor keeps it.
    pub(super) fn anchored(&self) -> Option<AnchoredCheckpoint> {
        let epoch = self.epoch();
        let certificate = self.base.certificates.of(epoch)?.clone();
        Some(AnchoredCheckpoint::new(epoch, certificate, self.checkpoint.clone()))
    }

    pub(super) fn head(&self) -> TreeHead {
        TreeHead { size: self.tree.size(), root: self.root }
    }

    /// Makes events last, all or none, in their order. There is at least one and no more than a frame takes.
    pub(super) fn commit(&mut self, events: &EncodedEvents) -> Result<Committed, CommitFailure> {
        self.guarded(|writer| writer.write(events))
    }

    /// Nothing is done after something has broken, also not by somebody who was waiting meanwhile.
    fn guarded<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, CommitFailure>,
    ) -> Result<T, CommitFailure> {
        if self.broken {
            return Err(CommitFailure::Broken(io::Error::other("an earlier write failed")));
        }
        // Should it panic, nobody knows either.
        self.broken = true;
        let outcome = run(self);
        self.broken = matches!(outcome, Err(CommitFailure::Broken(_)));
        outcome
    }

    /// Ends the writer: what it was about was left half done.
    pub(super) fn break_off(&mut self) {
        self.broken = true;
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    fn write(&mut self, events: &EncodedEvents) -> Result<Committed, CommitFailure> {
        self.rotate_if_due()?;
        let facets: Vec<Option<Facets<'_>>> = events.iter().map(codec::facets).collect();
        let mut subjects = subjects_of(&self.segment.subjects, &facets);
        let is_named = |(facets, subject): (&Option<Facets<'_>>, &Option<&Subject>)| {
            subject.is_some() || facets.as_ref().is_none_or(|facets| facets.actor.is_empty())
        };
        if !facets.iter().zip(&subjects).all(is_named) {
            self.name_subjects(&facets)?;
            subjects = subjects_of(&self.segment.subjects, &facets);
        }
        let segment = &self.segment;
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let too_large = || CommitFailure::Broken(io::Error::other("a commit is too large for a frame"));
        let (first, count) = (self.records, events.len());
        let keys = &segment.frame_keys;
        let builder = FrameBuilder::new(keys, &mut self.buffer, first, count, segment.failed, time);
        let mut builder = builder.ok_or_else(too_large)?;
        for (event, subject) in events.iter().zip(subjects) {
            builder.push(event, subject.map(|(number, key)| (*number, key)));
        }
        let (frame, leaves) = builder.seal(segment.slots, &self.root).ok_or_else(too_large)?;

        let segment = &mut self.segment;
        if let Err(error) = segment.file.append(frame) {
            return Err(segment.take_back(error));
        }
        let other = |error| CommitFailure::Broken(io::Error::other(error));
        let length = segment.length + frame.len() as u64;
        segment.file.begin_sync();
        // What is signed while the disk is at work nobody sees before all of it lasts.
        let mut tree = self.tree.clone();
        for leaf in leaves.into_iter().chain([frame::frame_leaf(frame)]) {
            tree.append(leaf).map_err(other)?;
        }
        let head = tree.head();
        let checkpoint =
            sign(&self.base.meta.origin, head, &segment.signer).map_err(CommitFailure::Broken)?;
        segment.index.add_frame(segment.length, first, facets.iter().map(Option::as_ref));
        segment.file.sync().map_err(CommitFailure::Broken)?;
        // Without one of these, what is acknowledged could not be read, or another writer would write the same.
        let slots = segment.slots_file.as_ref().map_or(Ok(()), |file| file.still_there());
        let lock = || self.lock.as_ref().map_or(Ok(()), crate::files::still_there);
        slots.and_then(|()| lock()).map_err(CommitFailure::Broken)?;
        self.release(checkpoint).inspect_err(|_| self.segment.index.take_back(count))?;
        self.segment.length = length;
        (self.tree, self.root) = (tree, head.root);
        self.records += count as u64;
        Ok(Committed { first })
    }

    /// Shows a checkpoint of what is on the disk.
    fn release(&mut self, checkpoint: Note) -> Result<(), CommitFailure> {
        let text = checkpoint.to_string();
        if text.len() == self.checkpoint_len {
            // Less than a sector: a crash leaves the old or the new one. It need not last before it is shown, since what it
            // tells of does.
            let written = self.checkpoint_file.write_at(text.as_bytes(), 0);
            written.and_then(|()| self.checkpoint_file.still_there()).map_err(CommitFailure::Broken)?;
            self.checkpoint = checkpoint;
            return Ok(());
        }
        let before = self.checkpoint.to_string();
        let Err(error) = self.release_durably(checkpoint) else { return Ok(()) };
        // Where there was no room for the new one beside the old one, nobody was told of the frame, and it is taken back.
        let shown = self.base.disk.read(layout::CHECKPOINT).ok().flatten();
        if is_full(&error) && shown.is_some_and(|shown| shown == before.as_bytes()) {
            return Err(self.segment.take_back(error));
        }
        Err(CommitFailure::Broken(error))
    }

    /// As the first of a segment, and one that is longer than the last: a file whose length changes could be torn.
    fn release_durably(&mut self, checkpoint: Note) -> io::Result<()> {
        let text = checkpoint.to_string();
        self.base.disk.replace(layout::CHECKPOINT, text.as_bytes())?;
        self.checkpoint_file = self.base.disk.open(layout::CHECKPOINT)?;
        (self.checkpoint, self.checkpoint_len) = (checkpoint, text.len());
        Ok(())
    }

    /// Gives a key to each actor who has none in this segment, and makes it last before anything is encrypted with it.
    fn name_subjects(&mut self, events: &[Option<Facets<'_>>]) -> Result<(), CommitFailure> {
        let (base, segment) = (&self.base, &mut self.segment);
        let mut new: Vec<(&str, RecordKey)> = Vec::new();
        let mut named: HashSet<&str> = HashSet::new();
        let mut slots = Vec::new();
        for facets in events.iter().flatten() {
            let actor = facets.actor;
            let known = actor.is_empty() || segment.subjects.contains_key(actor) || !named.insert(actor);
            if known {
                continue;
            }
            let number = u32::try_from(new.len()).ok().and_then(|more| segment.slots.checked_add(more));
            let number = number.filter(|number| *number != frame::NO_SUBJECT);
            let number = number.ok_or_else(|| CommitFailure::Broken(io::Error::other("too many actors")))?;
            let id = base.names.id(segment.epoch.number, actor);
            let created = segment.slot_key.create(number, id);
            let (slot, key) = created.map_err(|error| CommitFailure::Broken(io::Error::other(error)))?;
            slots.extend_from_slice(&slot);
            new.push((actor, key));
        }
        if new.is_empty() {
            return Ok(());
        }
        let name = layout::subjects(segment.epoch.number);
        let mut file = match segment.slots_file.take() {
            Some(file) => file,
            None => {
                let file = base.disk.create(&name).map_err(full_or_broken)?;
                base.disk.sync_dir(layout::SEGMENTS).map_err(CommitFailure::Broken)?;
                file
            }
        };
        let written = file.append(&slots);
        if let Err(error) = written {
            let before = u64::from(segment.slots) * SLOT_LEN as u64;
            file.set_len(before).and_then(|()| file.sync()).map_err(CommitFailure::Broken)?;
            segment.slots_file = Some(file);
            return Err(full_or_broken(error));
        }
        file.sync().map_err(CommitFailure::Broken)?;
        segment.slots_file = Some(file);
        for (actor, key) in new {
            segment.subjects.insert(actor.to_owned(), (segment.slots, key));
            segment.slots += 1;
        }
        Ok(())
    }

    /// Leaves the files as nobody writes to them any more: no zeros at the end, and the last checkpoint durable as well.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.write_index();
        self.segment.file.trim()?;
        self.checkpoint_file.sync()
    }

    /// For shredding, which needs the files and the names.
    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// The numbers of all segments, the active one last.
    pub(super) fn segments(&self) -> impl Iterator<Item = u64> + use<'_> {
        self.kept.iter().map(|kept| kept.number).chain([self.segment.epoch.number])
    }

    /// Forgets the key of an actor in the active segment, so that later events get another one.
    pub(super) fn forget_subject(&mut self, actor: &str) {
        self.segment.subjects.remove(actor);
        self.segment.index.forget(actor);
    }
}

impl ActiveSegment {
    /// After a write that failed: is what it left gone again?
    fn take_back(&mut self, error: io::Error) -> CommitFailure {
        let failed = self.failed.checked_add(1);
        match (self.file.set_len(self.length).and_then(|()| self.file.sync()), failed) {
            (Ok(()), Some(failed)) => {
                self.failed = failed;
                full_or_broken(error)
            }
            (Err(cut), _) => CommitFailure::Broken(cut),
            (Ok(()), None) => CommitFailure::Broken(error),
        }
    }
}

impl CommitFailure {
    pub(super) fn into_log_error(self, path: &std::path::Path) -> AuditLogError {
        match self {
            Self::Full(error) | Self::Broken(error) => io_error("write", path)(error),
        }
    }
}

pub(super) fn sign(origin: &str, head: TreeHead, signer: &NoteSigner) -> io::Result<Note> {
    let checkpoint = Checkpoint::new(origin, head).map_err(io::Error::other)?;
    checkpoint.sign(signer).map_err(io::Error::other)
}

fn full_or_broken(error: io::Error) -> CommitFailure {
    if is_full(&error) { CommitFailure::Full(error) } else { CommitFailure::Broken(error) }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
