//! The lease: how a caller keeps what it entered alive, for the price of a store and a load.
//!
//! A [`Door`] publishes one value. Whoever goes in names it in a slot of its own thread (a hazard), looks again whether it
//! is still the published one, and is inside; leaving clears the name. Whoever replaces the value waits until nobody names
//! it. Naming *the value* and not just an epoch keeps a call that is stuck in one service from holding up another's swap.
//!
//! The order that this needs, store before load, would cost each reader a fence. The writer pays for all of them instead:
//! it makes every processor of the process pass a barrier (`membarrier`, `FlushProcessWriteBuffers`), and readers only keep
//! their compiler from reordering. Where a system has no such call, or refuses it, readers use the fence.
//!
//! # Safety argument
//!
//! * **L1 A named value is alive.** A reader stores the name (N), then loads the published pointer again (P). A writer
//!   exchanges the published pointer (X), then passes the barrier on all processors, then loads the names (S): what was taken
//!   out is neither looked for nor freed before its barrier, which whoever took it out may put off. Between N
//!   and P there is at least a compiler fence, so on the reader's processor N precedes P in program order. If the barrier
//!   fell on that processor before N, then P comes after X is visible there: the reader sees another pointer and does not
//!   go in. If it fell after N, then N is visible to the writer before S: it sees the name and waits. With fences instead of
//!   the barrier this is the store-load litmus test, which `SeqCst` fences on both sides forbid. So no reader is inside a
//!   value that a writer took for drained.
//! * **L2 A name ends after its use.** Leaving clears the name with `Release`, the writer's look is `Acquire`: what was done
//!   inside happened before the value is freed. The next name is a `Release` as well: the writer may see that one instead of
//!   the clearing before it, and a plain store does not carry on what was released.
//! * **L3 An address may come back.** A freed value's address can be published again; a reader that named it before then
//!   looks again (P) and finds it published *now*: what it is inside of is what is published, not what was freed. The address that
//!   a [`Shortcut`] knows does not come back: it has a weak count, so that memory is given to nobody.
//! * **L4 A record has one thread.** It is taken by compare-and-exchange and given back when the thread ends. Records are
//!   never freed, only used again: their number is that of the threads that were alive at once,
//!   and of those that went in once more while their thread-locals were being dropped: nobody gives back what these take then.
//! * **L5 Names are nested.** A thread's names form a stack; what is below the top stays named until the top is cleared.
//! * **L6 What is kept of a generation is used inside of it only.** A [`Shortcut`] keeps references into the generation of one
//!   state. It gives them out while it names an address that is published, which is that very state's (L3), and a state holds its generation.
//!   Nothing is learnt on a thread that is inside of anything: what it knows stays as it is until whoever is inside by it has left.
//! * **L7 Fences come and go.** A writer may have readers fence for a while ([`Fenced`]): it tells them to (T), has every processor pass
//!   the barrier (M), and exchanges (X) and looks (S) as often as it likes with a fence of its own in between; in the end it takes that
//!   back (B). A reader names (N), then asks whether to fence (A), then looks again (P). Where it is not to and A fell before M on its
//!   processor, so did N: N is visible before S. Where A fell after M it is told to fence, and L1 holds by the fences. Where
//!   it is not to fence since B, it acquired what B released: P sees X. What was exchanged before M has its barrier by M.

#![allow(unsafe_code, reason = "the lease hands out references that it alone keeps alive (L1–L7)")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering, compiler_fence, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use barrier::{Fenced, prepare};
use barrier::{heavy_barrier, is_unfenced, light_barrier};
pub(crate) use record::settle;
use record::{LATELY, MINE, Record};
pub(crate) use shortcut::{Inside, Kept, Shortcut};
pub(crate) use thread::Thread;

use super::patience::look_until;
use super::slot::SlotState;

mod barrier;
mod record;
mod shortcut;
mod thread;

/// Services that call each other in a circle end here instead of at the end of the stack. Real chains have a handful of
/// hops; with 64 KiB of stack in each, 32 fit a thread's 2 MiB.
pub(crate) const HOP_LIMIT: usize = 32;

/// A value that is entered by readers and replaced by writers.
#[derive(Debug)]
pub(crate) struct Door {
    // Owns one count of the `Arc`.
    published: AtomicPtr<SlotState>,
    owns: PhantomData<Arc<SlotState>>,
}

/// What was published before. Whoever went in may still be inside.
#[must_use = "readers may still be inside: drain it"]
#[derive(Debug)]
pub(crate) struct Replaced {
    // `None` once it is given up.
    value: Option<Arc<SlotState>>,
    // Whether every processor has passed the barrier since.
    is_behind_barrier: Cell<bool>,
}

/// The chain of calls on this thread is too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooDeep;

