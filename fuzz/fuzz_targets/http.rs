//! Bytes of HTTP requests, cut at random: decoding never panics and does not depend on the cuts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::proto::http::fuzzing::bytes(data));
