use super::*;

/// What rustc 1.95's harness printed of five tests.
const FAILED: &str = "
running 5 tests
test tests::a_bad_one ... FAILED
test tests::a_long_one ... ignored, takes long
test tests::a_good_one ... ok
test tests::one_that_should_panic - should panic ... FAILED
test tests::one_that_panics - should panic ... ok

failures:

---- tests::a_bad_one stdout ----
running 3 tests
test quoted ... FAILED
test result: ok. 9 passed; 0 failed; 0

thread 'tests::a_bad_one' (22480) panicked at t.rs:4:123:
assertion `left == right` failed
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

---- tests::one_that_should_panic stdout ----
note: test did not panic as expected at t.rs:7:32

failures:
    tests::a_bad_one
    tests::one_that_should_panic

test result: FAILED. 2 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

/// The same of one that hangs, as far as it came.
const HANGS: &str = "
running 2 tests
test tests::a_good_one ... ok
test tests::hangs has been running for over 60 seconds
";

/// Of `cargo test --doc` for two packages.
const TWO: &str = "   Doc-tests hotbay_plugin_api

running 1 test
test plugin-api/src/lib.rs - (line 3) ... FAILED

failures:

---- plugin-api/src/lib.rs - (line 3) stdout ----
Test executable failed (exit status: 101).

failures:
    plugin-api/src/lib.rs - (line 3)

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.21s

error: doctest failed, to rerun pass `-p hotbay-plugin-api --doc`
   Doc-tests hotbay_state

running 1 test
test state/src/lib.rs - (line 9) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.30s
";

fn said(text: &str) -> Said {
    let mut said = Said::default();
    text.lines().for_each(|line| said.read(line));
    said
}

#[test]
fn tests_that_failed_are_known_by_name_whatever_they_print() {
    let said = said(FAILED);
    let names = ["tests::a_bad_one", "tests::one_that_should_panic"];
    assert_eq!(said.all_failed().unwrap(), names);
    assert_eq!((said.ran(), said.passed()), (4, 2));
    assert!(!said.is_cut_off());
    assert!(said.stuck().is_empty());
}

#[test]
fn what_others_write_into_a_line_hides_no_test() {
    let line = "test tests::a_bad_one ... FAILED";
    for garbled in ["", "wine client error:68c: test tests::a_bad_one ... FAILED"] {
        let said = said(&FAILED.replacen(line, garbled, 1));
        assert_eq!(said.all_failed().unwrap(), ["tests::a_bad_one", "tests::one_that_should_panic"]);
    }
}

#[test]
fn a_result_that_counts_more_than_is_known_is_of_the_program_as_a_whole() {
    let lost = FAILED.replace("test tests::a_bad_one ... FAILED", "").replace("    tests::a_bad_one\n", "");
    assert_eq!(said(&lost).all_failed(), None);
}

#[test]
fn a_program_that_ends_before_its_result_is_cut_off() {
    let said = said(HANGS);
    assert!(said.is_cut_off());
    assert_eq!(said.stuck(), ["tests::hangs"]);
    let all = listed("tests::a_good_one: test\ntests::hangs: test\nbenches::b: benchmark\n");
    assert_eq!(said.unfinished(all), ["tests::hangs"]);
}

#[test]
fn a_program_without_tests_is_not_cut_off() {
    assert!(!said("hello\nrunning late\n").is_cut_off());
}

#[test]
fn failures_of_several_programs_are_all_known() {
    let said = said(TWO);
    assert!(said.failed().iter().eq(["plugin-api/src/lib.rs - (line 3)"]));
    assert_eq!((said.ran(), said.passed()), (2, 1));
}

#[test]
fn what_wine_does_wrong_is_told_by_its_words() {
    assert_eq!(said(FAILED).fault_of_wine(), None);
    let lost = "sendmsg: Bad file descriptor\ntest a ... FAILED\n";
    assert_eq!(said(lost).fault_of_wine(), Some("sendmsg: Bad file descriptor"));
}
