//! A small index of a closed segment: which records may answer a question, without decrypting them.
//!
//! It is derived from the segment and can be made again at any time. Names stand in it as four bytes of
//! a keyed hash, so it tells nothing that the segment does not, and a shredded actor's name is not in it.
//! What it finds is a candidate: the record itself decides.
//!
//! `CGIDX`, version 1, 2 zeros, then a table of 7 places and lengths, each u64, then the sections, each
//! `nonce 24 | sealed | tag 16`, then SHA-256 of all before, so that without a key at least an accident is seen.

mod compared;

use std::collections::HashMap;
use std::ops::Range;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::codec::{Facets, Input, class_code, result_code, split_time, threat_code};
use super::disk::Disk;
use super::frame::LogId;
use super::layout;
use crate::crypto::{self, NONCE_LEN, SealingKey, TAG_LEN};
use crate::query::AuditQuery;
pub(super) use compared::{FrameRows, Rows};

const MAGIC: [u8; 8] = *b"CGIDX\x01\0\0";
const SECTIONS: usize = 7;
const TABLE_LEN: usize = SECTIONS * 16;
/// How many names are remembered while an index is built.
const MEMORY: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Frames = 0,
    Times = 1,
    Actors = 2,
    Agents = 3,
    Sessions = 4,
    Actions = 5,
    Kinds = 6,
}

/// Class, result and threat of a record by their codes in the file format.
type Kind = [u8; 3];

/// Hashes names with a key of the segment.
pub(super) struct NameHasher {
    key: Zeroizing<[u8; 32]>,
}

impl NameHasher {
    pub(super) fn new(read: &SealingKey) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        read.expand(None, &[b"codegenie audit index names v1"], &mut *key);
        Self { key }
    }

    pub(super) fn hash(&self, name: &str) -> u32 {
        let [a, b, c, d, ..] =
            <[u8; 32]>::from(Sha256::new_with_prefix(*self.key).chain_update(name).finalize());
        u32::from_le_bytes([a, b, c, d])
    }

    /// Nobody has another hash than somebody, and the other way round is only a candidate.
    pub(super) fn optional(&self, name: Option<&str>) -> u32 {
        name.map_or(0, |name| self.hash(name))
    }
}

/// One column of names while it grows: most records have the name of the one before.
#[derive(Default)]
struct Names {
    hashes: Vec<u32>,
    last: Option<(String, u32)>,
    known: HashMap<String, u32>,
}

impl Names {
    fn push(&mut self, hasher: &NameHasher, name: Option<&str>) {
        let Some(name) = name else { return self.hashes.push(hasher.optional(None)) };
        if let Some((last, hash)) = &self.last
            && last == name
        {
            return self.hashes.push(*hash);
        }
        let hash = self.known.get(name).copied().unwrap_or_else(|| {
            let hash = hasher.hash(name);
            if self.known.len() >= MEMORY {
                self.known.clear();
            }
            self.known.insert(name.to_owned(), hash);
            hash
        });
        let (last, of_last) = self.last.get_or_insert_default();
        name.clone_into(last);
        *of_last = hash;
        self.hashes.push(hash);
    }
}

/// The columns of a segment, while it is written or read.
pub(super) struct IndexBuilder {
    names: NameHasher,
    first: u64,
    frames: Vec<(u64, u64)>,
    times: Vec<i64>,
    actors: Names,
    agents: Names,
    sessions: Names,
    actions: Names,
    kinds: Vec<Kind>,
}

