//! Histories with one fault each: every way of being wrong is found, and none where there is none.

use std::collections::BTreeMap;

use hotbay::kernel::view::{Outcome, Pause, Receipt, Requests, Retired, Side};

use super::judge::Judge;
use crate::record::{Entry, Record, Seen, Span, Verdict};

/// A plugin and its client, and the history that they make.
#[derive(Default)]
struct Story {
    entries: BTreeMap<u32, Entry>,
    sent: BTreeMap<u32, u64>,
    handovers: u64,
    clock: u64,
    records: Vec<Record>,
}

impl Story {
    fn tick(&mut self) -> u64 {
        self.clock += 10;
        self.clock
    }

    /// The client sends its next message.
    fn send(&mut self, key: u32) -> u64 {
        let number = self.sent.entry(key).or_default();
        *number += 1;
        let number = *number;
        self.records.push(Record::Sent(key, number));
        number
    }

    /// The plugin applies a message; what it would answer.
    fn apply(&mut self, key: u32, number: u64) -> Seen {
        let entry = self.entries.entry(key).or_default();
        let before = entry.last;
        *entry = entry.with(number);
        Seen(before, entry.applied, entry.trail, self.handovers)
    }

    fn answer(&mut self, key: u32, number: u64, seen: Seen) {
        let span = Span(self.tick(), self.tick());
        self.records.push(Record::Answered(key, number, span, seen));
    }

    fn fail(&mut self, key: u32, number: u64) {
        let span = Span(self.tick(), self.tick());
        self.records.push(Record::Failed(key, number, span, "no luck".to_owned()));
    }

    /// A message that is answered as it should be.
    fn message(&mut self, key: u32) -> u64 {
        let number = self.send(key);
        let seen = self.apply(key, number);
        self.answer(key, number, seen);
        number
    }

    fn messages(&mut self, key: u32, count: u64) {
        for _ in 0..count {
            self.message(key);
        }
    }

    /// A swap that carries the state on.
    fn swap(&mut self) {
        let replaced = self.tick();
        self.handovers += 1;
        let swapped = self.tick();
        self.records.push(Record::Replaced(replaced));
        self.records.push(Record::Swapped(swapped, Box::new(receipt(self.handovers + 1))));
    }

    fn end(self) -> Verdict {
        let (generation, handovers) = (self.handovers + 1, self.handovers);
        self.end_as(generation, handovers)
    }

    fn end_as(mut self, generation: u64, handovers: u64) -> Verdict {
        let entries = self.entries.into_iter().collect();
        self.records.push(Record::Final { generation, handovers, entries });
        judged(self.records)
    }
}

fn judged(records: Vec<Record>) -> Verdict {
    let mut judge = Judge::default();
    // As it comes from the other process.
    for record in records {
        let line = serde_json::to_string(&record).expect("a record is JSON");
        judge.take(serde_json::from_str(&line).expect("JSON is a record"));
    }
    judge.verdict()
}

fn receipt(generation: u64) -> Receipt {
    let side = |generation| Side { version: "1.0.0".to_owned(), generation, digest: String::new() };
    Receipt {
        outcome: Outcome::Committed,
        reason: None,
        code: None,
        blame: None,
        unix_ms: 0,
        from: side(generation - 1),
        to: side(generation),
        requests: Requests::default(),
        messages: Default::default(),
        pause_us: Pause::default(),
        stages_us: BTreeMap::new(),
        state_bytes: 0,
        retired: Retired::Unloaded,
        retired_reason: None,
        rollback: false,
        state_from: None,
        rehearsal: None,
        forced: None,
    }
}

/// failed, lost, duplicated, reordered; and whether the checker complains at all.
#[track_caller]
fn assert_found(verdict: &Verdict, found: [u64; 4]) {
    let Verdict { failed, lost, duplicated, reordered, complaints, .. } = verdict;
    assert_eq!([*failed, *lost, *duplicated, *reordered], found, "{complaints:?}");
    assert_eq!(complaints.is_empty(), found == [0; 4], "{complaints:?}");
}

