//! What is searched: plans, and for each whether a step that is left out is missed.

use super::*;

/// One caller alone, in every order of four preemptions; then all of them, in every order of one, since two take minutes and
/// more take hours. `LOOM_MAX_PREEMPTIONS` sets another bound.
fn check(plan: Plan) {
    run(plan, 1, 4);
    run(plan, CALLERS, 1);
}

/// Over two swaps, for one caller alone: with two it takes minutes.
fn check_twice(caller: How) {
    run(Plan { twice: true, callers: [caller; CALLERS], ..plan(Without::Nothing) }, 1, 3);
}

fn run(plan: Plan, callers: usize, preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(move || {
        let world = Arc::new(World::new(plan));
        let callers: Vec<_> = (0..callers)
            .map(|caller| {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    let outcome = world.call(caller, plan.callers[caller]);
                    world.finished.fetch_add(1, Ordering::Release);
                    outcome
                })
            })
            .collect();
        let (receipt, finished) = world.swap();
        let outcomes: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        world.judge(&outcomes, receipt, finished);
    });
}

fn plan(without: Without) -> Plan {
    Plan { without, fails: false, twice: false, callers: [How::Inline, How::Request] }
}

#[test]
fn every_call_takes_effect_once_and_is_counted_once() {
    check(plan(Without::Nothing));
    check(Plan { callers: [How::Request, How::Request], ..plan(Without::Nothing) });
}

#[test]
fn a_deadline_that_passes_at_the_gate_is_counted_once() {
    check(Plan { callers: [How::LateRequest, How::Inline], ..plan(Without::Nothing) });
}

#[test]
fn a_swap_that_is_called_off_loses_no_call_and_counts_each_once() {
    check(Plan { fails: true, ..plan(Without::Nothing) });
    check(Plan { fails: true, callers: [How::LateRequest, How::Inline], ..plan(Without::Nothing) });
}

#[test]
fn a_deadline_that_passes_in_the_mailbox_is_counted_once() {
    check(Plan { callers: [How::Forgotten, How::Inline], ..plan(Without::Nothing) });
    check(Plan { callers: [How::Forgotten, How::Request], fails: true, ..plan(Without::Nothing) });
}

#[test]
fn a_call_that_is_inside_when_a_swap_is_called_off_is_counted_once_over_that_and_the_next() {
    [How::Inline, How::Request, How::LateRequest, How::Forgotten].into_iter().for_each(check_twice);
}

#[test]
#[should_panic(expected = "the effect of a call is lost")]
fn without_the_gate_a_call_is_lost() {
    check(plan(Without::Gate));
}

#[test]
#[should_panic(expected = "the effect of a call is lost")]
fn without_the_drain_a_call_is_lost() {
    check(plan(Without::Drain));
}

#[test]
#[should_panic(expected = "the effect of a call is lost")]
fn published_before_the_import_a_call_is_lost() {
    check(plan(Without::ImportBeforePublish));
}

#[test]
#[should_panic(expected = "the effect of a call is lost")]
fn without_the_second_look_of_the_lease_a_call_is_lost() {
    check(plan(Without::SecondLook));
}
