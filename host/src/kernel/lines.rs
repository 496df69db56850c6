//! The lines of the log: the last ones of this process in memory, and whoever follows. What is slow misses lines, and is told how many.

#[cfg(feature = "cli")]
mod follow;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[cfg(feature = "cli")]
pub(crate) use follow::Follower;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clock;

/// Lines that are kept. Of usual ones a fifth of a megabyte; of the longest, [`LONGEST`] each, four.
const KEPT: usize = 1000;

/// A text, or all fields together, are cut there.
const LONGEST: usize = 2048;

/// The log of this process: it has one, however many hosts there are.
pub(crate) static LINES: Lines = Lines::new();

/// A line of the log: what `hotbay logs` shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Counts the lines of this process: a follower sees by it what it missed.
    pub sequence: u64,
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The plugin that says so; `null` where it is the host.
    pub service: Option<String>,
    /// Its generation.
    pub generation: Option<u64>,
    /// Where in the program.
    #[serde(default)]
    pub target: String,
    /// The text.
    pub text: String,
    /// What stands beside it.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
    /// What it was said within, the outermost first.
    #[serde(default)]
    pub spans: Vec<Span>,
}

/// Something that takes a while, within which lines are said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// What stands beside it.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
}

/// The last lines.
#[derive(Debug)]
pub(crate) struct Lines {
    inside: Mutex<Inside>,
    more: Condvar,
}

#[derive(Debug)]
struct Inside {
    count: u64,
    lines: VecDeque<Line>,
    // Who waits for more: where nobody does, nobody is woken.
    waiting: usize,
}

impl Lines {
    const fn new() -> Self {
        let inside = Inside { count: 0, lines: VecDeque::new(), waiting: 0 };
        Self { inside: Mutex::new(inside), more: Condvar::new() }
    }

    /// Keeps a line; its number and time are given here.
    pub(crate) fn push(&self, mut line: Line) {
        cut(&mut line.text);
        line.unix_ms = clock::unix_ms();
        let mut inside = self.lock();
        inside.count += 1;
        line.sequence = inside.count;
        if inside.lines.len() == KEPT {
            inside.lines.pop_front();
        }
        inside.lines.push_back(line);
        if inside.waiting > 0 {
            drop(inside);
            self.more.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(text: &mut String) {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
}

/// Fields until they are too many.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    all: BTreeMap<String, Value>,
    bytes: usize,
}

impl Fields {
    /// Adds one; text of any length is cut, and what does not fit any more is left out.
    pub(crate) fn add(&mut self, name: &str, value: Value) {
        let value = match value {
            Value::String(mut text) => {
                cut(&mut text);
                self.bytes += text.len();
                Value::String(text)
            }
            other => other,
        };
        self.bytes += name.len() + 8;
        if self.bytes <= 2 * LONGEST {
            self.all.insert(name.to_owned(), value);
        }
    }

    pub(crate) fn all(self) -> BTreeMap<String, Value> {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(service: Option<&str>, text: &str) -> Line {
        Line {
            sequence: 0,
            unix_ms: 0,
            level: "info".to_owned(),
            service: service.map(ToOwned::to_owned),
            generation: None,
            target: String::new(),
            text: text.to_owned(),
            fields: BTreeMap::new(),
            spans: Vec::new(),
        }
    }

    fn texts((lines, missed): (Vec<Line>, u64)) -> (Vec<String>, u64) {
        (lines.into_iter().map(|line| line.text).collect(), missed)
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_follower_gets_the_last_lines_and_those_to_come_of_its_service() {
        static LOG: Lines = Lines::new();
        for number in 0..4 {
            LOG.push(line(Some(if number % 2 == 0 { "even" } else { "odd" }), &number.to_string()));
        }
        let mut all = LOG.follow(2, None);
        let mut odd = LOG.follow(10, Some("odd".to_owned()));
        assert_eq!(texts(all.next(10, NOW)), (vec!["2".into(), "3".into()], 0));
        assert_eq!(texts(odd.next(1, NOW)), (vec!["1".into()], 0));
        LOG.push(line(None, "host"));
        LOG.push(line(Some("odd"), "5"));
        assert_eq!(texts(odd.next(10, NOW)), (vec!["3".into(), "5".into()], 0));
        assert_eq!(texts(all.next(10, NOW)), (vec!["host".into(), "5".into()], 0));
        assert_eq!(texts(all.next(10, NOW)), (vec![], 0));
        let waits = std::thread::spawn(move || texts(all.next(1, Duration::from_secs(60))));
        LOG.push(line(None, "late"));
        assert_eq!(waits.join().unwrap(), (vec!["late".into()], 0));
    }

    #[test]
    fn who_is_slow_is_told_how_many_lines_it_missed_and_memory_stays_bounded() {
        static LOG: Lines = Lines::new();
        let mut slow = LOG.follow(0, None);
        for number in 0..3 * KEPT {
            LOG.push(line(None, &number.to_string()));
        }
        let (lines, missed) = slow.next(usize::MAX, NOW);
        assert_eq!((lines.len(), missed, lines[0].text.as_str()), (KEPT, 2 * KEPT as u64, "2000"));
        LOG.push(line(None, &"ä".repeat(LONGEST)));
        let (lines, missed) = slow.next(1, NOW);
        assert!(missed == 0 && lines[0].text.len() <= LONGEST + 3 && lines[0].text.ends_with('…'));
    }

    #[test]
    fn fields_are_kept_until_they_are_too_many() {
        let mut fields = Fields::default();
        for number in 0..1000 {
            fields.add(&format!("f{number}"), Value::from("x".repeat(100)));
        }
        let all = fields.all();
        assert!((10..50).contains(&all.len()), "{}", all.len());
    }
}
