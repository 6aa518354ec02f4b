//! Texts that claim to prove a record, or to be a checkpoint of an anchor: no panic, and what is read is shown again as it
//! was.
#![no_main]

use codegenie_security::{AnchoredCheckpoint, RecordProof};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(proof) = RecordProof::parse(input) {
        assert_eq!(proof.to_string().as_bytes(), input);
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(anchored) = AnchoredCheckpoint::parse(text)
    {
        assert_eq!(anchored.to_string(), text);
    }
});
