//! The layer that a sandboxed command has left, as a commit reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| codegenie_exec::fuzzing::commit_reader(data));
