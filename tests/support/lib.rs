//! What the tests share: where the compiled artefacts are, a host on temporary folders, and the one place that waits.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a helper of tests panics: that is how a test fails"
)]

mod artefact;
mod bay;
mod exposition;
mod hosted;
mod os;
mod patience;
mod web;

pub use artefact::{
    cargo, debug_folder, edited, example, fixture, fixtures, hotbay_binary, library_name, linked_to,
    marked_initial_exec, marked_nodelete, mutate_binary, race_binary, soak_binary, with_version,
};
pub use bay::{Bay, Ran, run, run_long};
pub use exposition::Exposition;
pub use hosted::Hosted;
#[cfg(target_os = "linux")] // Windows: no program bounds another.
pub use os::{Bound, bounded, mapped_bytes};
pub use os::{Census, census, children, is_mapped, peak_bytes, rename, resident_bytes};
#[cfg(unix)]
pub use os::{give, is_root, make_fifo};
pub use os::{terminable, terminate};
pub use patience::{PATIENCE, eventually, never_within, rounds, within};
pub use web::{Answer, Connection, Web};