impl IndexBuilder {
    /// `first` is the number of the first record.
    pub(super) fn new(read: &SealingKey, first: u64) -> Self {
        Self {
            names: NameHasher::new(read),
            first,
            frames: Vec::new(),
            times: Vec::new(),
            actors: Names::default(),
            agents: Names::default(),
            sessions: Names::default(),
            actions: Names::default(),
            kinds: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frame at a place of the segment, and what is in it; `None` for a record that was shredded.
    pub(super) fn add_frame<'e>(
        &mut self,
        offset: u64,
        first: u64,
        events: impl IntoIterator<Item = Option<&'e Facets<'e>>>,
    ) {
        self.frames.push((offset, first));
        for facets in events {
            let names = &self.names;
            // A record that cannot be read is before all times.
            self.times.push(facets.map_or(i64::MIN, |facets| facets.seconds));
            self.actors.push(names, facets.map(|facets| facets.actor));
            self.agents.push(names, facets.and_then(|facets| facets.agent));
            self.sessions.push(names, facets.and_then(|facets| facets.session));
            self.actions.push(names, facets.map(|facets| facets.action));
            self.kinds.push(facets.map_or([0; 3], |facets| [facets.class, facets.result, facets.threat]));
        }
    }

    /// Takes the last frame back, which has so many records.
    pub(super) fn take_back(&mut self, records: usize) {
        self.frames.pop();
        let rows = self.times.len().saturating_sub(records);
        self.times.truncate(rows);
        self.kinds.truncate(rows);
        for names in [&mut self.actors, &mut self.agents, &mut self.sessions, &mut self.actions] {
            names.hashes.truncate(rows);
        }
    }

    /// Blanks the rows of an actor, as those of a record that cannot be read.
    pub(super) fn forget(&mut self, actor: &str) {
        let (hash, nobody) = (self.names.hash(actor), self.names.optional(None));
        for (row, found) in self.actors.hashes.iter_mut().enumerate() {
            if *found != hash {
                continue;
            }
            *found = nobody;
            let columns = [&mut self.agents, &mut self.sessions, &mut self.actions];
            columns.into_iter().filter_map(|names| names.hashes.get_mut(row)).for_each(|cell| *cell = nobody);
            self.times.get_mut(row).into_iter().for_each(|time| *time = i64::MIN);
            self.kinds.get_mut(row).into_iter().for_each(|kind| *kind = [0; 3]);
        }
        self.actors.last = None;
        self.actors.known.remove(actor);
    }

    pub(super) fn into_columns(self) -> Columns {
        Columns {
            first: self.first,
            frames: self.frames,
            times: self.times,
            actors: self.actors.hashes,
            agents: self.agents.hashes,
            sessions: self.sessions.hashes,
            actions: self.actions.hashes,
            kinds: self.kinds,
        }
    }

    /// The bytes of the file. `None` where there is no randomness.
    pub(super) fn seal(&self, read: &SealingKey, log_id: &LogId, segment: u64) -> Option<Vec<u8>> {
        let frames =
            self.frames.iter().flat_map(|(offset, first)| [offset.to_le_bytes(), first.to_le_bytes()]);
        let frames: Vec<u8> = [self.first.to_le_bytes(), (self.times.len() as u64).to_le_bytes()]
            .into_iter()
            .chain(frames)
            .flatten()
            .collect();
        let words =
            |names: &Names| names.hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect::<Vec<u8>>();
        let sections = [
            frames,
            self.times.iter().flat_map(|time| time.to_le_bytes()).collect(),
            words(&self.actors),
            words(&self.agents),
            words(&self.sessions),
            words(&self.actions),
            self.kinds.iter().flatten().copied().collect(),
        ];
        let key = section_key(read, log_id, segment);
        let (mut table, mut body) = (Vec::new(), Vec::new());
        for (number, mut section) in (0_u8..).zip(sections) {
            let start = MAGIC.len() + TABLE_LEN + body.len();
            let nonce: [u8; NONCE_LEN] = crypto::random().ok()?;
            let tag = crypto::encrypt(&key, &nonce, &[number], &mut section).ok()?;
            body.extend(nonce.into_iter().chain(section).chain(tag));
            let len = MAGIC.len() + TABLE_LEN + body.len() - start;
            table.extend((start as u64).to_le_bytes().into_iter().chain((len as u64).to_le_bytes()));
        }
        let mut file = [MAGIC.as_slice(), &table, &body].concat();
        let hash: [u8; 32] = Sha256::digest(&file).into();
        file.extend_from_slice(&hash);
        Some(file)
    }
}

/// Has an index file been damaged? Whether somebody made another one, only the key shows.
pub(super) fn is_whole(file: &[u8]) -> bool {
    file.starts_with(&MAGIC)
        && file.split_last_chunk::<32>().is_some_and(|(bytes, hash)| Sha256::digest(bytes).as_slice() == hash)
}

fn section_key(read: &SealingKey, log_id: &LogId, segment: u64) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    read.expand(None, &[b"codegenie audit index v1", log_id, &segment.to_le_bytes()], &mut *key);
    key
}

fn seconds(time: SystemTime) -> i64 {
    split_time(time).map_or(i64::MIN, |(seconds, _)| seconds)
}

/// The columns of a segment. Those that a query does not ask about are empty.
pub(super) struct Columns {
    pub(super) first: u64,
    /// Where each frame begins, and its first record.
    pub(super) frames: Vec<(u64, u64)>,
    times: Vec<i64>,
    actors: Vec<u32>,
    agents: Vec<u32>,
    sessions: Vec<u32>,
    actions: Vec<u32>,
    kinds: Vec<Kind>,
}

/// An index file, of which sections are read when they are asked for.
pub(super) struct IndexFile<'a> {
    disk: &'a dyn Disk,
    name: String,
    key: Zeroizing<[u8; 32]>,
    table: Vec<(u64, u64)>,
}

impl<'a> IndexFile<'a> {
    /// `None` when there is none, or none that can be used.
    pub(super) fn open(disk: &'a dyn Disk, read: &SealingKey, log_id: &LogId, segment: u64) -> Option<Self> {
        let name = layout::index(segment);
        let start = disk.read_at(&name, 0, MAGIC.len() + TABLE_LEN).ok()?;
        let mut input = Input::new(start.strip_prefix(&MAGIC)?);
        let mut table = Vec::new();
        for _ in 0..SECTIONS {
            table.push((u64::from_le_bytes(input.array()?), u64::from_le_bytes(input.array()?)));
        }
        Some(Self { disk, name, key: section_key(read, log_id, segment), table })
    }

