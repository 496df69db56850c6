//! The receipt of a swap, computed from counters that are kept apart from each other.

use super::gate::Passage;
use super::tally::Counts;
use super::view::Requests;

/// What was counted over a swap's window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    /// The old generation, when the window began.
    pub(crate) old_before: Counts,
    /// The old generation, when the window ended.
    pub(crate) old_after: Counts,
    pub(crate) end: End,
    /// The new generation, when the window ended.
    pub(crate) new: Counts,
    pub(crate) passage: Passage,
}

/// What a window's end is for the old generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    /// It serves on: who is inside is counted when he is answered, if that is in another swap's window.
    #[default]
    GoesOn,
    /// Nobody is inside any more: a call without an answer is a lost one.
    Drained,
    /// It is left, with calls inside that end on it. No other receipt will tell of them: they count as answered here.
    Left,
}

impl Window {
    pub(crate) fn requests(&self) -> Requests {
        let Self { old_before: before, old_after: after, end, new, passage } = self;
        // Those that waited are counted by the gate.
        let over_at_once = |counts: &Counts| {
            counts.over().saturating_sub(counts.answered_after_wait + counts.expired_after_wait)
        };
        let counted = match end {
            End::GoesOn | End::Drained => over_at_once(after),
            End::Left => after.entered - after.entered_after_wait,
        };
        // Drained, both are of one moment at which nobody was inside: they differ only if a call ended without its answer.
        let (entered, over) = if *end == End::Drained { (after.entered, after.over()) } else { (0, 0) };
        Requests {
            old: counted.saturating_sub(over_at_once(before)),
            waited: passage.waited + passage.expired,
            new: over_at_once(new),
            lost: entered.saturating_sub(over),
            duplicated: over.saturating_sub(entered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(entered: u64, answered: u64, answered_after_wait: u64) -> Counts {
        Counts {
            entered,
            entered_after_wait: answered_after_wait,
            answered,
            answered_after_wait,
            ..Counts::default()
        }
    }

    #[test]
    fn requests_are_told_apart_by_who_answered_them() {
        let window = Window {
            old_before: counts(10, 10, 2),
            old_after: counts(15, 15, 2),
            end: End::Drained,
            new: counts(7, 6, 3),
            passage: Passage { waited: 3, expired: 1, ..Passage::default() },
        };
        assert_eq!(window.requests(), Requests { old: 5, waited: 4, new: 3, lost: 0, duplicated: 0 });
    }

    #[test]
    fn a_call_that_left_a_drained_generation_without_an_answer_is_lost() {
        let window = Window { old_after: counts(5, 4, 0), end: End::Drained, ..Window::default() };
        assert_eq!(window.requests(), Requests { old: 4, lost: 1, ..Requests::default() });
    }

    #[test]
    fn a_call_that_is_inside_is_counted_by_the_window_in_which_it_ends_or_by_the_last_one() {
        let called_off = Window { old_after: counts(5, 4, 0), ..Window::default() };
        assert_eq!(called_off.requests(), Requests { old: 4, ..Requests::default() });
        let next = Window { old_before: counts(5, 4, 0), old_after: counts(7, 7, 0), ..Window::default() };
        assert_eq!(next.requests(), Requests { old: 3, ..Requests::default() });
        // Nobody will look at a generation again that is left with somebody inside.
        let left = Window { end: End::Left, ..called_off };
        assert_eq!(left.requests(), Requests { old: 5, ..Requests::default() });
    }

    #[test]
    fn a_request_that_expires_in_the_mailbox_is_counted_and_not_lost() {
        let expired = Counts { entered: 5, answered: 3, expired: 2, ..Counts::default() };
        let window = Window { old_after: expired, end: End::Drained, ..Window::default() };
        assert_eq!(window.requests(), Requests { old: 5, ..Requests::default() });
        // One that had waited before is with the gate.
        let expired = Counts { entered_after_wait: 1, expired_after_wait: 1, ..expired };
        assert_eq!(Window { old_after: expired, ..window }.requests().old, 4);
    }

    #[test]
    fn an_answer_without_a_call_is_a_duplicate() {
        let window = Window { old_after: counts(5, 6, 0), end: End::Drained, ..Window::default() };
        assert_eq!(window.requests().duplicated, 1);
    }
}
