//! Calls of a service that is guarded, through its slot, with a plugin that does as its requests say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hotbay_plugin_api::abi::Lent;
use hotbay_plugin_api::prelude::*;

use super::*;
use crate::call;
use crate::kernel::slot::Slot;
use crate::linked::{Bay, LONG, SHORT, until};
use crate::{CallError, config};

/// Calls of `flaky` and `once`.
static ASKED: AtomicU64 = AtomicU64::new(0);
/// Those of `hold`, of one test, and whether they are to.
static HELD: AtomicU64 = AtomicU64::new(0);
static HOLDS: AtomicBool = AtomicBool::new(false);

struct Moody;

impl Plugin for Moody {
    fn create(_: Context) -> Result<Self> {
        Ok(Self)
    }

    fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        match (request.method(), request.bytes()) {
            ("do", b"fail") => Err(Error::msg("be in the mood")),
            ("do", _) => Ok(()),
            ("hold", _) => {
                HELD.fetch_add(1, Ordering::SeqCst);
                until(|| !HOLDS.load(Ordering::SeqCst));
                Ok(())
            }
            _ if !ASKED.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) => panic!("no luck"),
            _ => Ok(()),
        }
    }
}

export_plugin!(Moody { name: "moody", methods: &["do", "flaky", "once", "hold"], idempotent: &["flaky"] });

fn served(bay: &Bay, set: impl FnOnce(&mut config::Service)) -> (Arc<Slot>, Arc<Generation>) {
    let mut rules = config::Service::default();
    set(&mut rules);
    let slot = bay.slot("moody");
    slot.guard().set(rules, None);
    bay.serve::<Moody>()
}

fn inline(slot: &Slot, method: &str, request: &[u8]) -> Result<(), CallError> {
    let mut reply = Vec::new();
    call::inline(slot, method, request, Lent::new(&mut reply).out()).map_err(|error| *error)
}

fn fail(slot: &Slot, times: u32) {
    (0..times).for_each(|_| drop(inline(slot, "do", b"fail").unwrap_err()));
}

fn request(slot: &Slot, method: &str, request: &[u8]) -> Result<(), CallError> {
    call::request(slot, method, request, &mut Vec::new(), LONG).map_err(|error| *error)
}

/// What the loop does when it is told.
fn turn(slot: &Slot, generation: &Arc<Generation>) -> Option<BreakerState> {
    let judged = slot.guard().judge(Instant::now(), sums_of(generation));
    if slot.is_outdated() {
        generation.left(slot.publish(Arc::clone(generation)));
    }
    judged.map(|(state, _)| state)
}

fn breaker(open: Duration) -> config::Breaker {
    let mut rules = config::Breaker::default();
    (rules.min_calls, rules.open, rules.trials) = (4, open, 2);
    rules
}

fn is_open(error: &CallError) -> bool {
    matches!(error, CallError::BreakerOpen { .. })
}

#[test]
fn breaker_opens_by_failures_half_opens_in_time_and_closes_by_answers() {
    let bay = Bay::new();
    let (slot, generation) = served(&bay, |rules| rules.breaker = Some(breaker(Duration::from_millis(30))));
    assert!(!slot.is_guarded(), "a closed breaker costs calls nothing");
    for _ in 0..4 {
        inline(&slot, "do", b"fail").unwrap_err();
    }
    assert!(generation.alarm.is_raised(), "the loop was told");
    generation.alarm.lower();
    assert_eq!(turn(&slot, &generation), Some(BreakerState::Open));
    assert!(slot.is_guarded());
    // Both ways in wait for the same: the first that is let in is a trial.
    until(|| inline(&slot, "do", b"").is_ok());
    assert_eq!(slot.guard().view().unwrap().state, BreakerState::HalfOpen);
    assert!(generation.alarm.is_raised(), "a trial that came back is told");
    assert_eq!(turn(&slot, &generation), None, "one answer is not enough");
    request(&slot, "do", b"").unwrap();
    assert!(is_open(&inline(&slot, "do", b"").unwrap_err()), "as many as are to show are out");
    assert_eq!(turn(&slot, &generation), Some(BreakerState::Closed));
    assert!(!slot.is_guarded());
    inline(&slot, "do", b"").unwrap();
}

