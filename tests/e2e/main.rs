//! The real binary, real compiled plugins, processes of their own: each test's name is a claim of the product.

#![allow(clippy::unwrap_used, reason = "this program is nothing but tests")]

mod bad_input;
mod callbacks;
mod cli;
mod configuration;
mod deep;
mod dependencies;
mod drop_in;
mod errors;
mod faults;
mod fixtures;
mod force;
mod given;
mod governed;
mod keys;
mod killed;
mod lifecycle;
mod load;
mod loader;
mod look;
mod machine;
mod messages;
mod mutate;
mod new;
mod older_file;
mod pinned;
mod probation;
mod quarantine;
mod race;
mod rehearsal;
mod replace;
mod requests;
mod rollback;
mod sealed;
mod settings;
mod shutdown;
mod snapshots;
mod soak;
mod state;
mod streams;
mod systemd;
mod trust;
mod unload;
mod windows;
