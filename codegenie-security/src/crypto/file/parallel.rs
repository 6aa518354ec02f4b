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
    pub fn seal_parallel(&self, from: impl Read + Send, mut to: impl Write + Send) -> Result<u64, FileError> {
        let chunks = self.begin(&mut to)?;
        let mut done = 0;
        let work =
            |batch: Batch<'_>, to: &mut [u8]| seal_batch(&chunks, batch.index, batch.bytes, batch.last, to);
        let buffers = (secret(CHUNK_LEN), public(SEALED_LEN));
        pipeline(from, to, buffers, work, &mut |read, _| {
            done += read as u64;
            self.report(done);
        })?;
        Ok(done)
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
    pub fn open_parallel(&self, mut from: impl Read + Send, to: impl Write + Send) -> Result<u64, FileError> {
        let (chunks, _) = self.begin(&mut from)?;
        let mut done = 0;
        let work =
            |batch: Batch<'_>, to: &mut [u8]| open_batch(&chunks, batch.index, batch.bytes, batch.last, to);
        let buffers = (public(SEALED_LEN), secret(CHUNK_LEN));
        pipeline(from, to, buffers, work, &mut |_, written| {
            done += written as u64;
            self.report(done);
        })?;
        Ok(done)
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

/// A part of what was read.
struct Batch<'a> {
    /// The number of its first chunk.
    index: u64,
    bytes: &'a [u8],
    /// The end was reached.
    last: bool,
}

/// Bytes, wiped in the end or not.
trait Buffer: AsRef<[u8]> + AsMut<[u8]> + Send + Sync {}

impl<T: AsRef<[u8]> + AsMut<[u8]> + Send + Sync> Buffer for T {}

/// Two buffers for a batch of pieces of this length: one that is worked on, one that is read or written meanwhile.
fn public(piece: usize) -> [Vec<u8>; 2] {
    let len = CHUNKS_A_THREAD * rayon::current_num_threads() * piece;
    [vec![0; len], vec![0; len]]
}

/// Two buffers that are wiped in the end.
fn secret(piece: usize) -> [Zeroizing<Vec<u8>>; 2] {
    public(piece).map(Zeroizing::new)
}

/// Reads batches, has `work` make of them what is to be written, and writes that: reading, working and writing all at
/// once, on successive batches. `note` is told of each batch how much was read and made of it.
fn pipeline<I: Buffer, O: Buffer>(
    mut from: impl Read + Send,
    mut to: impl Write + Send,
    ([mut next, mut read], [mut made, mut written]): ([I; 2], [O; 2]),
    work: impl Fn(Batch<'_>, &mut [u8]) -> Result<usize, FileError> + Sync,
    note: &mut dyn FnMut(usize, usize),
) -> Result<(), FileError> {
    let batch = CHUNKS_A_THREAD * rayon::current_num_threads();
    let (mut index, mut to_write) = (0, 0);
    let mut count = read_batch(&mut from, read.as_mut())?;
    loop {
        // A batch that is not full is the last one; one that is empty, as well.
        let read_now = read.as_ref();
        let last = count < read_now.len();
        let bytes = read_now.get(..count).unwrap_or_default();
        let ((is_read, is_made), is_written) = rayon::join(
            || {
                rayon::join(
                    || if last { Ok(0) } else { read_batch(&mut from, next.as_mut()) },
                    || work(Batch { index, bytes, last }, made.as_mut()),
                )
            },
            || write_batch(&mut to, written.as_ref().get(..to_write).unwrap_or_default()),
        );
        is_written?;
        to_write = is_made?;
        note(count, to_write);
        std::mem::swap(&mut made, &mut written);
        if last {
            write_batch(&mut to, written.as_ref().get(..to_write).unwrap_or_default())?;
            return to.flush().map_err(|error| FileError::io("flush", error));
        }
        index += batch as u64;
        count = is_read?;
        std::mem::swap(&mut read, &mut next);
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
