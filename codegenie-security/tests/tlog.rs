//! The transparency log through its public interface: trees, notes, checkpoints, tiles and proofs, beside peers
//! that nobody here wrote.
#![cfg(feature = "audit-log")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "tlog/checkpoints.rs"]
mod checkpoints;
#[path = "tlog/cosignatures.rs"]
mod cosignatures;
#[path = "tlog/exhaustive.rs"]
mod exhaustive;
#[path = "tlog/fuzzed.rs"]
mod fuzzed;
#[path = "tlog/go.rs"]
mod go;
#[path = "tlog/notes.rs"]
mod notes;
#[path = "tlog/oracle.rs"]
mod oracle;
#[path = "tlog/peers.rs"]
mod peers;
#[path = "tlog/tiles.rs"]
mod tiles;
#[path = "tlog/trees.rs"]
mod trees;

use codegenie_security::SigningKey;
use codegenie_security::tlog::{Hash, HashSource, MemoryTree, NoteSigner, Tree, TreeHead, leaf_hash};

/// Entry `index` of the logs in these tests.
fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

fn log(size: u64) -> MemoryTree {
    let mut log = MemoryTree::new();
    for index in 0..size {
        assert_eq!(log.append(leaf_hash(&entry(index))), Ok(index));
    }
    log
}

/// The head of the first `size` leaves.
fn head<S: HashSource>(source: &S, size: u64) -> TreeHead {
    Tree::read(source, size).unwrap().head()
}

fn signer() -> NoteSigner {
    NoteSigner::new("example.com/log", SigningKey::from_seed([5; 32])).unwrap()
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

fn hash(hex: &str) -> Hash {
    Hash::from_bytes(from_hex(hex).try_into().unwrap())
}
