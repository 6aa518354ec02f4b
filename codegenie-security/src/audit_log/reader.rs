//! Reading a log with a key: events in order, answers to queries, proofs, verdicts.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::anchor::{Anchor, AnchoredCheckpoint};
use super::anchoring::witness_signer;
use super::asking;
use super::codec;
use super::disk::{Directory, Disk};
use super::epoch::open_certificate;
use super::error::{AuditLogError, FaultKind, io_error};
use super::frame::{self, PREFIX_LEN, RecordFrame, TableEntry};
use super::header::Header;
use super::index::{Columns, Filter, IndexBuilder, IndexFile};
use super::keys::{KeyStore, default_dir};
use super::layout;
use super::meta::LogMeta;
use super::opened::{OpenedSegment, RecordOf, SegmentKeys};
use super::proof::RecordProof;
use super::records::Records;
use super::tiles;
use super::verdict::{Verdict, Verification};
use super::verify::{self, Means};
use super::walk::{Walk, fault, tampered};
use crate::audit::AuditEvent;
use crate::crypto::{KeyWrapper, SealingKey};
use crate::query::{AuditPage, AuditQuery, AuditSummary};
use crate::tlog::{NoteSigner, NoteVerifier};

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its place in the log, from 0.
    pub sequence: u64,
    /// What was recorded.
    pub event: AuditEvent,
}

impl StoredEvent {
    /// An event that is kept elsewhere, or is yet to be.
    #[must_use]
    pub fn new(sequence: u64, event: AuditEvent) -> Self {
        Self { sequence, event }
    }
}

/// Reads a log, also one that is being written: by the host, or by an auditor on another machine who has a copy.
///
/// ```
/// use codegenie_security::{
///     AuditEvent, AuditLog, AuditLogOptions, AuditQuery, AuditReader, AuditSink, EventClass, Identity, RecipientKind,
///     SealingKey,
/// };
///
/// let dir = tempfile::tempdir()?;
/// let (path, key) = (dir.path().join("audit"), SealingKey::generate()?);
/// let auditor = Identity::generate(RecipientKind::XWing)?;
/// let log = AuditLogOptions::new().auditor(auditor.recipient_key()).open(&path, &key)?;
/// log.record(&AuditEvent::new(EventClass::Command, "execute", "git status").actor("alice"))?;
/// let identity = log.identity();
/// drop(log);
///
/// let reader = AuditReader::with_key(&path, auditor, Some(identity));
/// assert!(reader.verify(&[])?.is_intact());
/// let page = reader.query(&AuditQuery::new().actor("alice"))?;
/// assert_eq!(page.events[0].event.resource, "git status");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AuditReader {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    key: Arc<dyn KeyWrapper>,
    identity: Option<NoteVerifier>,
    /// The host's keys, which know how far the log must go.
    host: Option<KeyStore>,
    /// Signs for witnesses, as the host.
    witness: Option<NoteSigner>,
    /// Columns of segments that have no index file, which are made here, by number and length of the segment.
    made: Mutex<HashMap<(u64, u64), Arc<Columns>>>,
}

impl AuditReader {
    /// As the host that writes the log: by its key, with the directory of keys beside the log.
    pub fn open(path: impl AsRef<Path>, key: &SealingKey) -> Result<Self, AuditLogError> {
        let path = path.as_ref();
        Self::open_with_keys(path, default_dir(path), key)
    }

    /// As [`open`](Self::open), with the directory of keys elsewhere.
    pub fn open_with_keys(
        path: impl AsRef<Path>,
        keys: impl AsRef<Path>,
        key: &SealingKey,
    ) -> Result<Self, AuditLogError> {
        let (path, keys) = (path.as_ref(), keys.as_ref());
        let disk: Arc<dyn Disk> = Arc::new(Directory::new(path.to_owned()));
        let keys = KeyStore::at(keys, key);
        let no_keys = || match disk.read(layout::LOG) {
            Ok(None) => AuditLogError::Missing { path: path.to_owned() },
            _ => AuditLogError::NoKeys { path: keys.path().to_owned() },
        };
        let identity = keys.identity()?.ok_or_else(no_keys)?;
        let reader = keys.reader()?;
        let reader = reader.ok_or_else(|| AuditLogError::NoKeys { path: keys.path().to_owned() })?;
        let meta = LogMeta::of(&identity)?;
        let witness = witness_signer(&meta.origin, key)?;
        Ok(Self {
            path: path.to_owned(),
            disk,
            key: Arc::new(reader),
            identity: Some(meta.identity),
            host: Some(keys),
            witness: Some(witness),
            made: Mutex::default(),
        })
    }