/// Two keys, some messages, and a swap: where a fault is planted.
fn story() -> Story {
    let mut story = Story::default();
    story.messages(1, 5);
    story.messages(2, 3);
    story.swap();
    story.messages(1, 2);
    story
}

#[test]
fn a_history_without_fault_is_clean() {
    let mut story = story();
    story.swap();
    story.messages(2, 4);
    let verdict = story.end();
    assert_found(&verdict, [0; 4]);
    assert_eq!((verdict.requests, verdict.whole), (14, true));
}

#[test]
fn a_message_that_failed_is_counted_whether_it_was_applied_or_not() {
    for applied in [false, true] {
        let mut story = story();
        let number = story.send(1);
        if applied {
            story.apply(1, number);
        }
        story.fail(1, number);
        story.messages(1, 3);
        assert_found(&story.end(), [1, 0, 0, 0]);
    }
}

#[test]
fn a_message_that_failed_and_is_applied_at_the_very_end_is_no_other_fault() {
    let mut story = story();
    let number = story.send(1);
    story.fail(1, number);
    story.apply(1, number);
    assert_found(&story.end(), [1, 0, 0, 0]);
}

#[test]
fn a_message_that_is_never_answered_is_lost() {
    let mut story = story();
    story.send(1);
    assert_found(&story.end(), [0, 1, 0, 0]);
}

#[test]
fn a_message_that_was_answered_and_is_not_in_the_state_is_lost() {
    let mut story = story();
    let number = story.send(1);
    let before = story.entries.clone();
    let seen = story.apply(1, number);
    story.answer(1, number, seen);
    story.entries = before;
    story.messages(1, 2);
    assert_found(&story.end(), [0, 1, 0, 0]);
}

#[test]
fn messages_that_a_swap_forgets_are_lost() {
    let mut story = story();
    let before = story.entries.clone();
    story.messages(1, 3);
    story.messages(2, 2);
    story.swap();
    story.entries = before;
    story.message(1);
    // The other key says so at the end only.
    assert_found(&story.end(), [0, 5, 0, 0]);
}

#[test]
fn state_that_begins_empty_again_is_lost() {
    let mut story = story();
    story.swap();
    story.entries.clear();
    story.message(1);
    assert_found(&story.end(), [0, 10, 0, 0]);
}

#[test]
fn a_message_that_is_answered_twice_is_duplicated() {
    let mut story = story();
    let number = story.send(2);
    let seen = story.apply(2, number);
    story.answer(2, number, seen);
    story.answer(2, number, seen);
    assert_found(&story.end(), [0, 0, 1, 0]);
}

#[test]
fn a_message_that_is_applied_twice_is_duplicated() {
    let mut story = story();
    let number = story.message(1);
    story.apply(1, number);
    story.messages(1, 2);
    let number = story.send(2);
    story.apply(2, number);
    let seen = story.apply(2, number);
    story.answer(2, number, seen);
    assert_found(&story.end(), [0, 0, 2, 0]);
}

#[test]
fn a_message_that_failed_and_is_applied_after_a_later_one_is_reordered() {
    let mut story = story();
    let number = story.send(1);
    story.fail(1, number);
    story.message(1);
    story.apply(1, number);
    story.messages(1, 2);
    assert_found(&story.end(), [1, 0, 0, 1]);
}

#[test]
fn messages_that_change_places_in_the_state_are_reordered() {
    let mut story = story();
    let before = story.entries[&1];
    let (first, second) = (story.message(1), story.message(1));
    story.swap();
    story.entries.insert(1, before.with(second).with(first));
    story.messages(1, 2);
    assert_found(&story.end(), [0, 0, 0, 1]);
}

