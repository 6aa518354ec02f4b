//! A tree that grows: its right edge, from which the root is computed.

use rayon::prelude::*;

use super::hash::{Hash, node_hash};
use super::subtree::{HashSource, Subtree, from_the_right};

/// How many leaves are hashed by one core at a time: a power of two.
const BLOCK: usize = 512;

const MAGIC: [u8; 7] = *b"CGTREE\x01";

/// A tree that has as many leaves as can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree has 2^64 - 1 leaves, as many as can be counted; start another log")]
pub struct TreeFull(());

/// The stored state of a tree that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadTree {
    /// It does not begin as a state of a tree does.
    #[error("not the state of a tree, or one of another version; compute it anew from the stored hashes")]
    Form,
    /// It has another number of hashes than a tree of its size.
    #[error("a tree of {size} leaves has {expected} hashes at its edge, not what was given; compute it anew")]
    #[non_exhaustive]
    Edge {
        /// Leaves of the tree.
        size: u64,
        /// Hashes that it would have.
        expected: u32,
    },
}

/// The size and the root of a tree: what a checkpoint vouches for (RFC 9162, 4.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Leaves.
    pub size: u64,
    /// The hash over all of them.
    pub root: Hash,
}

/// A Merkle tree (RFC 9162, 2.1.1) to which leaves are appended.
///
/// It keeps the hashes of the complete subtrees that it consists of, one for each bit set in the
/// size: enough for the root, at any time, and for going on after a restart. Proofs need the
/// [hashes inside](HashSource) as well; [`append_with`](Self::append_with) hands out each when it is
/// known.
///
/// ```
/// use codegenie_security::tlog::{Hash, Tree, leaf_hash, node_hash};
///
/// let mut tree = Tree::new();
/// assert_eq!(tree.root(), Hash::EMPTY);
/// tree.append(leaf_hash(b"one"))?;
/// tree.append(leaf_hash(b"two"))?;
/// assert_eq!(tree.root(), node_hash(&leaf_hash(b"one"), &leaf_hash(b"two")));
/// assert_eq!(Tree::from_bytes(&tree.to_bytes())?, tree);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// From the greatest subtree, at the left, to the smallest.
    edge: Vec<Hash>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree without leaves. Appending to it never allocates again.
    #[must_use]
    pub fn new() -> Self {
        Self { size: 0, edge: Vec::with_capacity(64) }
    }

    /// The tree of the first `size` leaves of those whose hashes are stored.
    pub fn read<S: HashSource>(source: &S, size: u64) -> Result<Self, S::Error> {
        let mut edge = Vec::with_capacity(64);
        for subtree in from_the_right(0, size) {
            edge.push(source.hash(subtree)?);
        }
        edge.reverse();
        Ok(Self { size, edge })
    }

    /// The tree of a size and an [edge](Self::edge).
    pub fn from_edge(size: u64, edge: &[Hash]) -> Result<Self, BadTree> {
        let expected = size.count_ones();
        if usize::try_from(expected) != Ok(edge.len()) {
            return Err(BadTree::Edge { size, expected });
        }
        let mut tree = Self::new();
        tree.size = size;
        tree.edge.extend_from_slice(edge);
        Ok(tree)
    }

    /// How many leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the complete subtrees of different sizes that the tree consists of, the greatest
    /// first.
    #[must_use]
    pub fn edge(&self) -> &[Hash] {
        &self.edge
    }

    /// The hash over all leaves. It costs one hash less than the [edge](Self::edge) has.
    #[must_use]
    pub fn root(&self) -> Hash {
        let joined = self.edge.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or(Hash::EMPTY)
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }

    /// Appends a leaf, and returns its index. It costs one [`node_hash`] on average.
    pub fn append(&mut self, leaf: Hash) -> Result<u64, TreeFull> {
        self.append_with(leaf, |_, _| ())
    }

    /// Appends a leaf, and returns its index. `each` is given the leaf and every subtree that it
    /// completes, the smallest first.
    pub fn append_with(&mut self, leaf: Hash, mut each: impl FnMut(Subtree, Hash)) -> Result<u64, TreeFull> {
        let index = self.size;
        self.size = index.checked_add(1).ok_or(TreeFull(()))?;
        let (mut subtree, mut hash) = (Subtree::leaf(index), leaf);
        each(subtree, hash);
        while subtree.index() % 2 == 1
            && let Some(left) = self.edge.pop()
        {
            (subtree, hash) = (subtree.joined(), node_hash(&left, &hash));
            each(subtree, hash);
        }
        self.edge.push(hash);
        Ok(index)
    }

    /// Appends leaves in their order, all or none. Where there are many, they are hashed on all cores.
    pub fn extend(&mut self, leaves: &[Hash]) -> Result<(), TreeFull> {
        let more = u64::try_from(leaves.len()).map_err(|_| TreeFull(()))?;
        self.size.checked_add(more).ok_or(TreeFull(()))?;
        // Up to where a subtree of so many leaves begins, then whole ones.
        let until = self.size.next_multiple_of(BLOCK as u64) - self.size;
        let until = usize::try_from(until).unwrap_or(usize::MAX).min(leaves.len());
        let (first, rest) = leaves.split_at(until);
        for leaf in first {
            self.append(*leaf)?;
        }
        let (blocks, last) = rest.as_chunks::<BLOCK>();
        for root in blocks.par_iter().map(block_root).collect::<Vec<_>>() {
            let index = self.size / BLOCK as u64;
            self.size += BLOCK as u64;
            self.push_subtree(index, root);
        }
        for leaf in last {
            self.append(*leaf)?;
        }
        Ok(())
    }

    /// Joins a subtree to those on its left that it completes. `index` counts subtrees of its size.
    fn push_subtree(&mut self, mut index: u64, mut hash: Hash) {
        while index % 2 == 1
            && let Some(left) = self.edge.pop()
        {
            (index, hash) = (index / 2, node_hash(&left, &hash));
        }
        self.edge.push(hash);
    }

    /// The state, for going on later: `"CGTREE" | version u8 = 1 | size u64, little-endian | edge`.
    ///
    /// Nothing in it is secret, and nothing shows that it was altered: compare the [head](Self::head)
    /// with a signed one.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [MAGIC.as_slice(), &self.size.to_le_bytes()].concat();
        bytes.extend(self.edge.iter().flat_map(|hash| hash.as_bytes()));
        bytes
    }

    /// Goes on from a [stored state](Self::to_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadTree> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(BadTree::Form)?;
        let (size, rest) = rest.split_first_chunk::<8>().ok_or(BadTree::Form)?;
        let size = u64::from_le_bytes(*size);
        let (edge, remainder) = rest.as_chunks::<{ Hash::LEN }>();
        if !remainder.is_empty() {
            return Err(BadTree::Edge { size, expected: size.count_ones() });
        }
        Self::from_edge(size, &edge.iter().copied().map(Hash::from_bytes).collect::<Vec<_>>())
    }
}

/// The root of a complete tree.
fn block_root(leaves: &[Hash; BLOCK]) -> Hash {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = level.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    level.first().copied().unwrap_or(Hash::EMPTY)
}
