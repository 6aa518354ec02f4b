//! The part of the tree that proofs need: from the segment in which they begin, whatever was before it.

use super::disk::Disk;
use super::frame::{self, PREFIX_LEN};
use super::header::Header;
use super::layout;
use crate::tlog::{Hash, MemoryTree, Tree};

/// What a walk hands its leaves to.
pub(super) trait Leaves {
    /// Before the first leaf: the tree of those that are not walked over.
    fn begin(&mut self, before: &Tree);
    fn leaf(&mut self, leaf: Hash);
}

impl<F: FnMut(Hash)> Leaves for F {
    fn begin(&mut self, _: &Tree) {}

    fn leaf(&mut self, leaf: Hash) {
        self(leaf);
    }
}

impl Leaves for MemoryTree {
    fn begin(&mut self, before: &Tree) {
        *self = Self::after(before.clone());
    }

    fn leaf(&mut self, leaf: Hash) {
        // A log of 2^64 leaves does not fit on a disk.
        let _ = self.append(leaf);
    }
}

/// The last of the segments whose header says that it begins early enough. A hint: nobody has verified the header, so what
/// is found there has to be looked at.
pub(super) fn last_of(disk: &dyn Disk, segments: &[u64], early: impl Fn(&Header) -> bool) -> Option<u64> {
    let after = segments.partition_point(|number| header(disk, *number).is_some_and(|header| early(&header)));
    segments.get(after.checked_sub(1)?).copied()
}

/// The header of a segment, if one can be read there.
pub(super) fn header(disk: &dyn Disk, number: u64) -> Option<Header> {
    let name = layout::segment(number);
    let prefix = disk.read_at(&name, 0, PREFIX_LEN).ok()?;
    let length = u32::from_le_bytes(*prefix.first_chunk::<4>()?) as usize;
    let length = Some(length).filter(|length| *length <= frame::MAX_BODY)?;
    Header::parse(&disk.read_at(&name, 0, PREFIX_LEN + length).ok()?)
}
