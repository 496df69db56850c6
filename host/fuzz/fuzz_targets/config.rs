//! What is checked is in `host/src/fuzzing/config.rs`, which the tests of the crate run over the corpus as well.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hotbay::fuzzing::config(bytes));
