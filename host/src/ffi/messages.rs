//! Messages across the boundary: into a plugin by its messages extension, and out of one by the host's bus extension.

use std::sync::atomic::Ordering;
use std::time::Duration;

use abi_stable::std_types::RStr;
use hotbay_plugin_api::abi::{
    BUS_EXTENSION, BusExtension, CALLS_EXTENSION, ExtensionPtr, HostHandle, Instance, LINES_EXTENSION,
    MessagesExtension, RawBuffer, RawHeader, RawId, RawMessage, RawOutgoing, RawPublished, Status,
};

use super::host_side::{guarded, side};
use super::plugin::{Answer, answer};
use super::{calls, lines};
use crate::bus::{Headers, Manner, Message, MessageId, Outgoing, PublishError, Published};

static TABLE: BusExtension = BusExtension { publish };

/// The table of an extension of this host's.
pub(super) extern "C" fn extension(id: RStr<'_>, revision: u32) -> ExtensionPtr {
    match (id.as_str(), revision) {
        CALLS_EXTENSION => calls::table(),
        BUS_EXTENSION => ExtensionPtr::of_bus(&TABLE),
        LINES_EXTENSION => lines::table(),
        _ => ExtensionPtr::NONE,
    }
}

/// Brings a message to a plugin, on this thread. All of it is lent for the call.
pub(super) fn deliver(table: &MessagesExtension, instance: Instance, message: &Message) -> Answer {
    let headers: Vec<RawHeader<'_>> =
        message.headers().iter().map(|(name, value)| RawHeader::new(name, value)).collect();
    let causes: Vec<RawId> = message.causes().iter().copied().map(raw).collect();
    let message = RawMessage {
        id: raw(message.id()),
        unix_us: message.unix_us(),
        sender: message.sender().into(),
        topic: message.topic().into(),
        headers: headers.as_slice().into(),
        causes: causes.as_slice().into(),
        payload: message.payload().into(),
    };
    answer(|error| (table.deliver)(instance, &message, error))
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
        let headers = outgoing.headers.as_slice().iter();
        let headers = Headers::new(headers.map(|header| (header.name.as_str(), header.value.as_str())));
        let manner = if outgoing.is_confirmed {
            Manner::Confirm(Duration::from_millis(outgoing.deadline_ms))
        } else {
            Manner::Forget
        };
        let outgoing = Outgoing { payload: outgoing.payload.as_slice(), headers, cause: None };
        match bus.publish(side.name(), topic, outgoing, manner) {
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

fn status(failure: &PublishError) -> Status {
    match failure {
        PublishError::NotTaken { .. } => Status::TIMED_OUT,
        PublishError::TooManyHops { .. } | PublishError::Refused { .. } => Status::REFUSED,
        PublishError::Topic(_) => Status::FAILED,
    }
}
