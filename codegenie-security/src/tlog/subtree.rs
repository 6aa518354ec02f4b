//! Complete subtrees, and where their hashes are read.

use super::hash::{Hash, node_hash};
use super::tree::{Tree, TreeFull};

/// A complete subtree: `2^level` leaves, of which the first is leaf `index * 2^level`.
///
/// Every hash that a tree ever needs to keep is that of a complete subtree, and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    level: u8,
    index: u64,
}

impl Subtree {
    /// The subtree at a level and an index. None when no tree of at most `u64::MAX` leaves has it.
    #[must_use]
    pub fn new(level: u8, index: u64) -> Option<Self> {
        let leaves = 1_u64.checked_shl(level.into())?;
        index.checked_add(1)?.checked_mul(leaves)?;
        Some(Self { level, index })
    }

    /// How often leaves were paired: a leaf is of level 0.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.level
    }

    /// How many subtrees of this level are left of it.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The first leaf.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.index << self.level
    }

    /// The leaf after the last: a tree has the subtree when it is at least of this size.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start() + (1 << self.level)
    }

    /// The leaf at an index below `u64::MAX`.
    pub(super) fn leaf(index: u64) -> Self {
        Self { level: 0, index }
    }

    /// The subtree whose right half this is. It ends where this one ends.
    pub(super) fn joined(self) -> Self {
        Self { level: self.level + 1, index: self.index >> 1 }
    }
}

/// Where the hashes of complete subtrees are read: a store in memory, tiles in files or behind a server.
///
/// What it returns is not believed by those who check: a wrong hash makes a proof that is refused.
pub trait HashSource {
    /// Why a hash cannot be read.
    type Error: std::error::Error + 'static;

    /// The hash of a complete subtree.
    fn hash(&self, subtree: Subtree) -> Result<Hash, Self::Error>;
}

impl<S: HashSource + ?Sized> HashSource for &S {
    type Error = S::Error;

    fn hash(&self, subtree: Subtree) -> Result<Hash, Self::Error> {
        (**self).hash(subtree)
    }
}

/// The complete subtrees that leaves `start..end` consist of, from the right to the left.
///
/// `start` is a multiple of the greatest power of two that fits between them, as it is in any split of
/// RFC 9162.
pub(super) fn from_the_right(start: u64, end: u64) -> impl Iterator<Item = Subtree> {
    let mut rest = end.saturating_sub(start);
    let mut end = end;
    std::iter::from_fn(move || {
        let level = rest.trailing_zeros();
        let leaves = 1_u64.checked_shl(level)?;
        rest -= leaves;
        end -= leaves;
        // Below 64, as the shift went well.
        Some(Subtree { level: level as u8, index: end >> level })
    })
}

/// The hash over leaves `start..end`, which split as [`from_the_right`] says.
pub(super) fn range_hash<S: HashSource>(source: &S, start: u64, end: u64) -> Result<Hash, S::Error> {
    let mut whole = None;
    for subtree in from_the_right(start, end) {
        let left = source.hash(subtree)?;
        whole = Some(whole.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(whole.unwrap_or(Hash::EMPTY))
}

/// A subtree that a tree does not have, or whose hash is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no subtree {index} of level {level} in a tree of {size} leaves, or its hash is not kept; ask for one that ends before"
)]
#[non_exhaustive]
pub struct NoSuchSubtree {
    /// Its level.
    pub level: u8,
    /// Its index.
    pub index: u64,
    /// Leaves of the tree.
    pub size: u64,
}

impl NoSuchSubtree {
    pub(super) fn new(subtree: Subtree, size: u64) -> Self {
        Self { level: subtree.level, index: subtree.index, size }
    }
}

/// A tree with all its hashes in memory, two per leaf; or those [from a leaf on](Self::after).
#[derive(Clone, Debug, Default)]
pub struct MemoryTree {
    tree: Tree,
    /// The hashes of each level, from an even index on.
    levels: Vec<Vec<Hash>>,
    /// Leaves of the tree that it began with.
    before: u64,
}

impl MemoryTree {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from a tree whose leaves are elsewhere, or gone. Of them only the hashes at its edge are here: enough for
    /// proofs of later leaves, and for proofs that a later tree begins with this one or with one that is between them.
    ///
    /// ```
    /// use codegenie_security::tlog::{ConsistencyProof, InclusionProof, MemoryTree, Tree, leaf_hash};
    ///
    /// let mut pruned = Tree::new();
    /// (0..5).try_for_each(|number| pruned.append(leaf_hash(&[number])).map(|_| ()))?;
    /// let mut kept = MemoryTree::after(pruned.clone());
    /// (5..9).try_for_each(|number| kept.append(leaf_hash(&[number])).map(|_| ()))?;
    /// let head = kept.tree().head();
    /// InclusionProof::make(&kept, 9, 6)?.verify(6, &leaf_hash(&[6]), &head)?;
    /// ConsistencyProof::make(&kept, 5, 9)?.verify(&pruned.head(), &head)?;
    /// assert!(InclusionProof::make(&kept, 9, 2).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn after(tree: Tree) -> Self {
        let before = tree.size();
        let levels = u64::BITS - before.leading_zeros();
        let mut levels = vec![Vec::new(); levels as usize];
        for (subtree, hash) in from_the_right(0, before).zip(tree.edge().iter().rev()) {
            if let Some(hashes) = levels.get_mut(usize::from(subtree.level)) {
                hashes.push(*hash);
            }
        }
        Self { tree, levels, before }
    }

    /// The index of the first hash that is kept of a level: at most one is of before, and is the left half of what comes.
    fn first(&self, level: u8) -> u64 {
        self.before.checked_shr(level.into()).unwrap_or(0) & !1
    }

    /// Appends a leaf, and returns its index.
    pub fn append(&mut self, leaf: Hash) -> Result<u64, TreeFull> {
        let levels = &mut self.levels;
        self.tree.append_with(leaf, |subtree, hash| {
            let level = usize::from(subtree.level());
            if levels.len() <= level {
                levels.resize_with(level + 1, Vec::new);
            }
            if let Some(hashes) = levels.get_mut(level) {
                hashes.push(hash);
            }
        })
    }

    /// The tree, without the hashes inside.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
}

impl HashSource for MemoryTree {
    type Error = NoSuchSubtree;

    fn hash(&self, subtree: Subtree) -> Result<Hash, NoSuchSubtree> {
        let hashes = self.levels.get(usize::from(subtree.level));
        let index = subtree.index.checked_sub(self.first(subtree.level));
        let hash = hashes.and_then(|hashes| hashes.get(usize::try_from(index?).ok()?));
        hash.copied().ok_or_else(|| NoSuchSubtree::new(subtree, self.tree.size()))
    }
}