#[test]
fn as_many_messages_with_the_same_last_one_in_another_order_are_reordered() {
    let mut story = story();
    let before = story.entries[&1];
    let numbers = [story.message(1), story.message(1), story.message(1)];
    story.entries.insert(1, before.with(numbers[1]).with(numbers[0]).with(numbers[2]));
    assert_found(&story.end(), [0, 0, 0, 1]);
}

#[test]
fn an_answer_of_a_generation_that_was_replaced_is_reordered() {
    let mut story = story();
    story.swap();
    story.message(1);
    let number = story.send(1);
    let Seen(before, applied, trail, handovers) = story.apply(1, number);
    story.answer(1, number, Seen(before, applied, trail, handovers - 1));
    assert_found(&story.end(), [0, 0, 0, 1]);
}

#[test]
fn a_wrong_final_state_is_found() {
    let spoilt = |spoil: fn(&mut Story)| {
        let mut story = story();
        spoil(&mut story);
        story.end()
    };
    assert_found(&spoilt(|story| story.entries.retain(|&key, _| key != 2)), [0, 3, 0, 0]);
    assert_found(&spoilt(|story| _ = story.apply(1, 7)), [0, 0, 1, 0]);
    assert_found(&spoilt(|story| _ = story.apply(9, 1)), [0, 0, 1, 0]);
    assert_found(&spoilt(|story| story.entries.entry(1).or_default().last = 6), [0, 0, 0, 1]);
}

#[test]
fn a_final_state_of_another_generation_than_the_last_is_found() {
    for (generation, handovers) in [(1, 1), (2, 0), (3, 1)] {
        let verdict = story().end_as(generation, handovers);
        assert_eq!(verdict.complaints.len(), 1, "{generation} {handovers}");
    }
}

#[test]
fn a_history_that_breaks_off_is_not_whole_and_what_was_under_way_is_lost() {
    let mut story = story();
    story.send(1);
    story.send(2);
    let verdict = judged(story.records);
    assert_found(&verdict, [0, 2, 0, 0]);
    assert!(!verdict.whole);
}

#[test]
fn a_swap_that_is_rolled_back_or_counts_a_loss_is_found() {
    let rolled_back = Receipt { outcome: Outcome::RolledBack, ..receipt(3) };
    let lossy = Receipt { requests: Requests { lost: 1, ..Requests::default() }, ..receipt(3) };
    for (receipt, generation) in [(rolled_back, 2), (lossy, 3)] {
        let mut story = story();
        let at = story.tick();
        story.records.push(Record::Swapped(at, Box::new(receipt)));
        let verdict = story.end_as(generation, generation - 1);
        assert_eq!(verdict.complaints.len(), 1, "{:?}", verdict.complaints);
    }
}

#[test]
fn requests_under_way_in_a_swap_are_told_from_those_beside_it() {
    let receipt = || Box::new(receipt(2));
    let seen = |number: u64| {
        let entry = (1..=number).fold(Entry::default(), Entry::with);
        Seen(number - 1, number, entry.trail, u64::from(number > 2))
    };
    let verdict = judged(vec![
        Record::Sent(1, 1),
        Record::Answered(1, 1, Span(0, 7), seen(1)),
        Record::Sent(1, 2),
        Record::Replaced(100),
        Record::Answered(1, 2, Span(90, 105), seen(2)),
        Record::Sent(1, 3),
        Record::Swapped(200, receipt()),
        // Comes into the history after the swap in which it was sent.
        Record::Answered(1, 3, Span(120, 150), seen(3)),
        Record::Sent(1, 4),
        Record::Answered(1, 4, Span(210, 250), seen(4)),
    ]);
    assert_eq!((verdict.pause_us.p50, verdict.pause_us.max), (15, 30));
    assert_eq!((verdict.swap_us.max, verdict.lasted_us), (50, 250));
    assert_eq!((verdict.lost, verdict.duplicated, verdict.reordered), (0, 0, 0));
}
