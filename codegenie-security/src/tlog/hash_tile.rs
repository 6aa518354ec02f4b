//! Tiles of hashes, and a tree that is read from them.

use std::fmt;

use super::hash::{Hash, node_hash};
use super::subtree::{HashSource, NoSuchSubtree, Subtree};
use super::tile_path::{TileLevel, TilePath};

/// Levels of a tree from the hashes of a tile up to its root.
const HEIGHT: u8 = 8;

/// Why a tile, or a hash from it, was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError<E> {
    /// The tree does not have it.
    #[error(transparent)]
    NoSuchSubtree(#[from] NoSuchSubtree),
    /// The path is of entries, or of hashes that no tree has.
    #[error("{path} is no tile of hashes of a tree; take paths as `TilePath::in_tree` gives them")]
    #[non_exhaustive]
    NotHashes {
        /// The path.
        path: TilePath,
    },
    /// It has another number of bytes than its path says.
    #[error("tile {path} has {found} bytes, which is not {width} hashes; get it again from its source", width = .path.width())]
    #[non_exhaustive]
    Length {
        /// The path.
        path: TilePath,
        /// Bytes of the tile.
        found: usize,
    },
    /// It was not read.
    #[error(transparent)]
    Source(E),
}

/// A tile: up to 256 hashes that are next to each other (tlog-tiles, Merkle Tree).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashTile(Vec<Hash>);

impl HashTile {
    /// Gathers the hashes of a tile.
    pub fn read<S: HashSource>(source: &S, path: TilePath) -> Result<Self, TileError<S::Error>> {
        let TileLevel::Hashes(level) = path.level() else { return Err(TileError::NotHashes { path }) };
        let first = path.index().checked_mul(TilePath::FULL.into());
        let subtree = |place| Subtree::new(level.checked_mul(HEIGHT)?, first?.checked_add(place)?);
        let hashes = (0..u64::from(path.width())).map(|place| {
            let subtree = subtree(place).ok_or(TileError::NotHashes { path })?;
            source.hash(subtree).map_err(TileError::Source)
        });
        Ok(Self(hashes.collect::<Result<_, _>>()?))
    }

    /// Takes over the bytes of a tile. Whether they are those of the tree, only a proof made of them
    /// shows, or the root.
    pub fn parse(path: TilePath, bytes: &[u8]) -> Result<Self, TileError<std::convert::Infallible>> {
        decode(path, bytes)
    }

    /// The bytes of the tile: the hashes, one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| hash.as_bytes()).copied().collect()
    }

    /// The hashes.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }

    /// The hash over `2^level` hashes of the tile, of which the first is hash `index * 2^level`. None
    /// when the tile does not have all of them.
    #[must_use]
    pub fn subtree(&self, level: u8, index: usize) -> Option<Hash> {
        let width = 1_usize.checked_shl(level.into()).filter(|width| *width <= TilePath::FULL.into())?;
        let start = index.checked_mul(width)?;
        let mut hashes = self.0.get(start..start.checked_add(width)?)?.to_vec();
        while hashes.len() > 1 {
            let pairs = hashes.as_chunks::<2>().0;
            hashes = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        hashes.pop()
    }
}

fn decode<E>(path: TilePath, bytes: &[u8]) -> Result<HashTile, TileError<E>> {
    if !matches!(path.level(), TileLevel::Hashes(_)) {
        return Err(TileError::NotHashes { path });
    }
    let (hashes, remainder) = bytes.as_chunks::<{ Hash::LEN }>();
    if !remainder.is_empty() || hashes.len() != usize::from(path.width()) {
        return Err(TileError::Length { path, found: bytes.len() });
    }
    Ok(HashTile(hashes.iter().copied().map(Hash::from_bytes).collect()))
}

/// The hashes of a tree, read from its tiles: from files, or from a server.
///
/// `read` is given the path of a tile. Where a partial tile is gone because it has been filled since,
/// it may return the full one. Each hash reads a tile anew, so `read` keeps those it wants to.
///
/// ```
/// use codegenie_security::tlog::{
///     HashTile, InclusionProof, MemoryTree, TileHashes, TileLevel, TilePath, leaf_hash,
/// };
///
/// let mut log = MemoryTree::new();
/// for number in 0..300_u32 {
///     log.append(leaf_hash(&number.to_be_bytes()))?;
/// }
/// let dir = tempfile::tempdir()?;
/// for path in TilePath::new_between(0, 300).filter(|path| path.level() != TileLevel::Entries) {
///     let file = dir.path().join(path.to_string());
///     std::fs::create_dir_all(file.parent().unwrap())?;
///     std::fs::write(file, HashTile::read(&log, path)?.to_bytes())?;
/// }
///
/// let tiles = TileHashes::new(300, |path| std::fs::read(dir.path().join(path.to_string())));
/// let proof = InclusionProof::make(&tiles, 300, 7)?;
/// proof.verify(7, &leaf_hash(&7_u32.to_be_bytes()), &log.tree().head())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TileHashes<F> {
    size: u64,
    read: F,
}

impl<F, E> TileHashes<F>
where
    F: Fn(&TilePath) -> Result<Vec<u8>, E>,
    E: std::error::Error + 'static,
{
    /// The hashes of a tree of `size` leaves.
    pub fn new(size: u64, read: F) -> Self {
        Self { size, read }
    }
}

impl<F, E> HashSource for TileHashes<F>
where
    F: Fn(&TilePath) -> Result<Vec<u8>, E>,
    E: std::error::Error + 'static,
{
    type Error = TileError<E>;

    fn hash(&self, subtree: Subtree) -> Result<Hash, TileError<E>> {
        let missing = || NoSuchSubtree::new(subtree, self.size);
        if subtree.end() > self.size {
            return Err(missing().into());
        }
        let (level, within) = (subtree.level() / HEIGHT, subtree.level() % HEIGHT);
        // Of the hashes of that level, the first that the subtree spans: no leaf is so far, as it ends
        // within the tree.
        let first = subtree.index() << within;
        let full = u64::from(TilePath::FULL);
        let path = TilePath::in_tree(TileLevel::Hashes(level), first / full, self.size);
        let path = path.ok_or_else(missing)?;
        let bytes = (self.read)(&path).map_err(TileError::Source)?;
        let width = usize::from(path.width()) * Hash::LEN;
        let filled = bytes.len() == usize::from(TilePath::FULL) * Hash::LEN;
        let bytes = if filled { bytes.get(..width).unwrap_or(&bytes) } else { &bytes };
        let place = usize::try_from((first % full) >> within).ok();
        let tile = decode(path, bytes)?;
        Ok(place.and_then(|place| tile.subtree(within, place)).ok_or_else(missing)?)
    }
}

impl<F> fmt::Debug for TileHashes<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TileHashes").field("size", &self.size).finish_non_exhaustive()
    }
}
