//! Streams of plugins that are linked in, over swaps.

use std::sync::atomic::AtomicU64;

use hotbay_plugin_api::Stream as AtHandler;
use hotbay_plugin_api::prelude::*;

use super::{Stream, *};
use crate::drain::drain;
use crate::kernel::gate::Gate;
use crate::kernel::generation::Generation;
use crate::linked::{Bay, LONG, SHORT, until};
use crate::start::{start, stop};

#[derive(Default)]
struct Counts {
    cancelled: AtomicU64,
    held: AtomicU64,
    released: AtomicBool,
}

struct Streams(Context, Counts);

impl Streams {
    /// So many numbers, from where an earlier version was.
    fn numbers(request: Request<'_>, stream: &AtHandler) -> Result<()> {
        let count: u64 = request.json()?;
        for number in stream.resumed().map_or(0, |resumed| resumed.sent)..count {
            stream.send(&number.to_le_bytes())?;
        }
        stream.finish();
        Ok(())
    }

    /// What comes goes back. One that was received and not sent is left to the next version.
    fn echo(stream: &AtHandler) -> Result<()> {
        let left = stream.resumed().map(|resumed| resumed.token.clone());
        if let Some(item) = left.filter(|left| !left.is_empty()) {
            stream.send(&item)?;
            stream.resume_with(b"")?;
        }
        while let Some(item) = stream.next()? {
            if let Err(error) = stream.send(&item) {
                stream.resume_with(&item)?;
                return Err(error);
            }
        }
        stream.finish();
        Ok(())
    }

    fn hold(&self) {
        self.1.held.fetch_add(1, Ordering::SeqCst);
        until(|| self.1.released.load(Ordering::SeqCst));
    }
}

impl Plugin for Streams {
    fn create(context: Context) -> Result<Self> {
        Ok(Self(context, Counts::default()))
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "release" => self.1.released.store(true, Ordering::SeqCst),
            "cancelled" => reply.json(&self.1.cancelled.load(Ordering::SeqCst))?,
            "held" => reply.json(&self.1.held.load(Ordering::SeqCst))?,
            // Keeps one open until the plugin stops.
            "tail" => {
                let stream = self.0.open_stream("streams", "wait", b"")?;
                self.0.spawn("tail", move |_| stream.next().map(drop))?;
            }
            _ => return Err(request.unknown_method()),
        }
        Ok(())
    }

    fn on_stream(&self, request: Request<'_>, stream: &AtHandler) -> Result<()> {
        match request.method() {
            "numbers" => return Self::numbers(request, stream),
            "echo" => return Self::echo(stream),
            "fail" => {
                stream.send(b"half of it")?;
                return Err(Error::msg("do the rest"));
            }
            "panic" => panic!("not today"),
            "hold" => self.hold(),
            _ => {}
        }
        let ended = stream.next();
        let is_cancelled = ended.as_ref().is_err_and(|error| error.status() == Status::CANCELLED);
        self.1.cancelled.fetch_add(u64::from(is_cancelled && self.0.is_cancelled()), Ordering::SeqCst);
        ended.map(drop)
    }
}

export_plugin!(Streams {
    name: "streams",
    methods: &["release", "cancelled", "held", "tail"],
    streams: &["numbers", "echo", "fail", "panic", "wait", "hold"],
    resumable: &["numbers", "echo"],
});

/// The same under another name: who opens.
mod opens {
    use hotbay_plugin_api::prelude::*;

    pub(super) struct Opens(super::Streams);

    impl Plugin for Opens {
        fn create(context: Context) -> Result<Self> {
            super::Streams::create(context).map(Self)
        }

        fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
            self.0.call(request, reply)
        }
    }

    export_plugin!(Opens { name: "opens" });
}

fn opened(slot: &Arc<Slot>, method: &str, request: &[u8]) -> Stream {
    open(Arc::clone(slot), method, request, Opening::default()).unwrap()
}

fn ask(slot: &Slot, method: &str) -> String {
    let mut reply = Vec::new();
    crate::call::request(slot, method, b"", &mut reply, LONG).unwrap();
    String::from_utf8(reply).unwrap()
}

