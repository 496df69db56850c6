//! The library in-process, with real compiled plugins: what an embedding program relies on while files are replaced.

#![allow(clippy::unwrap_used, reason = "this program is nothing but tests")]

mod commands;
mod governed;
mod hammer;
mod handles;
mod inline;
mod kv;
mod large_state;
mod messages;
mod peer;
mod races;
mod requests;
mod streams;
