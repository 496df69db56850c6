//! A stream between a test and a plugin: as a host's, with the same window.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::abi::Status;
use crate::{Error, Result, Resumed};

const ITEMS: usize = 64;
const BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Opener,
    Handler,
}

#[derive(Debug, Default)]
pub(super) struct Pipe {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    // By who sends.
    ways: [Way; 2],
    is_moving: bool,
    // The handler has returned.
    is_left: bool,
    end: Option<(Status, String)>,
    token: Vec<u8>,
    is_noticed: bool,
}

#[derive(Debug, Default)]
struct Way {
    items: VecDeque<Vec<u8>>,
    bytes: usize,
    is_finished: bool,
    sent: u64,
}

impl Inside {
    /// Why this side can do nothing any more, but receive what was sent before.
    fn over(&self, side: Side) -> Option<Error> {
        if side == Side::Handler && self.is_moving {
            return Some(Error::of_callee(Status::MOVED, "go on with the stream: the plugin is replaced"));
        }
        self.end.as_ref().map(|(status, text)| Error::of_callee(*status, text))
    }
}

impl Side {
    fn other(self) -> usize {
        1 - self as usize
    }
}

impl Pipe {
    pub(super) fn send(&self, side: Side, item: &[u8], wait: Duration) -> Result<()> {
        self.wait(wait, |inside| {
            if let Some(error) = inside.over(side) {
                return Some(Err(error));
            }
            let way = &mut inside.ways[side as usize];
            if way.is_finished {
                return Some(Err(Error::with_status(Status::REFUSED, "send an item: this way is finished")));
            }
            let has_room = way.items.len() < ITEMS && way.bytes + item.len() <= BYTES;
            if !has_room && !way.items.is_empty() {
                return None;
            }
            way.bytes += item.len();
            way.sent += 1;
            way.items.push_back(item.to_vec());
            Some(Ok(()))
        })
    }

    pub(super) fn receive(&self, side: Side, wait: Duration) -> Result<Option<Vec<u8>>> {
        self.wait(wait, |inside| {
            let over = match (side, inside.over(side)) {
                (Side::Handler, Some(error)) => return Some(Err(error)),
                (_, over) => over,
            };
            let way = &mut inside.ways[side.other()];
            if let Some(item) = way.items.pop_front() {
                way.bytes -= item.len();
                return Some(Ok(Some(item)));
            }
            match over {
                Some(error) if error.status() == Status::ENDED => Some(Ok(None)),
                Some(error) => Some(Err(error)),
                None => way.is_finished.then_some(Ok(None)),
            }
        })
    }

    pub(super) fn finish(&self, side: Side) {
        self.change(|inside| inside.ways[side as usize].is_finished = true);
    }

    pub(super) fn leave(&self, token: &[u8]) -> Result<()> {
        self.change(|inside| match &inside.end {
            Some((status, text)) => Err(Error::of_callee(*status, text)),
            None => {
                inside.token = token.to_vec();
                Ok(())
            }
        })
    }

    pub(super) fn notify(&self) {
        self.change(|inside| inside.is_noticed = true);
    }

    pub(super) fn noticed(&self, wait: Duration) -> Result<()> {
        self.wait(wait, |inside| match inside.over(Side::Handler) {
            Some(error) => Some(Err(error)),
            None => std::mem::take(&mut inside.is_noticed).then_some(Ok(())),
        })
    }

    /// Ends it, unless it has.
    pub(super) fn end(&self, status: Status, text: &str) {
        self.change(|inside| {
            inside.end.get_or_insert_with(|| (status, text.to_owned()));
        });
    }

    /// Its handler has returned.
    pub(super) fn handled(&self, done: Result<()>) {
        self.change(|inside| {
            inside.is_left = true;
            let is_done = inside.ways[Side::Handler as usize].is_finished;
            let end = match done {
                Err(error) if error.status() == Status::PANICKED => {
                    (Status::PANICKED, error.message().to_owned())
                }
                Ok(()) if !inside.is_moving || is_done => {
                    (Status::ENDED, "go on with the stream: it is done".to_owned())
                }
                _ if inside.is_moving => {
                    (Status::MOVED, "go on with the stream: the plugin is replaced".to_owned())
                }
                Err(error) => (error.crossing(), error.message().to_owned()),
                Ok(()) => return,
            };
            inside.end.get_or_insert(end);
        });
    }

    pub(super) fn move_on(&self) {
        self.change(|inside| inside.is_moving = true);
    }

    /// Waits until the handler has returned, and answers what it left.
    pub(super) fn left(&self, wait: Duration) -> Result<Resumed> {
        self.wait(wait, |inside| {
            let [opener, handler] = &inside.ways;
            let received = opener.sent - opener.items.len() as u64;
            let resumed = || Resumed { token: inside.token.clone(), sent: handler.sent, received };
            inside.is_left.then(|| Ok(resumed()))
        })
    }

    /// Waits until the stream has ended.
    pub(super) fn ended(&self, wait: Duration) -> Result<()> {
        self.wait(wait, |inside| match inside.end.as_ref()? {
            (Status::ENDED, _) => Some(Ok(())),
            (status, text) => Some(Err(Error::of_callee(*status, text))),
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().over(Side::Handler).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Inside) -> R) -> R {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    fn wait<R>(&self, wait: Duration, mut poll: impl FnMut(&mut Inside) -> Option<Result<R>>) -> Result<R> {
        let until = Instant::now() + wait;
        let mut inside = self.lock();
        loop {
            if let Some(done) = poll(&mut inside) {
                drop(inside);
                self.changed.notify_all();
                return done;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let text = "send or receive in time: the other side is slower";
                return Err(Error::with_status(Status::TIMED_OUT, text));
            }
            inside = self.changed.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
