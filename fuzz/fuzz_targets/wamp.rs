//! Messages of WAMP in all forms, alone and in batches: what is read is said alike in every form.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::proto::wamp::fuzzing::wamp(data));
