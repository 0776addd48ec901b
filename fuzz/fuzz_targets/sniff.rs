//! First bytes of a connection, a proxy's header in front or not: they are read alike however they
//! are cut, and what was decided stays decided.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::link::fuzzing::beginnings(data));
