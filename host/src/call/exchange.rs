//! The exchange: a request on its way through a lane and its reply on its way back.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use hotbay_plugin_api::abi::{Lent, Status};

use super::{Asked, Failure, answer, error};
use crate::CallError;
use crate::bus::{Cancel, Limit, Trace, within, within_trace};
use crate::kernel::alarm::Alarm;
use crate::kernel::lane::{GivenUp, Job, Life};
use crate::kernel::slot::{Entry, Lease, NoEntry, Slot};

/// Buffers that are larger are given back: one huge reply must not be held for ever.
const KEPT: usize = 64 * 1024;

/// A thread asks for one thing at a time, so one exchange serves all of its requests, and they allocate nothing. One that was
/// given up when it had begun stays with the lane.
#[derive(Debug)]
pub(super) struct Exchange {
    life: Life,
    caller: Thread,
    // That who asked has given up, for whoever is in it.
    given_up: Cancel,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    lease: Option<Lease>,
    // When who asked gives up.
    until: Option<Instant>,
    method: String,
    request: Vec<u8>,
    reply: Vec<u8>,
    outcome: Option<Result<Asked, Box<NoEntry>>>,
    // What the one who asks is within.
    trace: Option<Trace>,
    // Of the generation that is in it: told where its answer comes too late.
    alarm: Option<Arc<Alarm>>,
}

thread_local! {
    static MINE: Cell<Option<Arc<Exchange>>> = const { Cell::new(None) };
}

/// How an exchange ended for the one who waited.
pub(super) enum Ended {
    /// The lane did it. `None` when it broke down on the way.
    Done(Option<Result<Asked, Box<NoEntry>>>),
    /// The deadline passed; a thread of the lane is still in it when there is a seat.
    GivenUp { seat: Option<usize> },
    /// Who asked has gone, and it had not begun.
    Cancelled,
}

impl Exchange {
    /// This thread's exchange, with what is asked.
    pub(super) fn ask(method: &str, request: &[u8], until: Option<Instant>) -> Arc<Self> {
        // Where the thread's destructors run already, it makes one each time.
        let kept = MINE.try_with(Cell::take).ok().flatten();
        let exchange = kept.unwrap_or_else(|| {
            let (life, given_up, content) = (Life::default(), Cancel::new(), Mutex::default());
            Arc::new(Self { life, caller: thread::current(), given_up, content })
        });
        exchange.life.renew();
        let mut content = exchange.content();
        content.until = until;
        content.method.clear();
        content.method.push_str(method);
        content.request.clear();
        content.request.extend_from_slice(request);
        content.reply.clear();
        content.trace = Trace::current();
        drop(content);
        exchange
    }

    /// The lane takes it: from here on it is counted.
    pub(super) fn accept(&self, lease: Lease) {
        lease.accept();
        let mut content = self.content();
        content.alarm = Some(Arc::clone(&lease.generation().alarm));
        content.lease = Some(lease);
    }

    /// Its deadline passed while it waited in the lane's mailbox. Counted before the lease goes: a receipt that is written then
    /// has it. A lane's thread may just have taken it, and find that nobody waits: then it is not used again.
    pub(super) fn expire(self: Arc<Self>) {
        if let Some(lease) = self.content().lease.take() {
            lease.expire();
        }
        if Arc::strong_count(&self) == 1 {
            self.keep();
        }
    }

    /// Waits until it is done, until `until` at most, and not for its turn when somebody cancels. Where it has begun by then, it is told that it
    /// is for nobody, and waited for all the same: to leave a thread behind for each client that goes away would be theirs to do.
    pub(super) fn wait(&self, until: Instant, cancel: Option<&Cancel>) -> Ended {
        let _wakes = cancel.map(Cancel::wakes_me);
        while !self.life.is_done() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                match self.life.give_up() {
                    GivenUp::Waiting => return Ended::GivenUp { seat: None },
                    GivenUp::Begun { seat } => {
                        self.given_up.cancel();
                        return Ended::GivenUp { seat: Some(seat) };
                    }
                    GivenUp::Done => break,
                }
            }
            if cancel.is_some_and(Cancel::is_cancelled) {
                if self.life.give_up_waiting() {
                    return Ended::Cancelled;
                }
                self.given_up.cancel();
            }
            thread::park_timeout(left);
        }
        Ended::Done(self.content().outcome.take())
    }

    /// Appends the reply to `reply`.
    pub(super) fn copy_reply(&self, reply: &mut Vec<u8>) {
        reply.extend_from_slice(&self.content().reply);
    }

    /// The error of a request that was not answered.
    pub(super) fn error(&self, slot: &Slot, method: &str, failure: Failure) -> Box<CallError> {
        let words = &mut self.content().reply;
        error(slot, method, failure, Lent::new(words).out(), 0)
    }

    /// Keeps it for the thread's next request, without its lease. Nobody waits for it, and no lane will look at it again.
    pub(super) fn keep(self: Arc<Self>) {
        if self.given_up.is_cancelled() {
            // The next request is somebody's.
            self.content().lease = None;
            return;
        }
        let content = &mut *self.content();
        (content.lease, content.alarm) = (None, None);
        for buffer in [&mut content.request, &mut content.reply] {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
        let _ = MINE.try_with(|mine| mine.set(Some(Arc::clone(&self))));
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job for Exchange {
    fn life(&self) -> &Life {
        &self.life
    }

    fn work(&self) {
        let Content { lease, until, method, request, reply, outcome, trace, .. } = &mut *self.content();
        let Some(lease) = lease.take() else { return };
        let mut lent = Lent::new(reply);
        let mut out = lent.out();
        let limit = Limit { until: *until, cancel: Some(self.given_up.clone()), along: None };
        let inside = || {
            lease.enter(&mut |generation, Entry { thread, waited }| {
                let entered = lease.counted().tally.accepted(thread, waited);
                answer(generation, entered, method, request, out.again())
            })
        };
        *outcome = Some(within(limit, || within_trace(trace.take(), inside)));
    }

    fn deliver(&self) {
        if self.life.end() {
            self.caller.unpark();
            return;
        }
        // It was given up, which counted: its answer counts as nothing beside that.
        let Content { outcome, alarm, .. } = &mut *self.content();
        if let (Some(Ok(asked)), Some(alarm)) = (outcome.take(), alarm.take()) {
            match asked.map_err(|failure| *failure) {
                Err(Failure::Plugin { status: Status::NO_SUCH_METHOD, .. } | Failure::Host(_)) => {}
                asked => alarm.come_late(asked.is_ok()),
            }
        }
    }
}
