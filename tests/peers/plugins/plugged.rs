//! polyplug's plugin.
#![allow(unsafe_code, reason = "a symbol's name is unsafe to choose, and polyplug finds functions by it")]

use std::sync::atomic::{AtomicU64, Ordering};

use polyplug_abi::StringView;
use polyplug_guest::{GuestError, HostContext};

#[allow(
    missing_debug_implementations,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    clippy::wildcard_imports,
    reason = "what polyplugc writes"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/guest.rs"));
}

use generated::guest::contracts::BenchTargetGuestContract;

/// Of each byte seven bits: text, whatever the number.
const TEXT: u64 = 0x7f7f_7f7f_7f7f_7f7f;

struct Target {
    host: HostContext,
    count: AtomicU64,
}

impl BenchTargetGuestContract for Target {
    fn add(&self, _request: StringView) -> Result<u64, GuestError> {
        Ok(self.count.fetch_add(1, Ordering::Relaxed))
    }

    fn add_owned(&self, _request: StringView) -> Result<StringView, GuestError> {
        let bytes = (self.count.fetch_add(1, Ordering::Relaxed) & TEXT).to_le_bytes();
        // SAFETY: bytes below 128 are ASCII.
        self.host.alloc_string(unsafe { std::str::from_utf8_unchecked(&bytes) })
    }
}

/// Makes what answers.
#[unsafe(no_mangle)]
pub fn polyplug_create_plugged(host: HostContext) -> Box<dyn BenchTargetGuestContract> {
    Box::new(Target { host, count: AtomicU64::new(0) })
}

/// Which contract between host and plugin this is built for.
#[unsafe(no_mangle)]
pub extern "C" fn polyplug_abi_version() -> u32 {
    polyplug_abi::POLYPLUG_ABI_VERSION
}
