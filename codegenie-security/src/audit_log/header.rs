//! The first frame of a segment: in which epoch it is, what came before it, and who can read it.
//!
//! Nothing in it is secret. It is a leaf of the tree like any frame, so a checkpoint vouches for it.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | kind `1`, `CGSEG`, version `2`, 0 |
//! | 32 | log id |
//! | 8 | number of the segment, which is that of its epoch |
//! | 32 | random salt |
//! | 8, 4 | time of its making: seconds and nanoseconds since 1970 |
//! | 16 | id of this boot of the machine, zeros where it has none |
//! | 8 | sequence number of its first record |
//! | 2, n | state of the tree before it ([`Tree::to_bytes`](crate::tlog::Tree::to_bytes)) |
//! | 2, n | the last checkpoint of the segment before, empty for the first |
//! | 2, n | certificate of the epoch: a note of the identity |
//! | 1 | number of readers, and for each |
//! | 16, 2, n | the id of its key, and the key of the epoch wrapped for it |
//! | 64 | signature of all before by the key of the epoch |

use std::time::Duration;

use super::codec::Input;
use super::frame::{LogId, PREFIX_LEN, framed};
use crate::crypto::{KeyId, KeyWrapper, SealingKey, Signature, SigningKey, WrapError};
use crate::tlog::{NoteVerifier, Tree};

const MAGIC: [u8; 8] = *b"\x01CGSEG\x02\x00";

pub(super) struct Header {
    pub(super) log_id: LogId,
    pub(super) segment: u64,
    pub(super) salt: [u8; 32],
    pub(super) time: Duration,
    pub(super) boot: [u8; 16],
    pub(super) first: u64,
    pub(super) tree: Tree,
    pub(super) closing: Vec<u8>,
    pub(super) certificate: Vec<u8>,
    pub(super) readers: Vec<(KeyId, Vec<u8>)>,
}

const CONTEXT: &[u8] = b"codegenie audit header v1";

impl Header {
    /// The frame, signed. `None` when a part is too long for it.
    pub(super) fn to_frame(&self, signer: &SigningKey) -> Option<Vec<u8>> {
        let mut body = MAGIC.to_vec();
        body.extend_from_slice(&self.log_id);
        body.extend_from_slice(&self.segment.to_le_bytes());
        body.extend_from_slice(&self.salt);
        body.extend_from_slice(&self.time.as_secs().to_le_bytes());
        body.extend_from_slice(&self.time.subsec_nanos().to_le_bytes());
        body.extend_from_slice(&self.boot);
        body.extend_from_slice(&self.first.to_le_bytes());
        put(&mut body, &self.tree.to_bytes())?;
        put(&mut body, &self.closing)?;
        put(&mut body, &self.certificate)?;
        body.push(u8::try_from(self.readers.len()).ok()?);
        for (id, wrapped) in &self.readers {
            body.extend_from_slice(id.as_bytes());
            put(&mut body, wrapped)?;
        }
        let signature = signer.sign(CONTEXT, &body);
        body.extend_from_slice(&signature.to_bytes());
        framed(&body)
    }

    /// Did the key of the epoch sign a frame that is a header?
    pub(super) fn is_signed(frame: &[u8], signer: &NoteVerifier) -> bool {
        let signed = frame.get(PREFIX_LEN..).and_then(<[u8]>::split_last_chunk::<{ Signature::LEN }>);
        signed.is_some_and(|(body, signature)| {
            signer.key().verify(CONTEXT, body, &Signature::from_bytes(*signature)).is_ok()
        })
    }

    /// Takes a frame apart. `None` when it is no header of this version. Who signed it is not asked yet.
    pub(super) fn parse(frame: &[u8]) -> Option<Self> {
        let (body, _signature) = frame.get(PREFIX_LEN..)?.split_last_chunk::<{ Signature::LEN }>()?;
        let mut input = Input::new(body);
        if input.array::<8>()? != MAGIC {
            return None;
        }
        let (log_id, segment) = (input.array()?, u64::from_le_bytes(input.array()?));
        let (salt, seconds, nanos) = (input.array()?, u64::from_le_bytes(input.array()?), input.count()?);
        let time = (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))?;
        let (boot, first) = (input.array()?, u64::from_le_bytes(input.array()?));
        let tree = Tree::from_bytes(get(&mut input)?).ok()?;
        let (closing, certificate) = (get(&mut input)?.to_vec(), get(&mut input)?.to_vec());
        let mut readers = Vec::new();
        for _ in 0..input.byte()? {
            readers.push((KeyId(input.array()?), get(&mut input)?.to_vec()));
        }
        let header = Self { log_id, segment, salt, time, boot, first, tree, closing, certificate, readers };
        input.is_empty().then_some(header)
    }

    /// Is the frame a header of a version that this library does not know?
    pub(super) fn is_of_another_version(frame: &[u8]) -> bool {
        frame
            .get(PREFIX_LEN..)
            .is_some_and(|body| body.starts_with(b"\x01CGSEG") && !body.starts_with(&MAGIC))
    }

    /// What the key of the epoch is wrapped with.
    pub(super) fn aad(log_id: &LogId, segment: u64) -> Vec<u8> {
        [b"codegenie audit epoch key v1".as_slice(), log_id, &segment.to_le_bytes()].concat()
    }

    /// Wraps the key of the epoch for a reader.
    pub(super) fn wrap(
        log_id: &LogId,
        segment: u64,
        read: &SealingKey,
        reader: &dyn KeyWrapper,
    ) -> Result<(KeyId, Vec<u8>), WrapError> {
        Ok((reader.key_id(), reader.wrap_key(read, &Self::aad(log_id, segment))?))
    }

    /// The key of the epoch, for a reader that it was wrapped for.
    pub(super) fn read_key(&self, reader: &dyn KeyWrapper) -> Option<SealingKey> {
        let aad = Self::aad(&self.log_id, self.segment);
        let id = reader.key_id();
        let mut own = self.readers.iter().filter(|(known, _)| *known == id);
        own.find_map(|(_, wrapped)| reader.unwrap_key(wrapped, &aad).ok())
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.extend_from_slice(&u16::try_from(bytes.len()).ok()?.to_le_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

fn get<'a>(input: &mut Input<'a>) -> Option<&'a [u8]> {
    let len = u16::from_le_bytes(input.array()?);
    input.bytes(len.into())
}
