//! The kernel: who is here, in which phase, and how one generation follows another.
//!
//! One loop decides (`supervise`); what takes time is done on threads of its own (`op`) and reported back.

pub mod lines;
pub mod metrics;
pub mod view;

pub(crate) mod alarm;
pub(crate) mod callers;
pub(crate) mod cascade;
pub(crate) mod chain;
pub(crate) mod clock;
pub(crate) mod counting;
pub(crate) mod files;
pub(crate) mod gate;
pub(crate) mod generation;
pub(crate) mod good;
pub(crate) mod guard;
pub(crate) mod health;
pub(crate) mod held;
pub(crate) mod history;
pub(crate) mod inbox;
pub(crate) mod inboxes;
pub(crate) mod journal;
pub(crate) mod kept;
pub(crate) mod lane;
pub(crate) mod lease;
pub(crate) mod levels;
pub(crate) mod margin;
pub(crate) mod op;
pub(crate) mod patience;
pub(crate) mod plan;
pub(crate) mod probation;
pub(crate) mod rates;
pub(crate) mod receipt;
pub(crate) mod records;
pub(crate) mod registry;
pub(crate) mod restarts;
pub(crate) mod rolled_back;
pub(crate) mod served;
pub(crate) mod service;
pub(crate) mod settle;
pub(crate) mod shared;
pub(crate) mod slot;
pub(crate) mod snapshots;
pub(crate) mod sync;
pub(crate) mod tables;
pub(crate) mod tally;
pub(crate) mod wish;

// Not declared by their code, which the loom model of the swap compiles once more.
#[cfg(test)]
#[path = "gate/tests.rs"]
mod gate_tests;
#[cfg(test)]
#[path = "tally/tests.rs"]
mod tally_tests;
