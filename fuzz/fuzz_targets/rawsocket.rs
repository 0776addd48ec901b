//! RawSocket, cut anywhere: the handshake from both sides, then frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::proto::wamp::fuzzing::rawsocket(data));
