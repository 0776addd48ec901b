//! Arguments in JSON, MessagePack or CBOR read as a body, and bodies as arguments.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::proto::fuzzing::carried(data));
