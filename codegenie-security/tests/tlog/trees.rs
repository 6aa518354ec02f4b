//! Trees: vectors, the stored state, the greatest sizes, and an oracle.

use codegenie_security::tlog::{
    BadTree, ConsistencyProof, Hash, HashSource, InclusionProof, MemoryTree, NoSuchSubtree, ProofRefused,
    ProveError, Subtree, Tree, TreeHead, leaf_hash, node_hash,
};
use proptest::prelude::*;

use crate::{entry, from_hex, hash, head, log, oracle};

/// The tree that the implementations of certificate transparency test with.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const LEAF_1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const LEAF_4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const NODE_2_3: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const NODE_4_5: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const NODE_6_7: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const NODE_4_7: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";

#[test]
fn the_tree_of_certificate_transparency_has_the_published_roots_and_proofs() {
    let mut log = MemoryTree::new();
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        assert_eq!(log.tree().root(), hash(root));
        log.append(leaf_hash(&from_hex(leaf))).unwrap();
    }
    let head = |size: usize| TreeHead { size: size as u64, root: hash(ROOTS[size]) };
    assert_eq!(log.tree().head(), head(8));

    let inclusions: [(u64, usize, &[&str]); 4] = [
        (0, 8, &[LEAF_1, NODE_2_3, NODE_4_7]),
        (5, 8, &[LEAF_4, NODE_6_7, ROOTS[4]]),
        (2, 3, &[ROOTS[2]]),
        (1, 5, &[ROOTS[1], NODE_2_3, LEAF_4]),
    ];
    for (index, size, expected) in inclusions {
        let proof = InclusionProof::make(&log, size as u64, index).unwrap();
        assert_eq!(proof.hashes(), expected.iter().map(|hex| hash(hex)).collect::<Vec<_>>());
        proof.verify(index, &leaf_hash(&from_hex(LEAVES[index as usize])), &head(size)).unwrap();
    }
    let consistencies: [(usize, usize, &[&str]); 4] = [
        (1, 1, &[]),
        (1, 8, &[LEAF_1, NODE_2_3, NODE_4_7]),
        (6, 8, &[NODE_4_5, NODE_6_7, ROOTS[4]]),
        (2, 5, &[NODE_2_3, LEAF_4]),
    ];
    for (old, new, expected) in consistencies {
        let proof = ConsistencyProof::make(&log, old as u64, new as u64).unwrap();
        assert_eq!(proof.hashes(), expected.iter().map(|hex| hash(hex)).collect::<Vec<_>>());
        proof.verify(&head(old), &head(new)).unwrap();
    }
}

#[test]
fn each_subtree_is_handed_out_once_when_it_is_complete() {
    let mut tree = Tree::new();
    let mut seen = Vec::new();
    for index in 0..100 {
        let appended = tree.append_with(leaf_hash(&entry(index)), |subtree, hash| {
            assert_eq!(subtree.end(), index + 1);
            let leaves: Vec<Hash> =
                (subtree.start()..subtree.end()).map(|index| leaf_hash(&entry(index))).collect();
            assert_eq!(hash, oracle::root(&leaves));
            seen.push(subtree);
        });
        assert_eq!(appended, Ok(index));
    }
    seen.sort();
    let all: Vec<Subtree> = (0..7_u8)
        .flat_map(|level| (0..100_u64 >> level).map(move |index| Subtree::new(level, index).unwrap()))
        .collect();
    assert_eq!(seen, all);
}

