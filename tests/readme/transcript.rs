//! Reading a transcript, and comparing it with what was printed.

use std::path::Path;

use hotbay_tests::{debug_folder, library_name};

/// A command of the transcript, and what it prints.
#[derive(Debug)]
pub(crate) struct Step {
    /// Where it stands.
    pub(crate) line: usize,
    /// As it is typed.
    pub(crate) command: String,
    /// What follows, line by line.
    pub(crate) output: Vec<String>,
}

impl Step {
    /// The command as a shell splits it; quotes hold words together.
    pub(crate) fn words(&self) -> Vec<&str> {
        let mut words = Vec::new();
        for (at, part) in self.command.split('\'').enumerate() {
            if at % 2 == 1 { words.push(part) } else { words.extend(part.split_whitespace()) }
        }
        words
    }
}

/// The steps of all `console` blocks in the section that begins with `heading`.
pub(crate) fn steps(markdown: &str, heading: &str) -> Vec<Step> {
    let (mut steps, mut in_section, mut in_block) = (Vec::<Step>::new(), false, false);
    for (at, line) in markdown.lines().enumerate() {
        if line.starts_with("## ") {
            in_section = line.starts_with(heading);
        } else if line.starts_with("```") {
            in_block = in_section && line == "```console";
        } else if in_block {
            match line.strip_prefix("$ ") {
                Some(command) => {
                    steps.push(Step { line: at + 1, command: as_here(command), output: Vec::new() });
                }
                None => steps.last_mut().expect("a block begins with a command").output.push(as_here(line)),
            }
        }
    }
    steps
}

/// The README names libraries as Linux does, and builds for the system that it is on.
fn as_here(line: &str) -> String {
    let folder = debug_folder(Path::new("greeter/target"));
    line.replace("libgreeter.so", &library_name("greeter"))
        .replace("greeter/target/debug", &folder.to_string_lossy().replace('\\', "/"))
}

/// Whether `said` is what is expected.
pub(crate) fn matches(expected: &[String], said: &str) -> bool {
    let said: Vec<&str> = said.lines().map(str::trim_end).collect();
    lines_match(&expected.iter().map(String::as_str).collect::<Vec<_>>(), &said)
}

fn lines_match(expected: &[&str], said: &[&str]) -> bool {
    match expected {
        [] => said.is_empty(),
        ["...", rest @ ..] => (0..=said.len()).any(|skipped| lines_match(rest, &said[skipped..])),
        [line, rest @ ..] => {
            said.first().is_some_and(|first| line_matches(line, first)) && lines_match(rest, &said[1..])
        }
    }
}

fn line_matches(expected: &str, said: &str) -> bool {
    match expected.split_once("[..]") {
        None => expected == said,
        Some((before, after)) => said.strip_prefix(before).is_some_and(|rest| {
            let mut ends = (0..=rest.len()).filter(|end| rest.is_char_boundary(*end));
            ends.any(|end| line_matches(after, &rest[end..]))
        }),
    }
}

#[test]
fn wildcards_stand_for_what_changes() {
    let expected = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(matches(&expected(&["in [..] ms, [..]", "b"]), "in 12 ms, ok\nb\n"));
    assert!(matches(&expected(&["...", "b"]), "x\ny\nb"));
    assert!(!matches(&expected(&["a"]), "a\nb"));
    assert!(!matches(&expected(&["a [..] c"]), "a b d"));
}
