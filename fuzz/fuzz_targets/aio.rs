//! Bytes of an aioconnectors stream, cut at random: decoding never panics and does not depend on
//! the cuts, and what was understood is said again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::proto::aio::fuzzing::bytes(data));
