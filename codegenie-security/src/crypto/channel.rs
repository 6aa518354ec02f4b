//! An encrypted channel between two processes, by the Noise protocol.

mod handshake;
mod stream;

pub use handshake::{ChannelError, ChannelIdentity, ChannelPeer, ChannelSecret};
pub use stream::SecureChannel;
