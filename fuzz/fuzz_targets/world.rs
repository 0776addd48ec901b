//! Operations on the whole broker in the fake world: what must hold after each turn holds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::testing::fuzzing::world(data));
