//! Notes and keys from strangers: what is read is shown as it was, and only what we signed is believed.
#![no_main]

#[path = "../exercises/tlog.rs"]
#[allow(dead_code, reason = "each target takes one of them")]
mod exercise;

libfuzzer_sys::fuzz_target!(|input: (&[u8], Vec<(u16, u8)>)| exercise::note(input.0, input.1));
