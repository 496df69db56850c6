//! Streams in tests: a test opens what the plugin handles, and handles what the plugin opens.

mod pipe;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use abi_stable::std_types::RSlice;

use super::{Running, TestHost, answer, host};
use crate::abi::{
    ExtensionPtr, HostHandle, RawBuffer, RawOpened, RawOpening, RawStream, STREAMS_EXTENSION, Status,
    StreamsExtension,
};
use crate::{Error, Export, Result, Resumed};
use pipe::{Pipe, Side};

/// Who waits longer in a test waits in vain.
const LONG: Duration = Duration::from_secs(20);

type Handle = Arc<dyn Fn(&[u8], &TestStream) -> Result<()> + Send + Sync>;

/// What a test's host knows of streams.
#[derive(Default)]
pub(super) struct Streams {
    of_others: BTreeMap<(String, String), Handle>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    count: u64,
    // What the plugin has in hand.
    ends: BTreeMap<u64, (Arc<Pipe>, Side)>,
    threads: Vec<JoinHandle<()>>,
}

thread_local! {
    // What this thread handles.
    static HANDLED: RefCell<Option<Arc<Pipe>>> = const { RefCell::new(None) };
}

/// A test's end of a stream: of one that it opened of the plugin, or of one that the plugin opened. Waits 20 seconds, and fails then. When it
/// is dropped, the other side is told that this one has gone, unless it has ended.
#[derive(Debug)]
pub struct TestStream {
    pipe: Arc<Pipe>,
    side: Side,
}

impl TestHost {
    /// Adds a stream that the plugin can open: `handle` gets what it was opened with and its end, on a thread of its own, and the stream ends as it
    /// returns.
    #[must_use]
    pub fn with_stream(
        mut self,
        service: &str,
        method: &str,
        handle: impl Fn(&[u8], &TestStream) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.streams.of_others.insert((service.to_owned(), method.to_owned()), Arc::new(handle));
        self
    }
}

impl<P: Export> Running<P> {
    /// Opens a stream of the plugin, which it handles on a thread of its own.
    ///
    /// # Errors
    /// The plugin declares no such stream.
    pub fn open_stream(&self, method: &str, request: &[u8]) -> Result<TestStream> {
        self.begin(method, request, None)
    }

    /// Opens one that another version let go of, see [`TestStream::move_on`].
    ///
    /// # Errors
    /// As [`Running::open_stream`]; or the plugin does not declare it under `resumable`.
    pub fn resume_stream(&self, method: &str, request: &[u8], resumed: Resumed) -> Result<TestStream> {
        if !P::DECLARATION.resumable.contains(&method) {
            return Err(Error::msg(format_args!("resume stream `{method}`: it is not declared `resumable`")));
        }
        self.begin(method, request, Some(resumed))
    }

    fn begin(&self, method: &str, request: &[u8], resumed: Option<Resumed>) -> Result<TestStream> {
        let (id, revision) = STREAMS_EXTENSION;
        // SAFETY: it was asked for in these words, and the table is this program's own.
        let table = unsafe { (self.module.extension())(id.into(), revision).as_handler() };
        let table = table.filter(|_| P::DECLARATION.streams.contains(&method));
        let table = table.ok_or_else(|| {
            Error::msg(format_args!("open stream `{method}`: the plugin declares no such stream"))
        })?;
        let pipe = Arc::new(Pipe::default());
        let stream = TestStream { pipe: Arc::clone(&pipe), side: Side::Opener };
        let (instance, link) = (self.instance, self.link());
        let (method, request) = (method.to_owned(), request.to_owned());
        let number = self.host.streams.keep(&pipe, Side::Handler);
        self.host.streams.spawn(pipe, move || {
            let before = resumed.clone().unwrap_or(Resumed { token: Vec::new(), sent: 0, received: 0 });
            let opened = RawOpened {
                stream: RawStream(number),
                method: method.as_str().into(),
                request: request.as_slice().into(),
                is_resumed: resumed.is_some(),
                token: before.token.as_slice().into(),
                sent: before.sent,
                received: before.received,
            };
            answer(|error| (table.handle)(instance, link, &opened, error))
        });
        Ok(stream)
    }
}

