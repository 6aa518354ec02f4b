//! Commands, judged: `cargo +nightly fuzz run validate -- -timeout=5`. An input that takes longer is not read in linear
//! time.
#![no_main]

#[path = "../exercises/validate.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exercise::validate(bytes));
