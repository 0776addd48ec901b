//! Lines of the Foo protocol, cut anywhere: the verdicts agree with each other and a plain rule.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::proto::foo::fuzzing::lines(data));
