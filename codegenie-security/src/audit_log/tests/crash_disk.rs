//! A disk in memory that forgets what was not synced, in any order, sector by sector.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::super::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

#[derive(Clone)]
enum Op {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Op {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
            Self::SetLen(len) => to.resize(*len, 0),
        }
    }
}

/// One step of what happens to a disk.
#[derive(Clone)]
enum Change {
    Make,
    Write { inode: usize, op: Op },
    Name { name: String, inode: Option<usize> },
    Sync { inode: usize },
    SyncDir { dir: String },
}

/// What happened to several disks, in its order.
#[derive(Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<(usize, Change)>>>);

/// A time within a journal: after so many changes, and so many bytes of the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) changes: usize,
    bytes: usize,
}

/// What is found after a crash of that which was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unsynced {
    All,
    Nothing,
    /// All but what one file got; the number is among those that got something.
    AllBut(usize),
}

#[derive(Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Op>,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Names made or removed since the directory was synced.
    pending_names: Vec<(String, Option<usize>)>,
    /// After how many operations the power is cut.
    cut_after: Option<u64>,
    is_cut: bool,
    /// Does a sync return without doing anything?
    lies: bool,
    /// Which operation fails once, and how.
    fault: Option<(&'static str, u64, io::ErrorKind)>,
    operations: u64,
    /// Where the changes are written down, and which disk this is there.
    journal: Option<(Journal, usize)>,
}

impl State {
    fn apply(&mut self, change: Change) {
        if let Some((journal, disk)) = &self.journal {
            journal.0.lock().unwrap().push((*disk, change.clone()));
        }
        match change {
            Change::Make => self.inodes.push(Inode::default()),
            Change::Write { inode, op } => {
                let inode = &mut self.inodes[inode];
                op.apply(&mut inode.current);
                inode.pending.push(op);
            }
            Change::Name { name, inode } => {
                match inode {
                    Some(inode) => self.names.insert(name.clone(), inode),
                    None => self.names.remove(&name),
                };
                self.pending_names.push((name, inode));
            }
            Change::Sync { .. } | Change::SyncDir { .. } if self.lies => {}
            Change::Sync { inode } => {
                let inode = &mut self.inodes[inode];
                inode.durable = inode.current.clone();
                inode.pending.clear();
            }
            Change::SyncDir { dir } => {
                for (name, inode) in std::mem::take(&mut self.pending_names) {
                    if parent(&name) != dir {
                        self.pending_names.push((name, inode));
                        continue;
                    }
                    match inode {
                        Some(inode) => self.durable_names.insert(name, inode),
                        None => self.durable_names.remove(&name),
                    };
                }
            }
        }
    }

    /// As the next start of the machine finds it, having kept the first so many of the names, and of each file what is
    /// told of it.
    fn restarted(&self, kept_names: usize, mut found: impl FnMut(&Inode) -> Vec<u8>) -> CrashDisk {
        let mut names = self.durable_names.clone();
        for (name, inode) in &self.pending_names[..kept_names] {
            match inode {
                Some(inode) => names.insert(name.clone(), *inode),
                None => names.remove(name),
            };
        }
        let inodes = self.inodes.iter().map(|inode| {
            let found = found(inode);
            Inode { durable: found.clone(), current: found, pending: Vec::new() }
        });
        let inodes = inodes.collect();
        let state = State { inodes, durable_names: names.clone(), names, ..State::default() };
        CrashDisk(Arc::new(Mutex::new(state)))
    }
}

