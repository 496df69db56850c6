//! What the two ends of a stream share, and how each thing that is done to it changes that. Whoever comes here holds its lock.

use std::collections::VecDeque;
use std::thread::{self, Thread, ThreadId};

use super::{End, Resumed, Side, Stuck, Window};
use crate::bus::Cancel;

#[derive(Debug)]
pub(super) struct Both {
    window: Window,
    opener: Way,
    handler: Way,
    // Threads that wait at the one end and at the other.
    waiting: [Vec<Thread>; 2],
    // Of the handlers that follow each other the one that has it, from 1 on.
    number: u64,
    state: State,
    // What handlers left.
    token: Vec<u8>,
    // Whether something is to be looked at that is not on the stream.
    is_noticed: bool,
}

#[derive(Debug)]
pub(super) enum State {
    /// Somebody handles it.
    Handled(Cancel),
    /// The same, and is to let go.
    Moving(Cancel),
    /// It has ended; by [`End::Moved`] also before the first handler has it.
    Ended(End),
}

/// Items from one side to the other.
#[derive(Debug, Default)]
struct Way {
    items: VecDeque<Vec<u8>>,
    bytes: usize,
    is_finished: bool,
    // Ever.
    sent: u64,
}

impl Way {
    fn has_room(&self, len: usize, window: Window) -> bool {
        self.items.is_empty()
            || (self.items.len() < window.items && self.bytes.saturating_add(len) <= window.bytes)
    }

    fn push(&mut self, item: &[u8]) {
        self.bytes += item.len();
        self.items.push_back(item.to_vec());
        self.sent += 1;
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let item = self.items.pop_front()?;
        self.bytes -= item.len();
        Some(item)
    }

    fn clear(&mut self) {
        (self.items, self.bytes) = (VecDeque::new(), 0);
    }
}

