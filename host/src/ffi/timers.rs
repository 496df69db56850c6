//! The timers extension: what the host does for a plugin later, or again and again.

use std::sync::Arc;
use std::time::Duration;

use hotbay_plugin_api::abi::{
    ExtensionPtr, FreeFn, HostHandle, RawBody, RawBuffer, RawOutgoing, RawTimer, RawTimes, Status, TickFn,
    TimersExtension,
};

use super::host_side::{guarded, side};
use super::messages::{headers, manner};
use super::plugin::{Answer, answer};
use crate::context::{Timers, What};

static TABLE: TimersExtension = TimersExtension { call, publish, cancel };

/// What a plugin has called at a tick, until it is given back. Not `Clone`: it is given back once.
#[derive(Debug)]
pub(crate) struct TickBody {
    tick: TickFn,
    free: FreeFn,
    data: RawBody,
}

impl TickBody {
    /// Calls it. While its plugin is mapped (F8): inside of its generation.
    pub(crate) fn tick(&self) -> Answer {
        answer(|error| (self.tick)(self.data, error))
    }

    /// Gives it back. While its plugin is mapped (F8): on a lane of it, or in a call of it.
    pub(crate) fn free(self) {
        (self.free)(self.data);
    }
}

/// What the host's `extension` answers for it.
pub(super) fn table() -> ExtensionPtr {
    ExtensionPtr::of_timers(&TABLE)
}

extern "C" fn call(
    handle: HostHandle,
    times: RawTimes,
    tick: TickFn,
    free: FreeFn,
    data: RawBody,
    place: &mut RawTimer,
    error: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        set(side(handle).timers(), times, What::Call(TickBody { tick, free, data }), place, error)
    })
}

extern "C" fn publish(
    handle: HostHandle,
    times: RawTimes,
    outgoing: &RawOutgoing<'_>,
    place: &mut RawTimer,
    error: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        let what = What::Publish {
            topic: outgoing.topic.as_str().into(),
            headers: headers(outgoing),
            payload: outgoing.payload.as_slice().into(),
            manner: manner(outgoing),
        };
        set(side(handle).timers(), times, what, place, error)
    })
}

fn set(
    timers: &Arc<Timers>,
    RawTimes { after, every }: RawTimes,
    what: What,
    place: &mut RawTimer,
    error: &mut RawBuffer,
) -> Status {
    let every = (every > 0).then(|| Duration::from_micros(every));
    match timers.set(Duration::from_micros(after), every, what) {
        Ok(number) => {
            *place = RawTimer(number);
            Status::OK
        }
        Err((status, text)) => {
            let _ = error.write(text.as_bytes());
            status
        }
    }
}

extern "C" fn cancel(handle: HostHandle, RawTimer(number): RawTimer) -> bool {
    guarded(false, || side(handle).timers().cancel(number))
}
