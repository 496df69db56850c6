//! abi_stable's plugin.
#![allow(missing_docs, unsafe_code, reason = "what abi_stable's macro writes")]

#[path = "shared/interface.rs"]
mod interface;

use std::sync::atomic::{AtomicU64, Ordering};

use abi_stable::export_root_module;
use abi_stable::prefix_type::PrefixTypeTrait as _;
use abi_stable::std_types::{RSlice, RVec};
use interface::{Target, TargetRef};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Gives the host its functions.
#[export_root_module]
pub fn target() -> TargetRef {
    Target { add }.leak_into_prefix()
}

extern "C" fn add(_request: RSlice<'_, u8>) -> RVec<u8> {
    RVec::from(COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes().to_vec())
}
