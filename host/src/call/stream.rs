//! Streams: opened through the door as a request goes in, and handled on a thread of the generation's own, with a lease for as long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Status;

use super::{DEADLINE, FAR, no_entry};
use crate::CallError;
use crate::bus::{self, End, Opener, Stuck, Trace};
use crate::context::{NotTaken, Taken};
use crate::error::{StreamError, nearest_first};
use crate::ffi::Answer;
use crate::kernel::patience::look_until;
use crate::kernel::slot::{Lease, NoEntry, Slot};
use crate::kernel::view::Phase;

/// A thread's name holds so much of a method's.
const NAME: usize = 50;

/// The opener's end of a stream: items both ways, each way in its order, with a window of 64 items or 1 MiB each. Who sends more waits
/// until the other side has received. Several threads may use it at once, such as one that sends and one that receives.
///
/// When the service is replaced, a stream that its plugin declares `resumable` goes on in the next version by itself, without losing an item or
/// bringing one twice; another one ends with [`StreamError::Moved`]. Dropping this ends the stream.
#[derive(Debug)]
pub struct Stream {
    slot: Arc<Slot>,
    method: Box<str>,
    request: Box<[u8]>,
    opener: Opener,
    trace: Option<Trace>,
    // Whether it is to go on by itself; and whether who handles it, or did last, says that it can.
    resumes: bool,
    is_resumable: AtomicBool,
    // Held by who has it go on.
    resuming: Mutex<()>,
}

/// How a stream is opened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Opening {
    /// It ends after so long, whatever comes. By default it does not.
    pub lifetime: Option<Duration>,
    /// Whether it goes on by itself when the service is replaced, where its plugin declares it `resumable`. By default it does.
    pub resumes: bool,
}

impl Default for Opening {
    fn default() -> Self {
        Self { lifetime: None, resumes: true }
    }
}

impl Opening {
    /// It ends after so long, whatever comes.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: Some(lifetime), ..self }
    }

    /// It ends when the service is replaced, and says so.
    #[must_use]
    pub fn once(self) -> Self {
        Self { resumes: false, ..self }
    }
}

/// Opens a stream; it has no more time than who asked this thread waits.
pub(crate) fn open(
    slot: Arc<Slot>,
    method: &str,
    request: &[u8],
    opening: Opening,
) -> Result<Stream, Box<CallError>> {
    let until = bus::end_of(opening.lifetime.unwrap_or(Duration::MAX));
    let stream = Stream {
        slot,
        method: method.into(),
        request: request.into(),
        opener: Opener::new(until),
        trace: Trace::current().map(|trace| trace.next()),
        resumes: opening.resumes,
        is_resumable: AtomicBool::new(false),
        resuming: Mutex::default(),
    };
    let deadline = stream.slot.guard().rules().deadline.unwrap_or(DEADLINE);
    stream.attach(deadline, false)?;
    Ok(stream)
}

