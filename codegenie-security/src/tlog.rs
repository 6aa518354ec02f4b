//! A transparency log: a Merkle tree that only grows, and the texts and files that vouch for it.
//!
//! Who has a [`Checkpoint`] signed by a log can be shown that an entry is in the log
//! ([`InclusionProof`], or all in one text, [`LoggedProof`]), and that a later checkpoint has all that
//! an earlier one had ([`ConsistencyProof`]): nothing was altered, removed or put in between. The
//! hashes are those of RFC 9162, section 2.1, with SHA-256; the formats are those of C2SP
//! (`c2sp.org`): signed-note, tlog-checkpoint, tlog-tiles, tlog-proof and tlog-cosignature.
//!
//! Nothing here reads or writes files. What comes from outside is refused unless it is exactly as its
//! format says, so that what was parsed is shown again byte for byte.
//!
//! ```
//! use codegenie_security::SigningKey;
//! use codegenie_security::tlog::{Checkpoint, InclusionProof, LoggedProof, MemoryTree, NoteSigner, leaf_hash};
//!
//! let signer = NoteSigner::new("example.com/log", SigningKey::generate()?)?;
//! let mut log = MemoryTree::new();
//! for entry in ["one", "two", "three"] {
//!     log.append(leaf_hash(entry.as_bytes()))?;
//! }
//! let checkpoint = Checkpoint::new("example.com/log", log.tree().head())?.sign(&signer)?;
//! let path = InclusionProof::make(&log, 3, 1)?;
//! let text = LoggedProof::new(1, path, checkpoint).to_string();
//!
//! let proof = LoggedProof::parse(text.as_bytes())?;
//! proof.verify(&leaf_hash(b"two"), "example.com/log", &signer.verifier())?;
//! assert!(proof.verify(&leaf_hash(b"2"), "example.com/log", &signer.verifier()).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bundle;
mod checkpoint;
mod cosignature;
mod hash;
mod hash_tile;
mod logged_proof;
mod note;
mod note_error;
mod note_key;
mod proof;
mod subtree;
mod tile_path;
mod tree;

pub use bundle::{BundleError, EntryBundle};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use cosignature::CosignatureVerifier;
pub use hash::{BadHash, Hash, leaf_hash, node_hash};
pub use hash_tile::{HashTile, TileError, TileHashes};
pub use logged_proof::{LoggedProof, LoggedProofError};
pub use note::{Note, NoteSignature, OpenedNote};
pub use note_error::{BadNoteKey, NoteError};
pub use note_key::{NoteSigner, NoteVerifier};
pub use proof::{ConsistencyProof, InclusionProof, ProofRefused, ProveError};
pub use subtree::{HashSource, MemoryTree, NoSuchSubtree, Subtree};
pub use tile_path::{BadTilePath, TileLevel, TilePath};
pub use tree::{BadTree, Tree, TreeFull, TreeHead};

/// A number as the formats of C2SP write it: ASCII digits, without a leading zero unless it is 0.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if digits && !leading_zero { text.parse().ok() } else { None }
}