impl Journal {
    /// A new disk that is written down here under a number.
    pub(super) fn disk(&self, number: usize) -> CrashDisk {
        let state = State { journal: Some((self.clone(), number)), ..State::default() };
        CrashDisk(Arc::new(Mutex::new(state)))
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Before and after each change, and at each border of a sector within a write.
    pub(super) fn cuts(&self) -> Vec<Cut> {
        let mut cuts = Vec::new();
        for (changes, (_, change)) in self.0.lock().unwrap().iter().enumerate() {
            cuts.push(Cut { changes, bytes: 0 });
            if let Change::Write { op: Op::Write { offset, bytes }, .. } = change {
                let borders = (offset / SECTOR + 1..).map(|sector| sector * SECTOR - offset);
                let borders = borders.take_while(|border| *border < bytes.len());
                cuts.extend(borders.map(|bytes| Cut { changes, bytes }));
            }
        }
        cuts.push(Cut { changes: self.len(), bytes: 0 });
        cuts
    }

    /// Two disks as the next start of the machine finds them when the power went off at a time: each way that this may be.
    pub(super) fn crashed_at(&self, cut: Cut) -> Vec<(Unsynced, [CrashDisk; 2])> {
        let mut states = [State::default(), State::default()];
        let changes = self.0.lock().unwrap();
        for (disk, change) in &changes[..cut.changes] {
            states[*disk].apply(change.clone());
        }
        if cut.bytes > 0
            && let (disk, Change::Write { inode, op: Op::Write { offset, bytes } }) = &changes[cut.changes]
        {
            let op = Op::Write { offset: *offset, bytes: bytes[..cut.bytes].to_vec() };
            states[*disk].apply(Change::Write { inode: *inode, op });
        }
        let unsynced =
            states.iter().flat_map(|state| &state.inodes).filter(|inode| !inode.pending.is_empty());
        let ways = [Unsynced::All, Unsynced::Nothing].into_iter();
        let ways = ways.chain((0..unsynced.count()).map(Unsynced::AllBut));
        let found = ways.map(|way| {
            let mut number = 0;
            let disks = states.each_ref().map(|state| {
                let names = if matches!(way, Unsynced::Nothing) { 0 } else { state.pending_names.len() };
                state.restarted(names, |inode| {
                    let this = number;
                    number += usize::from(!inode.pending.is_empty());
                    let is_lost = match way {
                        Unsynced::All => false,
                        Unsynced::Nothing => true,
                        Unsynced::AllBut(other) => this == other,
                    };
                    if is_lost { inode.durable.clone() } else { inode.current.clone() }
                })
            });
            (way, disks)
        });
        found.collect()
    }
}

/// A handle to the disk; all see the same.
#[derive(Clone, Default)]
pub(in super::super) struct CrashDisk(Arc<Mutex<State>>);

struct CrashFile {
    disk: CrashDisk,
    inode: usize,
    end: usize,
    zeros: usize,
}

fn dead() -> io::Error {
    io::Error::other("the power is off")
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

impl CrashDisk {
    pub(super) fn cut_after(&self, operations: u64) {
        let mut state = self.0.lock().unwrap();
        state.cut_after = Some(state.operations + operations);
    }

    pub(super) fn lie(&self) {
        self.0.lock().unwrap().lies = true;
    }

    /// The n-th operation of this kind from now on fails.
    pub(super) fn fail(&self, operation: &'static str, after: u64, kind: io::ErrorKind) {
        self.0.lock().unwrap().fault = Some((operation, after, kind));
    }

    pub(super) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// The disk as the next start of the machine finds it.
    pub(super) fn after_a_crash(&self, dice: &mut Dice) -> Self {
        let state = self.0.lock().unwrap();
        // The journal of a file system keeps the order of names: some first ones of them are there.
        let kept = dice.below(state.pending_names.len() as u64 + 1) as usize;
        state.restarted(kept, |inode| {
            let mut found = inode.durable.clone();
            // All, nothing, or any sectors of any writes.
            let mood = dice.below(4);
            for op in &inode.pending {
                match op {
                    _ if mood == 0 => {}
                    op if mood == 1 => op.apply(&mut found),
                    Op::SetLen(_) if dice.one_in(2) => op.apply(&mut found),
                    Op::SetLen(_) => {}
                    Op::Write { offset, bytes } => {
                        let mut start = 0;
                        while start < bytes.len() {
                            let end = ((offset + start) / SECTOR + 1) * SECTOR - offset;
                            let part = &bytes[start..end.min(bytes.len())];
                            if dice.one_in(2) {
                                Op::Write { offset: offset + start, bytes: part.to_vec() }.apply(&mut found);
                            }
                            start = end;
                        }
                    }
                }
            }
            found
        })
    }

    /// Begins an operation that changes something. False when the power goes off during it.
    fn begin(&self, operation: &'static str) -> io::Result<bool> {
        let mut state = self.0.lock().unwrap();
        if state.is_cut {
            return Err(dead());
        }
        state.operations += 1;
        if let Some((failing, after, kind)) = &mut state.fault
            && *failing == operation
        {
            if *after == 0 {
                let kind = *kind;
                state.fault = None;
                return Err(kind.into());
            }
            *after -= 1;
        }
        if state.cut_after.is_some_and(|cut| state.operations >= cut) {
            state.is_cut = true;
            return Ok(false);
        }
        Ok(true)
    }

    fn alive(&self) -> io::Result<()> {
        if self.0.lock().unwrap().is_cut { Err(dead()) } else { Ok(()) }
    }

    fn file(&self, inode: usize) -> Box<dyn DiskFile> {
        let end = self.0.lock().unwrap().inodes[inode].current.len();
        Box::new(CrashFile { disk: self.clone(), inode, end, zeros: 0 })
    }

    fn apply(&self, change: Change) {
        self.0.lock().unwrap().apply(change);
    }

    fn name(&self, name: &str, inode: Option<usize>) {
        self.apply(Change::Name { name: name.to_owned(), inode });
    }

    fn new_inode(&self) -> usize {
        let mut state = self.0.lock().unwrap();
        state.apply(Change::Make);
        state.inodes.len() - 1
    }

    /// Whatever somebody puts into a file without the log.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap();
        let found = Inode { durable: bytes.to_vec(), current: bytes.to_vec(), pending: Vec::new() };
        state.inodes.push(found);
        let inode = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), inode);
        state.durable_names.insert(name.to_owned(), inode);
    }
}

