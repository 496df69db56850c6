//! What a plugin finds of this host by id and revision.

use abi_stable::std_types::RStr;
#[cfg(feature = "http-client")]
use hotbay_plugin_api::abi::HTTP_EXTENSION;
use hotbay_plugin_api::abi::{
    BUS_EXTENSION, CALLS_EXTENSION, DEADLINE_EXTENSION, ExtensionPtr, KV_EXTENSION, LINES_EXTENSION,
    REQUESTS_EXTENSION, STREAMS_EXTENSION, THREADS_EXTENSION, TIMERS_EXTENSION,
};

#[cfg(feature = "http-client")]
use super::http;
use super::{calls, kv, lines, messages, streams, threads, timers};

/// The table of an extension of this host's.
pub(super) extern "C" fn extension(id: RStr<'_>, revision: u32) -> ExtensionPtr {
    match (id.as_str(), revision) {
        CALLS_EXTENSION => calls::table(),
        BUS_EXTENSION => messages::table(),
        REQUESTS_EXTENSION => messages::requests(),
        DEADLINE_EXTENSION => messages::deadline(),
        LINES_EXTENSION => lines::table(),
        STREAMS_EXTENSION => streams::table(),
        THREADS_EXTENSION => threads::table(),
        TIMERS_EXTENSION => timers::table(),
        #[cfg(feature = "http-client")]
        HTTP_EXTENSION => http::table(),
        KV_EXTENSION => kv::table(),
        _ => ExtensionPtr::NONE,
    }
}
