//! Bundles of entries: the leaves themselves.

use super::tile_path::TilePath;

/// Why a bundle was not made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// An entry that is too long.
    #[error("an entry of {len} bytes is longer than 65535; split it, or log its hash")]
    #[non_exhaustive]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// It has 256 entries.
    #[error("the bundle has its 256 entries; begin the next one")]
    Full,
    /// It ends within an entry.
    #[error("the bundle ends within entry {entry}; get it again from its source")]
    #[non_exhaustive]
    Cut {
        /// The entry, counted from 0.
        entry: usize,
    },
    /// It has another number of entries than its path says.
    #[error("the bundle has not the {expected} entries of its path; get it again from its source")]
    #[non_exhaustive]
    Width {
        /// Entries that it should have.
        expected: u16,
    },
}

/// Up to 256 entries, each after its length as two bytes, big-endian (tlog-tiles, Log entries).
///
/// The [hash](super::leaf_hash) of each is in the tile of level 0 with the same index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryBundle {
    bytes: Vec<u8>,
    len: u16,
}

impl EntryBundle {
    /// Bytes that an entry may have.
    pub const MAX_ENTRY: usize = 65_535;

    /// A bundle without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), BundleError> {
        let len = u16::try_from(entry.len()).map_err(|_| BundleError::TooLong { len: entry.len() })?;
        if self.len == TilePath::FULL {
            return Err(BundleError::Full);
        }
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(entry);
        self.len += 1;
        Ok(())
    }

    /// Takes over a bundle of as many entries as its path says ([`TilePath::width`]).
    pub fn parse(bytes: &[u8], width: u16) -> Result<Self, BundleError> {
        let mut rest = bytes;
        for entry in 0..usize::from(width) {
            if rest.is_empty() {
                return Err(BundleError::Width { expected: width });
            }
            (_, rest) = first_entry(rest).ok_or(BundleError::Cut { entry })?;
        }
        if width > TilePath::FULL || !rest.is_empty() {
            return Err(BundleError::Width { expected: width });
        }
        Ok(Self { bytes: bytes.to_vec(), len: width })
    }

    /// The entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let entry;
            (entry, rest) = first_entry(rest)?;
            Some(entry)
        })
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> u16 {
        self.len
    }

    /// None at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of the bundle.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// An entry, and what follows it.
fn first_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*len).into())
}
