//! Opening: a reader that seeks, and what is built on it.

use std::io::{self, Read, Seek, SeekFrom, Write};

use zeroize::{Zeroize, Zeroizing};

use super::super::backend::{AeadBackend, RustCrypto};
use super::super::chunked::{CHUNK_LEN, COMMITMENT_LEN, Chunks, MAX_CHUNKS, SALT_LEN, SEALED_LEN, TAG_LEN};
use super::super::key::KeyId;
use super::super::wrap::KeyWrapper;
use super::header::{FileError, Header};
use super::seal::fill;

/// Opens what [`FileSealer`](crate::FileSealer) sealed.
///
/// No byte of a chunk is handed out before the chunk is verified, and a file that ends too early is
/// refused at its end, whatever was read before.
///
#[doc = include_str!("FORMAT.md")]
#[derive(Clone)]
#[must_use = "an opener opens nothing until it is given something to read"]
pub struct FileOpener<'a> {
    pub(super) wrappers: Vec<&'a dyn KeyWrapper>,
    pub(super) context: &'a [u8],
    pub(super) backend: &'a dyn AeadBackend,
    pub(super) progress: Option<&'a (dyn Fn(u64) + Sync)>,
}

impl<'a> FileOpener<'a> {
    /// Opens with this key.
    pub fn new(key: &'a dyn KeyWrapper) -> Self {
        Self { wrappers: vec![key], context: b"", backend: &RustCrypto, progress: None }
    }

    /// Tries this key as well.
    pub fn or_with(mut self, key: &'a dyn KeyWrapper) -> Self {
        self.wrappers.push(key);
        self
    }

    /// The context that the file was sealed in.
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
    /// where several work. Not by what [`reader`](Self::reader) gives: whoever uses that knows how far it is.
    pub fn progress(mut self, callback: &'a (dyn Fn(u64) + Sync)) -> Self {
        self.progress = Some(callback);
        self
    }

    /// For which keys a sealed file says that it was sealed. Nothing is verified.
    pub fn key_ids(mut from: impl Read) -> Result<Vec<KeyId>, FileError> {
        Header::read_key_ids(&mut from)
    }

    /// A reader of the plaintext. Unwraps the file's key, so this is where a slow key is slow.
    ///
    /// It reads the header, and later whole chunks: `from` need not be buffered.
    pub fn reader<R: Read>(&self, mut from: R) -> Result<OpeningReader<R>, FileError> {
        let (chunks, start) = self.begin(&mut from)?;
        Ok(OpeningReader {
            from,
            chunks,
            start,
            index: 0,
            sealed: vec![0; SEALED_LEN],
            chunk: Zeroizing::new(vec![0; CHUNK_LEN]),
            offset: 0,
            loaded: 0,
            used: 0,
            state: State::Reading,
            len: None,
        })
    }

    /// Opens a whole file. What was written to `to` before an error is genuine, but not all of it: throw
    /// it away.
    pub fn open(&self, from: impl Read, mut to: impl Write) -> Result<u64, FileError> {
        let mut reader = self.reader(from)?;
        let mut done = 0;
        while let Some(part) = reader.next_chunk()? {
            to.write_all(part).map_err(|error| FileError::io("write what was opened", error))?;
            done += part.len() as u64;
            self.report(done);
        }
        to.flush().map_err(|error| FileError::io("flush what was opened", error))?;
        Ok(done)
    }

    /// Opens a sealed file in memory.
    pub fn open_slice(&self, sealed: &[u8]) -> Result<Vec<u8>, FileError> {
        let mut plaintext = Vec::with_capacity(sealed.len());
        match self.open(sealed, &mut plaintext) {
            Ok(_) => Ok(plaintext),
            Err(error) => {
                plaintext.zeroize();
                Err(error)
            }
        }
    }

    /// Reads the header, salt and commitment; the keys of the chunks, and where the first of them is.
    pub(super) fn begin(&self, from: &mut impl Read) -> Result<(Chunks, u64), FileError> {
        let header = Header::read(from, &self.wrappers)?;
        let mut start = [0; SALT_LEN + COMMITMENT_LEN];
        let count = fill(from, &mut start).map_err(|error| FileError::io("read a sealed file", error))?;
        if count < start.len() {
            return Err(FileError::truncated());
        }
        let chunks = header.open_body(self.backend, self.context, &start)?;
        Ok((chunks, (header.bytes.len() + start.len()) as u64))
    }

    pub(super) fn report(&self, done: u64) {
        if let Some(callback) = self.progress {
            callback(done);
        }
    }
}

impl std::fmt::Debug for FileOpener<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.wrappers.iter().map(|wrapper| wrapper.key_id()).collect();
        f.debug_struct("FileOpener")
            .field("keys", &keys)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// Reads the plaintext of a sealed file, each byte verified before it is handed out. Made by
