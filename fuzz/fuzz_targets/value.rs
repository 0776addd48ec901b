//! JSON, MessagePack and CBOR: walked, skipped and turned into one another, each way alike.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::value::fuzzing::any(data));
