//! Text of a users file: it is refused, or understood whole and alike each time.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::access::fuzzing::users(data));
