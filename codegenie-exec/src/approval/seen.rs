//! What an approver sees of bytes.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// At most `limit` bytes of `bytes`, as text. What is left out is told, and what is no UTF-8 is written out, so that two
/// different contents never look the same.
pub(crate) fn seen(bytes: &[u8], limit: usize) -> String {
    let (head, rest) = bytes.split_at_checked(limit).unwrap_or((bytes, &[]));
    let mut text = String::with_capacity(head.len());
    for chunk in head.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if !rest.is_empty() {
        let (rest, all, hash) = (rest.len(), bytes.len(), hex(&Sha256::digest(bytes)));
        let _ = write!(text, "\n({rest} more bytes are not shown; SHA-256 of all {all}: {hash})\n");
    }
    text
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
