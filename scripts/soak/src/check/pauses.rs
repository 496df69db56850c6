//! What swaps cost the clients: how long those requests took that were under way in one.

use std::collections::VecDeque;

use super::spread::Spread;
use crate::record::Span;

/// Windows that are remembered: an answer comes into the history with its client's next message, some swaps late at most.
const REMEMBERED: usize = 64;

/// Tells the requests of a swap's window from the others. A window is from the rename of the file to the receipt.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// Renamed, and not through yet.
    open: Option<u64>,
    windows: VecDeque<Span>,
    /// Answered, and not told apart yet.
    waiting: Vec<Span>,
    spread: Spread,
}

impl Pauses {
    pub(crate) fn replaced(&mut self, at: u64) {
        self.open.get_or_insert(at);
    }

    pub(crate) fn swapped(&mut self, at: u64) {
        let Some(begin) = self.open.take() else { return };
        if self.windows.len() == REMEMBERED {
            self.windows.pop_front();
        }
        self.windows.push_back(Span(begin, at));
        self.sort_out(at);
    }

    /// A request was answered, or failed.
    pub(crate) fn request(&mut self, span: Span) {
        self.waiting.push(span);
    }

    /// Those that were answered by then can be told apart; no window is to come before it.
    fn sort_out(&mut self, until: u64) {
        let Self { windows, waiting, spread, .. } = self;
        waiting.retain(|&Span(sent, done)| {
            if windows.iter().any(|&Span(begin, end)| begin <= done && sent <= end) {
                spread.add(done.saturating_sub(sent));
                return false;
            }
            done > until
        });
    }

    pub(crate) fn finish(mut self) -> Spread {
        self.sort_out(u64::MAX);
        self.spread
    }
}
