//! What a peer may send: a handshake and messages that are not of ours are refused, without a panic.
#![no_main]

use std::io::{self, Read, Write};

use codegenie_security::{ChannelSecret, SealingKey};

/// Reads what the fuzzer made up, and forgets what is written.
struct Peer<'a>(&'a [u8]);

impl Read for Peer<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.read(to)
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let key = SealingKey::from_bytes([7; 32]);
    assert!(ChannelSecret::Shared(&key).accept(Peer(bytes), b"").is_err());
    assert!(ChannelSecret::Shared(&key).connect(Peer(bytes), b"").is_err());
});
