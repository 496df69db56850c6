//! The judge: takes records one by one, and at the end says what the history was.

use std::collections::BTreeMap;

use hotbay::kernel::view::{Outcome, Receipt};

use super::key::{Found, Key};
use super::mail::Mail;
use super::pauses::Pauses;
use super::spread::Spread;
use crate::record::{Entry, Record, Span, Verdict};

/// Complaints that are kept: who mends something reads the first ones.
const KEPT: usize = 20;

/// What is known of a history so far.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    verdict: Verdict,
    keys: BTreeMap<u32, Key>,
    mails: BTreeMap<u32, Mail>,
    pauses: Pauses,
    swaps: Spread,
    /// When the file was replaced whose generation has not answered yet.
    replaced: Option<u64>,
    /// Handovers that an answer has shown.
    handovers: u64,
    /// Swaps that were committed, by their receipts.
    committed: u64,
    first: Option<u64>,
}

impl Judge {
    pub(crate) fn take(&mut self, record: Record) {
        match record {
            Record::Sent(key, number) => {
                self.verdict.requests += 1;
                if !self.keys.entry(key).or_default().sent(number) {
                    self.complain(format!("a client sent message {number} of key {key} out of its turn"));
                }
            }
            Record::Answered(key, number, span, seen) => {
                let found = self.keys.entry(key).or_default().answered(number, seen);
                self.count(found, || format!("message {number} of key {key} was answered {seen:?}"));
                self.ended(span);
                if seen.3 > self.handovers {
                    self.handovers = seen.3;
                    if let Some(replaced) = self.replaced.take() {
                        self.swaps.add(span.1.saturating_sub(replaced));
                    }
                }
            }
            Record::Failed(key, number, span, why) => {
                self.verdict.failed += 1;
                self.complain(format!("message {number} of key {key} failed: {why}"));
                self.keys.entry(key).or_default().failed(number);
                self.ended(span);
            }
            Record::Mailed(key, number) => {
                self.verdict.messages.sent += 1;
                if !self.mails.entry(key).or_default().sent(number) {
                    self.complain(format!("message {number} of key {key} was published out of its turn"));
                }
            }
            Record::Refused(key, number, why) => {
                self.verdict.messages.refused += 1;
                self.mails.entry(key).or_default().refused(number);
                self.complain(format!("message {number} of key {key} was not taken: {why}"));
            }
            Record::Heard(key, number, seen) => {
                let found = self.mails.entry(key).or_default().heard(number, seen);
                self.count_message(found, || {
                    format!("message {number} of key {key} was published, heard {seen:?}")
                });
            }
            Record::Replaced(at) => {
                self.replaced = Some(at);
                self.pauses.replaced(at);
            }
            Record::Swapped(at, receipt) => {
                self.pauses.swapped(at);
                self.receipt(&receipt);
            }
            Record::Final { generation, handovers, entries } => self.end(generation, handovers, entries),
        }
    }

    /// Something is wrong with the history.
    pub(crate) fn complain(&mut self, complaint: String) {
        if self.verdict.complaints.len() < KEPT {
            self.verdict.complaints.push(complaint);
        }
    }

    /// What the history was.
    pub(crate) fn verdict(mut self) -> Verdict {
        if !self.verdict.whole {
            self.complain("the history ends without the plugin's state".to_owned());
            for (key, expected) in std::mem::take(&mut self.keys) {
                self.count(expected.end(None), || format!("the last message of key {key} was not answered"));
            }
            for (key, expected) in std::mem::take(&mut self.mails) {
                self.count_message(expected.end(None), || format!("messages of key {key} were not heard of"));
            }
        }
        self.verdict.pause_us = self.pauses.finish().quantiles();
        self.verdict.swap_us = self.swaps.quantiles();
        self.verdict
    }

    /// A message has ended, well or not.
    fn ended(&mut self, span: Span) {
        self.pauses.request(span);
        let first = *self.first.get_or_insert(span.0);
        self.verdict.lasted_us = self.verdict.lasted_us.max(span.1.saturating_sub(first));
    }

    fn count(&mut self, found: Found, what: impl FnOnce() -> String) {
        if found.is_clean() {
            return;
        }
        self.verdict.lost += found.lost;
        self.verdict.duplicated += found.duplicated;
        self.verdict.reordered += found.reordered;
        self.complain_of(found, &what());
    }

    /// The same of what was published.
    fn count_message(&mut self, found: Found, what: impl FnOnce() -> String) {
        if found.is_clean() {
            return;
        }
        let messages = &mut self.verdict.messages;
        messages.lost += found.lost;
        messages.duplicated += found.duplicated;
        messages.reordered += found.reordered;
        self.complain_of(found, &what());
    }

    fn complain_of(&mut self, found: Found, what: &str) {
        let Found { lost, duplicated, reordered } = found;
        self.complain(format!("{what}: {lost} lost, {duplicated} duplicated, {reordered} reordered"));
    }

    /// The kernel counts on its own: a receipt that says otherwise than the messages is a fault as well.
    fn receipt(&mut self, receipt: &Receipt) {
        let to = receipt.to.generation;
        match receipt.outcome {
            Outcome::Committed => self.committed += 1,
            Outcome::RolledBack => {
                let why = receipt.reason.as_deref().unwrap_or("no reason");
                self.complain(format!("the swap to generation {to} was rolled back: {why}"));
            }
        }
        if (receipt.requests.lost, receipt.requests.duplicated) != (0, 0) {
            self.complain(format!("the receipt of generation {to} counts {:?}", receipt.requests));
        }
        let messages = receipt.messages;
        if (messages.lost, messages.duplicated, messages.dropped) != (0, 0, 0) {
            self.complain(format!("the receipt of generation {to} counts of messages {messages:?}"));
        }
    }

    fn end(&mut self, generation: u64, handovers: u64, entries: Vec<(u32, Entry)>) {
        self.verdict.whole = true;
        if generation != self.committed + 1 || handovers != self.committed {
            let committed = self.committed;
            self.complain(format!(
                "after {committed} swaps generation {generation} serves, with a state that was handed over {handovers} times"
            ));
        }
        let mut held: BTreeMap<u32, Entry> = entries.into_iter().collect();
        for (key, expected) in std::mem::take(&mut self.keys) {
            // A key that is not there holds nothing.
            let entry = held.remove(&key).unwrap_or_default();
            self.count(expected.end(Some(entry)), || {
                format!("at the end the plugin holds {entry:?} of key {key}")
            });
        }
        for (key, expected) in std::mem::take(&mut self.mails) {
            let entry = held.remove(&key).unwrap_or_default();
            self.count_message(expected.end(Some(entry)), || {
                format!("at the end the plugin holds {entry:?} of key {key}, which is published to")
            });
        }
        for (key, entry) in held {
            let found = Found { duplicated: entry.applied, ..Found::default() };
            self.count(found, || {
                format!("at the end the plugin holds {entry:?} of key {key}, which nobody sent")
            });
        }
    }
}