#[test]
fn an_open_breaker_says_why_and_when_to_try_again_and_no_call_is_begun() {
    let bay = Bay::new();
    let (slot, generation) = served(&bay, |rules| rules.breaker = Some(breaker(LONG)));
    for _ in 0..4 {
        request(&slot, "do", b"fail").unwrap_err();
    }
    turn(&slot, &generation).unwrap();
    let before = generation.tally.counts().entered;
    for refused in [inline(&slot, "do", b""), request(&slot, "do", b"")] {
        let error = refused.unwrap_err();
        assert!(error.retry_after().is_some_and(|after| after <= LONG), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("its breaker is open, 4 of 4 calls failed within 10000 ms; try again in"),
            "{error}"
        );
    }
    assert_eq!(generation.tally.counts().entered, before);
    // Messages are brought all the same: they wait nowhere else.
    assert!(slot.enter_unasked(|_| ()).is_some());
    // Another generation begins with a closed one.
    let next = bay.load::<Moody>(2).generation;
    generation.left(slot.publish(next));
    inline(&slot, "do", b"").unwrap();
}

#[test]
fn a_breaker_that_is_held_stays_where_it_is_until_it_is_left_to_itself() {
    let bay = Bay::new();
    let (slot, generation) = served(&bay, |_| ());
    slot.guard().force(Some(BreakerForce::Open));
    turn(&slot, &generation);
    let error = inline(&slot, "do", b"").unwrap_err();
    assert!(is_open(&error) && error.retry_after().is_none(), "{error:?}");
    slot.guard().force(Some(BreakerForce::Close));
    turn(&slot, &generation);
    inline(&slot, "do", b"").unwrap();
    slot.guard().force(None);
    assert_eq!((slot.guard().view(), turn(&slot, &generation)), (None, None));
}

#[test]
fn rate_limit_answers_with_when_to_try_again() {
    let bay = Bay::new();
    let (slot, _generation) = served(&bay, |rules| (rules.max_rate, rules.max_burst) = (Some(20), Some(2)));
    inline(&slot, "do", b"").unwrap();
    request(&slot, "do", b"").unwrap();
    for refused in [inline(&slot, "do", b""), request(&slot, "do", b"")] {
        let error = refused.unwrap_err();
        assert!(matches!(error, CallError::TooFast { per_second: 20, .. }), "{error:?}");
        assert!(error.retry_after().is_some_and(|after| after <= Duration::from_millis(51)), "{error:?}");
    }
    until(|| inline(&slot, "do", b"").is_ok());
}

#[test]
fn who_comes_when_as_many_are_inside_as_may_be_is_refused_and_let_in_when_one_left() {
    let bay = Bay::new();
    let (slot, _generation) = served(&bay, |rules| rules.max_concurrent = Some(1));
    let inside = slot.lease(Instant::now() + LONG, None).unwrap();
    for refused in [inline(&slot, "do", b""), request(&slot, "do", b"")] {
        assert!(matches!(refused.unwrap_err(), CallError::TooManyInside { limit: 1, .. }));
    }
    drop(inside);
    // A call that comes out of one that was let in is part of it.
    slot.enter(&mut |_, _| inline(&slot, "do", b"").unwrap()).unwrap();
    request(&slot, "do", b"").unwrap();
}

#[test]
fn what_was_not_answered_is_tried_again_only_where_that_is_declared_to_do_no_harm() {
    let bay = Bay::new();
    let (slot, generation) = served(&bay, |rules| {
        (rules.retries, rules.retry_pause) = (2, Duration::from_millis(1));
    });
    let asked = |method, way: fn(&Slot, &str, &[u8]) -> Result<(), CallError>, first: u64| {
        ASKED.store(first, Ordering::SeqCst);
        let answer = way(&slot, method, b"");
        (answer.is_ok(), ASKED.load(Ordering::SeqCst) - first)
    };
    // It panics twice, then it answers.
    assert_eq!(asked("flaky", inline, 1), (true, 3));
    assert_eq!(asked("flaky", request, 1), (true, 3));
    assert_eq!(asked("once", inline, 1), (false, 1));
    assert_eq!(asked("once", request, 1), (false, 1));
    assert_eq!(generation.alarm.panicked(), 6, "each attempt counts");
    // An error is an answer.
    inline(&slot, "do", b"fail").unwrap_err();
    assert_eq!(generation.tally.counts().failed, 7);
    // A method in hand has a shortcut for as long as it is asked once.
    let flaky = call::known::Own::new(Arc::clone(&slot), "flaky");
    let in_hand = |first: u64| {
        ASKED.store(first, Ordering::SeqCst);
        let answer = flaky.call(b"", hotbay_plugin_api::Buffer::new().out());
        (answer.is_ok(), ASKED.load(Ordering::SeqCst) - first)
    };
    let set = |retries| {
        slot.guard().set(config::Service { retries, ..(*slot.guard().rules()).clone() }, None);
        turn(&slot, &generation);
    };
    (0..3).for_each(|_| assert_eq!(in_hand(1), (true, 3)));
    set(0);
    (0..3).for_each(|_| assert_eq!(in_hand(1), (false, 1)));
    set(1);
    (0..3).for_each(|_| assert_eq!(in_hand(2), (true, 2)));
}

