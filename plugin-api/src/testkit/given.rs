//! Threads, timers and requests in tests: threads are real ones, timers tick when the test says, and the test answers for the outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use abi_stable::std_types::RStr;

use super::messages::publish;
use super::{Running, TestHost, answer, host, streams};
use crate::abi::{
    ExtensionPtr, FreeFn, HTTP_EXTENSION, HostHandle, HttpExtension, RawBody, RawBuffer, RawHeader,
    RawHttpRequest, RawId, RawOutgoing, RawPublished, RawThread, RawTimer, RawTimes, Status,
    THREADS_EXTENSION, TIMERS_EXTENSION, ThreadFn, ThreadsExtension, TickFn, TimersExtension,
};
use crate::{Error, Export, Result};

/// What the outside answers: a status and a body.
type Outside = Box<dyn Fn(&str, &str, &[u8]) -> Result<(u16, Vec<u8>)> + Send + Sync>;

/// What a test's host gives.
#[derive(Default)]
pub(super) struct Given {
    threads: Arc<Threads>,
    timers: Mutex<Timers>,
    outside: Option<Outside>,
}

#[derive(Default)]
struct Threads {
    all: Mutex<BTreeMap<u64, Thread>>,
    changed: Condvar,
}

#[derive(Default)]
struct Thread {
    stopping: bool,
    ended: bool,
    handle: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Timers {
    count: u64,
    all: BTreeMap<u64, (What, bool)>,
}

#[derive(Clone)]
enum What {
    Call(TickFn, FreeFn, RawBody),
    Publish(String, Vec<(String, String)>, Vec<u8>),
}

impl TestHost {
    /// Answers for the outside: by method, URL and body, with a status and a body. Without it, requests are refused.
    #[must_use]
    pub fn with_http(
        mut self,
        outside: impl Fn(&str, &str, &[u8]) -> Result<(u16, Vec<u8>)> + Send + Sync + 'static,
    ) -> Self {
        self.given.outside = Some(Box::new(outside));
        self
    }
}

impl<P: Export> Running<P> {
    /// Has each timer that is set now tick once, in the order in which they were set, whatever their times.
    ///
    /// # Errors
    /// The first error or panic of one; the others have ticked as well.
    pub fn tick(&self) -> Result<()> {
        let numbers: Vec<u64> = self.host.given.timers().all.keys().copied().collect();
        let ticked: Vec<Result<()>> = numbers.into_iter().map(|number| self.tick_one(number)).collect();
        ticked.into_iter().collect()
    }

    /// How many timers are set.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.host.given.timers().all.len()
    }

    fn tick_one(&self, number: u64) -> Result<()> {
        let timer = self.host.given.timers().all.get(&number).cloned();
        let Some((what, again)) = timer else { return Ok(()) };
        let ticked = match &what {
            What::Call(tick, _, data) => answer(|error| tick(*data, error)),
            What::Publish(topic, headers, payload) => {
                let headers: Vec<RawHeader<'_>> =
                    headers.iter().map(|(name, value)| RawHeader::new(name, value)).collect();
                let outgoing = RawOutgoing {
                    topic: topic.as_str().into(),
                    headers: headers.as_slice().into(),
                    payload: payload.as_slice().into(),
                    is_confirmed: false,
                    deadline_ms: 0,
                };
                let mut place = RawPublished { id: RawId { run: 0, number: 0 }, taken: 0, refused: 0 };
                answer(|error| publish(self.link().handle, &outgoing, &mut place, error))
            }
        };
        if !again && self.host.given.timers().all.remove(&number).is_some() {
            free(&what);
        }
        ticked
    }
}

impl Given {
    /// The plugin stops: timers end, and threads are told to.
    pub(super) fn tell_to_end(&self) {
        let timers = std::mem::take(&mut self.timers().all);
        timers.values().for_each(|(what, _)| free(what));
        self.threads.lock().values_mut().for_each(|thread| thread.stopping = true);
        self.threads.changed.notify_all();
    }

