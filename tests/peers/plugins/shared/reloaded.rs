//! What hot-lib-reloader calls, in both versions.
#![allow(
    unreachable_pub,
    unsafe_code,
    reason = "a symbol's name is unsafe to choose, and hot-lib-reloader finds functions by it"
)]

#[path = "../../../bench/plugins/shared/ballast.rs"]
mod ballast;

use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// One atomic addition, its result into the caller's buffer.
#[unsafe(no_mangle)]
pub fn add(_request: &[u8], reply: &mut Vec<u8>) {
    reply.extend_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
}

/// Which version answers.
#[unsafe(no_mangle)]
pub fn version() -> u32 {
    crate::VERSION
}
