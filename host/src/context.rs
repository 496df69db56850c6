//! The host's side of what a plugin's `Context` gives beside calls and messages: for each generation its threads, timers and requests
//! to the outside, and for the host what they share. It knows names and bodies, and neither libraries nor tables: those are `ffi`'s.

mod clock;
#[cfg(feature = "http-client")]
mod http;
mod streams;
mod threads;
mod tick;
mod timers;

pub(crate) use clock::Clock;
#[cfg(feature = "http-client")]
pub(crate) use http::{Answered, Asked, Http, HttpError};
pub(crate) use streams::{InHand, NotTaken, Streams, Taken};
pub(crate) use threads::Threads;
pub(crate) use timers::{Timers, What};

use hotbay_plugin_api::abi::Status;

use crate::ffi::Answer;

/// How much of what a plugin was given did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ends {
    /// With an error.
    pub(crate) failed: u64,
    /// With a panic.
    pub(crate) panicked: u64,
}

impl Ends {
    /// Notes how one ended; how many did not end well so far.
    fn note(&mut self, answer: &Answer) -> u64 {
        match answer {
            Ok(()) => {}
            Err((Status::PANICKED, _)) => self.panicked += 1,
            Err(_) => self.failed += 1,
        }
        self.failed + self.panicked
    }
}

#[cfg(test)]
mod tests;
