//! Sealing and opening on all cores, by rayon.

use std::io::{Read, Write};

use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use super::super::chunked::{CHUNK_LEN, Chunks, MAX_CHUNKS, SEALED_LEN, TAG_LEN};
use super::header::FileError;
use super::open::FileOpener;
use super::seal::{FileSealer, fill};

/// Chunks that each thread works on between two rounds of reading and writing: 1 MiB.
const CHUNKS_A_THREAD: usize = 64;

impl FileSealer<'_> {
    /// [Seals](Self::seal) on all threads of rayon's current pool: while they work, the next part is
    /// read and the last one written. Writes the same bytes as `seal` would, but for the random ones.
    pub fn seal_parallel(
        &self,
        mut from: impl Read + Send,
        mut to: impl Write + Send,
    ) -> Result<u64, FileError> {
        let chunks = self.begin(&mut to)?;
        let batch = CHUNKS_A_THREAD * rayon::current_num_threads();
        let (mut next, mut plain) = (zeros(batch * CHUNK_LEN), zeros(batch * CHUNK_LEN));
        let (mut sealed, mut written) = (vec![0; batch * SEALED_LEN], vec![0; batch * SEALED_LEN]);
        let (mut index, mut done, mut to_write) = (0, 0, 0);
        let mut count = read_batch(&mut from, &mut plain)?;
        loop {
            // A batch that is not full is the last one; one that is empty, as well.
            let last = count < plain.len();
            let work = plain.get(..count).unwrap_or_default();
            let ((read, is_sealed), is_written) = rayon::join(
                || {
                    rayon::join(
                        || if last { Ok(0) } else { read_batch(&mut from, &mut next) },
                        || seal_batch(&chunks, index, work, last, &mut sealed),
                    )
                },
                || write_batch(&mut to, written.get(..to_write).unwrap_or_default()),
            );
            is_written?;
            to_write = is_sealed?;
            done += count as u64;
            self.report(done);
            std::mem::swap(&mut sealed, &mut written);
            if last {
                write_batch(&mut to, written.get(..to_write).unwrap_or_default())?;
                to.flush().map_err(|error| FileError::io("flush a sealed file", error))?;
                return Ok(done);
            }
            index += batch as u64;
            count = read?;
            std::mem::swap(&mut plain, &mut next);
        }
    }

    /// [Seals](Self::seal_slice) bytes in memory on all threads of rayon's current pool.
    pub fn seal_slice_parallel(&self, plaintext: &[u8]) -> Result<Vec<u8>, FileError> {
        let mut sealed = Vec::new();
        self.seal_slice_parallel_into(plaintext, &mut sealed)?;
        Ok(sealed)
    }

    /// [Seals](Self::seal_slice_into) bytes in memory on all threads of rayon's current pool.
    pub fn seal_slice_parallel_into(&self, plaintext: &[u8], sealed: &mut Vec<u8>) -> Result<(), FileError> {
        self.seal_slice_by(plaintext, sealed, |chunks, to| {
            seal_batch(chunks, 0, plaintext, true, to).map(drop)
        })
    }
}

impl FileOpener<'_> {
    /// [Opens](Self::open) on all threads of rayon's current pool: while they work, the next part is
    /// read. What was written to `to` before an error is genuine, but not all of it: throw it away.
    pub fn open_parallel(
        &self,
        mut from: impl Read + Send,
        mut to: impl Write + Send,
    ) -> Result<u64, FileError> {
        let (chunks, _) = self.begin(&mut from)?;
        let batch = CHUNKS_A_THREAD * rayon::current_num_threads();
        let (mut next, mut sealed) = (vec![0; batch * SEALED_LEN], vec![0; batch * SEALED_LEN]);
        let (mut plain, mut written) = (zeros(batch * CHUNK_LEN), zeros(batch * CHUNK_LEN));
        let (mut index, mut done, mut to_write) = (0, 0, 0);
        let mut count = read_batch(&mut from, &mut sealed)?;
        loop {
            let last = count < sealed.len();
            let work = sealed.get(..count).unwrap_or_default();
            let ((read, is_open), is_written) = rayon::join(
                || {
                    rayon::join(
                        || if last { Ok(0) } else { read_batch(&mut from, &mut next) },
                        || open_batch(&chunks, index, work, last, &mut plain),
                    )
                },
                || write_batch(&mut to, written.get(..to_write).unwrap_or_default()),
            );
            is_written?;
            to_write = is_open?;
            done += to_write as u64;
            self.report(done);
            std::mem::swap(&mut plain, &mut written);
            if last {
                write_batch(&mut to, written.get(..to_write).unwrap_or_default())?;
                to.flush().map_err(|error| FileError::io("flush what was opened", error))?;
                return Ok(done);
            }
            index += batch as u64;
            count = read?;
            std::mem::swap(&mut sealed, &mut next);
        }
    }

    /// [Opens](Self::open_slice) a sealed file in memory on all threads of rayon's current pool.
    pub fn open_slice_parallel(&self, sealed: &[u8]) -> Result<Vec<u8>, FileError> {
        let mut rest = sealed;
        let (chunks, _) = self.begin(&mut rest)?;
        let mut plaintext = vec![0; rest.len() - rest.len() / SEALED_LEN * TAG_LEN];
        match open_batch(&chunks, 0, rest, true, &mut plaintext) {
            Ok(len) => {
                plaintext.truncate(len);
                self.report(len as u64);
                Ok(plaintext)
            }
            Err(error) => {
                plaintext.zeroize();
                Err(error)
            }
        }
    }
}

