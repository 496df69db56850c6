//! The messages of one key: what was published, what came back by another message, and what the plugin should hold.

use std::collections::BTreeSet;

use super::key::Found;
use crate::record::{Entry, Seen};

/// What is expected of a key that is published to. Many messages are under way at once, in their order.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// The number that was published last, and what the plugin holds when all were applied.
    sent: u64,
    expected: Entry,
    /// Before the last one: that may not have been taken.
    before: Entry,
    /// What the plugin held, by what was heard of it last.
    heard: Entry,
    /// Published before the one that was heard last, and not heard of.
    missing: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    /// How often the state had been handed over then.
    handovers: u64,
    /// Whether something was wrong with what was heard: what the plugin holds is then no more what was expected.
    is_faulty: bool,
}

impl Mail {
    /// A message is published; `false` when the publisher breaks its own rules: numbers follow each other.
    pub(crate) fn sent(&mut self, number: u64) -> bool {
        let in_order = number == self.sent + 1;
        self.sent = number;
        self.before = self.expected;
        self.expected = self.expected.with(number);
        in_order
    }

    /// The last one was not taken by the service's mailbox, and its publisher knows it.
    pub(crate) fn refused(&mut self, number: u64) {
        self.expected = self.before;
        self.refused.insert(number);
    }

    /// The plugin says that it applied a message: what that shows.
    pub(crate) fn heard(&mut self, number: u64, seen: Seen) -> Found {
        let Seen(before, applied, trail, handovers) = seen;
        let mut found = Found::default();
        if number <= self.heard.last || number > self.sent {
            if self.missing.remove(&number) {
                found.reordered += 1;
            } else {
                found.duplicated += 1;
            }
            (self.heard.applied, self.heard.trail) = (applied, trail);
        } else {
            let between = self.heard.last + 1..number;
            self.missing.extend(between.filter(|number| !self.refused.contains(number)));
            // What it held before this one is what it said last; else some of it has gone, or came twice.
            if before == self.heard.last {
                found.lost += (self.heard.applied + 1).saturating_sub(applied);
                found.duplicated += applied.saturating_sub(self.heard.applied + 1);
            } else if self.missing.is_empty() {
                found.lost += (self.heard.applied + 1).saturating_sub(applied);
            }
            self.heard = Entry { last: number, applied, trail };
        }
        if handovers < self.handovers {
            // By a generation whose state had been handed on.
            found.reordered += 1;
        }
        self.handovers = self.handovers.max(handovers);
        self.is_faulty |= !found.is_clean() || !self.missing.is_empty();
        found
    }

    /// The end: whatever was not heard of is lost, and the plugin says what it holds.
    pub(crate) fn end(self, held: Option<Entry>) -> Found {
        let rest =
            (self.heard.last + 1..=self.sent).filter(|number| !self.refused.contains(number)).count() as u64;
        let missing = self.missing.len() as u64;
        let Some(held) = held else { return Found { lost: missing + rest, ..Found::default() } };
        let applied = self.heard.applied + rest;
        let mut found =
            Found { lost: missing + rest.max(applied.saturating_sub(held.applied)), ..Found::default() };
        found.duplicated = held.applied.saturating_sub(applied);
        if found.is_clean() && !self.is_faulty && held != self.expected {
            // As many, and others, or in another order.
            found.reordered = 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plugin that applies these numbers one by one and says so, of so many that were published; what it holds at the end.
    fn found(sent: u64, applied: &[u64]) -> Found {
        let (mut mail, mut entry, mut sum) = (Mail::default(), Entry::default(), Found::default());
        assert!((1..=sent).all(|number| mail.sent(number)));
        for &number in applied {
            let before = entry.last;
            entry = entry.with(number);
            let found = mail.heard(number, Seen(before, entry.applied, entry.trail, 0));
            sum.lost += found.lost;
            sum.duplicated += found.duplicated;
            sum.reordered += found.reordered;
        }
        let end = mail.end(Some(entry));
        Found {
            lost: sum.lost + end.lost,
            duplicated: sum.duplicated.max(end.duplicated),
            reordered: sum.reordered.max(end.reordered),
        }
    }

    #[test]
    fn each_fault_of_messages_is_found_and_none_where_there_is_none() {
        let clean = Found::default();
        assert_eq!(found(4, &[1, 2, 3, 4]), clean);
        assert_eq!(found(4, &[1, 2, 4]), Found { lost: 1, ..clean });
        assert_eq!(found(4, &[1, 2]), Found { lost: 2, ..clean });
        assert_eq!(found(4, &[1, 2, 2, 3, 4]), Found { duplicated: 1, ..clean });
        assert_eq!(found(4, &[1, 3, 2, 4]).reordered, 1);
        assert_eq!(found(3, &[1, 2, 3, 9]), Found { duplicated: 1, ..clean });
    }

    #[test]
    fn state_that_goes_back_has_lost_messages() {
        let mut mail = Mail::default();
        assert!((1..=3).all(|number| mail.sent(number)));
        let one = Entry::default().with(1);
        assert!(mail.heard(1, Seen(0, 1, one.trail, 0)).is_clean());
        // The next generation begins with nothing.
        let two = Entry::default().with(2);
        assert_eq!(mail.heard(2, Seen(0, 1, two.trail, 1)), Found { lost: 1, ..Found::default() });
    }

    #[test]
    fn one_that_was_not_taken_is_nobodys_loss() {
        let mut mail = Mail::default();
        assert!(mail.sent(1) && mail.sent(2));
        mail.refused(2);
        assert!(mail.sent(3));
        let (one, all) = (Entry::default().with(1), Entry::default().with(1).with(3));
        assert!(mail.heard(1, Seen(0, 1, one.trail, 0)).is_clean());
        assert!(mail.heard(3, Seen(1, 2, all.trail, 0)).is_clean());
        assert!(mail.end(Some(all)).is_clean());
    }
}
