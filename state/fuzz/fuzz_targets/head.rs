//! `HEAD` of any bytes, signed or not. What is checked is in `checks/head.rs`, which the tests of the crate run over the corpus as well.

#![no_main]

#[path = "../checks/head.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
