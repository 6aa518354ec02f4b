//! Key sets that claim to be stored: none loads, none panics.
#![no_main]

use codegenie_security::{Keyset, SealingKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let key = SealingKey::from_bytes([7; 32]);
    assert!(Keyset::from_stored(bytes, &[&key]).is_err());
});
