//! Each fixture has a test, and each test's fixture exists.

use std::path::{Path, PathBuf};

#[test]
fn each_fixture_has_a_test_of_its_name() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = hotbay_tests::fixtures();
    assert!(fixtures.len() > 20, "the list of fixtures was not read");

    let functions: Vec<String> = ["e2e", "journeys", "conformance"]
        .iter()
        .flat_map(|folder| sources(&tests.join(folder)))
        .flat_map(|source| tests_in(&std::fs::read_to_string(source).unwrap()))
        .collect();

    for name in &fixtures {
        let name = name.strip_suffix("_next").unwrap_or(name);
        assert!(
            functions.iter().any(|test| test.contains(name)),
            "no test is named after the fixture `{name}`"
        );
    }
}

/// The files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The names of the functions under `#[test]`.
fn tests_in(source: &str) -> Vec<String> {
    source
        .split("#[test]")
        .skip(1)
        .filter_map(|rest| rest.split_once("fn ")?.1.split_once('(').map(|(name, _)| name.to_owned()))
        .collect()
}
