//! Key sets that claim to be stored, made up or altered: none loads, none panics.
#![no_main]

#[path = "../altered.rs"]
mod altered;

use codegenie_security::{Keyset, SealingKey};
use std::time::SystemTime;

libfuzzer_sys::fuzz_target!(|input: (&[u8], Vec<(u16, u8)>)| {
    let (bytes, changes) = input;
    let key = SealingKey::from_bytes([7; 32]);
    assert!(Keyset::from_stored(bytes, &[&key]).is_err());
    let set = Keyset::from_key(SealingKey::from_bytes([8; 32]), SystemTime::UNIX_EPOCH);
    let Ok(whole) = set.to_stored(&[&key]) else { return };
    let altered = altered::altered(&whole, changes);
    assert_eq!(Keyset::from_stored(&altered, &[&key]).is_ok(), altered == whole);
});
