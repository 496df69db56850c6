//! What the architecture says is held by a test is.

use crate::sources::{none, rust, texts};

/// The programs that its tables name.
const PROGRAMS: [&str; 9] =
    ["allocations", "conformance", "e2e", "journeys", "plugin-api", "readme", "state", "tidy", "host"];

/// Rows of the fault matrix that are this host's own.
const ROWS: [std::ops::RangeInclusive<usize>; 2] = [1..=43, 48..=48];

#[test]
fn the_tests_that_the_architecture_names_exist() {
    let tests: Vec<_> = rust().into_iter().filter(|source| !source.path.starts_with("scripts/")).collect();
    let rules: String = texts()
        .into_iter()
        .filter(|source| source.is_in(&["tests/tidy/"]))
        .map(|source| source.text)
        .collect();
    let exists = |name: &str| {
        let function = format!("fn {name}(");
        // A fixture's test is named in a list.
        tests.iter().any(|test| {
            test.text.contains(&function) || test.path.starts_with("tests/") && test.text.contains(name)
        }) || rules.contains(&function)
    };
    let page = texts().into_iter().find(|source| source.path == "host/ARCHITECTURE.md").expect("the page");
    let mut named = Vec::new();
    for cell in page.text.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next()) {
        // Every second part stands between two ticks; the first says of which program the rest are.
        let quoted: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let Some((program, _)) = quoted.first().and_then(|first| first.split_once(": ")) else { continue };
        if !PROGRAMS.contains(&program) {
            continue;
        }
        let names =
            quoted.iter().flat_map(|quoted| quoted.rsplit(": ").next().unwrap_or_default().split(' '));
        let is_name = |name: &&str| {
            name.contains('_')
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        named.extend(names.filter(is_name).map(ToOwned::to_owned));
    }
    assert!(named.len() > 30, "the tables were not found: {named:?}");
    named.retain(|name| !exists(name));
    none("the architecture names a test that there is not", named);
}

#[test]
fn each_row_of_the_fault_matrix_is_there_once_with_its_outcome_and_a_test() {
    let page = texts().into_iter().find(|source| source.path == "host/ARCHITECTURE.md").expect("the page");
    let (_, matrix) = page.text.split_once("### The fault matrix").expect("the matrix");
    let matrix = matrix.split("\n### ").next().unwrap_or_default();
    let mut wrong = Vec::new();
    for row in ROWS.into_iter().flatten() {
        let begins = format!("| {row}. ");
        let lines: Vec<&str> = matrix.lines().filter(|line| line.starts_with(&begins)).collect();
        let [line] = lines[..] else {
            wrong.push(format!("row {row} is there {} times", lines.len()));
            continue;
        };
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let is_whole = cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty());
        if !is_whole || !PROGRAMS.iter().any(|program| cells[2].starts_with(&format!("`{program}: "))) {
            wrong.push(format!("row {row} needs a fault, an outcome and a test: {cells:?}"));
        }
    }
    none("the fault matrix is not whole", wrong);
}