impl Door {
    pub(crate) fn new(value: SlotState) -> Self {
        Self { published: AtomicPtr::new(Arc::into_raw(Arc::new(value)).cast_mut()), owns: PhantomData }
    }

    /// Goes in on this thread: `body` gets what is published, which stays alive until it returns, and this thread.
    #[inline]
    pub(crate) fn enter<R>(&self, body: impl FnOnce(&SlotState, Thread) -> R) -> Result<R, TooDeep> {
        // SAFETY: it is named until `body` has returned, so alive (L1, L3).
        self.name(|value, thread| body(unsafe { &*value }, thread))
    }

    /// Names what is published until `body` has returned (L2).
    #[inline]
    fn name<R>(&self, body: impl FnOnce(*const SlotState, Thread) -> R) -> Result<R, TooDeep> {
        let name = Name::take()?;
        let mut value = self.published.load(Ordering::Acquire);
        loop {
            name.set(value.cast());
            light_barrier();
            let again = self.published.load(Ordering::Acquire);
            if ptr::eq(value, again) {
                break;
            }
            value = again;
        }
        Ok(body(value, name.thread()))
    }

    /// Goes in where nothing is in the way, which is so for most calls: `None` when this thread is new here, or two calls deep
    /// already. In one piece and without a loop, for each instruction counts.
    #[inline(always)]
    pub(crate) fn enter_at_once<R>(&self, body: impl FnOnce(&SlotState, Thread) -> R) -> Option<R> {
        let record = MINE.get()?;
        // Or in a call that comes out of another.
        let place = record.names[..2].iter().find(|place| is_free(place))?;
        let name = Name::at(record, place);
        let value = self.published.load(Ordering::Acquire);
        name.set(value.cast());
        compiler_fence(Ordering::SeqCst);
        // After the name (L7).
        if !is_unfenced() {
            return None;
        }
        compiler_fence(Ordering::SeqCst);
        if !ptr::eq(value, self.published.load(Ordering::Acquire)) {
            return None;
        }
        // SAFETY: L1, L3; `name` is cleared when it is dropped, after `body` (L2).
        Some(body(unsafe { &*value }, name.thread()))
    }

    /// A counted reference to what is published, to carry elsewhere. Draining waits for it as for a reader.
    pub(crate) fn carry(&self) -> Result<Arc<SlotState>, TooDeep> {
        // By the pointer that was published: one made of a reference may not reach the counts beside the value.
        self.name(|value, _| {
            // SAFETY: `value` came from `Arc::into_raw`, and is alive here (L1).
            unsafe { Arc::increment_strong_count(value) };
            // SAFETY: as above; this takes over the count that was just added.
            unsafe { Arc::from_raw(value) }
        })
    }

    /// Publishes another value. One writer at a time, or each gets what the one before it published.
    pub(crate) fn replace(&self, value: SlotState) -> Replaced {
        let fresh = Arc::into_raw(Arc::new(value)).cast_mut();
        let old = self.published.swap(fresh, Ordering::SeqCst);
        bury_and_sweep(None);
        // SAFETY: it was put there by `Arc::into_raw`, and this exchange took it out.
        Replaced { value: Some(unsafe { Arc::from_raw(old) }), is_behind_barrier: Cell::new(false) }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Nobody is inside: readers borrow the door.
        // SAFETY: it was put there by `Arc::into_raw`.
        drop(unsafe { Arc::from_raw(*self.published.get_mut()) });
    }
}

impl Replaced {
    /// Whether nobody is inside any more, and nothing of it is carried elsewhere.
    pub(crate) fn is_drained(&self) -> bool {
        self.pass_barrier();
        let drained =
            self.value.as_ref().is_none_or(|value| !is_named(value) && Arc::strong_count(value) == 1);
        // What those who gave their count back did happened before whatever comes now: the count is a relaxed read.
        fence(Ordering::Acquire);
        drained
    }

    /// The barrier of L1. Not within the exchange: who waits at a gate need not wait for it.
    fn pass_barrier(&self) {
        if !self.is_behind_barrier.replace(true) {
            heavy_barrier();
        }
    }

    /// Has its barrier passed by the readers' own fences.
    pub(crate) fn behind(&self, fenced: &Fenced) {
        fenced.barrier();
        self.is_behind_barrier.set(true);
    }

    /// Waits until it is drained; false when `deadline` passed first. Looking in growing steps costs callers nothing; a
    /// signal at the end of each lease would cost each call.
    pub(crate) fn drain(&self, deadline: Duration) -> bool {
        let (first, longest) = (Duration::from_micros(10), Duration::from_millis(1));
        look_until(deadline, first, longest, || self.is_drained().then_some(())).is_some()
    }
}

impl Drop for Replaced {
    /// Readers may still be inside: it is freed when they have left.
    fn drop(&mut self) {
        if self.value.is_some() {
            self.pass_barrier();
        }
        bury_and_sweep(self.value.take());
    }
}

