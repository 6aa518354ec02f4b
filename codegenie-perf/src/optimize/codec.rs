//! How a typed result becomes the bytes that a cache keeps.

use std::error::Error;
use std::fmt;

/// Turns values into bytes and back. A law: `decode(encode(v))` gives a value equal to `v`.
///
/// A codec that meets bytes it cannot read (another version wrote them) returns an error: the
/// value is then computed and stored anew.
///
/// ```
/// use codegenie_perf::{Codec, FnCodec};
///
/// // With serde_json it would be: FnCodec::new(|v| Ok(serde_json::to_vec(v)?), |b| Ok(serde_json::from_slice(b)?))
/// let lines = FnCodec::new(
///     |n: &u64| Ok(n.to_be_bytes().to_vec()),
///     |bytes| Ok(u64::from_be_bytes(bytes.try_into()?)),
/// );
/// assert_eq!(lines.decode(&lines.encode(&7).unwrap()).unwrap(), 7);
/// assert!(lines.decode(b"short").is_err());
/// ```
pub trait Codec<T> {
    /// The bytes of `value`.
    fn encode(&self, value: &T) -> Result<Vec<u8>, CodecError>;

    /// The value of `bytes`.
    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError>;
}

/// A value could not be turned into bytes, or bytes not into a value. Any error converts into it.
pub struct CodecError(Box<dyn Error + Send + Sync>);

impl CodecError {
    /// The error that the codec met.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

// As with `Box<dyn Error>`, converting from every error rules out being one.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for CodecError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// For `Vec<u8>`: the bytes as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BytesCodec;

impl Codec<Vec<u8>> for BytesCodec {
    fn encode(&self, value: &Vec<u8>) -> Result<Vec<u8>, CodecError> {
        Ok(value.clone())
    }
    fn decode(&self, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }
}

/// For `String`: UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCodec;

impl Codec<String> for TextCodec {
    fn encode(&self, value: &String) -> Result<Vec<u8>, CodecError> {
        Ok(value.as_bytes().to_vec())
    }
    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        Ok(std::str::from_utf8(bytes)?.to_owned())
    }
}

/// A codec of two closures, made by [`FnCodec::new`].
#[derive(Clone, Copy)]
pub struct FnCodec<E, D> {
    encode: E,
    decode: D,
}

impl<E, D> FnCodec<E, D> {
    /// A codec that encodes by `encode` and decodes by `decode`.
    pub const fn new<T>(encode: E, decode: D) -> Self
    where
        E: Fn(&T) -> Result<Vec<u8>, CodecError>,
        D: Fn(&[u8]) -> Result<T, CodecError>,
    {
        Self { encode, decode }
    }
}

impl<T, E, D> Codec<T> for FnCodec<E, D>
where
    E: Fn(&T) -> Result<Vec<u8>, CodecError>,
    D: Fn(&[u8]) -> Result<T, CodecError>,
{
    fn encode(&self, value: &T) -> Result<Vec<u8>, CodecError> {
        (self.encode)(value)
    }
    fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        (self.decode)(bytes)
    }
}

impl<E, D> fmt::Debug for FnCodec<E, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnCodec").finish_non_exhaustive()
    }
}
