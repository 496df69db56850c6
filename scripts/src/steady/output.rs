//! What the test harness says of its tests, line by line.

use std::collections::BTreeSet;

/// Words of faults that are wine's own: a pipe or a process that its server lost.
const FAULTS_OF_WINE: [&str; 5] = [
    "sendmsg: Bad file descriptor",
    "Internal error",
    "wine client error",
    "wineserver: ",
    "wineserver crashed",
];

/// What one test program, or several one after the other, said.
#[derive(Debug, Default)]
pub(super) struct Said {
    has_begun: bool,
    part: Part,
    finished: BTreeSet<String>,
    failed: BTreeSet<String>,
    slow: BTreeSet<String>,
    /// What the last result line counted.
    result: Option<Result>,
    /// Those of all result lines together.
    passed: usize,
    fault: Option<&'static str>,
}

/// Where in the words of a program a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    #[default]
    Tests,
    /// What failed tests printed, which may look like anything.
    Quotes,
    /// The names of those that failed.
    Names,
}

/// `test result: FAILED. 1 passed; 2 failed; ...`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Result {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl Said {
    /// Reads the next line.
    pub(super) fn read(&mut self, line: &str) {
        if self.fault.is_none() {
            self.fault = FAULTS_OF_WINE.into_iter().find(|words| line.contains(words));
        }
        match self.part {
            Part::Tests if line == "failures:" => self.part = Part::Quotes,
            Part::Quotes if line == "failures:" => self.part = Part::Names,
            Part::Quotes => {}
            Part::Tests | Part::Names => self.read_count(line),
        }
    }

    fn read_count(&mut self, line: &str) {
        if let Some(result) = Result::parse(line) {
            (self.result, self.part) = (Some(result), Part::Tests);
            self.passed += result.passed;
        } else if announces(line) {
            (self.has_begun, self.result, self.part) = (true, None, Part::Tests);
        } else if self.part == Part::Names {
            self.failed.extend(line.strip_prefix("    ").map(ToOwned::to_owned));
        } else if let Some((_, test)) =
            line.strip_prefix("test ").map(|test| ("", test)).or_else(|| line.rsplit_once("test "))
        {
            // What another process wrote may stand before it in the line.
            self.read_test(test);
        }
    }

    fn read_test(&mut self, test: &str) {
        if let Some((name, _)) = test.split_once(" has been running for over ") {
            self.slow.insert(name.to_owned());
        } else if let Some((name, verdict)) = test.rsplit_once(" ... ") {
            let name = name.strip_suffix(" - should panic").unwrap_or(name);
            if !verdict.starts_with("ignored") {
                self.finished.insert(name.to_owned());
            }
            if verdict.starts_with("FAILED") {
                self.failed.insert(name.to_owned());
            }
        }
    }

    /// Whether it began with its tests and did not come to their result.
    pub(super) fn is_cut_off(&self) -> bool {
        self.has_begun && self.result.is_none()
    }

    /// How many tests came to an end.
    pub(super) fn ran(&self) -> usize {
        self.finished.len()
    }

    /// How many tests passed.
    pub(super) fn passed(&self) -> usize {
        self.passed
    }

    /// The tests that failed.
    pub(super) fn failed(&self) -> &BTreeSet<String> {
        &self.failed
    }

    /// The same of one program, when they are all known: a line may be lost where others write between.
    pub(super) fn all_failed(&self) -> Option<Vec<String>> {
        let count = self.result?.failed;
        (count > 0 && count == self.failed.len()).then(|| self.failed.iter().cloned().collect())
    }

    /// Tests that run for long, and have not ended.
    pub(super) fn stuck(&self) -> Vec<&str> {
        self.slow.difference(&self.finished).map(String::as_str).collect()
    }

    /// Tests of these that have not ended, those that are left out among them.
    pub(super) fn unfinished(&self, all: Vec<String>) -> Vec<String> {
        all.into_iter().filter(|name| !self.finished.contains(name)).collect()
    }

    /// Words of wine's own, if there were such.
    pub(super) fn fault_of_wine(&self) -> Option<&'static str> {
        self.fault
    }
}

/// `running 12 tests`
fn announces(line: &str) -> bool {
    let count = line.strip_prefix("running ").and_then(|rest| rest.split_once(" test"));
    count.is_some_and(|(count, _)| count.parse::<usize>().is_ok())
}

impl Result {
    fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| {
            counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim_end().parse::<usize>().ok())
        };
        Some(Self { passed: count("passed")?, failed: count("failed")? })
    }
}

/// The names in what `--list --format terse` prints.
pub(super) fn listed(printed: &str) -> Vec<String> {
    printed.lines().filter_map(|line| line.trim_end().strip_suffix(": test")).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests;
