//! Hotbay: a microkernel for native plugins. A host loads the libraries dropped into a folder, calls them at native speed,
//! replaces them while calls go on, and carries their state, sealed, to the next version.
//!
//! # The life of a plugin
//!
//! Each step is a file of this crate with one function, the type that it yields and its error; none is skipped.
//!
//! 1. `discover`: a file of the folder that could be a plugin.
//! 2. `verify`: its bytes parse whole, their digest is taken, their manifest read; nothing of them has run.
//! 3. `trust`: by signature, owner and what the settings name, whether those bytes may run.
//! 4. `stage`: the bytes lie under a fresh private name, where nobody else writes.
//! 5. `probe`: a throw-away process maps the copy, creates the plugin and drops it.
//! 6. `load`: the host maps the copy, checks the contract's layout and creates the plugin, on a lane of its own.
//! 7. `start`: the plugin takes what it needs from outside; its slot publishes it.
//! 8. `call`: callers go in and out, each with a lease.
//! 9. `swap`: another generation takes over, with the state.
//! 10. `drain`: the last lease of the old generation ends.
//! 11. `unload`: its value is dropped, its threads end, its library is closed, and the host looks whether it is gone.
//!
//! `watch` hears that the folder moved, and `supervise`, the one loop that decides, compares what should run with what does.
//!
//! # Embedding
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use hotbay::{Config, Host};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // First of all: this program is also started as the probe of new files.
//!     hotbay::probe::entry();
//!
//!     let host = Host::start(Config::default())?;
//!     let reply = host.request("echo", "handle", b"hello".to_vec(), Duration::from_secs(1))?;
//!     println!("{}", String::from_utf8_lossy(&reply));
//!     host.shutdown();
//!     Ok(())
//! }
//! ```

mod discover;
mod verify;
mod trust;
mod stage;
pub mod probe;
mod load;
mod start;
mod call;
mod swap;
mod drain;
mod unload;

mod supervise;
mod watch;

pub mod bus;
pub mod check;
mod context;
mod host;
pub mod kernel;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod control;

pub mod config;
pub mod error;
#[cfg(not(feature = "fault-injection"))]
mod fault;
#[cfg(feature = "fault-injection")]
pub mod fault;
mod ffi;
mod os;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod linked;

pub use call::{Opening, Stream};
pub use config::Config;
pub use error::{CallError, ControlError, HostError, StreamError};
pub use host::{Answered, Changed, Handle, Host, Method, PlainState, Publisher, Rotated, Which};
pub use hotbay_plugin_api::Buffer;