#[test]
fn the_stored_state_goes_on_as_the_tree_did() {
    let mut tree = Tree::new();
    for index in 0..70_u64 {
        let bytes = tree.to_bytes();
        assert_eq!(bytes.len(), 15 + 32 * index.count_ones() as usize);
        assert_eq!(bytes[..7], *b"CGTREE\x01");
        let mut again = Tree::from_bytes(&bytes).unwrap();
        assert_eq!(again, tree);
        assert_eq!(Tree::from_edge(tree.size(), tree.edge()), Ok(tree.clone()));
        for cut in 0..bytes.len() {
            assert!(Tree::from_bytes(&bytes[..cut]).is_err());
        }
        assert!(Tree::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        assert!(Tree::from_bytes(&[&bytes[..], &[0; 32]].concat()).is_err());
        tree.append(leaf_hash(&entry(index))).unwrap();
        again.append(leaf_hash(&entry(index))).unwrap();
        assert_eq!(again, tree);
    }
    let edge = Tree::from_edge(3, &[Hash::EMPTY]);
    assert!(matches!(edge, Err(BadTree::Edge { size: 3, expected: 2, .. })));
    assert_eq!(Tree::from_bytes(b"CGTREE\x02\0\0\0\0\0\0\0\0"), Err(BadTree::Form));
}

#[test]
fn a_hash_has_one_text() {
    let text = Hash::EMPTY.to_string();
    assert_eq!(text, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert_eq!(text.parse(), Ok(Hash::EMPTY));
    // The last character has two bits that belong to no byte.
    for other in [
        "",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hS",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU47A=",
    ] {
        assert!(other.parse::<Hash>().is_err(), "{other:?}");
    }
}

/// A tree of any size whose leaves are all alike.
struct Alike([Hash; 64]);

impl Alike {
    fn new() -> Self {
        let mut hashes = [leaf_hash(b""); 64];
        for level in 1..64 {
            hashes[level] = node_hash(&hashes[level - 1], &hashes[level - 1]);
        }
        Self(hashes)
    }
}

impl HashSource for Alike {
    type Error = NoSuchSubtree;

    fn hash(&self, subtree: Subtree) -> Result<Hash, NoSuchSubtree> {
        Ok(self.0[usize::from(subtree.level())])
    }
}

#[test]
fn the_greatest_trees_have_proofs_too() {
    let log = Alike::new();
    let leaf = leaf_hash(b"");
    let mut sizes =
        vec![u64::MAX, u64::MAX - 1, (1 << 63) + 1, 1 << 63, (1 << 63) - 1, 0x5555_5555_5555_5555];
    sizes.extend((0..63).map(|level| (1 << level) + 1));
    for &size in &sizes {
        let tree = head(&log, size);
        for index in [0, 1, size / 2, size / 3, size - 2, size - 1] {
            let proof = InclusionProof::make(&log, size, index).unwrap();
            proof.verify(index, &leaf, &tree).unwrap();
            assert!(proof.hashes().len() <= 64);
            assert!(proof.verify(index, &Hash::EMPTY, &tree).is_err());
            let longer = [proof.hashes(), &[leaf]].concat();
            assert!(InclusionProof::from_hashes(longer).verify(index, &leaf, &tree).is_err());
        }
        for &other in &sizes {
            let (old, new) = (size.min(other), size.max(other));
            let proof = ConsistencyProof::make(&log, old, new).unwrap();
            proof.verify(&head(&log, old), &head(&log, new)).unwrap();
            assert!(proof.hashes().len() <= 65);
        }
    }
    let mut last = Tree::read(&log, u64::MAX).unwrap();
    let before = last.clone();
    assert!(last.append(leaf).is_err());
    assert_eq!(last, before);
    let mut last = Tree::read(&log, u64::MAX - 1).unwrap();
    assert_eq!(last.append(leaf), Ok(u64::MAX - 1));
    assert_eq!(last.head(), head(&log, u64::MAX));
    assert_eq!(Tree::from_bytes(&last.to_bytes()), Ok(last));
}

#[test]
fn a_subtree_ends_within_what_can_be_counted() {
    for (level, index, is) in [
        (0, u64::MAX - 1, true),
        (0, u64::MAX, false),
        (63, 0, true),
        (63, 1, false),
        (64, 0, false),
        (255, 0, false),
        (8, (u64::MAX >> 8) - 1, true),
        (8, u64::MAX >> 8, false),
    ] {
        let subtree = Subtree::new(level, index);
        assert_eq!(subtree.is_some(), is, "{level} {index}");
        if let Some(subtree) = subtree {
            assert_eq!(subtree.end() - subtree.start(), 1 << level);
        }
    }
}

#[test]
fn what_cannot_be_proved_is_refused_with_its_reason() {
    let log = log(5);
    let reasons = [
        InclusionProof::make(&log, 5, 5).unwrap_err().to_string(),
        InclusionProof::make(&log, 0, 0).unwrap_err().to_string(),
        ConsistencyProof::make(&log, 4, 3).unwrap_err().to_string(),
        Tree::read(&log, 8).unwrap_err().to_string(),
    ];
    let expected = [
        "no leaf 5 in a tree of 5 leaves; leaves are counted from 0",
        "no leaf 0 in a tree of 0 leaves",
        "a tree of 4 leaves cannot be the beginning of one of 3",
        "no subtree 0 of level 3 in a tree of 5 leaves",
    ];
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.starts_with(expected), "{reason}");
    }
    assert!(matches!(InclusionProof::make(&log, 6, 0), Err(ProveError::Source(_))));

    let proof = InclusionProof::make(&log, 5, 1).unwrap();
    let leaf = leaf_hash(&entry(1));
    let tree = head(&log, 5);
    let refused = |index, size| proof.verify(index, &leaf, &TreeHead { size, ..tree }).unwrap_err();
    assert!(matches!(refused(5, 5), ProofRefused::NoSuchLeaf { index: 5, size: 5, .. }));
    assert!(matches!(refused(1, 0), ProofRefused::NoSuchLeaf { .. }));
    assert!(matches!(refused(4, 5), ProofRefused::Length { found: 3, expected: 1, .. }));
    assert_eq!(refused(0, 5), ProofRefused::Root);
    let proof = ConsistencyProof::make(&log, 3, 5).unwrap();
    let refused = proof.verify(&tree, &head(&log, 3)).unwrap_err();
    assert!(matches!(refused, ProofRefused::Shrinks { old: 5, new: 3, .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn trees_and_proofs_are_those_of_the_definitions(
        leaves in prop::collection::vec(prop::array::uniform32(any::<u8>()).prop_map(Hash::from_bytes), 1..300),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let mut log = MemoryTree::new();
        for leaf in &leaves {
            log.append(*leaf).unwrap();
        }
        let size = leaves.len() as u64;
        prop_assert_eq!(log.tree().root(), oracle::root(&leaves));
        prop_assert_eq!(&Tree::read(&log, size).unwrap(), log.tree());

        let index = one.index(leaves.len());
        let proof = InclusionProof::make(&log, size, index as u64).unwrap();
        prop_assert_eq!(proof.hashes(), oracle::inclusion(&leaves, index));
        let old = other.index(leaves.len() + 1);
        let proof = ConsistencyProof::make(&log, old as u64, size).unwrap();
        prop_assert_eq!(proof.hashes(), oracle::consistency(&leaves, old));
        let head = TreeHead { size: old as u64, root: oracle::root(&leaves[..old]) };
        prop_assert_eq!(proof.verify(&head, &log.tree().head()), Ok(()));
    }
}

/// Of a tree whose first leaves are gone, everything about later ones is proved as by the whole tree.
#[test]
fn a_tree_that_goes_on_proves_what_the_whole_one_does() {
    for size in 1..=40 {
        let whole = log(size);
        for gone in 0..=size {
            let mut kept = MemoryTree::after(Tree::read(&whole, gone).unwrap());
            (gone..size).for_each(|index| {
                kept.append(leaf_hash(&entry(index))).unwrap();
            });
            assert_eq!(kept.tree(), whole.tree());
            for index in gone..size {
                let proof = InclusionProof::make(&kept, size, index);
                assert_eq!(
                    proof,
                    InclusionProof::make(&whole, size, index),
                    "{index} of {size} after {gone}"
                );
            }
            for old in gone..=size {
                let proof = ConsistencyProof::make(&kept, old, size);
                assert_eq!(proof, ConsistencyProof::make(&whole, old, size), "{old} of {size} after {gone}");
            }
            // What is proved of the part that is gone is true all the same.
            for index in 0..gone {
                if let Ok(proof) = InclusionProof::make(&kept, size, index) {
                    assert_eq!(Ok(proof), InclusionProof::make(&whole, size, index));
                }
            }
        }
    }
}

/// Many leaves at once are hashed in blocks, which must not show.
#[test]
fn leaves_appended_together_make_the_tree_of_leaves_appended_one_by_one() {
    let leaves: Vec<Hash> = (0..4000_u64).map(|number| leaf_hash(&number.to_le_bytes())).collect();
    let one_by_one = |count: usize| {
        let mut tree = Tree::new();
        leaves[..count].iter().for_each(|leaf| {
            tree.append(*leaf).unwrap();
        });
        tree
    };
    for first in [0, 1, 511, 512, 513, 1000, 1024] {
        for count in [first, first + 1, 1023, 1024, 1025, 1536, 2047, 2560, 4000] {
            let mut tree = one_by_one(first);
            let Some(together) = leaves.get(first..count) else { continue };
            tree.extend(together).unwrap();
            assert_eq!(tree, one_by_one(count), "{first} and then up to {count}");
        }
    }
    assert_eq!(one_by_one(4000).root(), oracle::root(&leaves));
    let full = Tree::from_edge(u64::MAX - 1, &[Hash::EMPTY; 63]).unwrap();
    let mut more = full.clone();
    assert!(more.extend(&leaves[..2]).is_err());
    assert_eq!(more, full);
}
