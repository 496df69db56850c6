//! Capsules that were right, and to which anything was done. What is checked is in `checks/chunks.rs`, which the tests of the crate run over the corpus as well.

#![no_main]

#[path = "../checks/chunks.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
