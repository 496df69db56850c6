//! Messages and requests by topic across the boundary: into a plugin by its extensions, out of one by the host's; and what a plugin asks
//! about deadlines.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hotbay_plugin_api::abi::{
    AnswersExtension, BusExtension, DeadlineExtension, ExtensionPtr, HostHandle, Instance, Lent,
    MessagesExtension, RawBuffer, RawHeader, RawId, RawMessage, RawOutgoing, RawPublished, RequestsExtension,
    Status,
};

use super::host_side::{guarded, side};
use super::plugin::{Answer, answer};
use crate::bus::{
    self, Headers, Manner, Message, MessageId, Outgoing, PublishError, Published, RequestError,
};
use crate::kernel::chain;

static TABLE: BusExtension = BusExtension { publish };
static REQUESTS: RequestsExtension = RequestsExtension { request };
static DEADLINE: DeadlineExtension = DeadlineExtension { remaining_ns, is_cancelled };

/// What the host's `extension` answers for the bus.
pub(super) fn table() -> ExtensionPtr {
    ExtensionPtr::of_bus(&TABLE)
}

/// What it answers for requests by topic.
pub(super) fn requests() -> ExtensionPtr {
    ExtensionPtr::of_requests(&REQUESTS)
}

/// What it answers for deadlines.
pub(super) fn deadline() -> ExtensionPtr {
    ExtensionPtr::of_deadline(&DEADLINE)
}

/// Brings a message to a plugin, on this thread. All of it is lent for the call.
pub(super) fn deliver(table: &MessagesExtension, instance: Instance, message: &Message) -> Answer {
    lent(message, |message| answer(|error| (table.deliver)(instance, message, error)))
}

/// Has a plugin answer a request on this thread, into `reply`.
pub(super) fn answer_request(
    table: &AnswersExtension,
    instance: Instance,
    message: &Message,
    reply: &mut Vec<u8>,
) -> Answer {
    let mut reply = Lent::new(reply);
    // SAFETY: A2 of the contract; it stays where it is.
    let status =
        lent(message, |message| (table.answer)(instance, message, unsafe { reply.out().into_raw() }));
    if status == Status::OK { Ok(()) } else { Err((status, reply.out().take_words(0))) }
}

/// A message as it crosses.
fn lent<R>(message: &Message, body: impl FnOnce(&RawMessage<'_>) -> R) -> R {
    let headers: Vec<RawHeader<'_>> =
        message.headers().iter().map(|(name, value)| RawHeader::new(name, value)).collect();
    let causes: Vec<RawId> = message.causes().iter().copied().map(raw).collect();
    body(&RawMessage {
        id: raw(message.id()),
        unix_us: message.unix_us(),
        sender: message.sender().into(),
        topic: message.topic().into(),
        headers: headers.as_slice().into(),
        causes: causes.as_slice().into(),
        payload: message.payload().into(),
    })
}

fn raw(MessageId { run, number }: MessageId) -> RawId {
    RawId { run, number }
}

extern "C" fn publish(
    handle: HostHandle,
    outgoing: &RawOutgoing<'_>,
    place: &mut RawPublished,
    error: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        let side = side(handle);
        let topic = outgoing.topic.as_str();
        let Some(bus) = side.services().bus().filter(|_| side.accepting().load(Ordering::Acquire)) else {
            let _ = error.write(format!("publish to `{topic}` outside of start … stop").as_bytes());
            return Status::REFUSED;
        };
        match bus.publish(side.name(), topic, owned(outgoing), manner(outgoing)) {
            Ok(Published { id, taken, refused }) => {
                *place = RawPublished { id: raw(id), taken: taken as u64, refused: refused as u64 };
                Status::OK
            }
            Err(failure) => {
                let _ = error.write(failure.to_string().as_bytes());
                status(&failure)
            }
        }
    })
}

fn owned<'a>(outgoing: &RawOutgoing<'a>) -> Outgoing<'a> {
    Outgoing { payload: outgoing.payload.as_slice(), headers: headers(outgoing), cause: None }
}

pub(super) fn headers(outgoing: &RawOutgoing<'_>) -> Headers {
    let headers = outgoing.headers.as_slice().iter();
    Headers::new(headers.map(|header| (header.name.as_str(), header.value.as_str())))
}

pub(super) fn manner(outgoing: &RawOutgoing<'_>) -> Manner {
    if outgoing.is_confirmed {
        Manner::Confirm(Duration::from_millis(outgoing.deadline_ms))
    } else {
        Manner::Forget
    }
}

extern "C" fn request(handle: HostHandle, outgoing: &RawOutgoing<'_>, reply: &mut RawBuffer) -> Status {
    guarded(Status::FAILED, || {
        let (side, topic) = (side(handle), outgoing.topic.as_str());
        let Some(bus) = side.services().bus().filter(|_| side.accepting().load(Ordering::Acquire)) else {
            let _ = reply.write(format!("ask `{topic}` outside of start … stop").as_bytes());
            return Status::REFUSED;
        };
        let deadline = Duration::from_millis(outgoing.deadline_ms);
        match chain::lend(|| bus.request(side.name(), topic, owned(outgoing), deadline, None)) {
            Ok(answer) if reply.write(&answer) => Status::OK,
            Ok(_) => Status::FAILED,
            Err(failure) => {
                let _ = reply.write(failure.to_string().as_bytes());
                request_status(&failure)
            }
        }
    })
}

fn request_status(failure: &RequestError) -> Status {
    match failure {
        RequestError::NobodyAnswers { .. } | RequestError::NotTaken { .. } => Status::NO_SUCH_SERVICE,
        RequestError::Panicked { .. } => Status::PANICKED,
        RequestError::TimedOut { .. } | RequestError::Cancelled { .. } => Status::TIMED_OUT,
        RequestError::Refused(failure) => status(failure),
        RequestError::Topic(_) | RequestError::Failed { .. } | RequestError::Dropped { .. } => Status::FAILED,
    }
}

extern "C" fn remaining_ns(_: HostHandle) -> u64 {
    let nanos = |left: Duration| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
    guarded(u64::MAX, || bus::remaining().map_or(u64::MAX, nanos))
}

extern "C" fn is_cancelled(_: HostHandle) -> bool {
    guarded(false, bus::is_cancelled)
}

fn status(failure: &PublishError) -> Status {
    match failure {
        PublishError::NotTaken { .. } => Status::TIMED_OUT,
        PublishError::TooManyHops { .. } | PublishError::Reserved { .. } | PublishError::Refused { .. } => {
            Status::REFUSED
        }
        PublishError::Topic(_) => Status::FAILED,
    }
}
