//! Requests by topic that plugins answer, and what they know of deadlines.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hotbay_plugin_api::prelude::*;

use super::*;
use crate::bus::RequestError;
use crate::linked::{Bay, LONG, until};
use crate::{CallError, call};

/// Whether who asked what hangs was told.
static IS_LATE: AtomicBool = AtomicBool::new(false);

/// Answers by its generation; what is asked of `price.far` it asks the service `far` for, and by topic.
struct Prices {
    context: Context,
    generation: u64,
}

impl Plugin for Prices {
    fn create(context: Context) -> Result<Self> {
        let generation = context.config()?;
        Ok(Self { context, generation })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "far" => reply.write(&self.context.call("far", "left", b"")?),
            "asks" => reply.write(&self.context.request("nobody.there", b"", LONG)?),
            _ => Err(request.unknown_method()),
        }
    }

    fn on_request(&self, request: &Message<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.topic() {
            "price.far" => reply.write(&self.context.call("far", "left", b"")?),
            "price.panics" => panic!("on purpose"),
            "price.none" => Err(Error::msg("there is no tea")),
            "price.hangs" => {
                until(|| self.context.is_cancelled());
                // An answer that is there at the deadline would be taken.
                until(|| IS_LATE.load(Ordering::SeqCst));
                Ok(())
            }
            _ => reply.json(&self.generation),
        }
    }
}

hotbay_plugin_api::export_plugin!(Prices {
    name: "prices",
    answers: &["price.*"],
    methods: &["far", "asks"]
});

/// Says what is left of who asked, in milliseconds: to itself, and to who is asked by it.
struct Far(Context);

impl Plugin for Far {
    fn create(context: Context) -> Result<Self> {
        Ok(Self(context))
    }

    fn call(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        let left = |left: Option<Duration>| left.map(|left| u64::try_from(left.as_millis()).unwrap());
        let there: Option<u64> =
            hotbay_plugin_api::serde_json::from_slice(&self.0.request("far.left", b"", LONG)?)?;
        reply.json(&[left(self.0.remaining()), there])
    }

    fn on_request(&self, _: &Message<'_>, reply: &mut Reply<'_>) -> Result<()> {
        let left = self.0.remaining().map(|left| u64::try_from(left.as_millis()).unwrap());
        reply.json(&left)
    }
}

hotbay_plugin_api::export_plugin!(Far { name: "far", answers: &["far.left"], methods: &["left"] });

struct Here {
    bay: Bay,
    inboxes: Inboxes,
}

impl Here {
    fn new() -> Self {
        let bay = Bay::new();
        let inboxes = Inboxes::new(Arc::clone(bay.registry.bus()));
        Self { bay, inboxes }
    }

    fn serve<P: hotbay_plugin_api::Export>(&self, number: u64) -> (Arc<Slot>, Arc<Generation>) {
        let loaded = self.bay.load_with::<P>(number, Some(&number.into()));
        let generation = crate::start::start(loaded, LONG).unwrap().generation;
        let slot = self.bay.slot(&generation.name);
        drop(slot.publish(Arc::clone(&generation)));
        self.inboxes.serve(&slot, &generation, &Service::default());
        (slot, generation)
    }

    fn ask(&self, topic: &str, deadline: Duration) -> Result<String, RequestError> {
        let asked = self.bay.registry.bus().request(&"test".into(), topic, b""[..].into(), deadline, None);
        asked.map(|answer| String::from_utf8(answer).unwrap())
    }

    fn counts(&self) -> InboxCounts {
        self.inboxes.counts("prices", || ()).0
    }
}

#[test]
fn a_request_that_waits_for_a_swap_is_answered_by_the_next_generation_to_who_asked() {
    let here = Here::new();
    let (slot, old) = here.serve::<Prices>(1);
    assert_eq!(here.ask("price.tea", LONG).unwrap(), "1");
    let gate = Arc::new(crate::kernel::gate::Gate::default());
    old.left(slot.close(&gate));
    // Who looks for messages by then may have gone in before.
    crate::drain::drain(&old, LONG).unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| here.ask("price.tea", LONG));
        until(|| here.counts().waiting == 1);
        let (_, new) = here.serve::<Prices>(2);
        gate.open();
        assert_eq!(asked.join().unwrap().unwrap(), "2");
        assert_eq!((old.handled.counts().done, new.handled.counts().done), (1, 1));
    });
    assert_eq!(here.counts(), InboxCounts { accepted: 2, given: 2, ..InboxCounts::default() });
}

