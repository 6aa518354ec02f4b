//! Everything that a client of the filtering proxy may send: `cargo +nightly fuzz run proxy`.
#![no_main]

#[path = "../exercises/proxy.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exercise::proxy(bytes));
