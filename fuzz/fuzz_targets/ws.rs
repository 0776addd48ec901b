//! Frames of an open WebSocket, cut at random: what is heard does not depend on the cuts, and
//! messages are whole.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::link::fuzzing::frames(data));
