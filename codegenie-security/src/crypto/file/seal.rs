//! Sealing: a writer, and what is built on it.

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::super::backend::{AeadBackend, RustCrypto};
use super::super::chunked::{CHUNK_LEN, Chunks, MAX_CHUNKS, SEALED_LEN, TAG_LEN};
use super::super::wrap::KeyWrapper;
use super::header::{FileError, Header};

/// Seals files and streams of any length, for one or several keys.
///
/// A key is whatever implements [`KeyWrapper`]: a [`SealingKey`](crate::SealingKey), a
/// [`Keyset`](crate::Keyset), a [`RecipientKey`](crate::RecipientKey), a [`Passphrase`](crate::Passphrase).
/// Each opens the file by itself. What is written is described byte by byte at [`FileOpener`](crate::FileOpener).
///
/// ```
/// use codegenie_security::{FileOpener, FileSealer, SealingKey};
/// use std::io::{Read, Write};
///
/// let key = SealingKey::generate()?;
/// let mut sealed = Vec::new();
/// let mut writer = FileSealer::new(&key).context(b"backup 7").writer(&mut sealed)?;
/// writer.write_all(b"what was written so far")?;
/// writer.finish()?; // without it the file is cut short, and refused as such
///
/// let mut text = String::new();
/// FileOpener::new(&key).context(b"backup 7").reader(&sealed[..])?.read_to_string(&mut text)?;
/// assert_eq!(text, "what was written so far");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a sealer seals nothing until it is given something to read or write"]
pub struct FileSealer<'a> {
    pub(super) wrappers: Vec<&'a dyn KeyWrapper>,
    pub(super) context: &'a [u8],
    pub(super) backend: &'a dyn AeadBackend,
    pub(super) progress: Option<&'a (dyn Fn(u64) + Sync)>,
}

impl<'a> FileSealer<'a> {
    /// Seals for this key.
    pub fn new(key: &'a dyn KeyWrapper) -> Self {
        Self { wrappers: vec![key], context: b"", backend: &RustCrypto, progress: None }
    }

    /// Seals for this key as well; up to 64.
    pub fn also_for(mut self, key: &'a dyn KeyWrapper) -> Self {
        self.wrappers.push(key);
        self
    }

    /// Binds the file to what it is for. It is not stored: to open it, the same is needed.
    pub fn context(mut self, context: &'a [u8]) -> Self {
        self.context = context;
        self
    }

    /// Computes with another [`AeadBackend`] than [`RustCrypto`].
    pub fn backend(mut self, backend: &'a dyn AeadBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Is called now and then with the bytes of plaintext done so far, and at the end; from any thread
    /// where several work. Not by what [`writer`](Self::writer) gives: whoever uses that knows how far it is.
    pub fn progress(mut self, callback: &'a (dyn Fn(u64) + Sync)) -> Self {
        self.progress = Some(callback);
        self
    }

    /// A writer that seals what is written to it. Wraps the file's key, so this is where a slow key is slow.
    pub fn writer<W: Write>(&self, mut to: W) -> Result<SealingWriter<W>, FileError> {
        let chunks = self.begin(&mut to)?;
        Ok(SealingWriter {
            to: Some(to),
            chunks,
            index: 0,
            pending: Zeroizing::new(Vec::with_capacity(CHUNK_LEN)),
            sealed: vec![0; SEALED_LEN],
        })
    }

    /// Seals all that `from` has, and returns how many bytes that was.
    pub fn seal(&self, mut from: impl Read, to: impl Write) -> Result<u64, FileError> {
        let mut writer = self.writer(to)?;
        let mut chunk = Zeroizing::new(vec![0; CHUNK_LEN]);
        let mut done = 0;
        loop {
            let count = fill(&mut from, &mut chunk)
                .map_err(|error| FileError::io("read what is to be sealed", error))?;
            let part = chunk.get(..count).unwrap_or_default();
            writer.write_all(part).map_err(|error| FileError::io("write a sealed file", error))?;
            done += count as u64;
            self.report(done);
            if count < CHUNK_LEN {
                writer.finish()?;
                return Ok(done);
            }
        }
    }

    /// Seals bytes in memory.
    pub fn seal_slice(&self, plaintext: &[u8]) -> Result<Vec<u8>, FileError> {
        let mut sealed = Vec::new();
        self.seal_slice_into(plaintext, &mut sealed)?;
        Ok(sealed)
    }

    /// Seals bytes in memory into `sealed`, whose content it replaces: for large data, fresh memory costs as
    /// much as the cipher, and a buffer that is used again costs nothing. After an error it is empty.
    pub fn seal_slice_into(&self, plaintext: &[u8], sealed: &mut Vec<u8>) -> Result<(), FileError> {
        self.seal_slice_by(plaintext, sealed, |chunks, to| seal_chunks(chunks, 0, plaintext, to))
    }

    /// Makes room, writes what comes before the chunks, and has `seal` fill in the rest.
    pub(super) fn seal_slice_by(
        &self,
        plaintext: &[u8],
        sealed: &mut Vec<u8>,
        seal: impl FnOnce(&Chunks, &mut [u8]) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let mut start = Vec::new();
        let begun = self.begin(&mut start).and_then(|chunks| {
            let whole = plaintext.len() / CHUNK_LEN;
            // What is there already is overwritten, not cleared first.
            sealed.resize(start.len() + plaintext.len() + (whole + 1) * TAG_LEN, 0);
            let (head, body) = sealed.split_at_mut_checked(start.len()).ok_or_else(FileError::too_large)?;
            head.copy_from_slice(&start);
            seal(&chunks, body)
        });
        match begun {
            Ok(()) => self.report(plaintext.len() as u64),
            Err(_) => sealed.clear(),
        }
        begun
    }

    /// Writes header, salt and commitment, and returns the keys of the chunks.
    pub(super) fn begin(&self, to: &mut impl Write) -> Result<Chunks, FileError> {
        let header = Header::generate(&self.wrappers)?;
        let (chunks, start) = header.start_body(self.backend, self.context)?;
        let written = to.write_all(&header.bytes).and_then(|()| to.write_all(&start));
        written.map_err(|error| FileError::io("write a sealed file", error))?;
        Ok(chunks)
    }

    pub(super) fn report(&self, done: u64) {
        if let Some(callback) = self.progress {
            callback(done);
        }
    }
}

impl std::fmt::Debug for FileSealer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.wrappers.iter().map(|wrapper| wrapper.key_id()).collect();
        f.debug_struct("FileSealer")
            .field("keys", &keys)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// Seals what is written to it, a chunk at a time. Made by [`FileSealer::writer`].
///
/// [`finish`](Self::finish) writes the end. Without it the file is cut short, and nobody takes it for whole.
/// After an error everything fails, since what was written is unknown.
pub struct SealingWriter<W> {
    /// Taken away by an error, and by the end.
    to: Option<W>,
    chunks: Chunks,
    index: u64,
    pending: Zeroizing<Vec<u8>>,
    sealed: Vec<u8>,
}

impl<W: Write> SealingWriter<W> {
    /// Writes the last chunk, flushes, and returns what was written to.
    pub fn finish(mut self) -> Result<W, FileError> {
        let last = std::mem::take(&mut *self.pending);
        let sealed = self.seal_chunk(&last);
        let _wiped = Zeroizing::new(last);
        sealed?;
        let mut to = self.to.take().ok_or_else(failed_before)?;
        to.flush().map_err(|error| FileError::io("flush a sealed file", error))?;
        Ok(to)
    }