    /// It has stopped: its threads are waited for. One that does not end holds the test up, which is what it does to a host.
    pub(super) fn join(&self) {
        let handles: Vec<JoinHandle<()>> =
            self.threads.lock().values_mut().filter_map(|thread| thread.handle.take()).collect();
        for handle in handles {
            let _ = handle.join();
        }
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Threads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Thread>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until this holds of a thread, or it is not known; whether it came to that.
    fn wait(&self, number: u64, micros: u64, holds: impl Fn(&Thread) -> bool) -> bool {
        let until = Instant::now().checked_add(Duration::from_micros(micros));
        let mut all = self.lock();
        while !all.get(&number).is_none_or(&holds) {
            let left =
                until.map_or(Duration::from_secs(60), |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            all = self.changed.wait_timeout(all, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

fn free(what: &What) {
    if let What::Call(_, free, data) = what {
        free(*data);
    }
}

static THREADS: ThreadsExtension = ThreadsExtension { spawn, is_stopping, wait, stop, join };
static TIMERS: TimersExtension = TimersExtension { call, publish: publish_later, cancel };
static HTTP: HttpExtension = HttpExtension { request };

/// The store is `kv` for all: of `hotbay.kv` there is none here.
pub(super) fn extension(id: &str, revision: u32) -> ExtensionPtr {
    match (id, revision) {
        THREADS_EXTENSION => ExtensionPtr::of_threads(&THREADS),
        TIMERS_EXTENSION => ExtensionPtr::of_timers(&TIMERS),
        HTTP_EXTENSION => ExtensionPtr::of_http(&HTTP),
        _ => streams::extension(id, revision),
    }
}

extern "C" fn spawn(
    handle: HostHandle,
    name: RStr<'_>,
    body: ThreadFn,
    data: RawBody,
    place: &mut RawThread,
    error: &mut RawBuffer,
) -> Status {
    let threads = Arc::clone(&host(handle).given.threads);
    let mut all = threads.lock();
    let number = all.len() as u64 + 1;
    let of_thread = Arc::clone(&threads);
    let run = move || {
        if let Err(failure) = answer(|error| body(data, RawThread(number), error)) {
            let mut log = host(handle).log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(failure.message().to_owned());
        }
        of_thread.lock().entry(number).or_default().ended = true;
        of_thread.changed.notify_all();
    };
    match std::thread::Builder::new().name(name.as_str().to_owned()).spawn(run) {
        Ok(thread) => {
            all.insert(number, Thread { handle: Some(thread), ..Thread::default() });
            *place = RawThread(number);
            Status::OK
        }
        Err(failure) => {
            let _ = error.write(failure.to_string().as_bytes());
            Status::FAILED
        }
    }
}

extern "C" fn is_stopping(handle: HostHandle, RawThread(number): RawThread) -> bool {
    host(handle).given.threads.lock().get(&number).is_none_or(|thread| thread.stopping)
}

extern "C" fn wait(handle: HostHandle, RawThread(number): RawThread, micros: u64) -> bool {
    host(handle).given.threads.wait(number, micros, |thread| thread.stopping)
}

extern "C" fn stop(handle: HostHandle, RawThread(number): RawThread) {
    let threads = &host(handle).given.threads;
    if let Some(thread) = threads.lock().get_mut(&number) {
        thread.stopping = true;
    }
    threads.changed.notify_all();
}

extern "C" fn join(handle: HostHandle, RawThread(number): RawThread, micros: u64) -> bool {
    host(handle).given.threads.wait(number, micros, |thread| thread.ended)
}

fn set(handle: HostHandle, times: RawTimes, what: What, place: &mut RawTimer) -> Status {
    let mut timers = host(handle).given.timers();
    timers.count += 1;
    let number = timers.count;
    timers.all.insert(number, (what, times.every > 0));
    *place = RawTimer(number);
    Status::OK
}

extern "C" fn call(
    handle: HostHandle,
    times: RawTimes,
    tick: TickFn,
    free: FreeFn,
    data: RawBody,
    place: &mut RawTimer,
    _: &mut RawBuffer,
) -> Status {
    set(handle, times, What::Call(tick, free, data), place)
}

extern "C" fn publish_later(
    handle: HostHandle,
    times: RawTimes,
    outgoing: &RawOutgoing<'_>,
    place: &mut RawTimer,
    _: &mut RawBuffer,
) -> Status {
    let header = |header: &RawHeader<'_>| (header.name.as_str().to_owned(), header.value.as_str().to_owned());
    let headers = outgoing.headers.as_slice().iter().map(header).collect();
    let what =
        What::Publish(outgoing.topic.as_str().to_owned(), headers, outgoing.payload.as_slice().to_vec());
    set(handle, times, what, place)
}

extern "C" fn cancel(handle: HostHandle, RawTimer(number): RawTimer) -> bool {
    let timer = host(handle).given.timers().all.remove(&number);
    let was_there = timer.is_some();
    timer.iter().for_each(|(what, _)| free(what));
    was_there
}

extern "C" fn request(
    handle: HostHandle,
    request: &RawHttpRequest<'_>,
    head: &mut RawBuffer,
    body: &mut RawBuffer,
    error: &mut RawBuffer,
) -> Status {
    let (method, url) = (request.method.as_str(), request.url.as_str());
    let asked = match &host(handle).given.outside {
        Some(outside) => outside(method, url, request.body.as_slice()),
        None => Err(Error::with_status(
            Status::REFUSED,
            format_args!("ask {url}: give the test host `with_http`"),
        )),
    };
    match asked {
        Ok((status, bytes)) => {
            let json = serde_json::json!({ "status": status, "url": url, "headers": [] });
            let _ = head.write(json.to_string().as_bytes());
            if body.write(&bytes) { Status::OK } else { Status::FAILED }
        }
        Err(failure) => {
            let _ = error.write(failure.message().as_bytes());
            failure.status()
        }
    }
}

#[cfg(test)]
mod tests;
