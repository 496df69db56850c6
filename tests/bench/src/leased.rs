//! The least that a call costs which may be counted and whose callee may be replaced: the limit of `call` on the processor at hand.
//!
//! A name is stored and the published value looked at once more, as `kernel/lease` does it, but with one place for a name in each
//! thread, no call within a call, no gate, no barrier and no library: nothing that Hotbay could leave out. Replaced by nobody.

use std::cell::Cell;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering, compiler_fence};

use crate::limits::{REQUEST, Service, service};
use crate::rounds::{Row, timed};

/// A thread's own.
struct Record {
    name: AtomicUsize,
    entered: Cell<u64>,
    answered: Cell<u64>,
}

thread_local! {
    static MINE: Record =
        const { Record { name: AtomicUsize::new(0), entered: Cell::new(0), answered: Cell::new(0) } };
}

/// What is published: one of two, so that nobody knows which.
struct Door {
    services: [&'static dyn Service; 2],
    published: AtomicUsize,
}

impl Door {
    fn new() -> Self {
        Self { services: [service(), service()], published: AtomicUsize::new(black_box(0)) }
    }

    #[inline(always)]
    fn enter(&self, body: impl FnOnce(&'static dyn Service, &Record)) {
        MINE.with(|mine| {
            let mut value = self.published.load(Ordering::Acquire);
            loop {
                mine.name.store(value + 1, Ordering::Release);
                compiler_fence(Ordering::SeqCst);
                let again = self.published.load(Ordering::Acquire);
                if value == again {
                    break;
                }
                value = again;
            }
            body(self.services[value & 1], mine);
            mine.name.store(0, Ordering::Release);
        });
    }

    /// With what a receipt is made of, counted per thread.
    #[inline(always)]
    fn enter_counted(&self, body: impl FnOnce(&'static dyn Service) -> bool) {
        self.enter(|service, mine| {
            mine.entered.set(mine.entered.get() + 1);
            if body(service) {
                mine.answered.set(mine.answered.get() + 1);
            }
        });
    }
}

/// As a plugin's function answers: a panic does not come out of it.
fn guarded(body: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(body)).is_ok()
}

pub(crate) fn rows() -> Vec<Row> {
    let [bare, counted, first] = [(); 3].map(|()| Door::new());
    let [mut reply, mut counted_reply, mut first_reply] = [(); 3].map(|()| Vec::with_capacity(64));
    vec![
        Row::new("leased", move |calls| {
            timed(calls, || {
                bare.enter(|service, _| service.add(black_box(&REQUEST), &mut reply));
                black_box(&reply);
            })
        })
        .over("dyn"),
        Row::new("leased, counted", move |calls| {
            timed(calls, || {
                counted.enter_counted(|service| {
                    guarded(|| service.add(black_box(&REQUEST), &mut counted_reply))
                });
                black_box(&counted_reply);
            })
        })
        .over("dyn"),
        Row::new("leased, counted first", move |calls| {
            timed(calls, || {
                first.enter_counted(|service| {
                    guarded(|| service.first(black_box(&REQUEST), &mut first_reply))
                });
                black_box(&first_reply);
            })
        })
        .over("dyn first"),
    ]
}
