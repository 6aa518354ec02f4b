//! What stands before the chunks, and what can be wrong with a sealed file.

use std::fmt;
use std::io::{self, Read};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::backend::{AeadBackend, AeadRefused};
use super::super::chunked::{COMMITMENT_LEN, Chunks, SALT_LEN};
use super::super::key::{KeyId, NoRandomness, SealingKey, random};
use super::super::wrap::{Extent, KeyWrapper, UnwrapError, WrapError, WrappedKeys};

const MAGIC: [u8; 4] = *b"CGSF";
const VERSION: u8 = 1;
/// Bytes before the list of wrapped keys.
const PREFIX_LEN: usize = MAGIC.len() + 1;
const HEADER_COMMITMENT_LEN: usize = 32;
const WRAP_AAD: &[u8] = b"codegenie file v1";

/// Why a file was not sealed or not opened.
///
/// Opening tells apart what everybody who has the file can see. Whether the key, the context or the
/// data was wrong is told by nothing but [`Refused`](FileErrorKind::Refused).
#[derive(Debug)]
pub struct FileError {
    kind: FileErrorKind,
    detail: Detail,
}

#[derive(Debug)]
enum Detail {
    Text(String),
    Io(&'static str, io::Error),
    Wrap(WrapError),
    Unwrap(UnwrapError),
}

/// The kinds of [`FileError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// It does not begin as a sealed file does, or its header is malformed.
    NotSealed,
    /// It was made by a version that this one does not know.
    UnknownVersion,
    /// It ends before its end: something was cut off, or is still being written.
    Truncated,
    /// It is sealed for other keys than those given.
    NoKey,
    /// A key's owner refused, or cannot be reached, or the key could not be wrapped.
    Key,
    /// Altered, out of order, with another context, or not by this key.
    Refused,
    /// More than 4 PiB.
    TooLarge,
    /// Reading, writing or a system call failed.
    Io,
}

impl FileError {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> FileErrorKind {
        self.kind
    }

    pub(super) fn refused() -> Self {
        let text =
            "sealed file refused: altered, cut in between, or sealed for another context; it cannot be used";
        Self { kind: FileErrorKind::Refused, detail: Detail::Text(text.to_owned()) }
    }

    pub(super) fn truncated() -> Self {
        let text = "sealed file ends too early; fetch it again, or wait until it is written";
        Self { kind: FileErrorKind::Truncated, detail: Detail::Text(text.to_owned()) }
    }

    pub(super) fn too_large() -> Self {
        let text = "more than 4 PiB are not sealed as one file; split it";
        Self { kind: FileErrorKind::TooLarge, detail: Detail::Text(text.to_owned()) }
    }

    pub(super) fn io(action: &'static str, error: io::Error) -> Self {
        // What an `OpeningReader` or `SealingWriter` below said is said again, not wrapped again.
        match error.downcast::<Self>() {
            Ok(inner) => inner,
            Err(error) => Self { kind: FileErrorKind::Io, detail: Detail::Io(action, error) },
        }
    }

    fn not_sealed(text: &str) -> Self {
        Self { kind: FileErrorKind::NotSealed, detail: Detail::Text(text.to_owned()) }
    }

