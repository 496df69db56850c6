use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hotbay_plugin_api::manifest::is_valid_pattern;
use hotbay_plugin_api::prelude::*;

use super::*;
use crate::bus::{Manner, Published, WhenFull};
use crate::kernel::lane::{Job, Life};
use crate::linked::{Bay, LONG, until};

/// What generations of the test plugin were brought: generation, and number.
static SEEN: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());
static HOLD: AtomicBool = AtomicBool::new(false);
static HELD: AtomicU64 = AtomicU64::new(0);
/// One test at a time has these.
static ONE: Mutex<()> = Mutex::new(());

struct Takes {
    generation: u64,
}

impl Plugin for Takes {
    fn create(context: Context) -> Result<Self> {
        Ok(Self { generation: context.config()? })
    }

    fn call(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        Ok(())
    }

    fn on_message(&self, message: &Message<'_>) -> Result<()> {
        let number = message.json()?;
        if number == u64::MAX {
            HELD.fetch_add(1, Ordering::SeqCst);
            until(|| !HOLD.load(Ordering::SeqCst));
        }
        if number == u64::MAX - 1 {
            panic!("on purpose");
        }
        if number == u64::MAX - 2 {
            let begun = std::time::Instant::now();
            until(|| begun.elapsed() > std::time::Duration::from_millis(6));
        }
        SEEN.lock().unwrap().push((self.generation, number));
        Ok(())
    }
}

hotbay_plugin_api::export_plugin!(Takes {
    name: "takes",
    version: "1.0.0",
    topics: &["numbers.>"],
    methods: &["ping"]
});

struct Deaf;

impl Plugin for Deaf {
    fn create(_: Context) -> Result<Self> {
        Ok(Self)
    }

    fn call(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        Ok(())
    }
}

hotbay_plugin_api::export_plugin!(Deaf { name: "takes", version: "2.0.0" });

struct Here {
    bay: Bay,
    inboxes: Inboxes,
    _one: MutexGuard<'static, ()>,
}

fn here() -> Here {
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    SEEN.lock().unwrap().clear();
    HOLD.store(false, Ordering::SeqCst);
    HELD.store(0, Ordering::SeqCst);
    let bay = Bay::new();
    let inboxes = Inboxes::new(Arc::clone(bay.registry.bus()));
    Here { bay, inboxes, _one: one }
}

impl Here {
    /// A generation that serves, and its slot.
    fn serve(&self, number: u64, room: &Service) -> (Arc<Slot>, Arc<Generation>) {
        let loaded = self.bay.load_with::<Takes>(number, Some(&number.into()));
        let generation = crate::start::start(loaded, LONG).unwrap().generation;
        let slot = self.bay.slot("takes");
        drop(slot.publish(Arc::clone(&generation)));
        self.inboxes.serve(&slot, &generation, room);
        (slot, generation)
    }

    fn publish(&self, number: u64) -> Published {
        let text = number.to_string();
        self.bay
            .registry
            .bus()
            .publish(&"test".into(), "numbers.next", text.as_bytes().into(), Manner::Forget)
            .unwrap()
    }

    fn counts(&self) -> InboxCounts {
        self.inboxes.counts("takes", || ()).0
    }
}

fn seen() -> Vec<(u64, u64)> {
    SEEN.lock().unwrap().clone()
}

#[test]
fn messages_come_one_by_one_in_their_order_on_the_lane() {
    let here = here();
    let (_slot, generation) = here.serve(1, &Service::default());
    (0..500).for_each(|number| assert_eq!(here.publish(number).taken, 1));
    until(|| generation.handled.counts().done == 500);
    assert_eq!(seen(), (0..500).map(|number| (1, number)).collect::<Vec<_>>());
    assert_eq!(here.counts(), InboxCounts { accepted: 500, given: 500, ..InboxCounts::default() });
}

#[test]
fn who_serves_next_has_the_room_and_the_rule_of_the_settings_by_then() {
    let here = here();
    let mailed = || here.bay.registry.bus().mailboxes().remove(0);
    let (_slot, _first) = here.serve(1, &Service::default());
    assert_eq!((mailed().capacity, mailed().when_full), (1024, WhenFull::Block));
    let room =
        Service { messages: 3, message_bytes: 5000, when_full: WhenFull::Reject, ..Service::default() };
    let (_slot, _second) = here.serve(2, &room);
    let now = mailed();
    assert_eq!((now.capacity, now.max_bytes, now.when_full), (3, 5000, WhenFull::Reject));
}