impl Both {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            opener: Way::default(),
            handler: Way::default(),
            waiting: Default::default(),
            number: 0,
            state: State::Ended(End::Moved),
            token: Vec::new(),
            is_noticed: false,
        }
    }

    /// The way from a side.
    fn from(&mut self, side: Side) -> &mut Way {
        match side {
            Side::Opener => &mut self.opener,
            Side::Handler => &mut self.handler,
        }
    }

    /// Has who waits at this end look again.
    fn wake(&self, side: Side) {
        self.waiting[side as usize].iter().for_each(Thread::unpark);
    }

    /// This thread waits at this end from here on. It is woken for what changes after the lock is given up.
    pub(super) fn wait_here(&mut self, side: Side) -> ThreadId {
        let here = thread::current();
        let id = here.id();
        self.waiting[side as usize].push(here);
        id
    }

    /// It waits no more.
    pub(super) fn leave_here(&mut self, side: Side, id: ThreadId) {
        let waiting = &mut self.waiting[side as usize];
        if let Some(at) = waiting.iter().position(|thread| thread.id() == id) {
            waiting.swap_remove(at);
        }
    }

    pub(super) fn ended(&self) -> Option<End> {
        match &self.state {
            State::Ended(end) => Some(end.clone()),
            State::Handled(_) | State::Moving(_) => None,
        }
    }

    /// Why the handler of this number can do nothing with the stream any more.
    fn handlers_end(&self, number: u64) -> Option<End> {
        match &self.state {
            _ if number != self.number => Some(End::Moved),
            State::Handled(_) => None,
            State::Moving(_) => Some(End::Moved),
            State::Ended(end) => Some(end.clone()),
        }
    }

    /// Sends, where there is room. `number` is the handler's.
    pub(super) fn send(&mut self, side: Side, number: u64, item: &[u8]) -> Option<Result<(), Stuck>> {
        let end = match side {
            Side::Opener => self.ended(),
            Side::Handler => self.handlers_end(number),
        };
        if let Some(end) = end {
            return Some(Err(Stuck::Ended(end)));
        }
        let window = self.window;
        let way = self.from(side);
        if way.is_finished {
            return Some(Err(Stuck::Ended(End::Finished)));
        }
        if !way.has_room(item.len(), window) {
            return None;
        }
        way.push(item);
        self.wake(side.other());
        Some(Ok(()))
    }

    /// Receives, where there is an item, or no more come.
    pub(super) fn receive(&mut self, side: Side, number: u64) -> Option<Result<Option<Vec<u8>>, Stuck>> {
        // To a handler nothing is brought of a stream that has ended; the opener has everything that was sent before.
        if side == Side::Handler
            && let Some(end) = self.handlers_end(number)
        {
            return Some(Err(Stuck::Ended(end)));
        }
        let way = self.from(side.other());
        if let Some(item) = way.take() {
            self.wake(side.other());
            return Some(Ok(Some(item)));
        }
        let is_finished = way.is_finished;
        match self.ended() {
            Some(End::Finished) => Some(Ok(None)),
            Some(end) => Some(Err(Stuck::Ended(end))),
            None => is_finished.then_some(Ok(None)),
        }
    }

    /// No more items come from this side.
    pub(super) fn finish(&mut self, side: Side, number: u64) {
        if side == Side::Handler && (number != self.number || self.ended().is_some()) {
            return;
        }
        self.from(side).is_finished = true;
        self.wake(side.other());
    }

    /// The next handler: its number, and what those before it left.
    pub(super) fn attach(&mut self, cancel: &Cancel) -> Option<(u64, Option<Resumed>)> {
        if !matches!(self.state, State::Ended(End::Moved)) {
            return None;
        }
        self.state = State::Handled(cancel.clone());
        self.number += 1;
        self.is_noticed = false;
        let received = self.opener.sent - self.opener.items.len() as u64;
        let resumed = Resumed { token: self.token.clone(), sent: self.handler.sent, received };
        self.wake(Side::Opener);
        Some((self.number, (self.number > 1).then_some(resumed)))
    }

    pub(super) fn leave(&mut self, number: u64, token: &[u8]) -> Result<(), End> {
        if number != self.number {
            return Err(End::Moved);
        }
        if let State::Ended(end) = &self.state {
            return Err(end.clone());
        }
        self.token.clear();
        self.token.extend_from_slice(token);
        Ok(())
    }

    /// There is something else to look at for who handles it.
    pub(super) fn notify(&mut self, number: u64) {
        if number == self.number {
            self.is_noticed = true;
            self.wake(Side::Handler);
        }
    }

    /// Whether there is; asked once for any number of notices.
    pub(super) fn noticed(&mut self, number: u64) -> Option<Result<(), Stuck>> {
        match self.handlers_end(number) {
            Some(end) => Some(Err(Stuck::Ended(end))),
            None => std::mem::take(&mut self.is_noticed).then_some(Ok(())),
        }
    }

    /// The handler of this number is to let go.
    pub(super) fn move_on(&mut self, number: u64) {
        let State::Handled(cancel) = &self.state else { return };
        if number != self.number {
            return;
        }
        let cancel = cancel.clone();
        cancel.cancel();
        self.state = State::Moving(cancel);
        self.wake(Side::Handler);
    }

    /// The handler of this number says how it ended.
    pub(super) fn end(&mut self, number: u64, end: End) {
        if number != self.number {
            return;
        }
        let end = match (&self.state, end) {
            (State::Ended(_), _) => return,
            (State::Moving(_), End::Failed(_) | End::Cancelled) => End::Moved,
            // It may have taken what it was told for the end; but for one that said before that it sends no more.
            (State::Moving(_), End::Finished) if !self.handler.is_finished => End::Moved,
            (_, end) => end,
        };
        self.over(end);
    }

    /// The opener has gone.
    pub(super) fn cancel(&mut self) {
        match &self.state {
            State::Ended(End::Moved) | State::Handled(_) | State::Moving(_) => self.over(End::Cancelled),
            State::Ended(_) => {}
        }
        self.handler.clear();
    }

    /// Its time is over.
    pub(super) fn expire(&mut self) {
        match &self.state {
            State::Ended(End::Moved) | State::Handled(_) | State::Moving(_) => self.over(End::Late),
            State::Ended(_) => {}
        }
    }

    fn over(&mut self, end: End) {
        let is_moved = end == End::Moved;
        let before = std::mem::replace(&mut self.state, State::Ended(end));
        if !is_moved {
            self.opener.clear();
        }
        self.wake(Side::Opener);
        self.wake(Side::Handler);
        if let State::Handled(cancel) | State::Moving(cancel) = before {
            cancel.cancel();
        }
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Opener => Self::Handler,
            Self::Handler => Self::Opener,
        }
    }
}
