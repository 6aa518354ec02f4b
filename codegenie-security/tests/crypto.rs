//! Cryptography through the public interface.
#![cfg(feature = "crypto")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "crypto/channel.rs"]
#[cfg(all(feature = "channel", unix))]
mod channel;
#[path = "crypto/files.rs"]
mod files;
#[path = "crypto/files_hostile.rs"]
mod files_hostile;
#[path = "crypto/keyring.rs"]
#[cfg(all(feature = "keyring", target_os = "linux"))]
mod keyring;
#[path = "crypto/keysets.rs"]
mod keysets;
#[path = "crypto/passwords.rs"]
mod passwords;
#[path = "crypto/recipients.rs"]
mod recipients;
#[path = "crypto/sealed_and_keys.rs"]
mod sealed_and_keys;
#[path = "crypto/secrets.rs"]
mod secrets;
#[path = "crypto/signatures.rs"]
mod signatures;
#[path = "crypto/vectors.rs"]
mod vectors;

use codegenie_security::SealingKey;

fn key() -> SealingKey {
    SealingKey::from_bytes(std::array::from_fn(|i| i as u8))
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Bytes that are not all alike, and the same each time.
fn some_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}