impl Disk for CrashDisk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.alive()?;
        let state = self.0.lock().unwrap();
        Ok(state.names.get(name).map(|inode| state.inodes[*inode].current.clone()))
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read(name)?.ok_or(io::ErrorKind::NotFound)?;
        let start = offset as usize;
        bytes.get(start..start + len).map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.alive()?;
        let state = self.0.lock().unwrap();
        let names = state.names.keys().filter(|name| parent(name) == dir);
        Ok(names.map(|name| name.rsplit('/').next().unwrap().to_owned()).collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let alive = self.begin("create")?;
        if self.0.lock().unwrap().names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = self.new_inode();
        self.name(name, Some(inode));
        if alive { Ok(self.file(inode)) } else { Err(dead()) }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.alive()?;
        let inode = self.0.lock().unwrap().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(inode))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let inode = self.new_inode();
        self.file(inode).append(bytes)?;
        self.file(inode).sync()?;
        let alive = self.begin("rename")?;
        self.name(name, Some(inode));
        if !alive {
            return Err(dead());
        }
        self.sync_dir(parent(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let alive = self.begin("remove")?;
        if !self.0.lock().unwrap().names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.name(name, None);
        if alive { Ok(()) } else { Err(dead()) }
    }

    fn make_dir(&self, _dir: &str) -> io::Result<()> {
        self.alive()
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        if !self.begin("sync dir")? {
            return Err(dead());
        }
        self.apply(Change::SyncDir { dir: dir.to_owned() });
        Ok(())
    }
}

impl CrashFile {
    fn write(&self, operation: &'static str, op: Op) -> io::Result<()> {
        let alive = self.disk.begin(operation)?;
        self.disk.apply(Change::Write { inode: self.inode, op });
        if alive { Ok(()) } else { Err(dead()) }
    }
}

impl DiskFile for CrashFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let offset = self.end;
        let fault = self.disk.0.lock().unwrap().fault;
        let put = |op: Op| self.disk.apply(Change::Write { inode: self.inode, op });
        let len = self.disk.0.lock().unwrap().inodes[self.inode].current.len();
        if self.zeros > 0 && offset + bytes.len() > len && self.disk.alive().is_ok() {
            put(Op::Write { offset: offset + bytes.len(), bytes: vec![0; self.zeros] });
        }
        if let Some(("append", 0, _)) = fault {
            // What a full disk leaves.
            put(Op::Write { offset, bytes: bytes[..bytes.len() / 2].to_vec() });
        }
        self.write("append", Op::Write { offset, bytes: bytes.to_vec() })?;
        self.end = offset + bytes.len();
        Ok(())
    }

    fn write_ahead(&mut self, _zeros: usize) {
        // Few, so that tests come to their end.
        self.zeros = 1500;
    }

    fn trim(&mut self) -> io::Result<()> {
        self.set_len(self.end as u64)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write("write at", Op::Write { offset: offset as usize, bytes: bytes.to_vec() })
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.write("set len", Op::SetLen(len as usize))?;
        self.end = len as usize;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.disk.begin("sync")? {
            return Err(dead());
        }
        self.disk.apply(Change::Sync { inode: self.inode });
        Ok(())
    }
}
