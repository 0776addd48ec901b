//! Bytes of an MQTT 3.1 or 3.1.1 stream, from either side: decoding never panics, does not depend
//! on how the stream was cut, and what was understood can be said again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::proto::mqtt::fuzzing::mqtt3(data));