#[test]
fn what_waits_at_the_gate_goes_to_the_next_generation_in_order() {
    let here = here();
    let (slot, old) = here.serve(1, &Service::default());
    (0..10).for_each(|number| assert_eq!(here.publish(number).taken, 1));
    until(|| old.handled.counts().done == 10);
    let gate = Arc::new(crate::kernel::gate::Gate::default());
    old.left(slot.close(&gate));
    (10..200).for_each(|number| assert_eq!(here.publish(number).taken, 1));
    crate::drain::drain(&old, LONG).unwrap();
    assert_eq!((seen().len(), here.counts().waiting), (10, 190));
    let (_, new) = here.serve(2, &Service::default());
    gate.open();
    until(|| new.handled.counts().done == 190);
    let expected: Vec<_> = (0..200).map(|number| (if number < 10 { 1 } else { 2 }, number)).collect();
    assert_eq!(seen(), expected);
    assert_eq!(here.counts(), InboxCounts { accepted: 200, given: 200, ..InboxCounts::default() });
}

#[test]
fn what_comes_while_the_gate_is_closed_wakes_the_lane_once() {
    let here = here();
    let (slot, generation) = here.serve(1, &Service::default());
    let inbox = here.inboxes.of("takes").unwrap();
    generation.lane.run(LONG, || ()).unwrap();
    let before = inbox.begun();
    generation.left(slot.close(&Arc::default()));
    for number in 0..20 {
        here.publish(number);
        generation.lane.run(LONG, || ()).unwrap();
    }
    assert_eq!((inbox.begun() - before, here.counts().waiting), (1, 20));
}

#[test]
fn through_a_hundred_swaps_nothing_is_lost_and_order_holds() {
    const ALL: u64 = 20_000;
    let here = here();
    let room = Service { messages: 512, ..Service::default() };
    let (slot, mut serving) = here.serve(1, &room);
    let mut retired = 0;
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| (0..ALL).map(|number| here.publish(number).taken).sum::<usize>());
        for number in 2..=101 {
            // By turns behind a gate, and beside calls.
            let gate = Arc::new(crate::kernel::gate::Gate::default());
            if number % 2 == 0 {
                serving.left(slot.close(&gate));
                crate::drain::drain(&serving, LONG).unwrap();
            }
            let loaded = here.bay.load_with::<Takes>(number, Some(&number.into()));
            let next = crate::start::start(loaded, LONG).unwrap().generation;
            serving.left(slot.publish(Arc::clone(&next)));
            gate.open();
            // As in a swap: before the old one is waited for.
            here.inboxes.serve(&slot, &next, &room);
            crate::drain::drain(&serving, LONG).unwrap();
            let counts = serving.handled.counts();
            assert_eq!(counts.begun, counts.done, "it is drained");
            retired += counts.done;
            serving = next;
        }
        assert_eq!(publishing.join().unwrap() as u64, ALL);
    });
    until(|| retired + serving.handled.counts().done == ALL);
    let numbers: Vec<u64> = seen().into_iter().map(|(_, number)| number).collect();
    assert_eq!(numbers, (0..ALL).collect::<Vec<_>>());
    assert!(seen().is_sorted(), "no generation was brought anything after a later one");
}

#[test]
fn a_message_that_panics_is_counted_and_the_next_one_comes() {
    let here = here();
    let (_slot, generation) = here.serve(1, &Service::default());
    here.publish(u64::MAX - 1);
    here.publish(7);
    until(|| generation.handled.counts().done == 2);
    assert_eq!((generation.handled.counts().failed, seen()), (1, vec![(1, 7)]));
    assert_eq!((generation.alarm.panicked(), generation.alarm.is_raised()), (1, true), "the loop is told");
}

#[test]
fn a_message_that_hangs_costs_its_thread_and_the_next_one_comes() {
    let here = here();
    let (_slot, generation) = here.serve(1, &Service::default());
    HOLD.store(true, Ordering::SeqCst);
    here.publish(u64::MAX);
    here.publish(8);
    until(|| HELD.load(Ordering::SeqCst) == 1);
    assert!(here.inboxes.go_on_without(LONG).is_empty(), "it has time");
    assert_eq!(here.inboxes.go_on_without(std::time::Duration::ZERO), ["takes".into()]);
    until(|| seen() == [(1, 8)]);
    assert_eq!((generation.alarm.hung_for(Duration::ZERO), generation.alarm.is_stuck()), (1, false));
    HOLD.store(false, Ordering::SeqCst);
    until(|| generation.handled.counts().done == 2);
    until(|| generation.alarm.hangs_since().is_none());
    here.publish(9);
    until(|| generation.handled.counts().done == 3);
    assert_eq!(seen(), [(1, 8), (1, u64::MAX), (1, 9)]);
}

#[test]
fn a_generation_of_which_all_threads_hang_does_not_keep_messages_from_the_next_one() {
    // As many as a lane leaves behind, and the one that is left in its seat.
    const HANGING: u64 = 17;
    let here = here();
    let (_slot, old) = here.serve(1, &Service::default());
    HOLD.store(true, Ordering::SeqCst);
    (0..HANGING).for_each(|_| assert_eq!(here.publish(u64::MAX).taken, 1));
    here.publish(5);
    for number in 1..=HANGING {
        until(|| HELD.load(Ordering::SeqCst) == number);
        assert!(!old.alarm.is_stuck(), "there is a thread to take the next one");
        assert_eq!(here.inboxes.go_on_without(std::time::Duration::ZERO), ["takes".into()]);
    }
    assert_eq!(here.counts().waiting, 1);
    assert!(old.alarm.is_stuck() && old.alarm.is_raised(), "the loop is told");
    here.serve(2, &Service::default());
    until(|| seen() == [(2, 5)]);
    HOLD.store(false, Ordering::SeqCst);
    // What they note is of this test.
    until(|| old.handled.counts().done == HANGING);
}

