//! Key files of any bytes. What is checked is in `checks/key_file.rs`, which the tests of the crate run over the corpus as well.

#![no_main]

#[path = "../checks/key_file.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
