//! Random lives of a service, with plugins that fail on demand: what becomes of each step is compared with a model, and with
//! callers on other threads each call is answered once, by who served at the time, and counted once.
//!
//! `PROPTEST_CASES` sets how many lives are lived; without it so many that they take some seconds. One that fails is shrunk
//! to the shortest list of steps.

mod callers;
mod expected;
mod plugin;
mod real;

use std::sync::Arc;

use expected::Expected;
use proptest::collection::vec;
use proptest::prelude::*;
use real::Real;

/// One step of a service's life.
#[derive(Debug, Clone, Copy)]
enum Step {
    Start(Version),
    Swap {
        to: Version,
        /// Of the one that serves.
        fault: Fault,
        rehearse: bool,
        /// Somebody is inside, and stays there for as long as the swap takes.
        inside: bool,
    },
    Stop {
        fault: Fault,
    },
    Call {
        way: Way,
        method: &'static str,
    },
}

/// What is loaded.
#[derive(Debug, Clone, Copy)]
struct Version {
    /// Of its state; 0 is a plugin without state.
    schema: u32,
    fault: Fault,
}

/// Where a plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Fault {
    None,
    FailsStart,
    PanicsInImport,
    FailsPause,
    PanicsInExport,
    FailsStop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Inline,
    Request,
    /// With a deadline that has passed when it is made: it expires at the gate, in the mailbox, or inside.
    LateRequest,
}

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    /// The version that was asked for serves, or nobody after a stop.
    Done,
    /// It failed, and all is as before.
    GivenUp,
    /// It failed, and nobody serves any more.
    Down,
    /// There is nothing to do it with.
    Nothing,
    /// A call's answer: who gave it, and how far the count is.
    Answered(u64, u64),
    Failed,
    Panicked,
    NotRunning,
    TimedOut,
}

/// What can be seen from outside: who serves, and how far the count is.
type Seen = Option<(u64, u64)>;

fn version(schemas: std::ops::Range<u32>) -> impl Strategy<Value = Version> {
    let faults =
        prop_oneof![4 => Just(Fault::None), 1 => Just(Fault::FailsStart), 1 => Just(Fault::PanicsInImport)];
    (schemas, faults).prop_map(|(schema, fault)| Version { schema, fault })
}

fn of_the_old() -> impl Strategy<Value = Fault> {
    prop_oneof![
        5 => Just(Fault::None),
        1 => Just(Fault::FailsStart),
        1 => Just(Fault::FailsPause),
        1 => Just(Fault::PanicsInExport),
        1 => Just(Fault::FailsStop),
    ]
}

fn step(schemas: std::ops::Range<u32>, inside: bool) -> impl Strategy<Value = Step> {
    let to = || version(schemas.clone());
    let swap = (to(), of_the_old(), any::<bool>(), prop::bool::weighted(if inside { 0.1 } else { 0.0 }));
    let call = (prop_oneof![Just(Way::Inline), Just(Way::Request)], prop::sample::select(plugin::METHODS));
    prop_oneof![
        2 => to().prop_map(Step::Start),
        5 => swap.prop_map(|(to, fault, rehearse, inside)| Step::Swap { to, fault, rehearse, inside }),
        1 => of_the_old().prop_map(|fault| Step::Stop { fault }),
        4 => call.prop_map(|(way, method)| Step::Call { way, method }),
    ]
}

fn cases(unless_set: u32) -> ProptestConfig {
    let config = ProptestConfig { max_shrink_iters: 500, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases: unless_set, ..config },
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn each_step_of_a_life_becomes_what_the_model_says(steps in vec(step(0..4, true), 1..16)) {
        let (mut real, mut expected) = (Real::new(&Arc::default()), Expected::default());
        for (at, step) in steps.iter().enumerate() {
            let (became, should) = (real.take(*step), expected.take(*step));
            prop_assert_eq!(became, should, "step {}, {:?}", at, step);
            let (seen, should) = (real.seen(), expected.seen());
            prop_assert_eq!(seen, should, "after step {}, {:?}", at, step);
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    // Schemas 1 and 2 read each other: the count goes on for as long as somebody serves.
    #[test]
    fn each_call_beside_a_life_is_answered_once_by_who_served_and_counted_once(
        steps in vec(step(1..3, false), 1..12),
        late in any::<bool>(),
    ) {
        callers::check(&steps, late)?;
    }
}
