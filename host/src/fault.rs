//! Faults on demand: points at which a test lets the host fail, panic or hang. Compiled out without the feature
//! `fault-injection`, which no release has.
//!
//! A test names them in the environment of the host that it starts, in the language of the crate `fail`: for all services
//! `FAILPOINTS="seal=1*return(no luck)"`, for one `FAILPOINTS="seal@counter=panic"`. `return(kill)` ends the process there, as a power
//! cut does. The storage has points of its own, by file: see `hotbay_state::fault`.

use std::io;

/// Fails, panics, hangs or dies here, if a test says so for this point, or for this point of this service.
#[cfg(feature = "fault-injection")]
pub(crate) fn point(name: &str, service: &str) -> io::Result<()> {
    hotbay_state::fault::point(name, service)
}

/// Nothing fails here on demand.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn point(_: &str, _: &str) -> io::Result<()> {
    Ok(())
}

/// Reads the faults that the environment names; they hold for as long as what comes back.
#[cfg(feature = "fault-injection")]
#[must_use]
pub fn from_environment() -> impl Sized {
    fail::FailScenario::setup()
}
