//! Any text, and any list of arguments: no panic, and what is without its secrets has no more of them.
#![no_main]

#[path = "../exercises/redaction.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|input: (&str, Vec<String>)| {
    let (text, items) = input;
    exercise::redaction(text, items);
});