/// Seals chunks from `index` on, the end of the file included where this is the `last` batch; how many bytes.
fn seal_batch(
    chunks: &Chunks,
    index: u64,
    plain: &[u8],
    last: bool,
    to: &mut [u8],
) -> Result<usize, FileError> {
    let whole = plain.len() / CHUNK_LEN;
    let (full, rest) = plain.split_at_checked(whole * CHUNK_LEN).ok_or_else(FileError::too_large)?;
    let (to_full, to_rest) = to.split_at_mut_checked(whole * SEALED_LEN).ok_or_else(FileError::too_large)?;
    check_size(index, whole)?;
    full.par_chunks_exact(CHUNK_LEN)
        .zip(to_full.par_chunks_exact_mut(SEALED_LEN))
        .enumerate()
        .try_for_each(|(number, (from, to))| chunks.seal(index + number as u64, from, to))?;
    if !last {
        return Ok(whole * SEALED_LEN);
    }
    let to_rest = to_rest.get_mut(..rest.len() + TAG_LEN).ok_or_else(FileError::too_large)?;
    chunks.seal(index + whole as u64, rest, to_rest)?;
    Ok(whole * SEALED_LEN + to_rest.len())
}

/// Opens chunks from `index` on, the end of the file included where this is the `last` batch; how many bytes.
/// Nothing of a batch that has a bad chunk is left in `to`.
fn open_batch(
    chunks: &Chunks,
    index: u64,
    sealed: &[u8],
    last: bool,
    to: &mut [u8],
) -> Result<usize, FileError> {
    let opened = open_chunks(chunks, index, sealed, last, to);
    if opened.is_err() {
        to.zeroize();
    }
    opened
}

fn open_chunks(
    chunks: &Chunks,
    index: u64,
    sealed: &[u8],
    last: bool,
    to: &mut [u8],
) -> Result<usize, FileError> {
    let whole = sealed.len() / SEALED_LEN;
    let (full, rest) = sealed.split_at_checked(whole * SEALED_LEN).ok_or_else(FileError::truncated)?;
    let (to_full, to_rest) = to.split_at_mut_checked(whole * CHUNK_LEN).ok_or_else(FileError::truncated)?;
    check_size(index, whole)?;
    full.par_chunks_exact(SEALED_LEN)
        .zip(to_full.par_chunks_exact_mut(CHUNK_LEN))
        .enumerate()
        .try_for_each(|(number, (from, to))| chunks.open(index + number as u64, from, to))?;
    if !last {
        return Ok(whole * CHUNK_LEN);
    }
    let len = rest.len().checked_sub(TAG_LEN).ok_or_else(FileError::truncated)?;
    let to_rest = to_rest.get_mut(..len).ok_or_else(FileError::truncated)?;
    chunks.open(index + whole as u64, rest, to_rest)?;
    Ok(whole * CHUNK_LEN + len)
}

fn check_size(index: u64, whole: usize) -> Result<(), FileError> {
    let end = index.saturating_add(whole as u64);
    if end < MAX_CHUNKS { Ok(()) } else { Err(FileError::too_large()) }
}

fn read_batch(from: &mut impl Read, to: &mut [u8]) -> Result<usize, FileError> {
    fill(from, to).map_err(|error| FileError::io("read", error))
}

fn write_batch(to: &mut impl Write, bytes: &[u8]) -> Result<(), FileError> {
    to.write_all(bytes).map_err(|error| FileError::io("write", error))
}

fn zeros(len: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![0; len])
}