    fn no_key(ids: &[KeyId]) -> Self {
        let ids = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("sealed for other keys than those given; it opens with {ids}");
        Self { kind: FileErrorKind::NoKey, detail: Detail::Text(text) }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Detail::Text(text) => f.write_str(text),
            Detail::Io(action, error) => write!(f, "cannot {action}: {error}; see to it and begin again"),
            Detail::Wrap(error) => write!(f, "the file's key: {error}"),
            Detail::Unwrap(error) => write!(f, "the file's key: {error}"),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.detail {
            Detail::Text(_) => None,
            Detail::Io(_, error) => Some(error),
            Detail::Wrap(error) => Some(error),
            Detail::Unwrap(error) => Some(error),
        }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        let kind = match error.kind {
            FileErrorKind::Io => match &error.detail {
                Detail::Io(_, inner) => inner.kind(),
                _ => io::ErrorKind::Other,
            },
            FileErrorKind::Truncated => io::ErrorKind::UnexpectedEof,
            FileErrorKind::Key | FileErrorKind::TooLarge => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl From<WrapError> for FileError {
    fn from(error: WrapError) -> Self {
        Self { kind: FileErrorKind::Key, detail: Detail::Wrap(error) }
    }
}

impl From<NoRandomness> for FileError {
    fn from(error: NoRandomness) -> Self {
        WrapError::from(error).into()
    }
}

impl From<UnwrapError> for FileError {
    fn from(error: UnwrapError) -> Self {
        let kind = match error {
            UnwrapError::Refused => FileErrorKind::Refused,
            _ => FileErrorKind::Key,
        };
        Self { kind, detail: Detail::Unwrap(error) }
    }
}

impl From<AeadRefused> for FileError {
    fn from(_: AeadRefused) -> Self {
        Self::refused()
    }
}

/// The bytes before the salt, and the key that they hold for whoever can unwrap it.
pub(super) struct Header {
    pub(super) bytes: Vec<u8>,
    pub(super) key: SealingKey,
}

impl Header {
    /// A header of a new file.
    pub(super) fn generate(wrappers: &[&dyn KeyWrapper]) -> Result<Self, FileError> {
        Self::of_key(SealingKey::generate()?, wrappers)
    }

    /// A header for a key that a body is sealed under already.
    pub(super) fn of_key(key: SealingKey, wrappers: &[&dyn KeyWrapper]) -> Result<Self, FileError> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        WrappedKeys::wrap(&key, wrappers, WRAP_AAD)?.encode(&mut bytes);
        let commitment = commitment(&key, &bytes);
        bytes.extend_from_slice(&commitment);
        Ok(Self { bytes, key })
    }

    /// Reads a header, and no byte more, and unwraps its key.
    pub(super) fn read(from: &mut impl Read, wrappers: &[&dyn KeyWrapper]) -> Result<Self, FileError> {
        Self::parse(read_bytes(from)?, wrappers)
    }

    /// Who can open a file, as far as its header goes: nobody has checked it.
    pub(super) fn read_key_ids(from: &mut impl Read) -> Result<Vec<KeyId>, FileError> {
        let bytes = read_bytes(from)?;
        let list = bytes.get(PREFIX_LEN..).unwrap_or_default();
        Ok(WrappedKeys::decode(list).map_err(|_| malformed())?.0.key_ids())
    }

    /// How many bytes more the header that begins here has at least; 0 when it is whole.
    pub(super) fn missing(bytes: &[u8]) -> Result<usize, FileError> {
        let Some(list) = bytes.get(PREFIX_LEN..) else {
            return Ok(PREFIX_LEN - bytes.len());
        };
        if !bytes.starts_with(&MAGIC) {
            let text = "not a sealed file: it does not begin with `CGSF`; pass what was sealed";
            return Err(FileError::not_sealed(text));
        }
        match bytes.get(MAGIC.len()) {
            Some(&VERSION) | None => {}
            Some(other) => {
                let text = format!(
                    "sealed file of version {other}, this library reads version {VERSION}; update the library"
                );
                return Err(FileError { kind: FileErrorKind::UnknownVersion, detail: Detail::Text(text) });
            }
        }
        match WrappedKeys::extent(list).map_err(|_| malformed())? {
            Extent::Missing(count) => Ok(count),
            Extent::Whole(len) => Ok((len + HEADER_COMMITMENT_LEN).saturating_sub(list.len())),
        }
    }

    /// Takes over the bytes of a whole header, and unwraps its key.
    pub(super) fn parse(bytes: Vec<u8>, wrappers: &[&dyn KeyWrapper]) -> Result<Self, FileError> {
        let list = bytes.get(PREFIX_LEN..).unwrap_or_default();
        let (wrapped, found) = WrappedKeys::decode(list).map_err(|_| malformed())?;
        let key = wrapped.unwrap(wrappers, WRAP_AAD)?.ok_or_else(|| FileError::no_key(&wrapped.key_ids()))?;
        let before = bytes.get(..bytes.len() - found.len()).unwrap_or_default();
        if !bool::from(commitment(&key, before).ct_eq(found)) {
            return Err(FileError::refused());
        }
        Ok(Self { bytes, key })
    }

    /// The keys of a new body, and the salt and commitment that it begins with.
    pub(super) fn start_body(
        &self,
        backend: &dyn AeadBackend,
        context: &[u8],
    ) -> Result<(Chunks, [u8; SALT_LEN + COMMITMENT_LEN]), FileError> {
        let salt = random::<SALT_LEN>()?;
        let (chunks, commitment) = self.derive(backend, &salt, context)?;
        let mut start = [0; SALT_LEN + COMMITMENT_LEN];
        start.iter_mut().zip(salt.iter().chain(&commitment)).for_each(|(to, from)| *to = *from);
        Ok((chunks, start))
    }

    /// The keys of a body that begins with this salt and commitment.
    pub(super) fn open_body(
        &self,
        backend: &dyn AeadBackend,
        context: &[u8],
        start: &[u8; SALT_LEN + COMMITMENT_LEN],
    ) -> Result<Chunks, FileError> {
        let (salt, found) = start.split_first_chunk::<SALT_LEN>().ok_or_else(FileError::truncated)?;
        let (chunks, commitment) = self.derive(backend, salt, context)?;
        if bool::from(commitment.ct_eq(found)) { Ok(chunks) } else { Err(FileError::refused()) }
    }

    fn derive(
        &self,
        backend: &dyn AeadBackend,
        salt: &[u8; SALT_LEN],
        context: &[u8],
    ) -> Result<(Chunks, [u8; COMMITMENT_LEN]), FileError> {
        let mut input = Zeroizing::new([0; 32]);
        self.key.expand(None, &[b"codegenie file body v1"], &mut *input);
        let context = [b"codegenie file v1\0", context].concat();
        Ok(Chunks::derive(backend, &input, salt, &context)?)
    }
}

fn commitment(key: &SealingKey, header: &[u8]) -> [u8; HEADER_COMMITMENT_LEN] {
    let mut commitment = [0; HEADER_COMMITMENT_LEN];
    key.expand(None, &[b"codegenie file header v1\0", header], &mut commitment);
    commitment
}

/// Reads as many bytes as the header turns out to have, at most 64 copies of 4 KiB.
fn read_bytes(from: &mut impl Read) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        match Header::missing(&bytes)? {
            0 => return Ok(bytes),
            count => bytes.resize(before + count, 0),
        }
        let to = bytes.get_mut(before..).unwrap_or_default();
        from.read_exact(to).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FileError::truncated(),
            _ => FileError::io("read the header of a sealed file", error),
        })?;
    }
}

fn malformed() -> FileError {
    FileError::not_sealed("the header of the sealed file is malformed; fetch it again")
}
