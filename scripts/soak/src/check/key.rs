//! The messages of one key: what was sent, what came back, and what the plugin should hold.

use crate::record::{Entry, Seen};

/// What is expected of a key.
#[derive(Debug, Default)]
pub(crate) struct Key {
    /// The number that was sent last.
    sent: u64,
    /// The number that is under way.
    under_way: Option<u64>,
    /// Sent, and not answered as it should be: it may have been applied or not, or be applied late.
    doubtful: Vec<u64>,
    /// What the plugin holds, by all that it has answered.
    entry: Entry,
    /// How often the state had been handed over at the last answer.
    handovers: u64,
}

/// What a comparison found wrong.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}

impl Found {
    pub(crate) fn is_clean(self) -> bool {
        self == Self::default()
    }
}

impl Key {
    /// A message is sent; `false` when the client breaks its own rules: numbers follow each other, one is under way.
    pub(crate) fn sent(&mut self, number: u64) -> bool {
        let in_order = number == self.sent + 1 && self.under_way.is_none();
        self.sent = number;
        self.doubtful.extend(self.under_way.replace(number));
        in_order
    }

    /// It was answered: what that shows.
    pub(crate) fn answered(&mut self, number: u64, seen: Seen) -> Found {
        if self.under_way.take_if(|waiting| *waiting == number).is_none() {
            // Nobody waited for it.
            return Found { duplicated: 1, ..Found::default() };
        }
        let Seen(before, applied, trail, handovers) = seen;
        let now = Entry { last: number, applied, trail };
        let expected = self.entry.with(number);
        let mut found = Found::default();
        if now != expected || before != self.entry.last {
            // What the plugin held right before this message, but for its trail, which cannot be unfolded.
            let held = Entry { last: before, applied: applied.saturating_sub(1), trail };
            found = self.compare(held);
        }
        if handovers < self.handovers {
            // By a generation whose state had been handed on.
            found.reordered += 1;
        }
        self.entry = now;
        self.handovers = self.handovers.max(handovers);
        found
    }

    /// It was answered with an error.
    pub(crate) fn failed(&mut self, number: u64) {
        self.doubtful.extend(self.under_way.take_if(|waiting| *waiting == number));
    }

    /// The end: a message that is still under way was never answered, and the plugin says what it holds.
    pub(crate) fn end(mut self, held: Option<Entry>) -> Found {
        let unanswered = self.under_way.take();
        let mut found = Found { lost: u64::from(unanswered.is_some()), ..Found::default() };
        self.doubtful.extend(unanswered);
        if let Some(held) = held.filter(|held| *held != self.entry) {
            let compared = self.compare(held);
            found.lost += compared.lost;
            found.duplicated += compared.duplicated;
            found.reordered += compared.reordered;
        }
        found
    }

    /// What is wrong with what the plugin holds, which is not what it should hold.
    fn compare(&mut self, held: Entry) -> Found {
        let mut found = Found::default();
        if held.applied < self.entry.applied {
            found.lost = self.entry.applied - held.applied;
            return found;
        }
        let more = held.applied - self.entry.applied;
        if more == 0 {
            // As many, and others, or in another order.
            found.reordered = 1;
            return found;
        }
        let doubtful = more.min(self.doubtful.len() as u64);
        found.duplicated = more - doubtful;
        // A doubtful one that was applied is no fault, unless one that was sent after it had been applied before.
        if doubtful > 0 && found.duplicated == 0 && held.last < self.entry.last {
            found.reordered = 1;
        }
        self.doubtful.clear();
        found
    }
}

impl Entry {
    /// With one more message applied, as the plugin does it.
    pub(crate) fn with(self, number: u64) -> Self {
        let trail = (self.trail ^ number).wrapping_mul(0x100_0000_01b3);
        Self { last: number, applied: self.applied + 1, trail }
    }
}
