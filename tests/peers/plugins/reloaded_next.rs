//! The next version of hot-lib-reloader's plugin.

#[path = "shared/reloaded.rs"]
mod reloaded;

const VERSION: u32 = 2;
