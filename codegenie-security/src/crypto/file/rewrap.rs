//! Other keys for a file that is sealed already.

use std::io::{self, Read, Write};

use super::super::chunked::{COMMITMENT_LEN, SALT_LEN, SEALED_LEN, TAG_LEN};
use super::super::wrap::KeyWrapper;
use super::header::{FileError, Header};

/// Copies a sealed file, opened by one of `old` and from now on by each of `new`: its own key is wrapped
/// again, its content is copied as it is, neither decrypted nor verified: open the copy once before the old file
/// is deleted. Returns the bytes written. A length that no sealed file has is an error, after the copying.
///
/// Whoever could open the old file, and kept its key, can open the new one too: to shut somebody out of
/// what they have had access to, seal anew.
///
/// ```
/// use codegenie_security::{FileOpener, FileSealer, SealingKey, rewrap_file};
///
/// let (old, new) = (SealingKey::generate()?, SealingKey::generate()?);
/// let sealed = FileSealer::new(&old).seal_slice(b"kept for long")?;
/// let mut rewrapped = Vec::new();
/// rewrap_file(&sealed[..], &mut rewrapped, &[&old], &[&new])?;
/// assert_eq!(FileOpener::new(&new).open_slice(&rewrapped)?, b"kept for long");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rewrap_file(
    mut from: impl Read,
    mut to: impl Write,
    old: &[&dyn KeyWrapper],
    new: &[&dyn KeyWrapper],
) -> Result<u64, FileError> {
    let key = Header::read(&mut from, old)?.key;
    let header = Header::of_key(key, new)?;
    let written = to.write_all(&header.bytes).and_then(|()| io::copy(&mut from, &mut to));
    let body = written.map_err(|error| FileError::io("copy a sealed file", error))?;
    to.flush().map_err(|error| FileError::io("flush a sealed file", error))?;
    // No file is so long. One that was cut between two chunks is only found when it is opened.
    let chunks = body.checked_sub((SALT_LEN + COMMITMENT_LEN) as u64);
    if chunks.is_none_or(|chunks| chunks % (SEALED_LEN as u64) < TAG_LEN as u64) {
        return Err(FileError::truncated());
    }
    Ok(header.bytes.len() as u64 + body)
}