    fn seal_chunk(&mut self, chunk: &[u8]) -> Result<(), FileError> {
        let mut to = self.to.take().ok_or_else(failed_before)?;
        if self.index >= MAX_CHUNKS {
            return Err(FileError::too_large());
        }
        let sealed = self.sealed.get_mut(..chunk.len() + TAG_LEN).ok_or_else(FileError::too_large)?;
        self.chunks.seal(self.index, chunk, sealed)?;
        to.write_all(sealed).map_err(|error| FileError::io("write a sealed file", error))?;
        self.index += 1;
        self.to = Some(to);
        Ok(())
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Whole chunks go past the buffer, without a copy.
        if let Some(chunk) = bytes.get(..CHUNK_LEN).filter(|_| self.pending.is_empty()) {
            self.seal_chunk(chunk)?;
            return Ok(CHUNK_LEN);
        }
        if self.to.is_none() {
            return Err(failed_before().into());
        }
        let count = bytes.len().min(CHUNK_LEN - self.pending.len());
        self.pending.extend_from_slice(bytes.get(..count).unwrap_or_default());
        if self.pending.len() == CHUNK_LEN {
            let full = std::mem::take(&mut *self.pending);
            let sealed = self.seal_chunk(&full);
            *self.pending = full;
            zeroize::Zeroize::zeroize(&mut *self.pending);
            sealed?;
        }
        Ok(count)
    }

    /// Hands on what is sealed already. A chunk that is not full stays here until it is.
    fn flush(&mut self) -> io::Result<()> {
        self.to.as_mut().ok_or_else(failed_before)?.flush()
    }
}

impl<W> std::fmt::Debug for SealingWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealingWriter").field("chunks", &self.index).finish_non_exhaustive()
    }
}

fn failed_before() -> FileError {
    FileError::io("go on", io::Error::other("an earlier write failed"))
}

/// Seals chunks from number `first` on, and the last one after them.
fn seal_chunks(chunks: &Chunks, first: u64, plain: &[u8], to: &mut [u8]) -> Result<(), FileError> {
    let (full, rest) = plain.as_chunks::<CHUNK_LEN>();
    let (to_full, to_rest) =
        to.split_at_mut_checked(full.len() * SEALED_LEN).ok_or_else(FileError::too_large)?;
    let (to_full, _) = to_full.as_chunks_mut::<SEALED_LEN>();
    let mut index = first;
    for (from, to) in full.iter().zip(to_full) {
        chunks.seal(index, from, to)?;
        index += 1;
    }
    Ok(chunks.seal(index, rest, to_rest)?)
}

/// Reads until `to` is full or the end is reached.
pub(super) fn fill(from: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = to.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
