//! Proofs that an entry is in a tree, and that one tree is the beginning of another.

use super::hash::{Hash, node_hash};
use super::subtree::{HashSource, range_hash};
use super::tree::TreeHead;

/// Why a proof was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<E> {
    /// There is no such leaf.
    #[error("no leaf {index} in a tree of {size} leaves; leaves are counted from 0")]
    #[non_exhaustive]
    NoSuchLeaf {
        /// The leaf.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// The older of two trees is the greater.
    #[error("a tree of {old} leaves cannot be the beginning of one of {new}; give the smaller one first")]
    #[non_exhaustive]
    Shrinks {
        /// Leaves of the tree that should come first.
        old: u64,
        /// Leaves of the other.
        new: u64,
    },
    /// A hash was not read.
    #[error(transparent)]
    Source(E),
}

/// A proof that does not hold. What it was to vouch for is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofRefused {
    /// There is no such leaf.
    #[error("proof refused: no leaf {index} in a tree of {size} leaves; ask for a proof in a later tree")]
    #[non_exhaustive]
    NoSuchLeaf {
        /// The leaf.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// The tree that should be later is smaller.
    #[error(
        "proof refused: the tree shrank from {old} leaves to {new}; the log was rolled back, or the two are mixed up"
    )]
    #[non_exhaustive]
    Shrinks {
        /// Leaves of the earlier tree.
        old: u64,
        /// Leaves of the later tree.
        new: u64,
    },
    /// It has another number of hashes than any proof between these.
    #[error("proof refused: {found} hashes where {expected} belong; it is for another leaf or another tree")]
    #[non_exhaustive]
    Length {
        /// Hashes of the proof.
        found: usize,
        /// Hashes of a proof between these.
        expected: usize,
    },
    /// It leads to another root.
    #[error(
        "proof refused: it leads to another root; the leaf, the proof or the tree is not the one that was logged"
    )]
    Root,
}

/// The greatest power of two below `size`, which is 2 or more (RFC 9162, 2.1.1).
fn split(size: u64) -> u64 {
    1 << size.saturating_sub(1).max(1).ilog2()
}

/// Hashes of a path from a leaf, or from the `skipped` lowest levels of it, to the root.
fn path_len(index: u64, size: u64, skipped: u32) -> usize {
    let below = 64 - (index ^ (size - 1)).leading_zeros();
    let beside = index.checked_shr(below).unwrap_or(0).count_ones();
    (below.saturating_sub(skipped) + beside) as usize
}

fn read<S: HashSource>(
    source: &S,
    ranges: impl DoubleEndedIterator<Item = (u64, u64)>,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    let read = |(start, end)| range_hash(source, start, end).map_err(ProveError::Source);
    ranges.rev().map(read).collect()
}

/// The way from a leaf up to the root, as the hashes beside it (RFC 9162, 2.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof(Vec<Hash>);

impl InclusionProof {
    /// The proof that leaf `index` is in the tree of the first `size` leaves (RFC 9162, 2.1.3.1).
    pub fn make<S: HashSource>(source: &S, size: u64, index: u64) -> Result<Self, ProveError<S::Error>> {
        if index >= size {
            return Err(ProveError::NoSuchLeaf { index, size });
        }
        let (mut start, mut end) = (0, size);
        let mut beside = Vec::with_capacity(64);
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                beside.push((middle, end));
                end = middle;
            } else {
                beside.push((start, middle));
                start = middle;
            }
        }
        Ok(Self(read(source, beside.into_iter())?))
    }

    /// Takes over a proof from elsewhere.
    #[must_use]
    pub fn from_hashes(hashes: Vec<Hash>) -> Self {
        Self(hashes)
    }

    /// The hashes, from the sibling of the leaf to the child of the root.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }

    /// Is the leaf with this hash at `index` in the tree (RFC 9162, 2.1.3.2)?
    ///
    /// The head is one that is trusted, size and root together: a path says nothing about the size.
    pub fn verify(&self, index: u64, leaf: &Hash, tree: &TreeHead) -> Result<(), ProofRefused> {
        let size = tree.size;
        if index >= size {
            return Err(ProofRefused::NoSuchLeaf { index, size });
        }
        let expected = path_len(index, size, 0);
        if self.0.len() != expected {
            return Err(ProofRefused::Length { found: self.0.len(), expected });
        }
        let mut climb = Climb { place: index, last: size - 1 };
        let mut root = *leaf;
        for hash in &self.0 {
            root = if climb.up()? { node_hash(hash, &root) } else { node_hash(&root, hash) };
        }
        if climb.last == 0 && root == tree.root { Ok(()) } else { Err(ProofRefused::Root) }
    }
}

