//! Several wrapped copies of one key, as bytes.

use super::{KeyWrapper, UnwrapError, WrapError};
use crate::crypto::key::{KeyId, SealingKey};

const MAX_KEYS: usize = 64;
const MAX_WRAPPED: usize = 4096;
/// A hostile list makes nobody try more than this many copies, each of which may be slow on purpose.
const MAX_TRIED: usize = 4;
/// Bytes of an entry before its wrapped key.
const ENTRY_HEAD: usize = 18;

/// One key, wrapped for several wrappers: a count byte, and for each the id of the wrapper (16 bytes), the
/// length of the wrapped key (2 bytes, big-endian), and the wrapped key.
#[derive(Debug)]
pub(in crate::crypto) struct WrappedKeys {
    entries: Vec<(KeyId, Vec<u8>)>,
}

/// How far a list of wrapped keys reaches.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::crypto) enum Extent {
    /// So many bytes.
    Whole(usize),
    /// At least so many bytes further than those that are there.
    Missing(usize),
}

/// What is wrong with a list of wrapped keys.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::crypto) enum BlockError {
    /// The bytes end too early.
    Truncated,
    /// A count or a length out of bounds.
    Malformed,
}

impl WrappedKeys {
    /// Wraps `key` for each of them.
    pub(in crate::crypto) fn wrap(
        key: &SealingKey,
        wrappers: &[&dyn KeyWrapper],
        aad: &[u8],
    ) -> Result<Self, WrapError> {
        if wrappers.is_empty() || wrappers.len() > MAX_KEYS {
            return Err(WrapError::Count { count: wrappers.len() });
        }
        for wrapper in wrappers {
            let id = wrapper.key_id();
            let count = wrappers.iter().filter(|other| other.key_id() == id).count();
            if count > MAX_TRIED {
                return Err(WrapError::Alike { count });
            }
        }
        let wrap = |wrapper: &&dyn KeyWrapper| {
            let wrapped = wrapper.wrap_key(key, aad)?;
            match wrapped.len() {
                0..=MAX_WRAPPED => Ok((wrapper.key_id(), wrapped)),
                len => Err(WrapError::TooLarge { len }),
            }
        };
        Ok(Self { entries: wrappers.iter().map(wrap).collect::<Result<_, _>>()? })
    }

    /// The key, by any of the wrappers. `None` where no copy is for one of them; the last error where there
    /// is one and none unwraps.
    pub(in crate::crypto) fn unwrap(
        &self,
        wrappers: &[&dyn KeyWrapper],
        aad: &[u8],
    ) -> Result<Option<SealingKey>, UnwrapError> {
        let mut last = None;
        for wrapper in wrappers {
            let id = wrapper.key_id();
            for (_, wrapped) in self.entries.iter().filter(|(of, _)| *of == id).take(MAX_TRIED) {
                match wrapper.unwrap_key(wrapped, aad) {
                    Ok(key) => return Ok(Some(key)),
                    Err(error) => last = Some(error),
                }
            }
        }
        last.map_or(Ok(None), Err)
    }

    /// Who can unwrap it.
    pub(in crate::crypto) fn key_ids(&self) -> Vec<KeyId> {
        self.entries.iter().map(|(id, _)| *id).collect()
    }

    /// Appends the bytes.
    pub(in crate::crypto) fn encode(&self, out: &mut Vec<u8>) {
        // Both fit, since `wrap` and `decode` make no others.
        out.push(u8::try_from(self.entries.len()).unwrap_or(u8::MAX));
        for (id, wrapped) in &self.entries {
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(&u16::try_from(wrapped.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(wrapped);
        }
    }

    /// How far the list reaches that begins here, so that a reader takes no byte that comes after it.
    pub(in crate::crypto) fn extent(bytes: &[u8]) -> Result<Extent, BlockError> {
        let Some((count, mut rest)) = bytes.split_first() else {
            return Ok(Extent::Missing(1));
        };
        check_count(*count)?;
        for _ in 0..*count {
            let Some((head, after)) = rest.split_first_chunk::<ENTRY_HEAD>() else {
                return Ok(Extent::Missing(ENTRY_HEAD - rest.len()));
            };
            let [.., high, low] = head;
            let len = check_len(u16::from_be_bytes([*high, *low]))?;
            match after.split_at_checked(len) {
                Some((_, after)) => rest = after,
                None => return Ok(Extent::Missing(len - after.len())),
            }
        }
        Ok(Extent::Whole(bytes.len() - rest.len()))
    }

    /// Reads what [`encode`](Self::encode) wrote, and returns what follows it.
    pub(in crate::crypto) fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), BlockError> {
        let Extent::Whole(len) = Self::extent(bytes)? else {
            return Err(BlockError::Truncated);
        };
        let (list, after) = bytes.split_at_checked(len).ok_or(BlockError::Truncated)?;
        let mut rest = list.get(1..).ok_or(BlockError::Truncated)?;
        let mut entries = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<ENTRY_HEAD>() {
            let (id, len) = head.split_first_chunk::<16>().ok_or(BlockError::Truncated)?;
            let len = len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
            let (wrapped, after) = after.split_at_checked(len).ok_or(BlockError::Truncated)?;
            entries.push((KeyId(*id), wrapped.to_vec()));
            rest = after;
        }
        Ok((Self { entries }, after))
    }
}

fn check_count(count: u8) -> Result<(), BlockError> {
    if (1..=MAX_KEYS).contains(&usize::from(count)) { Ok(()) } else { Err(BlockError::Malformed) }
}

fn check_len(len: u16) -> Result<usize, BlockError> {
    let len = usize::from(len);
    if len <= MAX_WRAPPED { Ok(len) } else { Err(BlockError::Malformed) }
}