impl Stream {
    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        self.slot.name()
    }

    /// What was opened.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Sends an item, waiting `wait` at most for room.
    ///
    /// # Errors
    /// The stream has ended, with what; this way was finished; or there was no room in time, and the stream goes on.
    pub fn send(&self, item: &[u8], wait: Duration) -> Result<(), StreamError> {
        self.go_on(wait, |left| self.opener.send(item, left))
    }

    /// Waits for the next item, `wait` at most; `None` when the service sends no more. What came of its handler is then said by [`Stream::ended`].
    ///
    /// # Errors
    /// The stream has ended, with what, behind all that was sent before; or no item came in time, and the stream goes on.
    pub fn receive(&self, wait: Duration) -> Result<Option<Vec<u8>>, StreamError> {
        self.go_on(wait, |left| self.opener.receive(left))
    }

    /// Says that no more items come from here. The service gets those on their way, and may go on sending.
    pub fn finish(&self) {
        self.opener.finish();
    }

    /// Waits until the stream has ended, `wait` at most: without an error where its handler is done.
    ///
    /// # Errors
    /// With what it ended; or it did not in time, and goes on.
    pub fn ended(&self, wait: Duration) -> Result<(), StreamError> {
        self.go_on(wait, |left| match self.opener.ended(left)? {
            End::Finished => Ok(()),
            end => Err(Stuck::Ended(end)),
        })
    }

    /// Ends the stream at once, for both sides. Who waits at one is told.
    pub fn cancel(&self) {
        self.opener.cancel();
    }

    /// Does something at the opener's end; where the handler let go of the stream, the next one is found first.
    fn go_on<R>(
        &self,
        wait: Duration,
        step: impl Fn(Duration) -> Result<R, Stuck>,
    ) -> Result<R, StreamError> {
        let until = Instant::now().checked_add(wait);
        loop {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            match step(left) {
                Ok(done) => return Ok(done),
                Err(Stuck::Ended(End::Moved)) if self.can_go_on() => match self.resume(left) {
                    Ok(()) => {}
                    Err(error) => match *error {
                        // It may go on later.
                        CallError::TimedOut { .. } if left < DEADLINE => {
                            return Err(self.error(Stuck::TimedOut, wait));
                        }
                        error => return Err(StreamError::NotOpened(error)),
                    },
                },
                Err(stuck) => return Err(self.error(stuck, wait)),
            }
        }
    }

    fn can_go_on(&self) -> bool {
        self.resumes && self.is_resumable.load(Ordering::Acquire)
    }

    fn error(&self, stuck: Stuck, wait: Duration) -> StreamError {
        StreamError::of(stuck, self.service(), &self.method, wait)
    }

    /// Has the generation that serves next go on with it.
    fn resume(&self, left: Duration) -> Result<(), Box<CallError>> {
        let begun = Instant::now();
        let patience = || left.min(DEADLINE).saturating_sub(begun.elapsed());
        let (first, longest) = (Duration::from_millis(1), Duration::from_millis(50));
        // Whoever is at it may have more time than this one.
        let one = look_until(patience(), first, longest, || match self.resuming.try_lock() {
            Ok(one) => Some(one),
            Err(TryLockError::Poisoned(one)) => Some(one.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        let Some(_one) = one else { return Err(no_entry(&self.slot, NoEntry::Expired, left)) };
        let is_restarted = |error: &CallError| {
            matches!(error, CallError::NotRunning { phase: Phase::Starting, .. }) && !bus::is_cancelled()
        };
        let resumed = look_until(patience(), first, longest, || {
            // Somebody else may have been quicker, or it was ended.
            if !self.opener.is_moved() {
                return Some(Ok(()));
            }
            match self.attach(patience(), true) {
                Err(error) if is_restarted(&error) => None,
                done => Some(done),
            }
        });
        resumed.unwrap_or_else(|| self.attach(Duration::ZERO, true))
    }

    /// Has the generation that serves handle it.
    fn attach(&self, wait: Duration, is_again: bool) -> Result<(), Box<CallError>> {
        let until = bus::end_of(wait).into_iter().chain(self.opener.until()).min();
        let until = until.unwrap_or_else(|| Instant::now() + FAR);
        loop {
            let entered = self.slot.lease_of_stream(until);
            let lease = entered.map_err(|refused| no_entry(&self.slot, refused, wait))?;
            let service = || self.slot.name().to_string();
            let generation = Arc::clone(lease.generation());
            let (manifest, streams) = (generation.manifest(), generation.plugin.streams());
            let has = |named: &[String]| named.iter().any(|known| **known == *self.method);
            if !generation.plugin.handles_streams() || !has(&manifest.streams) {
                let known = nearest_first(&self.method, manifest.streams.clone());
                let method = self.method.to_string();
                return Err(Box::new(CallError::NoSuchStream { service: service(), method, known }));
            }
            let most = self.slot.guard().rules().max_streams;
            match streams.take(&self.method, most, || self.opener.attach()) {
                Ok(taken) => {
                    self.is_resumable.store(has(&manifest.resumable), Ordering::Release);
                    return self.begin(lease, taken);
                }
                Err(NotTaken::Full) => {
                    return Err(Box::new(CallError::TooManyStreams { service: service(), limit: most }));
                }
                // It ended meanwhile, and says how; or somebody else was quicker.
                Err(NotTaken::Gone) if is_again => return Ok(()),
                Err(NotTaken::Gone) => return Err(Box::new(CallError::Cancelled { service: service() })),
                // Another serves, or its gate is closed: that was a moment ago.
                Err(NotTaken::Closed) if Instant::now() < until => {
                    drop(lease);
                    thread::yield_now();
                }
                Err(NotTaken::Closed) => return Err(no_entry(&self.slot, NoEntry::Expired, wait)),
            }
        }
    }

    /// Begins a thread that handles it, inside.
    fn begin(&self, lease: Lease, taken: Taken) -> Result<(), Box<CallError>> {
        let generation = Arc::clone(lease.generation());
        let (method, request, trace) = (self.method.clone(), self.request.clone(), self.trace.clone());
        let mut end = NAME.min(method.len());
        while !method.is_char_boundary(end) {
            end -= 1;
        }
        let name = format!("stream-{}", &method[..end]).replace('\0', "-");
        let handle = move |_| {
            let handler = Arc::clone(&taken.handler);
            let inside = || {
                lease.enter(&mut |generation, _| {
                    generation.plugin.handle(taken.number, &method, &request, &taken.handler)
                })
            };
            let answer = bus::within(handler.limit(), || bus::within_trace(trace, inside));
            let (end, answer) = told(answer.map_err(|refused| *refused));
            // Before who opened it hears of its end, and opens another.
            drop(taken);
            drop(lease);
            handler.end(end);
            answer
        };
        generation.plugin.begin_stream(&name, handle).map_err(|(_, text)| {
            let service = self.slot.name().to_string();
            Box::new(CallError::Refused { service, text: format!("failed to {text}") })
        })?;
        Ok(())
    }
}

/// How the stream ends by what its handler came to, and what is to be said of its thread: an error is for who opened the stream alone.
fn told(answer: Result<Answer, NoEntry>) -> (End, Answer) {
    match answer {
        Ok(Ok(())) => (End::Finished, Ok(())),
        Ok(Err((Status::PANICKED, text))) => (End::Panicked(text.clone()), Err((Status::PANICKED, text))),
        Ok(Err((_, text))) => (End::Failed(text), Ok(())),
        // A fresh thread is inside of nothing.
        Err(refused) => (End::Failed(format!("failed to go in: {refused:?}")), Ok(())),
    }
}

#[cfg(test)]
mod tests;
