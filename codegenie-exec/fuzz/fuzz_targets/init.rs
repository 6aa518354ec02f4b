//! Everything that may come over the control socket: `cargo +nightly fuzz run init`.
#![no_main]

#[path = "../exercises/init.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exercise::init(bytes));
