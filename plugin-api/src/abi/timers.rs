//! The timers extension of a host: what it does for a plugin later, or again and again.

use abi_stable::StableAbi;

use super::guard::guard;
use super::{ExtensionPtr, HostHandle, HostLink, Lent, RawBody, RawBuffer, RawHeader, RawOutgoing, Status};
use crate::{Outgoing, Result};

/// Id and revision of the timers extension.
pub const TIMERS_EXTENSION: (&str, u32) = ("hotbay.timers", 1);

/// What a host calls a timer by. No two timers of one link have the same number.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableAbi)]
pub struct RawTimer(pub u64);

/// When a timer ticks.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableAbi)]
pub struct RawTimes {
    /// After so many microseconds for the first time.
    pub after: u64,
    /// And then after so many again and again, or 0 for once.
    pub every: u64,
}

/// What is done at each tick. On a lane of the generation, never twice at once for the same data.
pub type TickFn = extern "C" fn(RawBody, error: &mut RawBuffer) -> Status;

/// Takes the data of a timer for good: after its last tick, or when it was cancelled. Once; on a lane of the generation, or on the
/// thread that cancels.
pub type FreeFn = extern "C" fn(RawBody);

/// The timers extension of a host, revision 1: frozen.
// Without abi_stable's derive, which does not know functions that take functions; nobody asks for an extension's layout.
#[repr(C)]
#[derive(Debug)]
pub struct TimersExtension {
    /// Calls `tick` with `data` at these times, and writes to the place given what the timer is called by. Between `start` and the begin
    /// of `stop`, any thread. With any answer but `OK` neither function is called and `data` stays the plugin's.
    pub call: extern "C" fn(
        HostHandle,
        times: RawTimes,
        tick: TickFn,
        free: FreeFn,
        data: RawBody,
        place: &mut RawTimer,
        error: &mut RawBuffer,
    ) -> Status,
    /// Publishes a message at these times, as `BusExtension::publish` would. The same times and threads.
    pub publish: extern "C" fn(
        HostHandle,
        times: RawTimes,
        outgoing: &RawOutgoing<'_>,
        place: &mut RawTimer,
        error: &mut RawBuffer,
    ) -> Status,
    /// Ends a timer; whether there was one. A tick that has begun goes on. Any thread, any time.
    pub cancel: extern "C" fn(HostHandle, RawTimer) -> bool,
}

/// What a plugin has done at a tick.
pub(crate) type Ticks = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// A timer that a host was asked for.
#[derive(Clone, Copy)]
pub(crate) struct SetTimer {
    table: &'static TimersExtension,
    handle: HostHandle,
    timer: RawTimer,
}

impl SetTimer {
    pub(crate) fn cancel(self) -> bool {
        (self.table.cancel)(self.handle, self.timer)
    }
}

extern "C" fn tick(data: RawBody, error: &mut RawBuffer) -> Status {
    // SAFETY: A6; `call_at` made it, and it does not come back to `free` before this has returned.
    let ticks = unsafe { &*data.0.cast::<Ticks>() };
    guard(error, ticks)
}

extern "C" fn free(data: RawBody) {
    let mut words = Vec::new();
    let mut words = Lent::new(&mut words);
    // SAFETY: A2; it stays where it is.
    let words = unsafe { words.out().into_raw() };
    // A panic of what is dropped must not cross; nobody asked for its words.
    guard(words, || {
        // SAFETY: A6; `call_at` made it by `Box::into_raw`, and this is the one time that it comes back for good.
        drop(unsafe { Box::from_raw(data.0.cast_mut().cast::<Ticks>()) });
        Ok(())
    });
}

/// `None` of a host that has no timers.
type Asked = Result<Option<SetTimer>, (Status, String)>;

impl HostLink {
    /// Has something done at these times.
    pub(crate) fn call_at(self, times: RawTimes, ticks: Ticks) -> Asked {
        let data = Box::into_raw(Box::new(ticks));
        let raw = RawBody(data.cast_const().cast());
        let asked =
            self.ask(|table, place, error| (table.call)(self.handle, times, tick, free, raw, place, error));
        if !matches!(asked, Ok(Some(_))) {
            // SAFETY: A6; the host did not take it.
            drop(unsafe { Box::from_raw(data) });
        }
        asked
    }

    /// Has a message published at these times.
    pub(crate) fn publish_at(self, times: RawTimes, outgoing: &Outgoing<'_>) -> Asked {
        let headers: Vec<RawHeader<'_>> =
            outgoing.headers.iter().map(|(name, value)| RawHeader::new(name, value)).collect();
        let raw = outgoing.to_raw(&headers);
        self.ask(|table, place, error| (table.publish)(self.handle, times, &raw, place, error))
    }

    fn ask(
        self,
        ask: impl FnOnce(&'static TimersExtension, &mut RawTimer, &mut RawBuffer) -> Status,
    ) -> Asked {
        let (id, revision) = TIMERS_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        // SAFETY: A3; it was asked for in these words.
        let Some(table) = (unsafe { table.as_timers() }) else { return Ok(None) };
        let (mut timer, mut text) = (RawTimer(0), Vec::new());
        let status = {
            let mut text = Lent::new(&mut text);
            // SAFETY: A2; it stays where it is.
            ask(table, &mut timer, unsafe { text.out().into_raw() })
        };
        if status != Status::OK {
            return Err((status, String::from_utf8_lossy(&text).into_owned()));
        }
        Ok(Some(SetTimer { table, handle: self.handle, timer }))
    }
}

impl ExtensionPtr {
    /// A host's answer to [`TIMERS_EXTENSION`].
    #[must_use]
    pub fn of_timers(table: &'static TimersExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of the timers extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`TIMERS_EXTENSION`].
    unsafe fn as_timers(self) -> Option<&'static TimersExtension> {
        // SAFETY: what the caller vouches for; the host outlives the plugin (A3).
        unsafe { self.0.cast::<TimersExtension>().as_ref() }
    }
}
