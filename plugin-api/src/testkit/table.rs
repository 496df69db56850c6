//! The functions of the test host.

use std::cell::Cell;
use std::sync::PoisonError;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RSlice, RStr};

use super::TestHost;
use super::messages::{extension, no_extension};
use crate::abi::{HostHandle, HostTable, HostTableRef, RawBuffer, Status};

thread_local! {
    // Calls that are on this thread's stack.
    pub(super) static CALLS: Cell<u32> = const { Cell::new(0) };
}

struct Functions;

impl Functions {
    abi_stable::staticref!(
        const TABLE: WithMetadata<HostTable> = WithMetadata::new(HostTable {
            log_enabled,
            log,
            config,
            call,
            is_inside,
            extension,
        })
    );
    abi_stable::staticref!(
        const TABLE_1_0: WithMetadata<HostTable> = WithMetadata::new(HostTable {
            log_enabled,
            log,
            config,
            call,
            is_inside,
            extension: no_extension,
        })
    );
}

pub(super) fn table(is_of_1_0: bool) -> HostTableRef {
    HostTableRef(if is_of_1_0 { Functions::TABLE_1_0.as_prefix() } else { Functions::TABLE.as_prefix() })
}

pub(super) fn host<'a>(handle: HostHandle) -> &'a TestHost {
    // SAFETY: A3; `Running` boxes its host and never frees it.
    unsafe { &*handle.0.cast::<TestHost>() }
}

extern "C" fn log_enabled(_: HostHandle, _: u32) -> bool {
    true
}

extern "C" fn log(handle: HostHandle, _: u32, _: RStr<'_>, text: RStr<'_>, fields: RStr<'_>) {
    let line = format!("{text} {fields}").trim_end().to_owned();
    host(handle).log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

extern "C" fn config(handle: HostHandle, out: &mut RawBuffer, _: &mut RawBuffer) -> Status {
    let config = host(handle).config.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let json = config.as_ref().map_or_else(|| "{}".to_owned(), serde_json::Value::to_string);
    if out.write(json.as_bytes()) { Status::OK } else { Status::FAILED }
}

extern "C" fn call(
    handle: HostHandle,
    service: RStr<'_>,
    method: RStr<'_>,
    request: RSlice<'_, u8>,
    reply: &mut RawBuffer,
) -> Status {
    let Some(answer) = host(handle).services.get(service.as_str()) else {
        let _ = reply.write(format!("find service `{service}`: give it to the test host").as_bytes());
        return Status::NO_SUCH_SERVICE;
    };
    match answer(method.as_str(), request.as_slice()) {
        Ok(bytes) if reply.write(&bytes) => Status::OK,
        Ok(_) => Status::FAILED,
        Err(failure) => {
            let _ = reply.write(failure.message().as_bytes());
            failure.status()
        }
    }
}

extern "C" fn is_inside(_: HostHandle) -> bool {
    CALLS.get() > 0
}
