//! Other keys for a file that is sealed already.

use std::io::{self, Read, Write};

use super::super::wrap::KeyWrapper;
use super::header::{FileError, Header};

/// Copies a sealed file, opened by one of `old` and from now on by each of `new`: its own key is wrapped
/// again, its content is copied as it is, neither decrypted nor verified. Returns the bytes written.
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
    Ok(header.bytes.len() as u64 + body)
}
