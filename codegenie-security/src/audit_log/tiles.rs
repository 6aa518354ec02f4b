//! The tiles of the tree as files, in the layout of `c2sp.org/tlog-tiles`: derived from the segments.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::Disk;
use super::error::{AuditLogError, io_error};
use super::reader::begin;
use super::verify;
use super::walk::Step;
use crate::tlog::{Hash, NoteVerifier, TileLevel, TilePath, Tree};

pub(super) const DIR: &str = "tile";
const FULL: usize = TilePath::FULL as usize;

/// Gathers the hashes of each tile as leaves come.
#[derive(Default)]
struct TileBuilder {
    tree: Tree,
    /// For each level, the number of the tile that grows, and its hashes.
    growing: Vec<(u64, Vec<Hash>)>,
}

impl TileBuilder {
    /// Appends a leaf. `each` is given the tiles that it fills.
    fn leaf(&mut self, leaf: Hash, mut each: impl FnMut(u8, u64, &[Hash])) {
        let growing = &mut self.growing;
        // A log of 2^64 leaves does not fit on a disk.
        let _ = self.tree.append_with(leaf, |subtree, hash| {
            if subtree.level() % 8 != 0 {
                return;
            }
            let level = usize::from(subtree.level() / 8);
            if growing.len() <= level {
                growing.resize_with(level + 1, Default::default);
            }
            let Some((index, hashes)) = growing.get_mut(level) else { return };
            hashes.push(hash);
            if hashes.len() == FULL {
                each(subtree.level() / 8, *index, hashes);
                *index += 1;
                hashes.clear();
            }
        });
    }

    /// The tiles that are not full.
    fn partial(&self) -> impl Iterator<Item = (u8, u64, &[Hash])> {
        let levels = self.growing.iter().zip(0_u8..);
        levels
            .map(|((index, hashes), level)| (level, *index, hashes.as_slice()))
            .filter(|(_, _, hashes)| !hashes.is_empty())
    }
}

fn bytes_of(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.as_bytes()).copied().collect()
}

/// Compares tiles on the disk with the leaves of a log.
#[derive(Default)]
pub(super) struct Comparison<'a> {
    disk: Option<&'a dyn Disk>,
    builder: TileBuilder,
    /// The files that are there, by level and number.
    files: BTreeMap<(u8, u64), Vec<TilePath>>,
    differs: Option<String>,
}

impl<'a> Comparison<'a> {
    pub(super) fn begin(disk: &'a dyn Disk, path: &Path) -> Result<Self, AuditLogError> {
        let mut comparison = Self::default();
        for name in tile_files(disk).map_err(io_error("read", &path.join(DIR)))? {
            let tile = name.parse::<TilePath>().ok();
            match tile.map(|tile| (tile, tile.level())) {
                Some((tile, TileLevel::Hashes(level))) => {
                    comparison.disk = Some(disk);
                    comparison.files.entry((level, tile.index())).or_default().push(tile);
                }
                _ => comparison.differs = Some(name),
            }
        }
        Ok(comparison)
    }

    pub(super) fn leaf(&mut self, leaf: Hash) {
        if self.disk.is_none() || self.differs.is_some() {
            return;
        }
        let (files, disk, differs) = (&mut self.files, self.disk, &mut self.differs);
        self.builder.leaf(leaf, |level, index, hashes| {
            let different = compare(disk, files, level, index, hashes);
            if differs.is_none() {
                *differs = different;
            }
        });
    }

    /// The first file that is not as it should be.
    pub(super) fn end(mut self) -> Result<(), String> {
        for (level, index, hashes) in self.builder.partial() {
            let different = compare(self.disk, &mut self.files, level, index, hashes);
            self.differs = self.differs.or(different);
        }
        let left = self.files.into_values().flatten().next().map(|tile| tile.to_string());
        match self.differs.or(left) {
            Some(name) => Err(name),
            None => Ok(()),
        }
    }
}

/// The name of a file of a tile that differs from what it should be.
fn compare(
    disk: Option<&dyn Disk>,
    files: &mut BTreeMap<(u8, u64), Vec<TilePath>>,
    level: u8,
    index: u64,
    hashes: &[Hash],
) -> Option<String> {
    let tiles = files.remove(&(level, index))?;
    let bytes = bytes_of(hashes);
    let differs = |tile: &TilePath| {
        let expected = bytes.get(..usize::from(tile.width()) * Hash::LEN);
        let found = disk.and_then(|disk| disk.read(&tile.to_string()).ok().flatten());
        expected.is_none() || found.as_deref() != expected
    };
    tiles.iter().find(|tile| differs(tile)).map(ToString::to_string)
}

/// Every file below the directory of tiles.
fn tile_files(disk: &dyn Disk) -> std::io::Result<Vec<String>> {
    let (mut found, mut dirs) = (Vec::new(), vec![DIR.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for name in disk.list(&dir)? {
            // Left by a crash.
            if name.ends_with(".tmp") {
                continue;
            }
            let name = format!("{dir}/{name}");
            // Directories of tiles begin with `x`, end in `.p`, or are the levels.
            let last = name.rsplit('/').next().unwrap_or_default();
            let is_dir = dir == DIR || last.starts_with('x') || last.ends_with(".p");
            if is_dir { dirs.push(name) } else { found.push(name) }
        }
    }
    Ok(found)
}

/// Writes the tiles of a log, up to its last checkpoint, and returns the size of that tree.
pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    identity: Option<&NoteVerifier>,
) -> Result<u64, AuditLogError> {
    let checkpoint = verify::read_checkpoint(disk, path)?;
    let signed = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.claimed.size);
    let mut builder = TileBuilder::default();
    let (mut failed, mut leaves) = (None, 0);
    let mut each = |leaf| {
        leaves += 1;
        if leaves > signed {
            return;
        }
        builder.leaf(leaf, |level, index, hashes| {
            if failed.is_none() {
                failed = write_tile(disk, level, index, hashes).err();
            }
        });
    };
    let mut walk = begin(disk, path, identity)?.with_leaves(&mut each);
    if let Some(pruned) = &walk.pruned {
        return Err(AuditLogError::Pruned { path: path.to_owned(), kept_from: pruned.sequence });
    }
    walk.mark(signed);
    let mut last = None;
    loop {
        match walk.step()? {
            Step::Segment(segment) => last = Some(segment),
            Step::Unborn { .. } => {}
            Step::End => break,
        }
    }
    let missing = || AuditLogError::Missing { path: path.to_owned() };
    let last = last.ok_or_else(missing)?;
    let ending = verify::judge_ending(&walk, &last, checkpoint)?;
    let size = ending.unsigned_from;
    drop(walk);
    for (level, index, hashes) in builder.partial() {
        if failed.is_none() {
            failed = write_tile(disk, level, index, hashes).err();
        }
    }
    match failed {
        Some(error) => Err(io_error("write", &path.join(DIR))(error)),
        None => Ok(size),
    }
}

fn write_tile(disk: &dyn Disk, level: u8, index: u64, hashes: &[Hash]) -> std::io::Result<()> {
    let width = u16::try_from(hashes.len()).unwrap_or(TilePath::FULL);
    let Some(tile) = TilePath::new(TileLevel::Hashes(level), index, width) else { return Ok(()) };
    let name = tile.to_string();
    for (slash, _) in name.match_indices('/') {
        disk.make_dir(name.get(..slash).unwrap_or_default())?;
    }
    let bytes = bytes_of(hashes);
    if disk.read(&name)?.as_ref() == Some(&bytes) {
        return Ok(());
    }
    disk.replace(&name, &bytes)
}