    /// As an auditor: by a key for which the log is sealed, and the identity that the log must have. Without
    /// one, whoever replaces the whole log by another is not noticed.
    pub fn with_key(
        path: impl AsRef<Path>,
        key: impl KeyWrapper + 'static,
        identity: Option<NoteVerifier>,
    ) -> Self {
        let path = path.as_ref().to_owned();
        let disk = Arc::new(Directory::new(path.clone()));
        Self { path, disk, key: Arc::new(key), identity, host: None, witness: None, made: Mutex::default() }
    }

    #[cfg(test)]
    pub(super) fn on_disk(path: &Path, disk: Arc<dyn Disk>, key: Arc<dyn KeyWrapper>) -> Self {
        Self {
            path: path.to_owned(),
            disk,
            key,
            identity: None,
            host: None,
            witness: None,
            made: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn with_host(self, keys: KeyStore) -> Self {
        Self { host: Some(keys), ..self }
    }

    /// The identity that the log must have.
    #[must_use]
    pub fn identity(&self) -> Option<&NoteVerifier> {
        self.identity.as_ref()
    }

    /// Verifies the whole log, decrypts every record, and compares the indexes with them. An error means that no verdict was
    /// reached.
    pub fn verify(&self, anchored: &[AnchoredCheckpoint]) -> Result<Verification, AuditLogError> {
        // Before the log is looked at, since it may go on meanwhile.
        let state = match &self.host {
            Some(keys) => keys.epoch()?,
            None => None,
        };
        let is_unborn = state.as_ref().is_some_and(|state| !state.signed && state.epoch.number == 0);
        let least_epoch = state.filter(|state| state.signed).map(|state| state.epoch.number);
        let identity = self.identity.as_ref();
        let is_shredding = || self.host.as_ref().is_some_and(KeyStore::is_shredding);
        let is_shredding: Option<&dyn Fn() -> bool> = Some(&is_shredding);
        let means =
            Means { identity, reader: Some(&*self.key), least_epoch, is_unborn, anchored, is_shredding };
        let mut verification = verify::verify(&*self.disk, &self.path, &means)?;
        // Keys without an epoch never had a log; only where one is just being made, the epoch comes meanwhile.
        if let Some(keys) = &self.host
            && matches!(verification.verdict, Verdict::Anchored | Verdict::Unanchored)
            && keys.epoch()?.is_none()
        {
            let file = keys.path().join(layout::EPOCH).display().to_string();
            let fault = fault(FaultKind::KeysDisagree, &file, verification.records, 0);
            verification.verdict = Verdict::Corrupt(fault);
        }
        Ok(verification)
    }

    /// As [`verify`](Self::verify), against what these anchors know. Those that cannot be read back, as witnesses, are asked, if
    /// this is the host: nobody else signs for them. Anchors that are out of reach say nothing
    /// ([why](Verification::anchor_errors)), and if none says anything the verdict is `Unanchored`.
    pub fn verify_against(&self, anchors: &[&dyn Anchor]) -> Result<Verification, AuditLogError> {
        let (mut anchored, mut objections, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for anchor in anchors {
            match anchor.latest() {
                Ok(latest) => anchored.extend(latest),
                Err(error) => match error.objection() {
                    Some(objection) => objections.push(objection),
                    None => errors.push(error.to_string()),
                },
            }
        }
        let mut verification = self.verify(&anchored)?;
        verification.anchor_errors = errors;
        let (witness, identity) = (self.witness.as_ref(), self.identity.as_ref());
        let asked = asking::Asked { disk: &*self.disk, path: &self.path, witness, identity };
        Ok(asked.judge(verification, anchors, objections))
    }

    /// The events in order, each checked before it is given out.
    pub fn records(&self) -> Result<Records, AuditLogError> {
        Records::start(Arc::clone(&self.disk), &self.path, Arc::clone(&self.key), self.identity.as_ref())
    }

    /// One page of what a query finds. Only segments and frames that may hold an answer are decrypted.
    ///
    /// Every event is one that the log sealed, unless another of its readers, who has the same key, put it there: the tree is
    /// not computed for a query. Nor is the index compared with the records, which such a reader can make so that it hides some.
    /// Whether none is missing or foreign, [`verify`](Self::verify) and [`records`](Self::records) tell.
    pub fn query(&self, query: &AuditQuery) -> Result<AuditPage, AuditLogError> {
        let walk = self.begin()?;
        let mut segments = walk.segments().to_vec();
        let (meta, last) = (walk.meta.clone(), segments.last().copied());
        drop(walk);
        if !query.is_oldest_first() {
            segments.reverse();
        }
        let mut page = query.page();
        for number in segments {
            match self.query_segment(query, &meta, number, last == Some(number), &mut page) {
                Ok(true) => {}
                Ok(false) => break,
                // Retention removed it meanwhile.
                Err(_) if self.begin()?.segments().first().is_some_and(|first| *first > number) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(page.finish())
    }

    /// Sums up what a query finds, whatever its limit.
    pub fn summary(&self, query: &AuditQuery) -> Result<AuditSummary, AuditLogError> {
        query.summarize(self.records()?)
    }

    /// The proof that a record is in the log, which anybody can check who knows the log's identity. It shows the
    /// event, unless that was shredded.
    pub fn prove(&self, sequence: u64) -> Result<RecordProof, AuditLogError> {
        RecordProof::make(&*self.disk, &self.path, &*self.key, self.identity.as_ref(), sequence)
    }

    /// Writes the tiles of the tree into the log's directory (`tile/…`, `c2sp.org/tlog-tiles`), where a web server can
    /// give them out beside `checkpoint`. Returns how many leaves they have.
    pub fn write_tiles(&self) -> Result<u64, AuditLogError> {
        tiles::write(&*self.disk, &self.path, self.identity.as_ref())
    }

    fn begin(&self) -> Result<Walk<'_>, AuditLogError> {
        begin(&*self.disk, &self.path, self.identity.as_ref())
    }

    /// Adds to the page what a segment has. False when the page needs no more.
    fn query_segment(
        &self,
        query: &AuditQuery,
        meta: &LogMeta,
        number: u64,
        is_last: bool,
        page: &mut crate::query::PageBuilder<'_>,
    ) -> Result<bool, AuditLogError> {
        let name = layout::segment(number);
        let Some(header) = self.header(meta, number, &name, is_last)? else { return Ok(true) };
        let mut keys = self.keys(&header)?;
        let filter = Filter::new(query, &keys.read);
        let index = IndexFile::open(&*self.disk, &keys.read, &header.log_id, number);
        let columns = match index.and_then(|index| index.columns(&filter)) {
            Some(columns) => Arc::new(columns),
            None => self.make_columns(number, &name)?,
        };
        let mut rows = columns.candidates(&filter);
        if !query.is_oldest_first() {
            rows.reverse();
        }
        // The frame of the last row and its table: a commit may have tens of thousands of rows.
        let mut current: Option<(u64, Vec<u8>, Vec<TableEntry>)> = None;
        for row in rows {
            let sequence = columns.first.saturating_add(row as u64);
            if !page.wants(sequence) {
                if page.is_done(sequence) {
                    return Ok(false);
                }
                continue;
            }
            let bad = || {
                tampered(&self.path, fault(FaultKind::DerivedAltered, &layout::index(number), sequence, 0))
            };
            let (offset, place) = columns.frame_of(row).ok_or_else(bad)?;
            let altered = |kind| tampered(&self.path, fault(kind, &name, sequence, offset));
            if current.as_ref().is_none_or(|(known, ..)| *known != offset) {
                let bytes = self.frame(&name, offset)?;
                let frame = RecordFrame::parse(&bytes).ok_or_else(|| altered(FaultKind::FrameAltered))?;
                let (_, entries) =
                    frame.open(&keys.frames).ok_or_else(|| altered(FaultKind::FrameOutOfPlace))?;
                current = Some((offset, bytes, entries));
            }
            let Some((_, bytes, entries)) = &current else { return Err(bad()) };
            let frame = RecordFrame::parse(bytes).ok_or_else(|| altered(FaultKind::FrameAltered))?;
            if frame.first.checked_add(place as u64) != Some(sequence) {
                return Err(bad());
            }
            let entry = entries.get(place).ok_or_else(bad)?;
            let mut found = keys.record(&frame, place, entry);
            if matches!(found, RecordOf::SubjectAltered | RecordOf::Altered) {
                // Of an actor who came, or was shredded, since the keys were read.
                keys = self.keys(&header)?;
                found = keys.record(&frame, place, entry);
            }
            let record = match found {
                RecordOf::Event(record) => record,
                RecordOf::Shredded => continue,
                RecordOf::Altered => return Err(altered(FaultKind::RecordAltered)),
                RecordOf::SubjectAltered => return Err(altered(FaultKind::SubjectAltered)),
            };
            let event = codec::decode(&record.event).ok_or_else(|| altered(FaultKind::RecordAltered))?;
            if !page.push(StoredEvent { sequence, event }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The keys of a segment and of its subjects, as they are now.
    fn keys(&self, header: &Header) -> Result<SegmentKeys, AuditLogError> {
        let name = layout::subjects(header.segment);
        let slots = self.disk.read(&name).map_err(io_error("read", &self.path.join(&name)))?;
        SegmentKeys::open(&self.path, header, &slots.unwrap_or_default(), &*self.key)
    }

    /// The header of a segment, signed by a key that the identity certified for it.
    fn header(
        &self,
        meta: &LogMeta,
        number: u64,
        name: &str,
        is_last: bool,
    ) -> Result<Option<Header>, AuditLogError> {
        let bytes = match self.frame(name, 0) {
            // One that is just being begun has none yet, and no records.
            Err(_) if is_last => return Ok(None),
            bytes => bytes?,
        };
        let header = Header::parse(&bytes).filter(|header| {
            let signer = open_certificate(&header.certificate, &meta.identity, &meta.origin, number);
            let same = header.log_id == meta.log_id && header.segment == number;
            same && signer.is_some_and(|signer| Header::is_signed(&bytes, &signer))
        });
        let refused = || tampered(&self.path, fault(FaultKind::HeaderAltered, name, 0, 0));
        header.map(Some).ok_or_else(refused)
    }

    /// The bytes of the frame at a place.
    fn frame(&self, name: &str, offset: u64) -> Result<Vec<u8>, AuditLogError> {
        let path = self.path.join(name);
        let read = |offset, len| self.disk.read_at(name, offset, len).map_err(io_error("read", &path));
        let prefix = read(offset, PREFIX_LEN)?;
        let altered = || tampered(&self.path, fault(FaultKind::FrameAltered, name, 0, offset));
        let length = prefix.first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize);
        let length = length.filter(|length| *length <= frame::MAX_BODY).ok_or_else(altered)?;
        let bytes = read(offset, PREFIX_LEN + length)?;
        if frame::is_whole(&bytes) { Ok(bytes) } else { Err(altered()) }
    }

    /// The columns of a segment that has no index: the one that is being written, or one after a crash.
    fn make_columns(&self, number: u64, name: &str) -> Result<Arc<Columns>, AuditLogError> {
        let mut walk = self.begin()?;
        walk.skip_to(number);
        let super::walk::Step::Segment(segment) = walk.step()? else {
            return Err(walk.tampered(FaultKind::HeaderAltered, name, 0));
        };
        let key = (number, segment.end as u64);
        let known = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(columns) = known {
            return Ok(columns);
        }
        let opened = OpenedSegment::open(&self.path, *segment, &*self.key)?;
        let (segment, keys) = (&opened.segment, &opened.keys);
        let mut builder = IndexBuilder::new(&keys.read, segment.header.first);
        for range in &segment.frames {
            let offset = range.start as u64;
            let altered = |kind| tampered(&self.path, fault(kind, name, 0, offset));
            let frame = RecordFrame::parse(range.bytes(&segment.bytes));
            let frame = frame.ok_or_else(|| altered(FaultKind::FrameAltered))?;
            let (_, entries) = frame.open(&keys.frames).ok_or_else(|| altered(FaultKind::FrameOutOfPlace))?;
            let mut events = Vec::with_capacity(entries.len());
            for (place, entry) in entries.iter().enumerate() {
                match keys.record(&frame, place, entry) {
                    RecordOf::Event(record) => events.push(Some(record.event)),
                    RecordOf::Shredded => events.push(None),
                    RecordOf::Altered => return Err(altered(FaultKind::RecordAltered)),
                    RecordOf::SubjectAltered => return Err(altered(FaultKind::SubjectAltered)),
                }
            }
            let facets: Vec<_> =
                events.iter().map(|event| event.as_deref().and_then(codec::facets)).collect();
            builder.add_frame(offset, frame.first, facets.iter().map(Option::as_ref));
        }
        let columns = Arc::new(builder.into_columns());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|(other, _), _| *other != number);
        made.insert(key, Arc::clone(&columns));
        Ok(columns)
    }
}

/// Begins a walk over a log that has to be there, and of this identity.
pub(super) fn begin<'a>(
    disk: &'a dyn Disk,
    path: &'a Path,
    identity: Option<&NoteVerifier>,
) -> Result<Walk<'a>, AuditLogError> {
    let walk = Walk::begin(disk, path)?.ok_or_else(|| AuditLogError::Missing { path: path.to_owned() })?;
    if identity.is_some_and(|expected| *expected != walk.meta.identity) {
        return Err(walk.tampered(FaultKind::AnotherLog, layout::LOG, 0));
    }
    Ok(walk)
}

impl fmt::Debug for AuditReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditReader").field("path", &self.path).finish_non_exhaustive()
    }
}
