//! Whole files on disk: in parallel, and all or nothing.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::super::chunked::{CHUNK_LEN, MAX_CHUNKS, SEALED_LEN, TAG_LEN};
use super::super::key::random;
use super::header::FileError;
use super::open::FileOpener;
use super::seal::FileSealer;
use crate::files;

/// Chunks that one thread does at a time: 256 KiB.
const CHUNKS_A_TURN: u64 = 16;

impl FileSealer<'_> {
    /// Seals the file `from` into the new file `to`, on all threads of rayon's current pool.
    ///
    /// `to` appears whole and durable, readable by its owner only, or not at all. A file that is there is
    /// not replaced. Where `from` changes meanwhile, as its length and times tell, the sealing fails.
    pub fn seal_file(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64, FileError> {
        let source = open_regular(from.as_ref())?;
        let before = source.metadata().map_err(read)?;
        NewFile::create(to.as_ref(), |mut target| {
            let mut start = Vec::new();
            let chunks = self.begin(&mut start)?;
            io::Write::write_all(&mut target, &start).map_err(write)?;
            let (len, start) = (before.len(), start.len() as u64);
            each_chunk(len, &|done| self.report(done), &|index, plain, sealed| {
                files::read_at(&source, plain, index * CHUNK_LEN as u64).map_err(read)?;
                chunks.seal(index, plain, sealed)?;
                files::write_at(target, sealed, start + index * SEALED_LEN as u64).map_err(write)
            })?;
            let after = source.metadata().map_err(read)?;
            if state(&after) == state(&before) {
                Ok(len)
            } else {
                Err(FileError::io("seal a file", changed()))
            }
        })
    }
}

impl FileOpener<'_> {
    /// Opens the sealed file `from` into the new file `to`, on all threads of rayon's current pool.
    ///
    /// `to` appears when every byte was verified, whole and durable, readable by its owner only, or not
    /// at all. A file that is there is not replaced.
    pub fn open_file(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64, FileError> {
        let mut source = open_regular(from.as_ref())?;
        let sealed_len = source.metadata().map_err(read)?.len();
        let (chunks, start) = self.begin(&mut source)?;
        let body = sealed_len.checked_sub(start).ok_or_else(FileError::truncated)?;
        let whole = body / SEALED_LEN as u64;
        let last = (body % SEALED_LEN as u64).checked_sub(TAG_LEN as u64).ok_or_else(FileError::truncated)?;
        let len = whole * CHUNK_LEN as u64 + last;
        NewFile::create(to.as_ref(), |target| {
            each_chunk(len, &|done| self.report(done), &|index, plain, sealed| {
                files::read_at(&source, sealed, start + index * SEALED_LEN as u64).map_err(read)?;
                chunks.open(index, sealed, plain)?;
                files::write_at(target, plain, index * CHUNK_LEN as u64).map_err(write)
            })?;
            Ok(len)
        })
    }
}

/// What changes with a file's content: its length and times. The second time cannot be set back.
fn state(metadata: &std::fs::Metadata) -> (u64, Option<std::time::SystemTime>, (i64, i64)) {
    #[cfg(unix)]
    let changed = {
        use std::os::unix::fs::MetadataExt;
        (metadata.ctime(), metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let changed = (0, 0);
    (metadata.len(), metadata.modified().ok(), changed)
}

/// What is done with one chunk, given its number and room for its plaintext and for its ciphertext and tag.
type Work<'a> = &'a (dyn Fn(u64, &mut [u8], &mut [u8]) -> Result<(), FileError> + Sync);

/// Does `work` for each chunk of `len` bytes of plaintext, in turns on all threads, and tells `report` how many bytes
/// are done.
fn each_chunk(len: u64, report: &(dyn Fn(u64) + Sync), work: Work<'_>) -> Result<(), FileError> {
    let last = len / CHUNK_LEN as u64;
    if last >= MAX_CHUNKS {
        return Err(FileError::too_large());
    }
    let done = AtomicU64::new(0);
    let one = |index: u64, plain: &mut [u8], sealed: &mut [u8]| {
        let count = (len - index * CHUNK_LEN as u64).min(CHUNK_LEN as u64) as usize;
        let (Some(plain), Some(sealed)) = (plain.get_mut(..count), sealed.get_mut(..count + TAG_LEN)) else {
            return Err(FileError::too_large());
        };
        work(index, plain, sealed)?;
        let done = done.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        if index % CHUNKS_A_TURN == CHUNKS_A_TURN - 1 || done == len {
            report(done);
        }
        Ok(())
    };
    let buffers = || (Zeroizing::new(vec![0; CHUNK_LEN]), vec![0; SEALED_LEN]);
    (0..=last / CHUNKS_A_TURN).into_par_iter().try_for_each_init(buffers, |(plain, sealed), turn| {
        let first = turn * CHUNKS_A_TURN;
        (first..(first + CHUNKS_A_TURN).min(last + 1)).try_for_each(|index| one(index, plain, sealed))
    })
}

/// A file that has another name until it is whole.
struct NewFile {
    temporary: PathBuf,
}

impl NewFile {
    fn create<T>(path: &Path, write_it: impl FnOnce(&File) -> Result<T, FileError>) -> Result<T, FileError> {
        let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
        name.push(format!(".{:016x}.tmp", u64::from_le_bytes(random()?)));
        let temporary = path.with_file_name(name);
        let file =
            files::create_new_private(&temporary).map_err(|error| FileError::io("create a file", error))?;
        let guard = Self { temporary };
        let written = write_it(&file)?;
        file.sync_all().map_err(write)?;
        // A link never replaces a file.
        let appear = |error| FileError::io("create a file where nothing may be yet", error);
        std::fs::hard_link(&guard.temporary, path).map_err(appear)?;
        drop(guard);
        files::sync_parent(path).map_err(|error| FileError::io("sync the directory of a file", error))?;
        Ok(written)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // What is left behind otherwise is of no use to anybody but the owner.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

fn open_regular(path: &Path) -> Result<File, FileError> {
    let open = |error| FileError::io("open a file", error);
    let file = files::open_following(path).map_err(open)?;
    if file.metadata().map_err(open)?.is_file() {
        Ok(file)
    } else {
        let text = "not a regular file; use `seal` or `open` with a reader";
        Err(open(io::Error::new(io::ErrorKind::InvalidInput, text)))
    }
}

fn read(error: io::Error) -> FileError {
    FileError::io("read a file", error)
}

fn write(error: io::Error) -> FileError {
    FileError::io("write a file", error)
}

fn changed() -> io::Error {
    io::Error::other("it changed meanwhile")
}
