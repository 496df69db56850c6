//! The threads extension: threads that the host starts for a plugin.

use std::time::Duration;

use abi_stable::std_types::RStr;
use hotbay_plugin_api::abi::{
    ExtensionPtr, HostHandle, RawBody, RawBuffer, RawThread, Status, ThreadFn, ThreadsExtension,
};

use super::host_side::{guarded, side};
use super::plugin::answer;

static TABLE: ThreadsExtension = ThreadsExtension { spawn, is_stopping, wait, stop, join };

/// What the host's `extension` answers for it.
pub(super) fn table() -> ExtensionPtr {
    ExtensionPtr::of_threads(&TABLE)
}

extern "C" fn spawn(
    handle: HostHandle,
    name: RStr<'_>,
    body: ThreadFn,
    data: RawBody,
    place: &mut RawThread,
    error: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        // F8: run once, on a thread that is waited for before the library is closed.
        let run = move |number| answer(|error| body(data, RawThread(number), error));
        match side(handle).threads().spawn(name.as_str(), run) {
            Ok(number) => {
                *place = RawThread(number);
                Status::OK
            }
            Err((status, text)) => {
                let _ = error.write(text.as_bytes());
                status
            }
        }
    })
}

extern "C" fn is_stopping(handle: HostHandle, RawThread(number): RawThread) -> bool {
    guarded(true, || side(handle).threads().is_stopping(number))
}

extern "C" fn wait(handle: HostHandle, RawThread(number): RawThread, micros: u64) -> bool {
    guarded(true, || side(handle).threads().wait(number, Duration::from_micros(micros)))
}

extern "C" fn stop(handle: HostHandle, RawThread(number): RawThread) {
    guarded((), || side(handle).threads().stop(number));
}

extern "C" fn join(handle: HostHandle, RawThread(number): RawThread, micros: u64) -> bool {
    guarded(true, || side(handle).threads().join(number, Duration::from_micros(micros)))
}
