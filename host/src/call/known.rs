//! A method in hand: called without its name, where the generation that serves has a function of its own for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hotbay_plugin_api::abi::{Out, Status};

use super::{Asked, Called, Failure, answered, ask, error, failed, inline, retry};
use crate::kernel::generation::Generation;
use crate::kernel::lease::{Inside, Kept, Shortcut};
use crate::kernel::slot::Slot;

/// A method that one thread at a time calls: it knows where that thread went in last.
#[derive(Debug)]
pub(crate) struct Own {
    slot: Arc<Slot>,
    method: Box<str>,
    shortcut: Shortcut,
}

impl Own {
    pub(crate) fn new(slot: Arc<Slot>, method: &str) -> Self {
        Self { slot, method: method.into(), shortcut: Shortcut::new() }
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// As [`inline`].
    #[inline(always)]
    pub(crate) fn call(&self, request: &[u8], mut reply: Out<'_>) -> Called {
        let before = reply.len();
        let asked = self.slot.enter_again(&self.shortcut, |inside| {
            let Kept { method, own } = inside.kept();
            own.enter();
            let status = method.call(request, reply.again());
            if status != Status::OK {
                return Err(wrong(inside, status));
            }
            inside.kept().own.answer();
            Ok(())
        });
        // What may be asked again has no shortcut: so the request is not kept across the call.
        match asked {
            Some(Ok(())) => Ok(()),
            Some(Err(failure)) => Err(error(&self.slot, &self.method, *failure, reply, before)),
            None => self.find(request, reply),
        }
    }

    /// The same where the shortcut does not lead in: by name, and it is learnt anew.
    #[cold]
    #[inline(never)]
    fn find(&self, request: &[u8], reply: Out<'_>) -> Called {
        let called = inline(&self.slot, &self.method, request, reply);
        self.slot.learn(&self.shortcut, &self.method);
        called
    }
}

/// What went wrong in a call by a shortcut.
#[cold]
fn wrong(inside: Inside<'_>, status: Status) -> Box<Failure> {
    let Some(generation) = inside.state().generation() else { unreachable!("who was inside had one") };
    failed(generation, inside.kept().own.entered(), status)
}

/// A method that any number of threads call.
#[derive(Debug)]
pub(crate) struct Shared {
    slot: Arc<Slot>,
    method: Box<str>,
    // A load and the method's number there, in one word.
    seen: AtomicU64,
}

/// The number of a method that has no function of its own; no plugin has so many that have.
const NAMELESS: u64 = 0xff;

impl Shared {
    pub(crate) fn new(slot: Arc<Slot>, method: &str) -> Self {
        Self { slot, method: method.into(), seen: AtomicU64::new(NAMELESS) }
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// As [`inline`].
    #[inline]
    pub(crate) fn call(&self, request: &[u8], mut reply: Out<'_>) -> Called {
        let before = reply.len();
        let at_once = self.slot.enter_at_once(|generation, own| {
            let status = self.ask_plugin(generation, request, reply.again());
            answered(generation, own, status)
        });
        let asked = match at_once {
            Some(asked) => asked,
            None => self.ask_by_name(request, reply.again()),
        };
        match asked {
            Ok(()) => Ok(()),
            Err(failure) => retry::inline(&self.slot, &self.method, request, reply, (failure, before)),
        }
    }

    #[inline]
    fn ask_plugin(&self, generation: &Generation, request: &[u8], reply: Out<'_>) -> Status {
        let seen = self.seen.load(Ordering::Relaxed);
        let number = if seen >> 8 == generation.load { seen & NAMELESS } else { self.look(generation) };
        #[allow(clippy::cast_possible_truncation, reason = "below 256")]
        match generation.plugin.method(number as usize) {
            Some(method) => method.call(request, reply),
            None => generation.plugin.call(&self.method, request, reply),
        }
    }

    #[cold]
    fn look(&self, generation: &Generation) -> u64 {
        let number = generation.number_of(&self.method).and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| *number < NAMELESS).unwrap_or(NAMELESS);
        // Threads that look at once find the same.
        self.seen.store(generation.load << 8 | number, Ordering::Relaxed);
        number
    }

    #[cold]
    fn ask_by_name(&self, request: &[u8], reply: Out<'_>) -> Asked {
        ask(&self.slot, &self.method, request, reply)
    }
}
