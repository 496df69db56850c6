//! The receipt of a swap, computed from counters that are kept apart from each other.

use super::gate::Passage;
use super::tally::Counts;
use super::view::Requests;

/// What was counted over a swap's window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    /// The old generation, when the window began.
    pub(crate) old_before: Counts,
    /// The old generation, when it was drained; or now, if calls are still inside.
    pub(crate) old_after: Counts,
    /// Whether it was drained: only then is a call without an answer a lost one.
    pub(crate) drained: bool,
    /// The new generation, when the window ended.
    pub(crate) new: Counts,
    pub(crate) passage: Passage,
}

impl Window {
    pub(crate) fn requests(&self) -> Requests {
        let Self { old_before: before, old_after: after, drained, new, passage } = self;
        let direct = |counts: &Counts| counts.answered.saturating_sub(counts.answered_after_wait);
        // Drained, both are of one moment at which nobody was inside: they differ only if a call ended without its answer.
        let unanswered = after.entered.saturating_sub(after.answered);
        // Else such calls are on their way; those that waited are counted by the gate.
        let inside = (after.entered - after.entered_after_wait).saturating_sub(direct(after));
        Requests {
            old: direct(after).saturating_sub(direct(before)) + if *drained { 0 } else { inside },
            waited: passage.waited + passage.expired,
            new: direct(new),
            lost: if *drained { unanswered } else { 0 },
            duplicated: if *drained { after.answered.saturating_sub(after.entered) } else { 0 },
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
            failed: 0,
            mistaken: 0,
        }
    }

    #[test]
    fn requests_are_told_apart_by_who_answered_them() {
        let window = Window {
            old_before: counts(10, 10, 2),
            old_after: counts(15, 15, 2),
            drained: true,
            new: counts(7, 6, 3),
            passage: Passage { waited: 3, expired: 1, ..Passage::default() },
        };
        assert_eq!(window.requests(), Requests { old: 5, waited: 4, new: 3, lost: 0, duplicated: 0 });
    }

    #[test]
    fn a_call_that_left_a_drained_generation_without_an_answer_is_lost() {
        let window = Window { old_after: counts(5, 4, 0), drained: true, ..Window::default() };
        assert_eq!(window.requests(), Requests { old: 4, lost: 1, ..Requests::default() });
        // While calls are inside, one without an answer is on its way.
        let window = Window { drained: false, ..window };
        assert_eq!(window.requests(), Requests { old: 5, lost: 0, ..Requests::default() });
    }

    #[test]
    fn an_answer_without_a_call_is_a_duplicate() {
        let window = Window { old_after: counts(5, 6, 0), drained: true, ..Window::default() };
        assert_eq!(window.requests().duplicated, 1);
    }
}