#[test]
fn what_calls_nothing_closes_no_breaker() {
    let bay = Bay::new();
    let (slot, generation) = served(&bay, |rules| rules.breaker = Some(breaker(Duration::from_millis(1))));
    fail(&slot, 4);
    assert_eq!(turn(&slot, &generation), Some(BreakerState::Open));
    // A request for what there is not, and a lease that nobody goes in by, as of a mailbox that is full, or of a stream.
    until(|| matches!(request(&slot, "none", b""), Err(CallError::NoSuchMethod { .. })));
    for _ in 0..5 {
        assert!(matches!(request(&slot, "none", b""), Err(CallError::NoSuchMethod { .. })));
        drop(slot.lease(Instant::now() + LONG, None).unwrap());
        drop(slot.lease_of_stream(Instant::now() + LONG).unwrap());
        assert_eq!(turn(&slot, &generation), None);
    }
    assert_eq!(slot.guard().view().unwrap().state, BreakerState::HalfOpen);
    (0..2).for_each(|_| inline(&slot, "do", b"").unwrap());
    assert_eq!(turn(&slot, &generation), Some(BreakerState::Closed));
}

#[test]
fn an_edit_of_something_else_leaves_breaker_and_rate_as_they_are() {
    let bay = Bay::new();
    let limited = |rules: &mut config::Service| {
        (rules.max_rate, rules.max_burst, rules.breaker) = (Some(1), Some(4), Some(breaker(LONG)));
    };
    let (slot, generation) = served(&bay, limited);
    let mut edited = config::Service { retries: 1, ..config::Service::default() };
    limited(&mut edited);
    fail(&slot, 3);
    let sums = || slot.serving(sums_of);
    slot.guard().set(edited.clone(), sums());
    inline(&slot, "do", b"fail").unwrap_err();
    let error = inline(&slot, "do", b"fail").unwrap_err();
    assert!(matches!(error, CallError::TooFast { .. }), "what was taken is not given back: {error:?}");
    assert_eq!(turn(&slot, &generation), Some(BreakerState::Open), "it knows the four");
    edited.retries = 2;
    slot.guard().set(edited, sums());
    assert_eq!(slot.guard().view().unwrap().state, BreakerState::Open);
}

#[test]
fn another_breaker_does_not_count_what_was_before_it() {
    let bay = Bay::new();
    let (slot, generation) = served(&bay, |_| ());
    fail(&slot, 20);
    let rules = config::Service { breaker: Some(breaker(LONG)), ..config::Service::default() };
    slot.guard().set(rules, slot.serving(sums_of));
    inline(&slot, "do", b"fail").unwrap_err();
    assert_eq!(turn(&slot, &generation), None);
    fail(&slot, 3);
    assert_eq!(turn(&slot, &generation), Some(BreakerState::Open));
    // While a gate is closed nobody serves: it begins with who is published then.
    let slower = config::Breaker { trials: 9, ..breaker(LONG) };
    let rules = config::Service { breaker: Some(slower), ..config::Service::default() };
    generation.left(slot.close(&Arc::default()));
    slot.guard().set(rules, slot.serving(sums_of));
    generation.left(slot.publish(Arc::clone(&generation)));
    assert_eq!(turn(&slot, &generation), None);
}

#[test]
fn a_call_that_is_not_over_in_time_counts_once_wherever_it_is_by_then() {
    let bay = Bay::new();
    let (slot, generation) = served(&bay, |_| ());
    let late = || {
        let late = call::request(&slot, "hold", b"", &mut Vec::new(), SHORT).unwrap_err();
        assert!(matches!(*late, CallError::TimedOut { .. }), "{late:?}");
    };
    let sums = |calls, faults, good| Sums { calls, faults, good };
    HOLDS.store(true, Ordering::SeqCst);
    late();
    assert_eq!(sums_of(&generation), sums(1, 1, 0));
    std::thread::scope(|scope| {
        let before = HELD.load(Ordering::SeqCst);
        let answered = scope.spawn(|| request(&slot, "hold", b""));
        until(|| HELD.load(Ordering::SeqCst) > before);
        // It waits behind that one.
        late();
        assert_eq!(sums_of(&generation), sums(2, 2, 0));
        HOLDS.store(false, Ordering::SeqCst);
        answered.join().unwrap().unwrap();
    });
    until(|| generation.alarm.hangs_since().is_none());
    assert_eq!(sums_of(&generation), sums(3, 2, 1), "what the first one brings is nobody's");
}