/// A request that notes how many messages were handled before it.
#[derive(Default)]
struct Note {
    life: Life,
    seen: AtomicU64,
}

impl Job for Note {
    fn life(&self) -> &Life {
        &self.life
    }

    fn work(&self) {
        self.seen.store(seen().len() as u64, Ordering::SeqCst);
    }

    fn deliver(&self) {
        self.life.end();
    }
}

#[test]
fn a_request_behind_slow_messages_does_not_wait_for_many_of_them() {
    let here = here();
    let (_slot, generation) = here.serve(1, &Service::default());
    HOLD.store(true, Ordering::SeqCst);
    here.publish(u64::MAX);
    (0..9).for_each(|_| assert_eq!(here.publish(u64::MAX - 2).taken, 1));
    until(|| HELD.load(Ordering::SeqCst) == 1);
    let note = Arc::new(Note::default());
    generation.lane.request(Arc::clone(&note) as _, || ()).unwrap();
    HOLD.store(false, Ordering::SeqCst);
    until(|| note.life.is_done());
    let before = note.seen.load(Ordering::SeqCst);
    assert!((1..=2).contains(&before), "{before} messages were handled before it");
    until(|| seen().len() == 10);
}

#[test]
fn a_stopped_service_takes_no_messages_or_keeps_them_as_it_is_set() {
    for when_stopped in [WhenStopped::Reject, WhenStopped::Keep] {
        let here = here();
        let room = Service { messages: 2, when_full: WhenFull::Reject, when_stopped, ..Service::default() };
        let (slot, old) = here.serve(1, &room);
        old.left(slot.take_down(crate::kernel::view::Phase::Stopped, None));
        crate::drain::drain(&old, LONG).unwrap();
        here.publish(1);
        here.inboxes.rest("takes", &room);
        let taken: Vec<usize> = (2..5).map(|number| here.publish(number).taken).collect();
        let (_, next) = here.serve(2, &room);
        here.publish(9);
        let (expected, handled): (&[usize], &[(u64, u64)]) = match when_stopped {
            WhenStopped::Reject => (&[0, 0, 0], &[(2, 9)]),
            WhenStopped::Keep => (&[1, 0, 0], &[(2, 1), (2, 2), (2, 9)]),
        };
        assert_eq!(taken, expected, "{when_stopped:?}");
        // The last one may have found the two before it in its place.
        until(|| here.counts().waiting == 0 && next.handled.counts().done >= handled.len() as u64 - 1);
        assert!(handled.starts_with(&seen()), "{when_stopped:?}: {:?}", seen());
        let dropped = u64::from(when_stopped == WhenStopped::Reject);
        assert_eq!(here.counts().dropped, dropped, "{when_stopped:?}");
    }
}

#[test]
fn a_version_without_topics_ends_the_subscription() {
    let here = here();
    let (slot, old) = here.serve(1, &Service::default());
    HOLD.store(true, Ordering::SeqCst);
    assert_eq!(here.publish(u64::MAX).taken, 1);
    until(|| HELD.load(Ordering::SeqCst) == 1);
    assert_eq!(here.publish(1).taken, 1);
    let next = crate::start::start(here.bay.load::<Deaf>(2), LONG).unwrap().generation;
    old.left(slot.publish(Arc::clone(&next)));
    let waiting = here.inboxes.serve(&slot, &next, &Service::default());
    let counts = InboxCounts { accepted: 2, dropped: 1, given: 1, ..InboxCounts::default() };
    assert_eq!((waiting.messages, waiting.forgotten), (0, Some(counts)));
    HOLD.store(false, Ordering::SeqCst);
    crate::drain::drain(&old, LONG).unwrap();
    assert_eq!(old.handled.counts().done, 1, "what is dropped is brought to nobody");
    assert_eq!((here.publish(2).taken, here.bay.registry.bus().view()[0].mailboxes.len()), (0, 0));
}

#[test]
fn host_and_contract_have_one_grammar() {
    let words = ["", "a", "*", ">", "a*", ">b", "é", " ", "\t"];
    for first in words {
        for second in words {
            for third in words {
                let subject = format!("{first}.{second}.{third}");
                for subject in [&subject[..], &subject[first.len()..], first] {
                    assert_eq!(Pattern::parse(subject).is_ok(), is_valid_pattern(subject), "{subject:?}");
                }
            }
        }
    }
}
