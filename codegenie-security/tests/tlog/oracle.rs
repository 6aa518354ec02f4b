//! The tree as the definitions of RFC 9162 say it, recursively and slowly.

use codegenie_security::tlog::{Hash, TreeHead, leaf_hash, node_hash};

/// The greatest power of two below `len`.
fn split(len: usize) -> usize {
    let mut power = 1;
    while power * 2 < len {
        power *= 2;
    }
    power
}

pub(crate) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

pub(crate) fn inclusion(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = match index < left.len() {
        true => (inclusion(left, index), root(right)),
        false => (inclusion(right, index - left.len()), root(left)),
    };
    path.push(sibling);
    path
}

pub(crate) fn consistency(leaves: &[Hash], old: usize) -> Vec<Hash> {
    if old == 0 { Vec::new() } else { subproof(leaves, old, true) }
}

fn subproof(leaves: &[Hash], old: usize, whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = match old <= left.len() {
        true => (subproof(left, old, whole), root(right)),
        false => (subproof(right, old - left.len(), false), root(left)),
    };
    path.push(sibling);
    path
}

/// The root that a path leads to, from the top down. None when it has another length.
pub(crate) fn inclusion_root(path: &[Hash], index: u64, size: u64, leaf: Hash) -> Option<Hash> {
    if index >= size {
        return None;
    }
    if size == 1 {
        return path.is_empty().then_some(leaf);
    }
    let left = split(size as usize) as u64;
    let (sibling, path) = path.split_last()?;
    Some(match index < left {
        true => node_hash(&inclusion_root(path, index, left, leaf)?, sibling),
        false => node_hash(sibling, &inclusion_root(path, index - left, size - left, leaf)?),
    })
}

/// Does a path lead from one head to the other?
pub(crate) fn is_consistent(path: &[Hash], old: &TreeHead, new: &TreeHead) -> bool {
    if old.size == 0 {
        let fits = new.size > 0 || new.root == Hash::EMPTY;
        return path.is_empty() && old.root == Hash::EMPTY && fits;
    }
    old.size <= new.size && roots(path, old.size, new.size, Some(old.root)) == Some((old.root, new.root))
}

fn roots(path: &[Hash], old: u64, size: u64, whole: Option<Hash>) -> Option<(Hash, Hash)> {
    if old == size {
        return match (whole, path) {
            (Some(root), []) => Some((root, root)),
            (None, [root]) => Some((*root, *root)),
            _ => None,
        };
    }
    let left = split(size as usize) as u64;
    let (sibling, path) = path.split_last()?;
    Some(match old <= left {
        true => {
            let (old, new) = roots(path, old, left, whole)?;
            (old, node_hash(&new, sibling))
        }
        false => {
            let (old, new) = roots(path, old - left, size - left, None)?;
            (node_hash(sibling, &old), node_hash(sibling, &new))
        }
    })
}

pub(crate) fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|index| leaf_hash(&crate::entry(index))).collect()
}
