//! Unified diffs, read and applied: `cargo +nightly fuzz run patch`.
#![no_main]

#[path = "../exercises/patch.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exercise::patch(bytes));
