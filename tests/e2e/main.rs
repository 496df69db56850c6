//! The real binary, real compiled plugins, processes of their own: each test's name is a claim of the product.

#![allow(clippy::unwrap_used, reason = "this program is nothing but tests")]

mod bad_input;
mod callbacks;
mod cli;
mod configuration;
mod deep;
mod dependencies;
mod doctor;
mod drop_in;
mod errors;
mod faults;
mod fixtures;
mod force;
mod http;
mod keys;
mod killed;
mod lifecycle;
mod load;
mod loader;
mod look;
mod machine;
mod messages;
mod metrics;
mod mutate;
mod new;
mod older_file;
mod pinned;
mod probation;
mod quarantine;
mod race;
mod rehearsal;
mod replace;
mod rollback;
mod sealed;
mod shutdown;
mod snapshots;
mod soak;
mod state;
mod streams;
mod systemd;
mod trust;
mod unload;
mod unwelcome;
mod windows;