    fn section(&self, section: Section) -> Option<Vec<u8>> {
        let (start, len) = self.table.get(section as usize)?;
        // More than any segment fills is no length.
        let len = usize::try_from(*len).ok().filter(|len| *len < 1 << 32)?;
        let bytes = self.disk.read_at(&self.name, *start, len).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_LEN>()?;
        let mut bytes = sealed.to_vec();
        crypto::decrypt(&self.key, nonce, &[section as u8], &mut bytes, tag).ok()?;
        Some(bytes)
    }

    /// The columns that a query asks about.
    pub(super) fn columns(&self, filter: &Filter) -> Option<Columns> {
        let frames = self.section(Section::Frames)?;
        let (numbers, rest) = frames.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let (first, count) = (numbers.next()?, usize::try_from(numbers.next()?).ok()?);
        let mut pairs = Vec::new();
        while let (Some(offset), Some(first)) = (numbers.next(), numbers.next()) {
            pairs.push((offset, first));
        }
        let words = |section, asked: bool| -> Option<Vec<u32>> {
            if !asked {
                return Some(Vec::new());
            }
            let bytes = self.section(section)?;
            let (words, rest) = bytes.as_chunks::<4>();
            let words: Vec<u32> = words.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
            (rest.is_empty() && words.len() == count).then_some(words)
        };
        let times = self.section(Section::Times)?;
        let times: Vec<i64> =
            times.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
        let kinds = if filter.asks_kind() { self.section(Section::Kinds)? } else { Vec::new() };
        let columns = Columns {
            first,
            frames: pairs,
            actors: words(Section::Actors, !filter.actors.is_empty())?,
            agents: words(Section::Agents, !filter.agents.is_empty())?,
            sessions: words(Section::Sessions, !filter.sessions.is_empty())?,
            actions: words(Section::Actions, !filter.actions.is_empty())?,
            kinds: kinds.as_chunks::<3>().0.to_vec(),
            times,
        };
        (rest.is_empty() && columns.times.len() == count).then_some(columns)
    }
}

/// What a query asks of the columns.
pub(super) struct Filter {
    seconds: Range<i64>,
    actors: Vec<u32>,
    agents: Vec<u32>,
    sessions: Vec<u32>,
    actions: Vec<u32>,
    classes: Vec<u8>,
    results: Vec<u8>,
    threat: u8,
}

impl Filter {
    pub(super) fn new(query: &AuditQuery, read: &SealingKey) -> Self {
        let names = NameHasher::new(read);
        let hashes = |wanted: &[String]| wanted.iter().map(|name| names.hash(name)).collect();
        let since = query.since_time().map_or(i64::MIN + 1, seconds);
        let until = query.until_time().map_or(i64::MAX, |time| seconds(time).saturating_add(1));
        Self {
            seconds: since..until,
            actors: hashes(query.actors()),
            agents: hashes(query.agents()),
            sessions: hashes(query.sessions()),
            actions: hashes(query.actions()),
            classes: query.classes().iter().map(|class| class_code(*class)).collect(),
            results: query.results().iter().map(|result| result_code(*result)).collect(),
            threat: threat_code(query.least_threat()),
        }
    }

    fn asks_kind(&self) -> bool {
        !self.classes.is_empty() || !self.results.is_empty() || self.threat > 0
    }
}

impl Columns {
    /// The rows that may answer, in order.
    pub(super) fn candidates(&self, filter: &Filter) -> Vec<usize> {
        let mut rows: Vec<usize> = self
            .times
            .iter()
            .zip(0..)
            .filter(|(time, _)| filter.seconds.contains(time))
            .map(|(_, row)| row)
            .collect();
        let columns = [
            (&self.actors, &filter.actors),
            (&self.agents, &filter.agents),
            (&self.sessions, &filter.sessions),
            (&self.actions, &filter.actions),
        ];
        for (column, wanted) in columns.into_iter().filter(|(_, wanted)| !wanted.is_empty()) {
            rows.retain(|row| column.get(*row).is_none_or(|hash| wanted.contains(hash)));
        }
        if filter.asks_kind() {
            rows.retain(|row| {
                self.kinds.get(*row).is_none_or(|[class, result, threat]| {
                    (filter.classes.is_empty() || filter.classes.contains(class))
                        && (filter.results.is_empty() || filter.results.contains(result))
                        && *threat >= filter.threat
                })
            });
        }
        rows
    }

    /// The place of the frame of a record, and the record's place in it.
    pub(super) fn frame_of(&self, row: usize) -> Option<(u64, usize)> {
        let sequence = self.first.checked_add(row as u64)?;
        let after = self.frames.partition_point(|(_, first)| *first <= sequence);
        let (offset, first) = self.frames.get(after.checked_sub(1)?)?;
        Some((*offset, usize::try_from(sequence.checked_sub(*first)?).ok()?))
    }
}