/// As a swap without state does it.
fn swapped(bay: &Bay, slot: &Arc<Slot>, old: &Arc<Generation>) -> Arc<Generation> {
    let new = start(bay.load::<Streams>(old.number + 1), LONG).unwrap().generation;
    old.left(slot.publish(Arc::clone(&new)));
    drain(old, LONG).unwrap();
    stop(old, LONG).unwrap();
    new
}

#[test]
fn numbers_over_many_swaps_come_once_each_and_in_order() {
    const COUNT: u64 = 4_000;
    let bay = Bay::new();
    let (slot, mut generation) = bay.serve::<Streams>();
    let stream = opened(&slot, "numbers", COUNT.to_string().as_bytes());
    let mut next = 0;
    while let Some(item) = stream.receive(LONG).unwrap() {
        assert_eq!(u64::from_le_bytes(item.try_into().unwrap()), next);
        next += 1;
        if next.is_multiple_of(500) {
            generation = swapped(&bay, &slot, &generation);
        }
    }
    stream.ended(LONG).unwrap();
    assert_eq!((next, generation.number), (COUNT, 9));
}

#[test]
fn what_is_sent_both_ways_over_swaps_is_neither_lost_nor_brought_twice() {
    const COUNT: u64 = 3_000;
    let bay = Bay::new();
    let (slot, mut generation) = bay.serve::<Streams>();
    let stream = opened(&slot, "echo", b"");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..COUNT).for_each(|number| stream.send(&number.to_le_bytes(), LONG).unwrap());
            stream.finish();
        });
        for next in 0..COUNT {
            let item = stream.receive(LONG).unwrap().expect("it sends back what it gets");
            assert_eq!(u64::from_le_bytes(item.try_into().unwrap()), next);
            if next % 400 == 399 {
                generation = swapped(&bay, &slot, &generation);
            }
        }
        assert_eq!(stream.receive(LONG), Ok(None));
    });
    // The last item is received before the thread that sent it has come to its end.
    until(|| generation.plugin.streams().counts() == (0, 0));
}

#[test]
fn who_opens_what_is_not_there_is_told_what_is() {
    let bay = Bay::new();
    let (slot, _) = bay.serve::<Streams>();
    let error = *open(Arc::clone(&slot), "number", b"", Opening::default()).unwrap_err();
    let CallError::NoSuchStream { known, .. } = &error else { panic!("{error:?}") };
    assert_eq!((known.len(), &*known[0]), (6, "numbers"));
    let (opens, _) = bay.serve::<opens::Opens>();
    let error = *open(opens, "numbers", b"", Opening::default()).unwrap_err();
    assert!(matches!(&error, CallError::NoSuchStream { known, .. } if known.is_empty()), "{error:?}");
}

#[test]
fn an_error_and_a_panic_of_a_handler_reach_who_opened_behind_what_was_sent() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Streams>();
    let stream = opened(&slot, "fail", b"");
    assert_eq!(stream.receive(LONG).unwrap().unwrap(), b"half of it");
    let failed = StreamError::Failed { service: "streams".to_owned(), text: "do the rest".to_owned() };
    assert_eq!((stream.receive(LONG), stream.ended(LONG)), (Err(failed.clone()), Err(failed)));
    let panicked = opened(&slot, "panic", b"").receive(LONG).unwrap_err();
    assert!(
        matches!(&panicked, StreamError::Panicked { text, .. } if text.contains("not today")),
        "{panicked}"
    );
    until(|| generation.plugin.given().panics == 1 && generation.alarm.panicked() == 1);
    assert_eq!(generation.plugin.given().failures, 0, "an error is for who opened the stream alone");
}

#[test]
fn a_stream_that_is_not_resumable_ends_moved_and_so_does_one_that_is_not_to_go_on() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Streams>();
    let waits = opened(&slot, "wait", b"");
    let once = open(Arc::clone(&slot), "echo", b"", Opening::default().once()).unwrap();
    once.send(b"before", LONG).unwrap();
    until(|| once.receive(SHORT).is_ok());
    swapped(&bay, &slot, &generation);
    for stream in [waits, once] {
        let moved = stream.receive(LONG).unwrap_err();
        assert!(matches!(moved, StreamError::Moved { .. }), "{moved:?}");
    }
}

