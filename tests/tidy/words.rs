//! What is not written.

use crate::sources::{none, rust, texts};

#[test]
fn nothing_is_left_unfinished() {
    let words = ["todo!", "unimplemented!", "dbg!", "#[ignore"];
    let places = rust()
        .into_iter()
        .flat_map(|source| source.lines_where(|line| words.iter().any(|w| line.contains(w))));
    none("what is on the main branch is finished, and every test runs", places.collect());
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let words = ["/work/", "/root/", "/home/", "C:\\Users"];
    let places = texts().into_iter().filter(|source| !source.is_in(&["tests/tidy/"])).flat_map(|source| {
        let lines =
            source.text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        lines.map(|(at, line)| format!("{}:{}: {}", source.path, at + 1, line.trim())).collect::<Vec<_>>()
    });
    none("a path of one machine means nothing on another", places.collect());
}

#[test]
fn tests_wait_for_what_they_wait_for() {
    let tests = rust().into_iter().filter(|source| source.path.starts_with("tests/"));
    // The one place that looks again and again until something holds; and plugins that are slow on purpose.
    let tests = tests.filter(|source| !source.is_in(&["tests/support/", "tests/fixtures/"]));
    let places = tests.flat_map(|source| source.lines_where(|line| line.contains("thread::sleep")));
    none(
        "a test that sleeps is slow on a fast machine and fails on a slow one: wait with tests/support",
        places.collect(),
    );
}