impl TestStream {
    /// Sends an item to the plugin.
    ///
    /// # Errors
    /// The stream has ended, with what.
    pub fn send(&self, item: &[u8]) -> Result<()> {
        self.pipe.send(self.side, item, LONG)
    }

    /// The next item that the plugin sent; `None` when there are no more.
    ///
    /// # Errors
    /// The stream has ended, with what: of one that the test opened, behind all that was sent.
    pub fn next(&self) -> Result<Option<Vec<u8>>> {
        self.pipe.receive(self.side, LONG)
    }

    /// Says that the test sends no more.
    pub fn finish(&self) {
        self.pipe.finish(self.side);
    }

    /// Waits until the plugin's handler has returned: without an error where it did.
    ///
    /// # Errors
    /// The handler's.
    pub fn ended(&self) -> Result<()> {
        self.pipe.ended(LONG)
    }

    /// Replaces the plugin, as far as this stream is concerned: its handler is told to let go, and waited for. What it left is for
    /// [`Running::resume_stream`]; what it has sent can still be received here.
    ///
    /// # Errors
    /// It does not return.
    pub fn move_on(&self) -> Result<Resumed> {
        self.pipe.move_on();
        self.pipe.left(LONG)
    }
}

impl Drop for TestStream {
    fn drop(&mut self) {
        if self.side == Side::Opener {
            self.pipe.end(Status::CANCELLED, "go on with the stream: the other side has gone");
        }
    }
}

impl Streams {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, pipe: &Arc<Pipe>, side: Side) -> u64 {
        let mut inside = self.inside();
        inside.count += 1;
        let number = inside.count;
        inside.ends.insert(number, (Arc::clone(pipe), side));
        number
    }

    /// Handles a stream on a thread of its own.
    fn spawn(&self, pipe: Arc<Pipe>, handle: impl FnOnce() -> Result<()> + Send + 'static) {
        let thread = thread::spawn(move || {
            HANDLED.with(|handled| handled.replace(Some(Arc::clone(&pipe))));
            let done = handle();
            HANDLED.with(|handled| handled.replace(None));
            pipe.handled(done);
        });
        self.inside().threads.push(thread);
    }

    /// The plugin stops: what it handles is let go of and waited for, and what it opened ends.
    pub(super) fn end(&self) {
        let (ends, threads) = {
            let mut inside = self.inside();
            (std::mem::take(&mut inside.ends), std::mem::take(&mut inside.threads))
        };
        for (pipe, side) in ends.values() {
            match side {
                Side::Handler => pipe.move_on(),
                Side::Opener => {
                    pipe.end(Status::CANCELLED, "go on with the stream: the plugin is being stopped")
                }
            }
        }
        for thread in threads {
            let _ = thread.join();
        }
    }

    fn find(&self, RawStream(number): RawStream) -> Result<(Arc<Pipe>, Side)> {
        let found = self.inside().ends.get(&number).cloned();
        found.ok_or_else(|| Error::with_status(Status::CANCELLED, "go on with the stream: it is over"))
    }
}

/// Whether this thread handles a stream that nobody waits for any more, or that is to be let go of.
pub(super) fn is_over() -> bool {
    HANDLED.with(|handled| handled.borrow().as_ref().is_some_and(|pipe| pipe.is_over()))
}

static TABLE: StreamsExtension =
    StreamsExtension { open, send, receive, finish, leave, wait: wait_at, notify, close };

pub(super) fn extension(id: &str, revision: u32) -> ExtensionPtr {
    match (id, revision) {
        STREAMS_EXTENSION => ExtensionPtr::of_streams(&TABLE),
        _ => ExtensionPtr::NONE,
    }
}

