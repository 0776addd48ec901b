//! Filters and topics from bytes: the trie, the tree and the plain rule agree.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spindle::topic::fuzzing::filter(data));
