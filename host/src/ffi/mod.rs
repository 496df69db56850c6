//! Loading and calling across: the one place of the host that touches foreign code.
//!
//! # Safety argument
//!
//! The blocks of `unsafe` below cite these:
//!
//! * **F1 The bytes were looked at first.** A library is opened only from an object (`stage`), a sealed file in memory or a copy
//!   in the owner's private folder, whose bytes parsed whole, were hashed, and were mapped once by the probe (unless the operator
//!   switched it off).
//!   What its initialisers do is the plugin's trust, which no check can give (`ABI.md`, trust model).
//! * **F2 One mapping per generation.** Each object has a name and a path of its own and is opened once; [`Library::open`] refuses
//!   a header at an address that another mapped library has, open or pinned, so a loader that hands out an older mapping is
//!   noticed.
//! * **F3 The types are the contract's.** The layout of the root module was checked by abi_stable against ours with
//!   globals that are dropped at once: its process-wide globals would keep references into unloaded libraries.
//! * **F4 The library outlives what came from it.** `module`, `instance`, `state`, `tables` and `functions` are private to [`Plugin`], are
//!   reachable only through it (a [`MethodCall`] borrows it), and `library` is its last field. A [`Twin`] holds the plugin that it was made with.
//!   Nothing that a plugin allocated is kept.
//! * **F5 What a plugin points at outlives it.** The [`HostSide`] behind a plugin's link is freed only after the
//!   mapping was seen to be gone; where it is not gone, it is leaked.
//! * **F6 Life-cycle order.** `create` precedes every use of an instance and `destroy` ends it: [`Plugin`] is made by
//!   the first and consumed by the second.
//! * **F7 What is released is still mapped.** A path of an object is used once, so a library of that path is the one that
//!   was pinned: with `RTLD_NOLOAD` its initialisers do not run again. If it was never closed, its own handle keeps it.
//! * **F8 What a plugin hands over, and what handles a stream, runs while it is mapped.** A stream is handled by a lease, on a thread as the next. The body of a thread is called once, on a thread of the host's that
//!   [`Plugin::join_threads`] waits for, destructors included; where one of those has not ended, the library is not closed. What a timer has
//!   is called inside of its generation, by a lease, and given back there, in a call of the plugin, or before its `stop`: [`HostSide::begin_to_stop`] takes
//!   all of them. A [`TickBody`] that is lost is leaked.

#![allow(unsafe_code, reason = "loading and calling foreign code is what this module is for")]

mod calls;
mod extensions;
mod host_side;
#[cfg(feature = "http-client")]
mod http;
mod kv;
mod library;
mod lines;
mod loader;
mod messages;
mod plugin;
mod state;
mod streams;
mod tables;
mod threads;
mod timers;
mod twin;

pub(crate) use host_side::{HostSide, Services};
pub(crate) use library::{Closed, Library, LoadError, is_mapped, release, release_within};
pub(crate) use loader::{Holder, held_up};
pub(crate) use plugin::{Answer, CreateError, MethodCall, Opened, Plugin};
pub(crate) use state::{Lending, Source, Written};
pub(crate) use timers::TickBody;
pub(crate) use twin::{Holds, Twin};
