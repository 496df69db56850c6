//! The host's side of what a plugin's `Context` gives beside calls and messages: for each generation its threads and timers, and for
//! the host what they share. It knows names and bodies, and neither libraries nor tables: those are `ffi`'s.

mod threads;

pub(crate) use threads::Threads;
