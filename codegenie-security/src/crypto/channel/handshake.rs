//! Who is at the other end, and the keys that follow from it.

use std::fmt;
use std::io::{self, Read, Write};

use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

use super::stream::SecureChannel;
use crate::crypto::key::{NoRandomness, SealingKey, random};
use crate::crypto::secret::SecretBytes;

const KNOWN_KEYS: &str = "Noise_KK_25519_ChaChaPoly_SHA256";
const SHARED_SECRET: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
const PROLOGUE: &[u8] = b"codegenie channel v1";
/// No message of a handshake is longer.
const MAX_HANDSHAKE: usize = 256;

/// Why a channel was not opened, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The other end is not who it should be, speaks something else, or somebody between alters bytes.
    /// Opaque on purpose.
    #[error(
        "channel refused: the peer has other keys, speaks another protocol, or bytes were altered; check both ends' keys"
    )]
    Refused,
    /// The other end went away without saying goodbye.
    #[error(
        "channel cut off: the peer closed it without its end; what came before is genuine, and may not be all"
    )]
    CutOff,
    /// Reading or writing failed.
    #[error("channel: {0}")]
    Io(io::Error),
    /// No random bytes could be had.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<ChannelError> for io::Error {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Io(error) => error,
            ChannelError::CutOff => Self::new(io::ErrorKind::UnexpectedEof, error),
            ChannelError::Refused => Self::new(io::ErrorKind::InvalidData, error),
            ChannelError::NoRandomness(_) => Self::other(error),
        }
    }
}

impl From<io::Error> for ChannelError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ => Self::Io(error),
        }
    }
}

/// One end's long-term X25519 key. Wiped when dropped, hidden in `Debug`.
pub struct ChannelIdentity {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl ChannelIdentity {
    /// A new random key.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self::from_secret_bytes(random()?))
    }

    /// The key of 32 bytes of full entropy. The array that the caller still holds is the caller's to wipe.
    #[must_use]
    pub fn from_secret_bytes(secret: [u8; 32]) -> Self {
        let secret = Zeroizing::new(secret);
        let public = x25519_dalek::x25519(*secret, x25519_dalek::X25519_BASEPOINT_BYTES);
        Self { secret, public }
    }

    /// The secret, to be kept where it is safe.
    #[must_use]
    pub fn to_secret_bytes(&self) -> SecretBytes {
        SecretBytes::new(self.secret.to_vec())
    }

    /// What the other end must be told beforehand, by a way that nobody can alter.
    #[must_use]
    pub fn peer(&self) -> ChannelPeer {
        ChannelPeer(self.public)
    }
}

impl fmt::Debug for ChannelIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelIdentity").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

/// The public key of the one that a channel is to be opened with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelPeer([u8; 32]);

impl ChannelPeer {
    /// Takes over a key as RFC 7748 encodes it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key as RFC 7748 encodes it.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for ChannelPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelPeer(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// What lets two ends recognize each other.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ChannelSecret<'a> {
    /// Each has a key of its own and knows the other's: Noise KK. Whoever steals one end's key can
    /// impersonate that end, and to it everybody.
    Keys(&'a ChannelIdentity, ChannelPeer),
    /// Both have the same key, such as a host and a process that it started: Noise NNpsk0. Whoever has it
    /// can be either end.
    Shared(&'a SealingKey),
}

impl<'a> ChannelSecret<'a> {
    /// Opens a channel as the end that speaks first. `purpose` must be the same at both ends.
    pub fn connect<S: Read + Write>(
        self,
        stream: S,
        purpose: &[u8],
    ) -> Result<SecureChannel<S>, ChannelError> {
        self.handshake(stream, purpose, true)
    }

    /// Opens a channel as the end that answers. `purpose` must be the same at both ends.
    ///
    /// The one who connects is known when the first message was read from the channel, and not before: a
    /// recorded beginning can be played again until then.
    pub fn accept<S: Read + Write>(
        self,
        stream: S,
        purpose: &[u8],
    ) -> Result<SecureChannel<S>, ChannelError> {
        self.handshake(stream, purpose, false)
    }

    fn handshake<S: Read + Write>(
        self,
        mut stream: S,
        purpose: &[u8],
        initiator: bool,
    ) -> Result<SecureChannel<S>, ChannelError> {
        let mut state = self.state(purpose, initiator)?;
        for turn in [true, false] {
            if turn == initiator {
                let mut message = [0; MAX_HANDSHAKE];
                let len = state.write_message(&[], &mut message).map_err(refused)?;
                send(&mut stream, message.get(..len).unwrap_or_default())?;
            } else {
                let message = receive(&mut stream)?;
                state.read_message(&message, &mut [0; MAX_HANDSHAKE]).map_err(refused)?;
            }
        }
        let transport: TransportState = state.into_transport_mode().map_err(refused)?;
        Ok(SecureChannel::new(stream, transport))
    }

    fn state(self, purpose: &[u8], initiator: bool) -> Result<HandshakeState, ChannelError> {
        // Asked for once, so that the want of randomness is an error here and not a panic below.
        random::<1>()?;
        let pattern = match self {
            Self::Keys(..) => KNOWN_KEYS,
            Self::Shared(_) => SHARED_SECRET,
        };
        let prologue = [PROLOGUE, &[0], purpose].concat();
        let builder = Builder::new(pattern.parse().map_err(refused)?).prologue(&prologue).map_err(refused)?;
        let shared;
        let builder = match &self {
            Self::Keys(own, peer) => builder
                .local_private_key(&*own.secret)
                .and_then(|builder| builder.remote_public_key(&peer.0))
                .map_err(refused)?,
            Self::Shared(key) => {
                shared = key.derive("codegenie channel v1");
                builder.psk(0, shared.expose()).map_err(refused)?
            }
        };
        if initiator { builder.build_initiator() } else { builder.build_responder() }.map_err(refused)
    }
}

fn refused(_: snow::Error) -> ChannelError {
    ChannelError::Refused
}

fn send(stream: &mut impl Write, message: &[u8]) -> Result<(), ChannelError> {
    let len = u16::try_from(message.len()).map_err(|_| ChannelError::Refused)?;
    stream.write_all(&len.to_be_bytes())?;
    stream.write_all(message)?;
    Ok(stream.flush()?)
}

fn receive(stream: &mut impl Read) -> Result<Vec<u8>, ChannelError> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let len = usize::from(u16::from_be_bytes(len));
    if len > MAX_HANDSHAKE {
        return Err(ChannelError::Refused);
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message)?;
    Ok(message)
}