/// [`FileOpener::reader`].
///
/// It seeks where what it reads from does: a read at a place costs one chunk. The position of the
/// sealed file within what it reads from is taken to be zero.
pub struct OpeningReader<R> {
    from: R,
    chunks: Chunks,
    /// Where the first chunk is.
    start: u64,
    /// The number of the chunk that is read next.
    index: u64,
    sealed: Vec<u8>,
    chunk: Zeroizing<Vec<u8>>,
    /// Where in the plaintext `chunk` begins.
    offset: u64,
    /// How much of `chunk` is plaintext, and how much of that was handed out.
    loaded: usize,
    used: usize,
    state: State,
    /// Bytes of plaintext, once its end was verified.
    len: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The last chunk was read.
    Ended,
    /// Something was refused; nothing more is handed out.
    Failed,
}

impl<R: Read> OpeningReader<R> {
    /// The next chunk, or what is left of the present one; `None` after the last.
    fn next_chunk(&mut self) -> Result<Option<&[u8]>, FileError> {
        if self.used == self.loaded {
            self.load()?;
        }
        if self.used == self.loaded {
            return Ok(None);
        }
        let part = self.chunk.get(self.used..self.loaded);
        self.used = self.loaded;
        Ok(part)
    }

    /// Verifies and decrypts the chunk that is next.
    fn load(&mut self) -> Result<(), FileError> {
        match self.state {
            State::Ended => return Ok(()),
            State::Failed => return Err(FileError::refused()),
            State::Reading => {}
        }
        if self.index >= MAX_CHUNKS {
            return Err(FileError::too_large());
        }
        (self.offset, self.loaded, self.used) = (self.index * CHUNK_LEN as u64, 0, 0);
        // Until the chunk is verified.
        self.state = State::Failed;
        let count = match fill(&mut self.from, &mut self.sealed) {
            Ok(count) => count,
            Err(error) => return Err(FileError::io("read a sealed file", error)),
        };
        let len = count.checked_sub(TAG_LEN).ok_or_else(FileError::truncated)?;
        let (sealed, chunk) = (self.sealed.get(..count), self.chunk.get_mut(..len));
        let (Some(sealed), Some(chunk)) = (sealed, chunk) else {
            return Err(FileError::truncated());
        };
        if self.chunks.open(self.index, sealed, chunk).is_err() {
            self.chunk.zeroize();
            self.chunk.resize(CHUNK_LEN, 0);
            return Err(FileError::refused());
        }
        self.loaded = len;
        if count < SEALED_LEN {
            self.len = Some(self.offset + len as u64);
            self.state = State::Ended;
        } else {
            self.state = State::Reading;
        }
        self.index += 1;
        Ok(())
    }
}

impl<R: Read> Read for OpeningReader<R> {
    /// Fails with an error that holds a [`FileError`], of kind `InvalidData` or `UnexpectedEof` where the
    /// file is to blame.
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        if self.used == self.loaded {
            self.load()?;
        }
        let mut part = self.chunk.get(self.used..self.loaded).unwrap_or_default();
        let count = part.read(to)?;
        self.used += count;
        Ok(count)
    }
}

impl<R: Read + Seek> OpeningReader<R> {
    /// Bytes of plaintext. Verified: the last chunk is read for it, once.
    pub fn plaintext_len(&mut self) -> Result<u64, FileError> {
        if let Some(len) = self.len {
            return Ok(len);
        }
        let position = self.position();
        let len = self.verified_len()?;
        self.go_to(position)?;
        Ok(len)
    }

    fn verified_len(&mut self) -> Result<u64, FileError> {
        let io = |error| FileError::io("seek in a sealed file", error);
        let end = self.from.seek(SeekFrom::End(0)).map_err(io)?;
        let body = end.checked_sub(self.start).ok_or_else(FileError::truncated)?;
        self.go_to((body / SEALED_LEN as u64).saturating_mul(CHUNK_LEN as u64))?;
        self.load()?;
        self.len.ok_or_else(FileError::truncated)
    }

    fn position(&self) -> u64 {
        self.offset + self.used as u64
    }

    /// Moves to a place that lies within the plaintext, or at its end.
    fn go_to(&mut self, position: u64) -> Result<(), FileError> {
        let (index, within) = (position / CHUNK_LEN as u64, (position % CHUNK_LEN as u64) as usize);
        let at = index.checked_mul(SEALED_LEN as u64).and_then(|offset| offset.checked_add(self.start));
        let at = at.ok_or_else(FileError::too_large)?;
        self.from.seek(SeekFrom::Start(at)).map_err(|error| FileError::io("seek in a sealed file", error))?;
        (self.index, self.offset) = (index, position - within as u64);
        (self.loaded, self.used, self.state) = (0, 0, State::Reading);
        if within > 0 {
            self.load()?;
            self.used = within.min(self.loaded);
        }
        Ok(())
    }
}

impl<R: Read + Seek> Seek for OpeningReader<R> {
    /// A place beyond the end is the end.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let before_start =
            || io::Error::new(io::ErrorKind::InvalidInput, "seek to before the start of the plaintext");
        let len = self.plaintext_len()?;
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position().checked_add_signed(offset),
        };
        let target = target.ok_or_else(before_start)?.min(len);
        self.go_to(target)?;
        Ok(target)
    }
}

impl<R> std::fmt::Debug for OpeningReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpeningReader").field("next_chunk", &self.index).finish_non_exhaustive()
    }
}
