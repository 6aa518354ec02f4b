//! Key sets that claim to be stored, made up or altered: none loads, none panics.
#![no_main]

use codegenie_security::{Keyset, SealingKey};
use std::time::SystemTime;

libfuzzer_sys::fuzz_target!(|input: (&[u8], Vec<(u16, u8)>)| {
    let (bytes, changes) = input;
    let key = SealingKey::from_bytes([7; 32]);
    assert!(Keyset::from_stored(bytes, &[&key]).is_err());
    let set = Keyset::from_key(SealingKey::from_bytes([8; 32]), SystemTime::UNIX_EPOCH);
    let Ok(whole) = set.to_stored(&[&key]) else { return };
    let mut altered = whole.clone();
    for (place, mask) in changes {
        let place = usize::from(place) % (altered.len() + 1);
        match altered.get_mut(place) {
            Some(byte) => *byte ^= mask,
            None => altered.push(mask),
        }
    }
    assert_eq!(Keyset::from_stored(&altered, &[&key]).is_ok(), altered == whole);
});