#[test]
fn a_handler_that_does_not_let_go_is_drained_for_and_what_is_called_off_serves_streams_again() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Streams>();
    let stream = opened(&slot, "hold", b"");
    until(|| ask(&slot, "held") == "1");
    let gate = Arc::new(Gate::default());
    generation.left(slot.close(&gate));
    drain(&generation, SHORT).unwrap_err();
    // Nobody is taken in meanwhile.
    let early = open(Arc::clone(&slot), "echo", b"", Opening::default().lifetime(SHORT)).unwrap_err();
    assert!(matches!(*early, CallError::TimedOut { .. }), "{early:?}");
    drop(slot.publish(Arc::clone(&generation)));
    gate.open();
    let echo = opened(&slot, "echo", b"");
    echo.send(b"again", LONG).unwrap();
    assert_eq!(echo.receive(LONG).unwrap().unwrap(), b"again");
    assert_eq!(gate.passage().waited, 0, "a stream is no call, and counted as none");
    ask(&slot, "release");
    assert!(matches!(stream.receive(LONG), Err(StreamError::Moved { .. })));
}

#[test]
fn no_more_are_open_than_may_be_and_one_that_ended_makes_room() {
    let bay = Bay::new();
    let slot = bay.slot("streams");
    slot.guard().set(crate::config::Service { max_streams: 2, ..crate::config::Service::default() }, None);
    let (slot, generation) = bay.serve::<Streams>();
    let both = [opened(&slot, "echo", b""), opened(&slot, "echo", b"")];
    let full = *open(Arc::clone(&slot), "echo", b"", Opening::default()).unwrap_err();
    assert_eq!(full, CallError::TooManyStreams { service: "streams".to_owned(), limit: 2 });
    let given = generation.plugin.given();
    assert_eq!(
        (given.streams, &given.threads[..]),
        (2, &["stream-echo".to_owned(), "stream-echo".to_owned()][..])
    );
    both[0].finish();
    assert_eq!(both[0].receive(LONG), Ok(None));
    both[0].ended(LONG).unwrap();
    opened(&slot, "echo", b"");
}

#[test]
fn a_handler_hears_that_who_opened_has_gone_also_where_that_one_was_stopped() {
    let bay = Bay::new();
    let (slot, _) = bay.serve::<Streams>();
    drop(opened(&slot, "wait", b""));
    until(|| ask(&slot, "cancelled") == "1");
    let (opens, opener) = bay.serve::<opens::Opens>();
    ask(&opens, "tail");
    until(|| slot.serving(|generation| generation.plugin.given().streams) == Some(1));
    assert_eq!(opener.plugin.given().opened, 1);
    opener.left(opens.take_down(Phase::Stopped, None));
    drain(&opener, LONG).unwrap();
    stop(&opener, LONG).unwrap();
    until(|| ask(&slot, "cancelled") == "2");
    assert!(opener.plugin.join_threads(LONG).is_empty(), "who waited at its end of it is woken");
}

#[test]
fn a_stream_has_no_more_time_than_who_asked_for_it() {
    let bay = Bay::new();
    let (slot, _) = bay.serve::<Streams>();
    let limit = bus::Limit { until: Some(Instant::now() + SHORT), ..bus::Limit::default() };
    let stream = bus::within(limit, || opened(&slot, "wait", b""));
    let late = stream.receive(LONG).unwrap_err();
    assert!(matches!(late, StreamError::Late { .. }), "{late:?}");
    let brief = opened(&slot, "wait", b"").receive(SHORT).unwrap_err();
    assert!(matches!(brief, StreamError::TimedOut { .. }), "{brief:?}");
}

#[test]
fn who_finds_another_one_having_a_stream_go_on_waits_no_longer_than_it_said() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Streams>();
    let echo = opened(&slot, "echo", b"");
    echo.send(b"before", LONG).unwrap();
    assert_eq!(echo.receive(LONG).unwrap().unwrap(), b"before");
    let other = echo.resuming.lock().unwrap();
    swapped(&bay, &slot, &generation);
    let brief = thread::scope(|scope| scope.spawn(|| echo.receive(SHORT)).join().unwrap());
    assert!(matches!(brief, Err(StreamError::TimedOut { .. })), "{brief:?}");
    drop(other);
    echo.send(b"after", LONG).unwrap();
    assert_eq!(echo.receive(LONG).unwrap().unwrap(), b"after");
}
