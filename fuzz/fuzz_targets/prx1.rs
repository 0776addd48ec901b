//! Bytes of a PRX1 stream, cut at random: decoding never panics and does not depend on the cuts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::proto::prx1::fuzzing::bytes(data));
