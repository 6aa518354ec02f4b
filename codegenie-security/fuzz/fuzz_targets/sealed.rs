//! Blobs that claim to be sealed, made up or altered: none opens, none panics.
#![no_main]

#[path = "../altered.rs"]
mod altered;

use codegenie_security::SealingKey;

libfuzzer_sys::fuzz_target!(|input: (&[u8], Vec<(u16, u8)>)| {
    let (bytes, changes) = input;
    let key = SealingKey::from_bytes([7; 32]);
    assert!(key.open(b"fuzz", bytes).is_err());
    let Ok(whole) = key.seal(b"fuzz", bytes) else { return };
    let altered = altered::altered(&whole, changes);
    match key.open(b"fuzz", &altered) {
        Ok(opened) => assert!(altered == whole && opened == bytes),
        Err(_) => assert!(altered != whole),
    }
});
