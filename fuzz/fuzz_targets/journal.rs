//! Bytes of a journal: it opens or refuses, and never panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::journal::fuzzing::bytes(data));
