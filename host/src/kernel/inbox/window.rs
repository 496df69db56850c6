//! The messages of a swap's window, computed from what the mailbox counted and what the generations did.

use super::{HandledCounts, InboxCounts};
use crate::kernel::receipt::End;
use crate::kernel::view::Messages;

/// What was counted of messages over a swap's window: by the mailbox, and by the generations.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MessageWindow {
    /// When the window began.
    pub(crate) inbox_before: InboxCounts,
    pub(crate) old_before: HandledCounts,
    /// When the window ended.
    pub(crate) inbox_after: InboxCounts,
    pub(crate) old_after: HandledCounts,
    pub(crate) new: HandledCounts,
    /// Waited when the new generation began to serve, or the old one went on.
    pub(crate) waited: u64,
    /// What the old generation was brought by then, where it went on.
    pub(crate) went_on: Option<HandledCounts>,
    /// The last counts, where the new generation subscribes to nothing.
    pub(crate) forgotten: Option<InboxCounts>,
}

impl MessageWindow {
    /// What the window's `end` is for the old generation is known by then.
    pub(crate) fn messages(&self, end: End) -> Messages {
        let Self { inbox_before, old_before, inbox_after, old_after, new, waited, .. } = self;
        let given = inbox_after.given.saturating_sub(inbox_before.given);
        let begun = old_after.begun.saturating_sub(old_before.begun) + new.begun;
        // Of what a mailbox took, what is neither dropped, taken out nor given waits.
        let gone = |inbox: &InboxCounts| {
            inbox.accepted.saturating_sub(inbox.dropped + inbox.withdrawn + inbox.given + inbox.waiting)
        };
        let (unanswered, answered_twice) = match end {
            End::Drained => (
                old_after.begun.saturating_sub(old_after.done),
                old_after.done.saturating_sub(old_after.begun),
            ),
            End::GoesOn | End::Left => (0, 0),
        };
        let left = if end == End::Left { old_after.begun } else { old_after.done };
        // Those that had waited are told beside these.
        let old = match self.went_on {
            Some(at) => {
                left.min(at.begun).saturating_sub(old_before.done) + left.saturating_sub(at.begun + *waited)
            }
            None => left.saturating_sub(old_before.done),
        };
        Messages {
            old,
            waited: *waited,
            new: new.done.saturating_sub(*waited),
            lost: given.saturating_sub(begun)
                + unanswered
                + gone(inbox_after).saturating_sub(gone(inbox_before)),
            duplicated: begun.saturating_sub(given) + answered_twice,
            dropped: inbox_after.dropped.saturating_sub(inbox_before.dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_by_who_handled_them_and_what_nobody_did_is_lost() {
        let handled = |begun, done| HandledCounts { begun, done, failed: 0 };
        let inbox =
            |accepted, given, waiting| InboxCounts { accepted, given, waiting, ..InboxCounts::default() };
        let window = MessageWindow {
            inbox_before: inbox(10, 8, 2),
            old_before: handled(8, 8),
            inbox_after: inbox(30, 25, 5),
            old_after: handled(12, 12),
            new: handled(13, 12),
            waited: 7,
            ..MessageWindow::default()
        };
        let expected = Messages { old: 4, waited: 7, new: 5, ..Messages::default() };
        assert_eq!(window.messages(End::Drained), expected);
        // One that was taken out of the mailbox, and given to nobody.
        let given = MessageWindow { inbox_after: inbox(30, 26, 4), ..window };
        assert_eq!(given.messages(End::Drained).lost, 1);
        // One that the mailbox took, and has no more.
        let gone = MessageWindow { inbox_after: inbox(30, 25, 4), ..window };
        assert_eq!(gone.messages(End::Drained).lost, 1);
        // One that the old generation was given, and never answered.
        let unanswered = MessageWindow { old_after: handled(12, 11), ..window };
        assert_eq!((unanswered.messages(End::Drained).lost, unanswered.messages(End::Left).lost), (1, 0));
        // One that was given twice.
        let twice = MessageWindow { new: handled(14, 13), ..window };
        assert_eq!(twice.messages(End::Drained).duplicated, 1);
    }

    #[test]
    fn where_the_old_generation_goes_on_what_waited_is_told_once() {
        let handled = |begun, done| HandledCounts { begun, done, failed: 0 };
        let inbox =
            |accepted, given, waiting| InboxCounts { accepted, given, waiting, ..InboxCounts::default() };
        for (given, old) in [(13, 2), (19, 2), (22, 5)] {
            let window = MessageWindow {
                inbox_before: inbox(10, 10, 0),
                old_before: handled(10, 10),
                inbox_after: inbox(24, given, 24 - given),
                old_after: handled(given, given),
                went_on: Some(handled(12, 12)),
                waited: 7,
                ..MessageWindow::default()
            };
            let expected = Messages { old, waited: 7, ..Messages::default() };
            assert_eq!(window.messages(End::GoesOn), expected, "{given} were given");
        }
    }
}
