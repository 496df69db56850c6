//! Streams across the boundary: into a plugin that handles one by its extension, and what plugins do at their ends by the host's.

use std::time::Duration;

use abi_stable::std_types::RSlice;
use hotbay_plugin_api::abi::{
    ExtensionPtr, HandlerExtension, HostHandle, HostLink, Instance, RawBuffer, RawOpened, RawOpening,
    RawStream, Status, StreamsExtension,
};

use super::host_side::{call_status, failed, guarded, outside, side};
use super::plugin::{Answer, answer};
use crate::bus::{Handler, Stuck};
use crate::call::{self, Opening, Stream};
use crate::context::InHand;
use crate::error::StreamError;

static TABLE: StreamsExtension = StreamsExtension { open, send, receive, finish, leave, wait, notify, close };

/// What the host's `extension` answers for it.
pub(super) fn table() -> ExtensionPtr {
    ExtensionPtr::of_streams(&TABLE)
}

/// Has a plugin handle a stream on this thread. All of it is lent for the call.
pub(super) fn handle(
    table: &HandlerExtension,
    (instance, link): (Instance, HostLink),
    number: u64,
    (method, request): (&str, &[u8]),
    handler: &Handler,
) -> Answer {
    let resumed = handler.resumed();
    let opened = RawOpened {
        stream: RawStream(number),
        method: method.into(),
        request: request.into(),
        is_resumed: resumed.is_some(),
        token: resumed.map_or(&[][..], |resumed| &resumed.token).into(),
        sent: resumed.map_or(0, |resumed| resumed.sent),
        received: resumed.map_or(0, |resumed| resumed.received),
    };
    answer(|error| (table.handle)(instance, link, &opened, error))
}

extern "C" fn open(
    handle: HostHandle,
    opening: &RawOpening<'_>,
    place: &mut RawStream,
    error: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        let (side, service) = (side(handle), opening.service.as_str());
        if !side.accepts() {
            return outside(service, error);
        }
        let how = Opening { lifetime: time(opening.lifetime_us), resumes: opening.resumes };
        let (method, request) = (opening.method.as_str(), opening.request.as_slice());
        let opened = side.services().slot(service).and_then(|slot| call::open(slot, method, request, how));
        match opened.map(|stream| side.streams().keep(stream)) {
            Ok(Ok(number)) => {
                *place = RawStream(number);
                Status::OK
            }
            Ok(Err(why)) => {
                let _ =
                    error.write(format!("open stream `{method}` of service `{service}`: {why}").as_bytes());
                Status::REFUSED
            }
            Err(failure) => failed(&**side.services(), *failure, service, error),
        }
    })
}

extern "C" fn send(
    handle: HostHandle,
    stream: RawStream,
    item: RSlice<'_, u8>,
    wait_us: u64,
    error: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        let (wait, item) = (time(wait_us).unwrap_or(Duration::MAX), item.as_slice());
        let sent = at_end(
            handle,
            stream,
            wait,
            |handler| handler.send(item, wait),
            |opened| opened.send(item, wait),
        );
        sent.map_or_else(|failure| told(&failure, error), |()| Status::OK)
    })
}

extern "C" fn receive(handle: HostHandle, stream: RawStream, wait_us: u64, item: &mut RawBuffer) -> Status {
    guarded(Status::FAILED, || {
        let wait = time(wait_us).unwrap_or(Duration::MAX);
        let received =
            at_end(handle, stream, wait, |handler| handler.receive(wait), |opened| opened.receive(wait));
        match received {
            Ok(None) => Status::ENDED,
            Ok(Some(bytes)) if item.write(&bytes) => Status::OK,
            Ok(Some(_)) => Status::FAILED,
            Err(failure) => told(&failure, item),
        }
    })
}

extern "C" fn finish(handle: HostHandle, RawStream(number): RawStream) {
    guarded((), || match side(handle).streams().find(number) {
        Some(InHand::Handled(_, handler)) => handler.finish(),
        Some(InHand::Opened(opened)) => opened.finish(),
        None => {}
    });
}

extern "C" fn leave(
    handle: HostHandle,
    stream: RawStream,
    token: RSlice<'_, u8>,
    error: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        let RawStream(number) = stream;
        if let Some(InHand::Opened(opened)) = side(handle).streams().find(number) {
            let (method, service) = (opened.method(), opened.service());
            let text = format!(
                "leave a word on stream `{method}` of service `{service}`: who opened a stream has nobody who goes on after it"
            );
            let _ = error.write(text.as_bytes());
            return Status::REFUSED;
        }
        let leave = |handler: &Handler| handler.leave(token.as_slice());
        let left = at_end(handle, stream, Duration::ZERO, leave, |_| Ok(()));
        left.map_or_else(|failure| told(&failure, error), |()| Status::OK)
    })
}

extern "C" fn wait(handle: HostHandle, stream: RawStream, wait_us: u64, error: &mut RawBuffer) -> Status {
    guarded(Status::FAILED, || {
        let wait = time(wait_us).unwrap_or(Duration::MAX);
        // Nobody notifies who opened one.
        let noticed = at_end(
            handle,
            stream,
            wait,
            |handler| handler.noticed(wait),
            |opened| Err(StreamError::of(Stuck::TimedOut, opened.service(), opened.method(), wait)),
        );
        noticed.map_or_else(|failure| told(&failure, error), |()| Status::OK)
    })
}

extern "C" fn notify(handle: HostHandle, RawStream(number): RawStream) {
    guarded((), || {
        if let Some(InHand::Handled(_, handler)) = side(handle).streams().find(number) {
            handler.notify();
        }
    });
}

extern "C" fn close(handle: HostHandle, RawStream(number): RawStream) {
    guarded((), || side(handle).streams().forget(number));
}

/// Does something at an end that a plugin has in hand.
fn at_end<R>(
    handle: HostHandle,
    RawStream(number): RawStream,
    wait: Duration,
    at_handler: impl FnOnce(&Handler) -> Result<R, Stuck>,
    at_opener: impl FnOnce(&Stream) -> Result<R, StreamError>,
) -> Result<R, StreamError> {
    let side = side(handle);
    match side.streams().find(number) {
        Some(InHand::Handled(method, handler)) => {
            at_handler(&handler).map_err(|stuck| StreamError::of(stuck, side.name(), &method, wait))
        }
        Some(InHand::Opened(opened)) => at_opener(&opened),
        // The handler has returned, or the opener is being stopped.
        None => Err(StreamError::Gone { service: side.name().to_string(), method: "-".to_owned() }),
    }
}

/// A wait or a lifetime; none for ever.
fn time(micros: u64) -> Option<Duration> {
    (micros != u64::MAX).then(|| Duration::from_micros(micros))
}

fn told(failure: &StreamError, words: &mut RawBuffer) -> Status {
    let _ = words.write(failure.to_string().as_bytes());
    match failure {
        StreamError::NotOpened(failure) => call_status(failure),
        StreamError::Failed { .. } => Status::FAILED,
        StreamError::Panicked { .. } => Status::PANICKED,
        StreamError::Moved { .. } => Status::MOVED,
        StreamError::Gone { .. } | StreamError::Cancelled { .. } => Status::CANCELLED,
        StreamError::Late { .. } | StreamError::TimedOut { .. } => Status::TIMED_OUT,
        StreamError::Finished { .. } | StreamError::TooLong { .. } => Status::REFUSED,
    }
}