fn told(error: &Error, words: &mut RawBuffer) -> Status {
    let _ = words.write(error.message().as_bytes());
    error.status()
}

fn wait(micros: u64) -> Duration {
    if micros == u64::MAX { LONG } else { Duration::from_micros(micros) }
}

extern "C" fn open(
    handle: HostHandle,
    opening: &RawOpening<'_>,
    place: &mut RawStream,
    error: &mut RawBuffer,
) -> Status {
    let streams = &host(handle).streams;
    let (service, method) = (opening.service.as_str().to_owned(), opening.method.as_str().to_owned());
    let Some(handle) = streams.of_others.get(&(service, method)).cloned() else {
        let text = format!(
            "open stream `{}` of service `{}`: give it to the test host `with_stream`",
            opening.method, opening.service
        );
        let _ = error.write(text.as_bytes());
        return Status::NO_SUCH_METHOD;
    };
    let pipe = Arc::new(Pipe::default());
    let stream = TestStream { pipe: Arc::clone(&pipe), side: Side::Handler };
    *place = RawStream(streams.keep(&pipe, Side::Opener));
    let request = opening.request.as_slice().to_vec();
    streams.spawn(pipe, move || handle(&request, &stream));
    Status::OK
}

extern "C" fn send(
    handle: HostHandle,
    stream: RawStream,
    item: RSlice<'_, u8>,
    wait_us: u64,
    error: &mut RawBuffer,
) -> Status {
    let sent = host(handle)
        .streams
        .find(stream)
        .and_then(|(pipe, side)| pipe.send(side, item.as_slice(), wait(wait_us)));
    sent.map_or_else(|failure| told(&failure, error), |()| Status::OK)
}

extern "C" fn receive(handle: HostHandle, stream: RawStream, wait_us: u64, item: &mut RawBuffer) -> Status {
    let streams = &host(handle).streams;
    match streams.find(stream).and_then(|(pipe, side)| pipe.receive(side, wait(wait_us))) {
        Ok(Some(bytes)) if item.write(&bytes) => Status::OK,
        Ok(Some(_)) => Status::FAILED,
        Ok(None) => Status::ENDED,
        Err(failure) => told(&failure, item),
    }
}

extern "C" fn finish(handle: HostHandle, stream: RawStream) {
    if let Ok((pipe, side)) = host(handle).streams.find(stream) {
        pipe.finish(side);
    }
}

extern "C" fn leave(
    handle: HostHandle,
    stream: RawStream,
    token: RSlice<'_, u8>,
    error: &mut RawBuffer,
) -> Status {
    let left = host(handle).streams.find(stream).and_then(|(pipe, side)| match side {
        Side::Handler => pipe.leave(token.as_slice()),
        Side::Opener => Err(Error::with_status(
            Status::REFUSED,
            "leave a word: who opened a stream has nobody who goes on after it",
        )),
    });
    left.map_or_else(|failure| told(&failure, error), |()| Status::OK)
}

extern "C" fn wait_at(handle: HostHandle, stream: RawStream, wait_us: u64, error: &mut RawBuffer) -> Status {
    let noticed = host(handle).streams.find(stream).and_then(|(pipe, _)| pipe.noticed(wait(wait_us)));
    noticed.map_or_else(|failure| told(&failure, error), |()| Status::OK)
}

extern "C" fn notify(handle: HostHandle, stream: RawStream) {
    if let Ok((pipe, _)) = host(handle).streams.find(stream) {
        pipe.notify();
    }
}

extern "C" fn close(handle: HostHandle, RawStream(number): RawStream) {
    let end = host(handle).streams.inside().ends.remove(&number);
    if let Some((pipe, _)) = end {
        pipe.end(Status::CANCELLED, "go on with the stream: the other side has gone");
    }
}

#[cfg(test)]
mod tests;
