//! The protocol under loom: readers and a writer in every order.
//!
//! loom knows neither `compiler_fence` nor a barrier on other processors, so the model has `SeqCst` fences on both sides, as
//! the lease has them where a system has no such barrier; that the barrier does the same is argued in L1. That the model
//! can fail is shown by leaving the reader's fence out.
//!
//! That fences come and go (L7) is modelled as well. What the barrier on all processors does there, to fall before or after a
//! reader's question, is what two read-modify-writes of one value do.

// Windows: loom ends a thread by a panic on a stack of its own making, over which the system's unwinder (wine's, and that of
// the gnu toolchain) does not go. What is searched here is the same on all systems.
#![cfg(not(windows))]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::thread;

/// Two values, 1 and 2; 0 is no name. `freed[v]` says that a writer took value `v` for drained.
struct Model {
    published: AtomicUsize,
    names: [AtomicUsize; 2],
    freed: [AtomicBool; 3],
    // What readers ask: 1 where they need not fence.
    unfenced: AtomicUsize,
}

impl Model {
    fn new() -> Self {
        Self {
            published: AtomicUsize::new(1),
            names: [AtomicUsize::new(0), AtomicUsize::new(0)],
            freed: [AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false)],
            unfenced: AtomicUsize::new(1),
        }
    }

    /// `Door::enter` with a body that looks whether what it is inside of is alive.
    fn enter(&self, reader: usize, fenced: bool) {
        let mut value = self.published.load(Ordering::Acquire);
        loop {
            self.names[reader].store(value, Ordering::Release);
            if fenced {
                fence(Ordering::SeqCst);
            }
            let again = self.published.load(Ordering::Acquire);
            if again == value {
                break;
            }
            value = again;
        }
        assert!(!self.freed[value].load(Ordering::Relaxed), "inside of what was freed");
        self.names[reader].store(0, Ordering::Release);
    }

    /// `Shortcut::enter` of who went into value 1 before.
    fn enter_again(&self, reader: usize, fenced: bool) {
        self.names[reader].store(1, Ordering::Release);
        if fenced {
            fence(Ordering::SeqCst);
        }
        if self.published.load(Ordering::Acquire) == 1 {
            assert!(!self.freed[1].load(Ordering::Relaxed), "inside of what was freed");
        }
        self.names[reader].store(0, Ordering::Release);
    }

    /// `Door::enter` while fences come and go; a reader that does not ask after it has named asks before.
    fn enter_and_ask(&self, reader: usize, after: bool) {
        let ask = || self.unfenced.fetch_add(0, Ordering::AcqRel) == 1;
        let value = self.published.load(Ordering::Acquire);
        let before = if after { false } else { ask() };
        self.names[reader].store(value, Ordering::Release);
        if !if after { ask() } else { before } {
            fence(Ordering::SeqCst);
        }
        if self.published.load(Ordering::Acquire) == value {
            assert!(!self.freed[value].load(Ordering::Relaxed), "inside of what was freed");
        }
        self.names[reader].store(0, Ordering::Release);
    }

    /// `Fenced::begin`, then as without.
    fn fence_replace_and_drain(&self) {
        self.unfenced.swap(0, Ordering::AcqRel);
        self.replace_and_drain();
        self.unfenced.store(1, Ordering::Release);
    }

    /// `Door::replace`, then `Replaced::drain`.
    fn replace_and_drain(&self) {
        let old = self.published.swap(2, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        for name in &self.names {
            while name.load(Ordering::Acquire) == old {
                thread::yield_now();
            }
        }
        self.freed[old].store(true, Ordering::Relaxed);
    }
}

/// How a reader goes in.
type Enter = fn(&Model, usize, bool);

fn run(readers: usize, preemptions: Option<usize>, fenced: bool, enter: Enter) {
    run_with(readers, preemptions, fenced, enter, Model::replace_and_drain);
}

fn run_with(readers: usize, preemptions: Option<usize>, fenced: bool, enter: Enter, write: fn(&Model)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        let model = Arc::new(Model::new());
        let readers: Vec<_> = (0..readers)
            .map(|reader| {
                let model = Arc::clone(&model);
                thread::spawn(move || enter(&model, reader, fenced))
            })
            .collect();
        write(&model);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn no_reader_is_inside_of_what_a_writer_took_for_drained() {
    for enter in [Model::enter as Enter, Model::enter_again] {
        run(1, None, true, enter);
        // All interleavings of three threads take hours; those of three preemptions hold the known ways to be wrong.
        run(2, Some(3), true, enter);
    }
}

#[test]
#[should_panic(expected = "inside of what was freed")]
fn without_the_readers_fence_one_is() {
    run(1, None, false, Model::enter);
}

#[test]
#[should_panic(expected = "inside of what was freed")]
fn without_the_fence_of_a_reader_that_goes_in_again_one_is() {
    run(1, None, false, Model::enter_again);
}

#[test]
fn no_reader_is_inside_of_what_was_drained_by_its_own_fence_when_that_comes_and_goes() {
    run_with(1, None, true, Model::enter_and_ask, Model::fence_replace_and_drain);
    run_with(2, Some(3), true, Model::enter_and_ask, Model::fence_replace_and_drain);
}

#[test]
#[should_panic(expected = "inside of what was freed")]
fn a_reader_that_asks_before_it_names_is() {
    run_with(1, None, false, Model::enter_and_ask, Model::fence_replace_and_drain);
}
