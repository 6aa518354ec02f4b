//! Where the tiles of a tree are kept.

use std::fmt;
use std::str::FromStr;

use super::decimal;

/// A text that is no path of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the path of a tile, such as `tile/0/x001/067.p/5` or `tile/entries/000`; take paths as they are given"
)]
pub struct BadTilePath(());

/// What a tile is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TileLevel {
    /// Hashes of subtrees of `256^level` leaves each, at a level from 0 to 63.
    Hashes(u8),
    /// Entries: an [`EntryBundle`](super::EntryBundle).
    Entries,
}

/// Which tile of a tree, and how much of it there is: its path (tlog-tiles, Merkle Tree and Log
/// entries).
///
/// ```
/// use codegenie_security::tlog::{TileLevel, TilePath};
///
/// let path = TilePath::in_tree(TileLevel::Hashes(0), 273, 70_000).unwrap();
/// assert_eq!(path.to_string(), "tile/0/273.p/112");
/// assert_eq!("tile/0/273.p/112".parse(), Ok(path));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TilePath {
    level: TileLevel,
    index: u64,
    width: u16,
}

impl TilePath {
    /// Hashes or entries of a full tile.
    pub const FULL: u16 = 256;

    /// The tile at an index of a level, with `width` hashes or entries. None when a level is above 63
    /// or a width not from 1 to 256.
    #[must_use]
    pub fn new(level: TileLevel, index: u64, width: u16) -> Option<Self> {
        let level_is_one = !matches!(level, TileLevel::Hashes(64..));
        let whole = level_is_one && (1..=Self::FULL).contains(&width);
        whole.then_some(Self { level, index, width })
    }

    /// The tile as it is in a tree of `size` leaves, full or partial. None when nothing of it is.
    #[must_use]
    pub fn in_tree(level: TileLevel, index: u64, size: u64) -> Option<Self> {
        let hashes = hashes_of(level, size)?;
        let before = index.checked_mul(Self::FULL.into())?;
        let width = hashes.checked_sub(before)?.min(Self::FULL.into());
        Self::new(level, index, u16::try_from(width).ok()?)
    }

    /// The tiles of hashes and of entries that are new when a tree grows from `old` leaves to `new`:
    /// what is to be written before a checkpoint is given out. From 0, all tiles.
    ///
    /// A tile that was partial at `old` and has grown is among them with its new width.
    pub fn new_between(old: u64, new: u64) -> impl Iterator<Item = Self> {
        let levels = (0..8).map(TileLevel::Hashes).chain([TileLevel::Entries]);
        levels.flat_map(move |level| {
            let (old, new) = (hashes_of(level, old).unwrap_or(0), hashes_of(level, new).unwrap_or(0));
            let full = u64::from(Self::FULL);
            let range = if old < new { old / full..new.div_ceil(full) } else { 0..0 };
            range.filter_map(move |index| {
                let width = new.saturating_sub(index.saturating_mul(full)).min(full);
                Self::new(level, index, u16::try_from(width).ok()?)
            })
        })
    }

    /// What the tile is made of.
    #[must_use]
    pub fn level(&self) -> TileLevel {
        self.level
    }

    /// How many tiles of this level are before it.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Its hashes or entries, 1 to 256.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The path of the full tile, which takes the place of a partial one once it is there.
    #[must_use]
    pub fn full(self) -> Self {
        Self { width: Self::FULL, ..self }
    }
}

/// How many hashes the tiles of a level have altogether, or how many entries.
fn hashes_of(level: TileLevel, size: u64) -> Option<u64> {
    match level {
        TileLevel::Entries => Some(size),
        TileLevel::Hashes(level) => size.checked_shr(u32::from(level) * 8),
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            TileLevel::Entries => f.write_str("tile/entries/")?,
            TileLevel::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        // At most 20 digits: 7 groups.
        let mut divisor = 1_000_000_000_000_000_000;
        while divisor > 1 {
            if self.index >= divisor {
                write!(f, "x{:03}/", self.index / divisor % 1000)?;
            }
            divisor /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.width < Self::FULL { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// Strict: what is taken is shown again as it was.
impl FromStr for TilePath {
    type Err = BadTilePath;

    fn from_str(text: &str) -> Result<Self, BadTilePath> {
        parse(text).ok_or(BadTilePath(()))
    }
}

fn parse(text: &str) -> Option<TilePath> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let level = match level {
        "entries" => TileLevel::Entries,
        level => TileLevel::Hashes(u8::try_from(decimal(level)?).ok()?),
    };
    let (groups, width) = match rest.split_once(".p/") {
        Some((groups, width)) => (groups, u16::try_from(decimal(width)?).ok()?),
        None => (rest, TilePath::FULL),
    };
    let (before, last) = match groups.rsplit_once('/') {
        Some((before, last)) => (Some(before), last),
        None => (None, groups),
    };
    let mut index = 0_u64;
    let before = before.into_iter().flat_map(|before| before.split('/'));
    for group in before.map(|group| group.strip_prefix('x')).chain([Some(last)]) {
        let group =
            group.filter(|group| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit()))?;
        index = index.checked_mul(1000)?.checked_add(group.parse().ok()?)?;
    }
    let path = TilePath::new(level, index, width)?;
    // Groups of zeros before the number, and a full tile written as a partial one.
    (path.to_string() == text).then_some(path)
}
