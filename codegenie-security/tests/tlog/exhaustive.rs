//! All trees of up to 64 leaves: every proof, and every one that is not quite one.
//!
//! Of the hashes, each bit is flipped in small trees, and in greater ones one bit in 37. The ignored
//! tests flip each everywhere.

use codegenie_security::tlog::{ConsistencyProof, Hash, InclusionProof, MemoryTree, TreeHead};

use crate::{head, log, oracle};

const GREATEST: u64 = 64;

fn trees() -> (MemoryTree, Vec<Hash>, Vec<TreeHead>) {
    let log = log(GREATEST + 2);
    let heads = (0..=GREATEST + 2).map(|size| head(&log, size)).collect();
    (log, oracle::leaves(GREATEST + 2), heads)
}

/// The bits of a hash to flip in a tree of a size.
fn bits(size: u64, small: u64) -> impl Iterator<Item = usize> + Clone {
    (0..256).step_by(if size <= small { 1 } else { 37 })
}

/// The hashes with bits of them flipped, one at a time.
fn flips(hashes: &[Hash], bits: impl Iterator<Item = usize> + Clone) -> impl Iterator<Item = Vec<Hash>> {
    (0..hashes.len()).flat_map(move |place| {
        bits.clone().map(move |bit| {
            let mut altered = hashes.to_vec();
            altered[place] = flip(&altered[place], bit);
            altered
        })
    })
}

fn flip(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

#[test]
fn every_inclusion_is_proved_and_nothing_like_it() {
    inclusions(16);
}

#[test]
#[ignore = "takes a minute"]
fn every_inclusion_is_proved_and_nothing_one_bit_from_it() {
    inclusions(GREATEST);
}

#[test]
fn every_growth_is_proved_and_nothing_like_it() {
    growths(16);
}

#[test]
#[ignore = "takes a minute"]
fn every_growth_is_proved_and_nothing_one_bit_from_it() {
    growths(GREATEST);
}

fn inclusions(small: u64) {
    let (log, leaves, heads) = trees();
    for size in 1..=GREATEST {
        let tree = &heads[size as usize];
        assert_eq!(tree.root, oracle::root(&leaves[..size as usize]));
        for index in 0..size {
            let leaf = &leaves[index as usize];
            let proof = InclusionProof::make(&log, size, index).unwrap();
            let hashes = proof.hashes();
            assert_eq!(hashes, oracle::inclusion(&leaves[..size as usize], index as usize));
            proof.verify(index, leaf, tree).unwrap();

            for altered in flips(hashes, bits(size, small)) {
                assert!(InclusionProof::from_hashes(altered).verify(index, leaf, tree).is_err());
            }
            for bit in bits(size, small) {
                assert!(proof.verify(index, &flip(leaf, bit), tree).is_err());
                let tree = TreeHead { root: flip(&tree.root, bit), ..*tree };
                assert!(proof.verify(index, leaf, &tree).is_err());
            }
            for other in (0..=GREATEST + 2).filter(|other| *other != index) {
                assert!(proof.verify(other, leaf, tree).is_err());
            }
            // A path in trees of different sizes may have one shape; the head that is trusted says which it is.
            for other in heads.iter().filter(|other| other.size != size) {
                assert!(proof.verify(index, leaf, other).is_err());
                let wrong = TreeHead { size: other.size, ..*tree };
                let root = oracle::inclusion_root(hashes, index, other.size, *leaf);
                assert_eq!(proof.verify(index, leaf, &wrong).is_ok(), root == Some(tree.root));
            }
            for cut in 0..hashes.len() {
                let mut shorter = hashes.to_vec();
                shorter.remove(cut);
                assert!(InclusionProof::from_hashes(shorter).verify(index, leaf, tree).is_err());
                let mut longer = hashes.to_vec();
                longer.insert(cut, hashes[cut]);
                assert!(InclusionProof::from_hashes(longer).verify(index, leaf, tree).is_err());
            }
        }
    }
}

fn growths(small: u64) {
    let (log, leaves, heads) = trees();
    for new in &heads[..=GREATEST as usize] {
        for old in &heads[..=new.size as usize] {
            let proof = ConsistencyProof::make(&log, old.size, new.size).unwrap();
            let hashes = proof.hashes();
            assert_eq!(hashes, oracle::consistency(&leaves[..new.size as usize], old.size as usize));
            proof.verify(old, new).unwrap();
            assert!(oracle::is_consistent(hashes, old, new));

            for altered in flips(hashes, bits(new.size, small)) {
                assert!(ConsistencyProof::from_hashes(altered).verify(old, new).is_err());
            }
            for bit in bits(new.size, small) {
                let altered = TreeHead { root: flip(&old.root, bit), ..*old };
                assert!(proof.verify(&altered, new).is_err());
                // Any tree begins with the one without leaves.
                let altered = TreeHead { root: flip(&new.root, bit), ..*new };
                let any = old.size == 0 && new.size > 0;
                assert_eq!(proof.verify(old, &altered).is_ok(), any);
            }
            for other in heads.iter().map(|other| other.size) {
                let altered = TreeHead { size: other, ..*old };
                assert_eq!(
                    proof.verify(&altered, new).is_ok(),
                    oracle::is_consistent(hashes, &altered, new),
                    "{other} for {}, {}",
                    old.size,
                    new.size
                );
                let altered = TreeHead { size: other, ..*new };
                assert_eq!(proof.verify(old, &altered).is_ok(), oracle::is_consistent(hashes, old, &altered));
            }
            for cut in 0..hashes.len() {
                let mut shorter = hashes.to_vec();
                shorter.remove(cut);
                assert!(ConsistencyProof::from_hashes(shorter).verify(old, new).is_err());
            }
            let longer = [hashes, &[new.root]].concat();
            assert!(ConsistencyProof::from_hashes(longer).verify(old, new).is_err());
        }
    }
}
