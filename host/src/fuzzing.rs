//! What fuzzers call: each reader of bytes that come from outside, with what must hold whatever they are.
//!
//! `host/fuzz` makes the bytes up; the tests go through what it began with and what it found, on every system.

mod config;
#[cfg(feature = "cli")]
mod control;
mod manifest;
mod object;
mod signature;
#[cfg(test)]
mod tests;

pub use config::check as config;
#[cfg(feature = "cli")]
pub use control::check as control;
pub use manifest::check as manifest;
pub use object::check as object;
pub use signature::check as signature;