#[test]
fn a_request_that_nobody_waits_for_any_longer_is_given_to_no_generation() {
    let here = Here::new();
    let (slot, old) = here.serve::<Prices>(1);
    let gate = Arc::new(crate::kernel::gate::Gate::default());
    old.left(slot.close(&gate));
    // Who looks for messages by then may have gone in before.
    crate::drain::drain(&old, LONG).unwrap();
    let late = here.ask("price.tea", Duration::from_millis(20)).unwrap_err();
    assert!(matches!(late, RequestError::TimedOut { .. }), "{late:?}");
    assert_eq!(here.counts(), InboxCounts { accepted: 1, withdrawn: 1, ..InboxCounts::default() });
    let (_, new) = here.serve::<Prices>(2);
    gate.open();
    assert_eq!(here.ask("price.tea", LONG).unwrap(), "2");
    assert_eq!((old.handled.counts().begun, new.handled.counts().begun), (0, 1));
}

#[test]
fn what_a_plugin_says_panics_or_leaves_undone_is_told_to_who_asked() {
    let here = Here::new();
    let (slot, generation) = here.serve::<Prices>(1);
    assert_eq!(here.ask("price.none", LONG).unwrap_err().to_string(), "there is no tea");
    let panicked = here.ask("price.panics", LONG).unwrap_err();
    assert!(
        matches!(&panicked, RequestError::Panicked { text, .. } if text.contains("on purpose")),
        "{panicked:?}"
    );
    let hangs = here.ask("price.hangs", Duration::from_millis(20)).unwrap_err();
    assert!(hangs.to_string().contains("`prices` is still at it"), "{hangs}");
    IS_LATE.store(true, Ordering::SeqCst);
    assert_eq!(here.ask("price.tea", LONG).unwrap(), "1", "it saw that nobody waited");
    assert_eq!((generation.handled.counts().failed, generation.alarm.panicked()), (2, 1));
    // To stop is to say so to who waits.
    let gate = Arc::new(crate::kernel::gate::Gate::default());
    generation.left(slot.close(&gate));
    crate::drain::drain(&generation, LONG).unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| here.ask("price.tea", LONG));
        until(|| here.counts().waiting == 1);
        here.inboxes.rest("prices", &Service::default());
        assert!(matches!(asked.join().unwrap(), Err(RequestError::Dropped { .. })));
        gate.open();
    });
    let stopped = here.ask("price.tea", LONG).unwrap_err().to_string();
    assert!(stopped.contains("its service is stopped"), "{stopped}");
}

#[test]
fn a_deadline_goes_along_by_topic_inline_and_by_topic_again() {
    let here = Here::new();
    let (_prices, _far) = (here.serve::<Prices>(1), here.serve::<Far>(1));
    let limit = Duration::from_secs(3);
    let parse = |text: &str| hotbay_plugin_api::serde_json::from_str::<[Option<u64>; 2]>(text).unwrap();
    let [far, there] = parse(&here.ask("price.far", limit).unwrap());
    assert!(far <= Some(3000) && far > Some(0) && there <= Some(3000) && there >= far, "{far:?} {there:?}");
    // And where a lane's deadline was the first one.
    let (slot, mut reply) = (here.bay.slot("prices"), Vec::new());
    call::request(&slot, "far", b"", &mut reply, limit).unwrap();
    let [far, there] = parse(std::str::from_utf8(&reply).unwrap());
    assert!(far <= Some(3000) && far > Some(0) && there <= Some(3000) && there >= far, "{far:?} {there:?}");
    // Who calls on its own thread sets none, but for what is asked out of it.
    reply.clear();
    call::inline(&slot, "far", b"", hotbay_plugin_api::abi::Lent::new(&mut reply).out()).unwrap();
    let [far, there] = parse(std::str::from_utf8(&reply).unwrap());
    assert_eq!(far, None);
    assert!(there <= Some(20_000), "{there:?}");
}

#[test]
fn an_inline_call_to_who_is_being_swapped_waits_no_longer_than_who_asked() {
    let here = Here::new();
    let (_prices, (far, old)) = (here.serve::<Prices>(1), here.serve::<Far>(1));
    let gate = Arc::new(crate::kernel::gate::Gate::default());
    old.left(far.close(&gate));
    let begun = Instant::now();
    let error = here.ask("price.far", Duration::from_millis(300)).unwrap_err();
    assert!(begun.elapsed() < LONG, "{error}");
    until(|| here.inboxes.counts("prices", || ()).0.given == 1);
    // The plugin's own call has ended as well: it takes the next one.
    assert_eq!(here.ask("price.tea", LONG).unwrap(), "1");
    gate.open();
}

#[test]
fn a_plugin_that_asks_where_nobody_answers_is_told_at_once() {
    let here = Here::new();
    let _prices = here.serve::<Prices>(1);
    let error = call::request(&here.bay.slot("prices"), "asks", b"", &mut Vec::new(), LONG).unwrap_err();
    let CallError::Failed { text, .. } = *error else { panic!("{error:?}") };
    assert!(text.contains("nobody answers it; answered are: ") && text.contains("price.*"), "{text}");
}
