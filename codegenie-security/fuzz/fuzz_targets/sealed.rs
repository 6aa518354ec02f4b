//! Blobs that claim to be sealed: none opens, none panics.
#![no_main]

use codegenie_security::SealingKey;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let key = SealingKey::from_bytes([7; 32]);
    assert!(key.open(b"fuzz", bytes).is_err());
});
