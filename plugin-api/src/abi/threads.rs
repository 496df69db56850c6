//! The threads extension of a host: threads that it starts for a plugin, so that it knows of each before the library goes.

use abi_stable::StableAbi;
use abi_stable::std_types::RStr;

use super::guard::guard;
use super::{ExtensionPtr, HostHandle, HostLink, Lent, RawBuffer, Status};
use crate::Result;

/// Id and revision of the threads extension.
pub const THREADS_EXTENSION: (&str, u32) = ("hotbay.threads", 1);

/// What a plugin hands over to be run, known to its own library only. The host gives it back to the function that came with it.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawBody(pub(super) *const ());

// SAFETY: A6; what it points at is `Send`.
unsafe impl Send for RawBody {}
// SAFETY: A6; where several threads may run it, it is `Sync`.
unsafe impl Sync for RawBody {}

/// What a host calls a thread by that it started for a plugin. No two threads of one link have the same number.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableAbi)]
pub struct RawThread(pub u64);

/// The body of a thread: called once, on that thread, and never again for these data.
pub type ThreadFn = extern "C" fn(RawBody, RawThread, error: &mut RawBuffer) -> Status;

/// The threads extension of a host, revision 1: frozen.
// Without abi_stable's derive, which does not know functions that take functions; nobody asks for an extension's layout.
#[repr(C)]
#[derive(Debug)]
pub struct ThreadsExtension {
    /// Starts a thread of this name that calls `body` with `data`, and writes to the place given what it is called by. Between `start`
    /// and the begin of `stop`, any thread. With any answer but `OK`, `body` is never called and `data` stays the plugin's.
    pub spawn: extern "C" fn(
        HostHandle,
        name: RStr<'_>,
        body: ThreadFn,
        data: RawBody,
        place: &mut RawThread,
        error: &mut RawBuffer,
    ) -> Status,
    /// Whether that thread is to end. Any thread, any time; so are the next three.
    pub is_stopping: extern "C" fn(HostHandle, RawThread) -> bool,
    /// Waits until it is to end, so many microseconds at most; whether it is.
    pub wait: extern "C" fn(HostHandle, RawThread, micros: u64) -> bool,
    /// Tells it to end.
    pub stop: extern "C" fn(HostHandle, RawThread),
    /// Waits until its body has ended, so many microseconds at most; whether it has.
    pub join: extern "C" fn(HostHandle, RawThread, micros: u64) -> bool,
}

/// A thread that a host was asked for, by what asks for more.
#[derive(Clone, Copy)]
pub(crate) struct Started {
    table: &'static ThreadsExtension,
    handle: HostHandle,
    thread: RawThread,
}

impl Started {
    pub(crate) fn is_stopping(self) -> bool {
        (self.table.is_stopping)(self.handle, self.thread)
    }

    pub(crate) fn wait(self, micros: u64) -> bool {
        (self.table.wait)(self.handle, self.thread, micros)
    }

    pub(crate) fn stop(self) {
        (self.table.stop)(self.handle, self.thread);
    }

    pub(crate) fn join(self, micros: u64) -> bool {
        (self.table.join)(self.handle, self.thread, micros)
    }
}

/// What waits for its thread.
struct Waiting<F> {
    table: &'static ThreadsExtension,
    handle: HostHandle,
    body: F,
}

extern "C" fn run<F: FnOnce(Started) -> Result<()>>(
    data: RawBody,
    thread: RawThread,
    error: &mut RawBuffer,
) -> Status {
    guard(error, || {
        // SAFETY: A6; `spawn` made it by `Box::into_raw`, and this is the one time that it comes back.
        let waiting = unsafe { Box::from_raw(data.0.cast_mut().cast::<Waiting<F>>()) };
        let Waiting { table, handle, body } = *waiting;
        body(Started { table, handle, thread })
    })
}

impl HostLink {
    /// Starts a thread; `None` of a host that gives none.
    pub(crate) fn spawn<F: FnOnce(Started) -> Result<()> + Send + 'static>(
        self,
        name: &str,
        body: F,
    ) -> Result<Option<Started>, (Status, String)> {
        let (id, revision) = THREADS_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        // SAFETY: A3; it was asked for in these words.
        let Some(table) = (unsafe { table.as_threads() }) else { return Ok(None) };
        let waiting = Box::into_raw(Box::new(Waiting { table, handle: self.handle, body }));
        let (mut thread, mut text) = (RawThread(0), Vec::new());
        let status = {
            let mut text = Lent::new(&mut text);
            // SAFETY: A2; it stays where it is.
            let error = unsafe { text.out().into_raw() };
            let data = RawBody(waiting.cast_const().cast());
            (table.spawn)(self.handle, name.into(), run::<F>, data, &mut thread, error)
        };
        if status == Status::OK {
            return Ok(Some(Started { table, handle: self.handle, thread }));
        }
        // SAFETY: A6; the host did not take it.
        drop(unsafe { Box::from_raw(waiting) });
        Err((status, String::from_utf8_lossy(&text).into_owned()))
    }
}

impl ExtensionPtr {
    /// A host's answer to [`THREADS_EXTENSION`].
    #[must_use]
    pub fn of_threads(table: &'static ThreadsExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of the threads extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`THREADS_EXTENSION`].
    unsafe fn as_threads(self) -> Option<&'static ThreadsExtension> {
        // SAFETY: what the caller vouches for; the host outlives the plugin (A3).
        unsafe { self.0.cast::<ThreadsExtension>().as_ref() }
    }
}
