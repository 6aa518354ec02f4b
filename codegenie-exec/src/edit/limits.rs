//! How much an editor takes on and keeps.

use super::patch::PatchLimits;
use std::time::Duration;

/// How much an editor takes on and keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EditLimits {
    /// Bytes of a file, before and after.
    pub file_bytes: u64,
    /// Bytes of all files of a transaction, before and after together.
    pub transaction_bytes: u64,
    /// Edits in a transaction.
    pub edits: usize,
    /// Names in a directory in which something is made.
    pub directory_entries: usize,
    /// Transactions that can be undone. The oldest are dropped.
    pub undo_transactions: usize,
    /// Bytes kept for undoing, all transactions together. The oldest are dropped.
    pub undo_bytes: u64,
    /// How long to wait for another transaction's end.
    pub lock_wait: Duration,
    /// How inexactly a diff may fit.
    pub patch: PatchLimits,
}

impl Default for EditLimits {
    /// Files of 10 MiB, transactions of 1,000 edits and 64 MiB, directories of 100,000 names; 100 transactions and 256 MiB
    /// kept; 10 s of waiting.
    fn default() -> Self {
        Self {
            file_bytes: 10 << 20,
            transaction_bytes: 64 << 20,
            edits: 1000,
            directory_entries: 100_000,
            undo_transactions: 100,
            undo_bytes: 256 << 20,
            lock_wait: Duration::from_secs(10),
            patch: PatchLimits::default(),
        }
    }
}
