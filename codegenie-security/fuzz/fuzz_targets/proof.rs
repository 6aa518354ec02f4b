//! Checkpoints and proofs from strangers: what is read is shown as it was, and only what was logged is proved.
#![no_main]

#[path = "../exercises/tlog.rs"]
#[allow(dead_code, reason = "each target takes one of them")]
mod exercise;

libfuzzer_sys::fuzz_target!(|input: (&[u8], Vec<(u16, u8)>)| exercise::proof(input.0, input.1));