/// A proof that the leaves of a tree are the first of a later one (RFC 9162, 2.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof(Vec<Hash>);

impl ConsistencyProof {
    /// The proof between the trees of the first `old` and the first `new` leaves (RFC 9162, 2.1.4.1).
    ///
    /// It is empty from the tree without leaves, which is the beginning of any, and to the same tree.
    pub fn make<S: HashSource>(source: &S, old: u64, new: u64) -> Result<Self, ProveError<S::Error>> {
        if old > new {
            return Err(ProveError::Shrinks { old, new });
        }
        if old == 0 {
            return Ok(Self(Vec::new()));
        }
        let (mut start, mut end) = (0, new);
        let mut beside = Vec::with_capacity(65);
        while old < end {
            let middle = start + split(end - start);
            if old <= middle {
                beside.push((middle, end));
                end = middle;
            } else {
                beside.push((start, middle));
                start = middle;
            }
        }
        // What is left is a subtree of both. When it is all of the old one, its hash is known.
        if start > 0 {
            beside.push((start, end));
        }
        Ok(Self(read(source, beside.into_iter())?))
    }

    /// Takes over a proof from elsewhere.
    #[must_use]
    pub fn from_hashes(hashes: Vec<Hash>) -> Self {
        Self(hashes)
    }

    /// The hashes, in the order of RFC 9162.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }

    /// Are the leaves of `old` the first of `new` (RFC 9162, 2.1.4.2)?
    ///
    /// Both heads are ones that somebody signed, size and root together.
    pub fn verify(&self, old: &TreeHead, new: &TreeHead) -> Result<(), ProofRefused> {
        if old.size > new.size {
            return Err(ProofRefused::Shrinks { old: old.size, new: new.size });
        }
        let trivial = old.size == 0 || old.size == new.size;
        let whole = old.size.is_power_of_two();
        let expected = match trivial {
            true => 0,
            false => path_len(old.size - 1, new.size, old.size.trailing_zeros()) + usize::from(!whole),
        };
        if self.0.len() != expected {
            return Err(ProofRefused::Length { found: self.0.len(), expected });
        }
        let empty = |head: &TreeHead| head.size > 0 || head.root == Hash::EMPTY;
        if trivial {
            let same = old.size < new.size || old.root == new.root;
            return if same && empty(old) && empty(new) { Ok(()) } else { Err(ProofRefused::Root) };
        }

        let mut hashes = self.0.iter();
        let first = if whole { Some(&old.root) } else { hashes.next() };
        let (mut old_root, mut new_root) = first.map(|hash| (*hash, *hash)).ok_or(ProofRefused::Root)?;
        let skipped = old.size.trailing_zeros();
        let mut climb = Climb { place: (old.size - 1) >> skipped, last: (new.size - 1) >> skipped };
        for hash in hashes {
            if climb.up()? {
                old_root = node_hash(hash, &old_root);
                new_root = node_hash(hash, &new_root);
            } else {
                new_root = node_hash(&new_root, hash);
            }
        }
        let holds = climb.last == 0 && old_root == old.root && new_root == new.root;
        if holds { Ok(()) } else { Err(ProofRefused::Root) }
    }
}

/// A way up a tree: the place of a node in its level, and of the last node there.
struct Climb {
    place: u64,
    last: u64,
}

impl Climb {
    /// Goes to the next level where the node has a sibling, and past it. Is the sibling at the left?
    fn up(&mut self) -> Result<bool, ProofRefused> {
        if self.last == 0 {
            return Err(ProofRefused::Root);
        }
        let left = self.place % 2 == 1 || self.place == self.last;
        if left {
            // The last node of a level of odd length goes up as it is.
            let lonely = self.place.trailing_zeros().min(63);
            (self.place, self.last) = (self.place >> lonely, self.last >> lonely);
        }
        (self.place, self.last) = (self.place >> 1, self.last >> 1);
        Ok(left)
    }
}
