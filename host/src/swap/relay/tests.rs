use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hotbay_plugin_api::prelude::*;

use super::{Callback, Done, Inside, Relay};
use crate::kernel::generation::Generation;
use crate::linked::{Bay, LONG, SHORT, until};
use crate::swap::tests::{ask, of};
use crate::swap::{GivenUp, Stages, Swap, swap};
use crate::unload::{Unloaded, unload};

const NOWHERE: usize = 0;
const PAUSE: usize = 1;
const IMPORT: usize = 2;
const START: usize = 3;

/// Whoever holds one of these has plugins hang there.
static HELD: [Mutex<()>; 4] = [const { Mutex::new(()) }; 4];
static RESUMED: AtomicUsize = AtomicUsize::new(0);
static STOPPED: AtomicUsize = AtomicUsize::new(0);

fn hang(here: usize) {
    drop(HELD[here].lock());
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Count {
    count: u64,
}

/// Hangs at one place.
struct Hangs<const AT: usize>(State<Count>);

impl<const AT: usize> Plugin for Hangs<AT> {
    fn create(_: Context) -> Result<Self> {
        Ok(Self(State::default()))
    }

    fn call(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        let mut state = self.0.write();
        state.count += 1;
        reply.json(&state.count)
    }

    fn start(&self) -> Result<()> {
        if AT == START {
            hang(AT);
        }
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        if AT == START {
            STOPPED.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    fn pause(&self) -> Result<()> {
        if AT == PAUSE {
            hang(AT);
        }
        Ok(())
    }

    fn resume(&self) -> Result<()> {
        if AT == PAUSE {
            RESUMED.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl<const AT: usize> Stateful for Hangs<AT> {
    type State = Count;
    const SCHEMA: u32 = if AT == IMPORT { 2 } else { 1 };
    const STEPS: &'static [Step] = if AT == IMPORT { &[Step::new::<Before, Count>(1, 2)] } else { &[] };

    fn state(&self) -> &State<Count> {
        &self.0
    }
}

#[derive(Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Before {
    count: u64,
}

impl TryFrom<Before> for Count {
    type Error = Error;

    fn try_from(before: Before) -> Result<Self> {
        hang(IMPORT);
        Ok(Self { count: before.count })
    }
}

export_plugin!(Hangs<NOWHERE>: Stateful { name: "hangs", methods: &["add"] });
export_plugin!(Hangs<PAUSE>: Stateful { name: "hangs", methods: &["add"] });
export_plugin!(Hangs<IMPORT>: Stateful { name: "hangs" });
export_plugin!(Hangs<START>: Stateful { name: "hangs" });

fn gives_up(swap_of: &Swap<'_>, candidate: crate::load::Loaded, why: &str) -> GivenUp {
    // Long beside what is done between two places to hang.
    let swap_of = Swap { callback: 10 * SHORT, ..*swap_of };
    let given_up = swap(&swap_of, candidate, &mut Stages::default(), &mut |_| {}).unwrap_err();
    assert!(given_up.reason.contains(why), "{}", given_up.reason);
    assert_eq!(given_up.old_is_down, None);
    *given_up
}

#[test]
fn a_candidate_that_hangs_in_import_keeps_the_old_generation_neither_from_serving_nor_from_being_unloaded() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Hangs<NOWHERE>>();
    assert_eq!(ask(&slot, "add"), "1");
    let (held, one_gate) = (HELD[IMPORT].lock(), &Mutex::new(()));
    let swap_of = of(&bay, &slot, &old, one_gate);
    let given_up = gives_up(&swap_of, bay.load::<Hangs<IMPORT>>(2), "import did not end within 500 ms");
    assert_eq!(ask(&slot, "add"), "2");
    swap(&swap_of, bay.load::<Hangs<NOWHERE>>(3), &mut Stages::default(), &mut |_| {}).unwrap();
    assert_eq!(ask(&slot, "add"), "3");
    assert!(matches!(unload(old, &[], LONG), Unloaded::Gone));
    drop(held);
    assert!(matches!(unload(given_up.candidate, &[], LONG), Unloaded::Gone));
}

#[test]
fn each_callback_has_its_own_time() {
    let bay = Bay::new();
    let (_, generation) = bay.serve::<Hangs<NOWHERE>>();
    let a_while_ago = Instant::now().checked_sub(LONG).unwrap();
    let relay = || {
        let inside =
            Inside { at: Some((Callback::Pause, a_while_ago)), given_up: false, done: Done::default() };
        Relay(Mutex::new(inside))
    };
    assert!(matches!(relay().patience(LONG), Err(Callback::Pause)), "that one's time is over");
    let relay = relay();
    let ask = |_: &Generation| Ok(relay.patience(LONG).is_ok_and(|left| !left.is_zero()));
    let asked = relay.callback(Callback::Export, &Arc::downgrade(&generation), ask, |_, _| {});
    assert_eq!(asked, Some(Ok(true)));
}

#[test]
fn a_start_that_comes_late_is_stopped_again() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Hangs<NOWHERE>>();
    let (held, one_gate) = (HELD[START].lock(), &Mutex::new(()));
    let swap_of = of(&bay, &slot, &old, one_gate);
    let given_up = gives_up(&swap_of, bay.load::<Hangs<START>>(2), "start did not end within 500 ms");
    assert_eq!((ask(&slot, "add").as_str(), STOPPED.load(Ordering::SeqCst)), ("1", 0));
    drop(held);
    until(|| STOPPED.load(Ordering::SeqCst) == 1);
    assert!(matches!(unload(given_up.candidate, &[], LONG), Unloaded::Gone));
}

#[test]
fn a_pause_that_comes_late_is_resumed() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Hangs<PAUSE>>();
    let (held, one_gate) = (HELD[PAUSE].lock(), &Mutex::new(()));
    let swap_of = of(&bay, &slot, &old, one_gate);
    let given_up = gives_up(&swap_of, bay.load::<Hangs<NOWHERE>>(2), "pause did not end within 500 ms");
    assert_eq!(ask(&slot, "add"), "1");
    drop(held);
    until(|| RESUMED.load(Ordering::SeqCst) == 1);
    assert!(matches!(unload(given_up.candidate, &[], LONG), Unloaded::Gone));
}
