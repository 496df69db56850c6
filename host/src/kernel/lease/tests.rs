//! Going in and being replaced, on real threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::record::COUNT;
use super::*;
use crate::kernel::view::Phase;
use crate::linked::{LONG, SHORT};

fn state(reason: &str) -> SlotState {
    SlotState::Down { phase: Phase::Stopped, reason: Some(reason.to_owned()) }
}

fn reason(state: &SlotState) -> String {
    match state {
        SlotState::Down { reason, .. } => reason.clone().unwrap(),
        _ => unreachable!("only such states are published here"),
    }
}

#[test]
fn a_reader_inside_one_door_does_not_hold_up_another() {
    let (stuck, free) = (Door::new(state("stuck")), Door::new(state("free")));
    let (go, wait) = mpsc::channel::<()>();
    let (went_in, is_in) = mpsc::channel();
    std::thread::scope(|scope| {
        let stuck_there = &stuck;
        scope.spawn(move || {
            stuck_there.enter(|_, _| {
                went_in.send(()).unwrap();
                wait.recv().unwrap();
            })
        });
        is_in.recv().unwrap();
        assert!(free.replace(state("next")).drain(LONG));
        let replaced = stuck.replace(state("next"));
        assert!(!replaced.drain(SHORT));
        go.send(()).unwrap();
        assert!(replaced.drain(LONG));
    });
}

#[test]
fn what_is_given_up_before_it_is_drained_lives_until_its_readers_have_left() {
    let door = Door::new(state("old"));
    let seen = door.enter(|old, _| {
        drop(door.replace(state("new")));
        sweep();
        (reason(old), door.enter(|new, _| reason(new)).unwrap())
    });
    assert_eq!(seen.unwrap(), ("old".to_owned(), "new".to_owned()));
}

#[test]
fn what_is_carried_elsewhere_holds_up_the_drain() {
    let door = Door::new(state("old"));
    let carried = door.carry().unwrap();
    let replaced = door.replace(state("new"));
    assert!(!replaced.is_drained());
    drop(carried);
    assert!(replaced.is_drained());
}

#[test]
fn what_is_counted_of_what_a_thread_is_inside_of_holds_up_the_drain_when_it_has_left() {
    let (outer, inner) = (Door::new(state("outer")), Door::new(state("inner")));
    let counted = outer.enter(|_, _| inner.enter(|_, _| inside()).unwrap()).unwrap();
    assert_eq!(counted.iter().map(|state| reason(state)).collect::<Vec<_>>(), ["outer", "inner"]);
    let replaced = [outer.replace(state("next")), inner.replace(state("next"))];
    assert!(replaced.iter().all(|replaced| !replaced.is_drained()));
    drop(counted);
    assert!(replaced.iter().all(Replaced::is_drained) && inside().is_empty());
}

#[test]
fn a_panic_inside_gives_the_lease_back() {
    let door = Door::new(state("old"));
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| door.enter(|_, _| panic!("inside"))));
    assert!(panicked.is_err());
    assert!(door.replace(state("new")).is_drained());
}

#[test]
fn threads_that_come_and_go_use_the_same_records() {
    let door = Door::new(state("old"));
    let before = COUNT.load(Ordering::SeqCst);
    for _ in 0..if cfg!(miri) { 110 } else { 200 } {
        std::thread::scope(|scope| scope.spawn(|| door.enter(|_, _| ()).unwrap()).join().unwrap());
    }
    // Other tests run beside this one, on some threads of their own.
    assert!(COUNT.load(Ordering::SeqCst) < before + 100);
}

#[test]
fn readers_never_see_what_was_freed_while_it_is_replaced_under_them() {
    hammer(|_| ());
}

/// In a process of its own: what is broken once stays so.
#[cfg(not(miri))] // It has no processes.
#[test]
fn readers_fence_from_the_moment_on_that_the_system_refuses_the_barrier() {
    const ALONE: &str = "HOTBAY_TEST_BROKEN_PROMISE";
    if std::env::var_os(ALONE).is_some() {
        return hammer(|number| {
            if number == 700 {
                assert!(cfg!(not(target_os = "linux")) || barrier::is_unfenced());
                barrier::break_promise();
            }
            assert!(number < 700 || !barrier::is_unfenced());
        });
    }
    let name = "kernel::lease::tests::readers_fence_from_the_moment_on_that_the_system_refuses_the_barrier";
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    let ran = alone.args(["--exact", name]).env(ALONE, "1").output().unwrap();
    assert!(ran.status.success() && String::from_utf8_lossy(&ran.stdout).contains("1 passed"), "{ran:?}");
}

/// Readers on three threads, while what is published is replaced; `between` is told how often by now.
fn hammer(between: impl Fn(u32)) {
    prepare();
    let door = Door::new(state("0"));
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut entered = 0_u64;
                    while !end.load(Ordering::Relaxed) {
                        // A freed reason would be no number, or crash.
                        door.enter(|state, _| assert!(reason(state).parse::<u32>().is_ok())).unwrap();
                        entered += 1;
                    }
                    entered
                })
            })
            .collect();
        // Miri takes a second for ten.
        for number in 1..if cfg!(miri) { 50 } else { 2000 } {
            // Fences come and go: some replacements see none, some two.
            let fenced = (number % 3 > 0).then(Fenced::begin);
            let replaced = door.replace(state(&number.to_string()));
            fenced.iter().for_each(|fenced| replaced.behind(fenced));
            assert!(replaced.drain(LONG));
            drop(fenced);
            between(number);
        }
        end.store(true, Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
}
