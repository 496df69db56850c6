//! hot-lib-reloader's plugin: functions of Rust, found by name.

#[path = "shared/reloaded.rs"]
mod reloaded;

const VERSION: u32 = 1;