fn is_named(value: &Arc<SlotState>) -> bool {
    Record::all().any(|record| record.names(value))
}

/// What nobody waits for any more and somebody may still be inside of.
static BURIED: Mutex<Vec<Arc<SlotState>>> = Mutex::new(Vec::new());

/// Frees what nobody is inside of any more. Each replacement does so; whoever waits for a generation may, too.
pub(crate) fn sweep() {
    bury_and_sweep(None);
}

fn bury_and_sweep(value: Option<Arc<SlotState>>) {
    let mut buried = BURIED.lock().unwrap_or_else(PoisonError::into_inner);
    buried.extend(value);
    let free: Vec<_> = buried.extract_if(.., |value| !is_named(value)).collect();
    // Freed outside of the lock: a state may hold the last of a generation.
    drop(buried);
    drop(free);
}

/// Goes into a state that is carried by its count, on this thread: it counts as a hop, and calls that come back find it.
pub(crate) fn enter_carried<R>(
    state: &Arc<SlotState>,
    body: impl FnOnce(&SlotState, Thread) -> R,
) -> Result<R, TooDeep> {
    let name = Name::take()?;
    name.set(Arc::as_ptr(state).cast_mut().cast());
    Ok(body(state, name.thread()))
}

/// Goes once more into a state that this thread is inside of: the innermost that `wanted` wants. `None` when there is none.
pub(crate) fn reenter<R>(
    wanted: impl Fn(&SlotState) -> bool,
    body: impl FnOnce(&SlotState, Thread) -> R,
) -> Option<Result<R, TooDeep>> {
    let (named, state) = innermost(wanted)?;
    let entered = Name::take().map(|name| {
        name.set(named);
        body(state, name.thread())
    });
    Some(entered)
}

/// Whether this thread is inside of a state that `wanted` wants.
pub(crate) fn is_inside(wanted: impl Fn(&SlotState) -> bool) -> bool {
    innermost(wanted).is_some()
}

/// Counted references to all that this thread is inside of, from the outermost on. Draining waits for them as for a reader.
pub(crate) fn inside() -> Vec<Arc<SlotState>> {
    // Who was never inside of anything has no record, and takes none for this.
    let names = MINE.get().into_iter().flat_map(|record| &record.names);
    let named = names.map(|name| name.load(Ordering::Relaxed).cast::<SlotState>());
    let counted = named.take_while(|named| !named.is_null()).map(|named| {
        // SAFETY: this very thread names it (L5), so it is alive (L1), with a count of who published it; each name is of
        // `Arc::into_raw` or `Arc::as_ptr`, which reach the counts.
        unsafe { Arc::increment_strong_count(named) };
        // SAFETY: as above; this takes over the count that was just added.
        unsafe { Arc::from_raw(named.cast_const()) }
    });
    counted.collect()
}

/// The innermost state that `wanted` wants of those that this thread is inside of, and its name: to be used before it comes out of it.
fn innermost<'a>(wanted: impl Fn(&SlotState) -> bool) -> Option<(*mut (), &'a SlotState)> {
    Record::mine().names.iter().rev().find_map(|name| {
        let named = name.load(Ordering::Relaxed);
        // SAFETY: L5: this very thread names it below; every door publishes slot states.
        let state = unsafe { named.cast::<SlotState>().as_ref() };
        state.filter(|state| wanted(state)).map(|state| (named, state))
    })
}

/// The top of this thread's names, cleared when it is dropped.
struct Name {
    record: &'static Record,
    place: &'static AtomicPtr<()>,
    // Not `Send`: it is cleared on the thread that took it (L4).
    here: PhantomData<*const ()>,
}

impl Name {
    #[inline]
    fn take() -> Result<Self, TooDeep> {
        let record = Record::mine();
        let outermost = &record.names[0];
        let place = if is_free(outermost) { outermost } else { record.top()? };
        Ok(Self::at(record, place))
    }

    /// At a place of this thread's record that is free, with none behind it that is not.
    #[inline]
    fn at(record: &'static Record, place: &'static AtomicPtr<()>) -> Self {
        Self { record, place, here: PhantomData }
    }

    #[inline]
    fn set(&self, address: *mut ()) {
        // `Release`, for a writer that sees this name and no more the one before (L2).
        self.place.store(address, Ordering::Release);
    }

    #[inline]
    fn thread(&self) -> Thread {
        Thread { record: self.record, here: PhantomData }
    }
}

impl Drop for Name {
    #[inline]
    fn drop(&mut self) {
        self.place.store(ptr::null_mut(), Ordering::Release);
    }
}

/// Only the thread itself writes its names (L4).
#[inline]
fn is_free(name: &AtomicPtr<()>) -> bool {
    name.load(Ordering::Relaxed).is_null()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
