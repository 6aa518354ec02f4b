//! What goes over a channel once it is open.

use std::fmt;
use std::io::{self, Read, Write};

use snow::TransportState;
use zeroize::{Zeroize, Zeroizing};

use super::handshake::ChannelError;

/// Bytes of a message's length, before it.
const HEAD: usize = 2;
/// Bytes of a tag.
const TAG_LEN: usize = 16;
/// Bytes of a message with its tag: what Noise allows.
const MAX_MESSAGE: usize = 65_535;
/// Bytes of plaintext in one message, after the byte that says what it is.
const MAX_DATA: usize = MAX_MESSAGE - TAG_LEN - 1;
/// Each direction changes its key after so many messages: what was sent before stays secret even from
/// somebody who takes the memory of an end later.
const REKEY_EVERY: u64 = 1 << 16;

const DATA: u8 = 0;
const END: u8 = 1;

/// An encrypted, authenticated channel over any reliable stream, such as a Unix or TCP socket. Opened by
/// [`ChannelSecret`](crate::ChannelSecret).
///
/// Bytes arrive unaltered and in order or not at all, and each end has keys that are made anew for each
/// channel. What an observer sees is how much goes when. [`close`](Self::close) says goodbye: where the
/// stream ends without it, reading fails with [`CutOff`](ChannelError::CutOff) instead of reporting the end.
///
/// ```
/// use codegenie_security::{ChannelSecret, SealingKey};
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// let (ours, theirs) = UnixStream::pair()?;
/// let secret = SealingKey::generate()?;
/// let text = std::thread::scope(|threads| {
///     threads.spawn(|| {
///         let mut channel = ChannelSecret::Shared(&secret).connect(ours, b"example").unwrap();
///         channel.write_all(b"over the wire, unreadable").unwrap();
///         channel.close().unwrap();
///     });
///     let mut text = String::new();
///     ChannelSecret::Shared(&secret).accept(theirs, b"example")?.read_to_string(&mut text)?;
///     Ok::<_, Box<dyn std::error::Error>>(text)
/// })?;
/// assert_eq!(text, "over the wire, unreadable");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # On the wire
///
/// Two handshake messages and then messages of each side, each after its length in 2 bytes, big-endian. A message
/// is a Noise transport message of one byte (`0` data, `1` the end) and the data. After 65,536 messages a
/// direction changes its key, as section 11.3 of the Noise specification has it.
pub struct SecureChannel<S> {
    stream: S,
    noise: TransportState,
    /// What was read from the stream and not yet handed out.
    received: Zeroizing<Vec<u8>>,
    used: usize,
    ended: bool,
    failed: bool,
    message: Vec<u8>,
    /// A message that comes in, with its length before it, and how much of that is there.
    incoming: Vec<u8>,
    filled: usize,
    counts: [u64; 2],
}

impl<S> SecureChannel<S> {
    pub(super) fn new(stream: S, noise: TransportState) -> Self {
        Self {
            stream,
            noise,
            received: Zeroizing::new(Vec::new()),
            used: 0,
            ended: false,
            failed: false,
            message: vec![0; MAX_MESSAGE],
            incoming: vec![0; HEAD + MAX_MESSAGE],
            filled: 0,
            counts: [0; 2],
        }
    }

    /// The stream below: for its addresses and time-outs. After a read that timed out, or would have blocked, the
    /// channel goes on; after a write that did, it does not, since half of a message may be gone. Reading or writing it breaks the channel.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: Write> SecureChannel<S> {
    /// Tells the other end that nothing more comes, and returns the stream.
    pub fn close(mut self) -> Result<S, ChannelError> {
        self.send(END, &[])?;
        self.stream.flush()?;
        Ok(self.stream)
    }

    fn send(&mut self, kind: u8, data: &[u8]) -> Result<(), ChannelError> {
        if self.failed {
            return Err(ChannelError::Refused);
        }
        // Until it is written whole.
        self.failed = true;
        let plaintext = Zeroizing::new([&[kind], data].concat());
        let len =
            self.noise.write_message(&plaintext, &mut self.message).map_err(|_| ChannelError::Refused)?;
        let sealed = self.message.get(..len).ok_or(ChannelError::Refused)?;
        let len = u16::try_from(len).map_err(|_| ChannelError::Refused)?;
        self.stream.write_all(&len.to_be_bytes())?;
        self.stream.write_all(sealed)?;
        let [sent, _] = &mut self.counts;
        *sent += 1;
        if sent.is_multiple_of(REKEY_EVERY) {
            self.noise.rekey_outgoing();
        }
        self.failed = false;
        Ok(())
    }
}

impl<S: Write> Write for SecureChannel<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let data = bytes.get(..MAX_DATA).unwrap_or(bytes);
        self.send(DATA, data)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Read> SecureChannel<S> {
    /// Reads until `wanted` bytes of the message are there. Where the stream has none at the moment, as with a time-out,
    /// what has come stays for the next time.
    fn fill(&mut self, wanted: usize) -> Result<(), ChannelError> {
        while self.filled < wanted {
            let room = self.incoming.get_mut(self.filled..wanted).ok_or(ChannelError::Refused)?;
            match self.stream.read(room) {
                Ok(0) => {
                    self.failed = true;
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let later = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                    self.failed = !later.contains(&error.kind());
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), ChannelError> {
        if self.failed {
            return Err(ChannelError::Refused);
        }
        self.received.zeroize();
        self.used = 0;
        self.fill(HEAD)?;
        let len = self.incoming.iter().take(HEAD).fold(0, |len, byte| len << 8 | usize::from(*byte));
        self.fill(HEAD + len)?;
        self.failed = true;
        self.filled = 0;
        let sealed = self.incoming.get(HEAD..HEAD + len).ok_or(ChannelError::Refused)?;
        let mut plaintext = Zeroizing::new(vec![0; sealed.len()]);
        let len = self.noise.read_message(sealed, &mut plaintext).map_err(|_| ChannelError::Refused)?;
        let [_, received] = &mut self.counts;
        *received += 1;
        if received.is_multiple_of(REKEY_EVERY) {
            self.noise.rekey_incoming();
        }
        plaintext.truncate(len);
        match plaintext.split_first() {
            Some((&DATA, _)) => {
                self.received = plaintext;
                self.used = 1;
            }
            Some((&END, [])) => self.ended = true,
            _ => return Err(ChannelError::Refused),
        }
        self.failed = false;
        Ok(())
    }
}

impl<S: Read> Read for SecureChannel<S> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.used >= self.received.len() && !self.ended && !to.is_empty() {
            self.receive()?;
        }
        let mut part = self.received.get(self.used..).unwrap_or_default();
        let count = part.read(to)?;
        self.used += count;
        Ok(count)
    }
}

impl<S> fmt::Debug for SecureChannel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureChannel").field("ended", &self.ended).finish_non_exhaustive()
    }
}
