//! How a file looks: short, and saying first what it is.

use crate::sources::{none, rust};

/// A file that is longer has two subjects.
const LONGEST: usize = 400;

/// Half of the host's files fit on three screens.
const MEDIAN: usize = 180;

/// Longer tests hide the code that they are of.
const LONGEST_TESTS: usize = 150;

#[test]
fn every_file_says_first_what_it_is() {
    let silent = |text: &str| !text.starts_with("//!") && !text.starts_with("#![doc");
    // The name of `tests.rs` says it.
    let files = rust().into_iter().filter(|source| !source.path.ends_with("/tests.rs"));
    let places = files.filter(|source| silent(&source.text)).map(|source| source.path);
    none("every file begins with a `//!` that says what it is", places.collect());
}

#[test]
fn no_file_is_too_long() {
    let long = rust().into_iter().map(|source| (source.text.lines().count(), source.path));
    let places =
        long.filter(|(lines, _)| *lines > LONGEST).map(|(lines, path)| format!("{path}: {lines} lines"));
    none(&format!("no file has more than {LONGEST} lines: find the second subject in it"), places.collect());
}

#[test]
fn files_of_the_host_are_short() {
    let host = rust().into_iter().filter(|source| source.path.starts_with("host/src/"));
    let mut lengths: Vec<usize> = host.map(|source| source.text.lines().count()).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(
        median <= MEDIAN,
        "half of the files in host/src have {median} lines or more; {MEDIAN} is the limit"
    );
}

#[test]
fn long_tests_stand_in_a_file_of_their_own() {
    let places = rust().into_iter().filter_map(|source| {
        let lines: Vec<&str> = source.text.lines().collect();
        let begins = |pair: &[&str]| {
            pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        };
        let tests = lines.len() - lines.windows(2).position(begins)?;
        (tests > LONGEST_TESTS).then(|| format!("{}: {tests} lines of tests", source.path))
    });
    none(
        &format!("tests of more than {LONGEST_TESTS} lines stand beside the code, in tests.rs"),
        places.collect(),
    );
}
