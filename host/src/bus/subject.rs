//! Subjects, in NATS's grammar: words with dots between. A topic names what a message is about; a pattern takes topics, by `*` for any
//! one word, and by `>` at its end for one word or more.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest subject, bytes.
const LONGEST: usize = 255;

/// What somebody subscribes to: `orders.created`, `orders.*`, `orders.>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Box<str>);

/// A subject that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the {kind} `{}`: {problem}", shown(.subject))]
pub struct SubjectError {
    kind: &'static str,
    subject: String,
    problem: &'static str,
}

/// What somebody typed may be long, and may speak to a terminal.
fn shown(subject: &str) -> String {
    let mut shown: String =
        subject.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.len() < subject.len() {
        shown.push('…');
    }
    shown
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`SubjectError`]
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        match problem(text, true) {
            None => Ok(Self(text.into())),
            Some(problem) => Err(SubjectError { kind: "pattern", subject: text.to_owned(), problem }),
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it takes a topic.
    #[must_use]
    pub fn takes(&self, topic: &str) -> bool {
        let mut words = topic.split('.');
        for own in self.words() {
            match (own, words.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (own, Some(word)) if own == word => {}
                _ => return false,
            }
        }
        words.next().is_none()
    }

    /// Whether it takes one topic only: it has no wildcard.
    #[must_use]
    pub fn is_topic(&self) -> bool {
        self.words().all(|word| word != "*" && word != ">")
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

impl FromStr for Pattern {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, SubjectError> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.into()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether `text` names a topic.
pub(super) fn check_topic(text: &str) -> Result<(), SubjectError> {
    problem(text, false)
        .map_or(Ok(()), |problem| Err(SubjectError { kind: "topic", subject: text.to_owned(), problem }))
}

/// What is wrong with a subject.
fn problem(text: &str, with_wildcards: bool) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty; write words with dots between, as in `orders.created`");
    }
    if text.len() > LONGEST {
        return Some("it has more than 255 bytes");
    }
    let mut words = text.split('.').peekable();
    while let Some(word) = words.next() {
        let is_last = words.peek().is_none();
        if word.is_empty() {
            return Some("a word is missing: no dot stands at an end or beside another one");
        }
        if word.contains(|c: char| c == ' ' || c.is_ascii_control()) {
            return Some("a word holds no blanks and no control characters of ASCII");
        }
        match word {
            "*" | ">" if !with_wildcards => {
                return Some("a message has one topic: `*` and `>` are for who subscribes");
            }
            ">" if !is_last => return Some("`>` stands for all that follows: it is the last word"),
            "*" | ">" => {}
            word if word.contains(['*', '>']) => return Some("`*` and `>` are words of their own"),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_that_of_nats() {
        for good in ["a", "orders.created", "orders.*", "orders.>", ">", "*", "*.b.*.>", "é.ü-9_$"] {
            assert!(Pattern::parse(good).is_ok(), "{good}");
        }
        let long = "x".repeat(LONGEST + 1);
        for bad in [
            "", ".", "a.", ".a", "a..b", "a b", "a.\tb", "a.>.b", ">.a", "a*", "a.b>", "a.**", "\u{7}", &long,
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        assert!(check_topic("orders.created").is_ok());
        for wild in ["orders.*", "orders.>", ">"] {
            let error = check_topic(wild).unwrap_err().to_string();
            assert!(
                error.starts_with("failed to read the topic `") && error.contains("subscribes"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_star_takes_one_word_and_an_arrow_the_rest() {
        let takes = |pattern: &str, topic: &str| Pattern::parse(pattern).unwrap().takes(topic);
        assert!(takes("orders.*", "orders.created") && takes("orders.>", "orders.created"));
        assert!(takes("orders.>", "orders.eu.created") && !takes("orders.*", "orders.eu.created"));
        assert!(!takes("orders.>", "orders") && !takes("orders.*", "orders") && takes(">", "orders"));
        assert!(takes("*.created", "orders.created") && !takes("*.created", "created"));
        assert!(takes("orders", "orders") && !takes("orders", "orders.created") && !takes("orders", "order"));
    }
}
