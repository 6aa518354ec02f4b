//! The journal of a commit, as recovery reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| codegenie_exec::fuzzing::journal(data));
