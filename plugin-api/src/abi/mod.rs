//! The binary contract: every type that crosses between a host and a plugin.
//!
//! Authors of plugins need nothing of this; hosts do. The rules of change are in `ABI.md`, and the two sides check
//! each other's layout with `abi_stable` when a library is loaded. What crosses follows three rules:
//!
//! 1. **Nothing that a side allocated is kept by the other.** Replies, exports and error texts are written into
//!    buffers that the reader lends ([`Lent`]).
//! 2. **No unwinding crosses.** Each function of a plugin ends in `thunk`, which catches.
//! 3. **Tables are frozen**; what comes later is an extension, which either side asks the other for by id and revision.
//!
//! # Safety argument
//!
//! The blocks of `unsafe` below cite these:
//!
//! * **A1** An [`Instance`] handed to a thunk of `P` was made by `create::<P>` of the same library and not yet given to
//!   `destroy::<P>`: the host keeps instance and table together and drops the instance first.
//! * **A2** A [`RawBuffer`] is only made as part of a [`Lent`], which borrows the vector for as long, or of a [`Buffer`] (A5); its fields are private to
//!   this module, so `len <= capacity`, and `data` points at `capacity` bytes of that vector. Safe code sees it as [`Out`], so no
//!   two are exchanged.
//! * **A3** A [`HostLink`] outlives every mapping of the library that it was given to: the host frees what `handle`
//!   points at only after it has seen that the library is unmapped.
//! * **A4** A [`RawReader`] is only made as part of a [`LentBytes`] or [`LentPieces`], which borrow what is read for as long; its
//!   fields are private, so `data` points at `len` bytes that nobody changes until its `next` is called. Safe code sees it as [`In`],
//!   so no two are exchanged.
//! * **A5** A [`Buffer`] owns the memory of one vector: `data`, `len` and `capacity` of its [`RawBuffer`] are that vector's at any
//!   time that nobody grows it, `len` bytes are written, and no two buffers have the same.
//! * **A6** A [`RawBody`] is made by `Box::into_raw` here, of the very type that the function beside it was compiled for, and with what that
//!   function asks of threads (`Send`; `Sync` where it may run on several). The host gives it back to that function while the library
//!   is mapped: as often as the table says, and never after the function that takes it for good.

#![allow(unsafe_code, reason = "the contract's ABI layer: the one place of this crate where pointers cross")]
#![allow(
    non_local_definitions,
    reason = "abi_stable's derives of 2023 define impls in constants, which rustc 1.79 began to warn about"
)]

mod buffer;
mod calls;
mod config;
mod deadline;
mod guard;
mod host;
mod http;
mod kv;
mod log;
mod messages;
mod methods;
mod module;
mod own;
mod reader;
mod requests;
mod state;
mod streams;
mod threads;
mod thunk;
mod timers;
mod window;

pub use buffer::{Lent, Limited, Out, RawBuffer};
pub(crate) use calls::FoundMethod;
pub use calls::{CALLS_EXTENSION, CallsExtension, RawMethod};
pub use config::{CONFIG_EXTENSION, ConfigExtension};
pub use deadline::{DEADLINE_EXTENSION, DeadlineExtension};
pub use host::{HostHandle, HostLink, HostTable, HostTableRef};
pub use http::{HTTP_EXTENSION, HttpExtension, RawHttpRequest};
pub use kv::{KV_EXTENSION, KvExtension};
pub(crate) use log::Said;
pub use log::{LINES_EXTENSION, LOG_EXTENSION, LinesExtension, LogExtension, RawField, RawLine, RawSpan};
pub use messages::{
    BUS_EXTENSION, BusExtension, MESSAGES_EXTENSION, MessagesExtension, RawHeader, RawId, RawMessage,
    RawOutgoing, RawPublished,
};
pub use methods::{METHODS_EXTENSION, MethodFn, MethodsExtension};
pub use module::{ExtensionPtr, Instance, PluginModule, PluginModuleRef, Status};
pub use own::Buffer;
pub(crate) use reader::Failed;
pub use reader::{In, LentBytes, LentPieces, Pieces, RawReader};
pub use requests::{ANSWERS_EXTENSION, AnswersExtension, REQUESTS_EXTENSION, RequestsExtension};
pub use state::{
    STATE_EXTENSION, STATE_EXTENSION_1, StateExtension, StateExtension1, StateTables, state_tables,
};
pub(crate) use streams::StreamEnd;
pub use streams::{HandlerExtension, RawOpened, RawOpening, RawStream, STREAMS_EXTENSION, StreamsExtension};
pub(crate) use threads::Started;
pub use threads::{RawBody, RawThread, THREADS_EXTENSION, ThreadFn, ThreadsExtension};
pub use thunk::{lib_header, module};
pub(crate) use timers::SetTimer;
pub use timers::{FreeFn, RawTimer, RawTimes, TIMERS_EXTENSION, TickFn, TimersExtension};
pub use window::Window;

/// The contract's major version. Another major is another contract: such a plugin is refused.
pub const CONTRACT_MAJOR: u32 = 1;
/// The contract's minor version: it grows when an extension, or a key of the manifest, was added. Any minor loads with any other.
pub const CONTRACT_MINOR: u32 = 4;

/// The exported symbol of the manifest, which is read from the file without running it.
pub const MANIFEST_SYMBOL: &str = "HOTBAY_MANIFEST";
/// The exported symbol of the library's header (abi_stable's name for it).
pub const HEADER_SYMBOL: &str = abi_stable::library::ROOT_MODULE_LOADER_NAME;

#[doc(hidden)]
pub use abi_stable::library::LibHeader;

#[cfg(test)]
mod tests {
    #[test]
    fn the_symbol_that_the_macro_writes_is_the_one_that_abi_stable_looks_for() {
        // An attribute takes a literal only, so the name stands twice.
        assert_eq!(super::HEADER_SYMBOL, "_1as_0lib_1header_0root_bmodule_bloader");
        let macro_text = include_str!("../export.rs");
        assert!(macro_text.contains(&format!("export_name = \"{}\"", super::HEADER_SYMBOL)));
        assert!(macro_text.contains(&format!("export_name = \"{}\"", super::MANIFEST_SYMBOL)));
    }
}
