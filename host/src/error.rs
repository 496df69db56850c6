//! What goes wrong, told to the one who can mend it: each kind with a code, which never means another one.
//!
//! [`Code`] is the number, [`Explanation`] all that is to be known of it; `hotbay explain` shows it, and `ERRORS.md` is written
//! from it. Which code an error has is said in `coded`, and what went wrong travels as a [`Trouble`].

mod code;
mod coded;
mod explained;
mod near;
mod page;
mod stream;
mod trouble;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use code::{Blame, Code, NoCode};
pub(crate) use coded::of_pinned;
pub use explained::{Explanation, nearest};
pub(crate) use near::nearest_first;
pub use page::page;
pub use stream::StreamError;
pub use trouble::Trouble;
pub(crate) use trouble::{Coded, Why, shown};

/// A host that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The plugins folder is missing, no folder, or not readable.
    #[error("failed to read the plugins folder `{}`: create it, or name another with `--plugins`", path.display())]
    Plugins {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The home folder cannot be made.
    #[error("failed to prepare the home folder `{}`: name one that can be written with `--home`", path.display())]
    Home {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another host runs on the same home.
    #[error("failed to lock `{}`: another host runs on this home; stop it, or name another with `--home`", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Others could put another home folder in the place of this one.
    #[error(
        "failed to trust the home folder `{}`, which holds keys and what is trusted: {why}; take that from them, name another with \
         `--home`, or set `trust.exposed_home = \"allow\"`", path.display()
    )]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Who, and by what.
        why: String,
    },
    /// The key cannot be read.
    #[error("failed to load the key that seals state")]
    Key(#[from] hotbay_state::KeyError),
    /// The key is to come from the environment and is not there.
    #[error(
        "failed to load the key that seals state: the environment has no variable `{name}`; set it, or change `state.key_env`"
    )]
    NoKey {
        /// The variable.
        name: String,
    },
    /// There is no folder of credentials to read the key from.
    #[error(
        "failed to load the key that seals state: there is no folder of credentials, which systemd makes for a service with \
         `LoadCredential={name}:…`; start it as such a service, or change `state.key_credential`"
    )]
    NoCredentials {
        /// The credential.
        name: String,
    },
    /// The state folder cannot be opened.
    #[error("failed to open the state store")]
    Store(#[from] hotbay_state::StoreError),
    /// The program does not run the probe.
    #[error(
        "failed to find a probe: call `hotbay::probe::entry()` first thing in `main`, or set `probe.program` to a binary that does"
    )]
    Probe,
    /// A thread cannot be started.
    #[error("failed to start the thread `{name}`")]
    Thread {
        /// Its name.
        name: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A call that was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such service.
    #[error("failed to find service `{service}`; {}", available("running", known))]
    NoSuchService {
        /// What was asked for.
        service: String,
        /// The services that run.
        known: Vec<String>,
    },
    /// The service has no such method.
    #[error("failed to find method `{method}` of service `{service}`; {}", available("it has", known))]
    NoSuchMethod {
        /// The service.
        service: String,
        /// What was asked for.
        method: String,
        /// The methods that its manifest names.
        known: Vec<String>,
    },
    /// The service has no such stream.
    #[error("failed to find stream `{method}` of service `{service}`; {}", available("it has", known))]
    NoSuchStream {
        /// The service.
        service: String,
        /// What was to be opened.
        method: String,
        /// The streams that its manifest names.
        known: Vec<String>,
    },
    /// As many streams of the service are open as may be.
    #[error(
        "failed to open a stream of service `{service}`: {limit} are open, as many as its `max_streams` says; end one, or raise it"
    )]
    TooManyStreams {
        /// The service.
        service: String,
        /// The limit.
        limit: usize,
    },
    /// The service exists and does not run.
    #[error("failed to call service `{service}`: it is {phase}{}", because(reason))]
    NotRunning {
        /// The service.
        service: String,
        /// Where it is in its life.
        phase: crate::kernel::view::Phase,
        /// Why.
        reason: Option<String>,
    },
    /// The plugin answered with an error.
    #[error("{text}")]
    Failed {
        /// The service.
        service: String,
        /// The plugin's words.
        text: String,
    },
    /// The plugin panicked.
    #[error("failed to answer: service `{service}` panicked: {text}")]
    Panicked {
        /// The service.
        service: String,
        /// Message and place.
        text: String,
    },
    /// The deadline passed.
    #[error("failed to answer within {} ms: service `{service}` {doing}", deadline.as_millis())]
    TimedOut {
        /// The service.
        service: String,
        /// How long was waited.
        deadline: std::time::Duration,
        /// What it was at.
        doing: &'static str,
    },
    /// The chain of calls is too long.
    #[error(
        "failed to call service `{service}`: the chain of calls is longer than {limit}; services call each other in a circle"
    )]
    TooManyHops {
        /// The service.
        service: String,
        /// The limit.
        limit: usize,
    },
    /// Whoever asked has gone meanwhile.
    #[error("failed to answer: who asked service `{service}` has given up")]
    Cancelled {
        /// The service.
        service: String,
    },
    /// The service's breaker is open, so that the call was not begun.
    #[error("failed to call service `{service}`: its breaker is open, {why}{}", again(retry_after))]
    BreakerOpen {
        /// The service.
        service: String,
        /// Why it opened.
        why: String,
        /// When to try again; `None` where somebody holds it open.
        retry_after: Option<std::time::Duration>,
    },
    /// As many calls are inside of the service as may be.
    #[error(
        "failed to call service `{service}`: {limit} calls are inside, as many as its `max_concurrent` says; try again later"
    )]
    TooManyInside {
        /// The service.
        service: String,
        /// The limit.
        limit: u32,
    },
    /// There were more calls of the service lately than may be.
    #[error(
        "failed to call service `{service}`: there were more than {per_second} calls per second, its `max_rate`; try again in {} ms",
        millis_up(retry_after)
    )]
    TooFast {
        /// The service.
        service: String,
        /// The limit.
        per_second: u32,
        /// When to try again.
        retry_after: std::time::Duration,
    },
    /// The host is being stopped, or the caller may not call now.
    #[error("failed to call service `{service}`: {text}")]
    Refused {
        /// The service.
        service: String,
        /// Why.
        text: String,
    },
}

/// A command to the kernel that was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is nothing of that name.
    #[error("failed to find service `{name}`; {}", available("there are", known))]
    NotFound {
        /// What was asked for.
        name: String,
        /// What exists.
        known: Vec<String>,
    },
    /// The file that was named does not exist.
    #[error("{reason}")]
    NoFile {
        /// Which.
        reason: Trouble,
    },
    /// The file or the service was refused; nothing else changed.
    #[error("{reason}")]
    Refused {
        /// Why, and what to do.
        reason: Trouble,
    },
    /// Another command or change of files came between, and won.
    #[error("failed to {command} service `{name}`: {by}; see `hotbay status {name}`")]
    Superseded {
        /// What was asked for.
        command: &'static str,
        /// The service.
        name: String,
        /// What won.
        by: &'static str,
    },
    /// Something else is on its way with which it does not go together; nothing was done.
    #[error("failed to {command} service `{name}`: {with} is on its way; wait for it, then ask again")]
    Busy {
        /// What was asked for.
        command: &'static str,
        /// The service.
        name: String,
        /// What is on its way.
        with: &'static str,
    },
    /// The swap failed and the old generation serves on.
    #[error("failed to swap service `{name}`, generation {generation} serves on: {reason}")]
    RolledBack {
        /// The service.
        name: String,
        /// The generation that serves.
        generation: u64,
        /// Why.
        reason: Trouble,
    },
    /// It was tried and failed.
    #[error("{reason}")]
    Failed {
        /// Why, and what to do.
        reason: Trouble,
    },
    /// It was not done in time; it may still come.
    #[error("failed to see `{name}` settle within {} ms: it is {phase}", deadline.as_millis())]
    TimedOut {
        /// The service.
        name: String,
        /// How long was waited.
        deadline: std::time::Duration,
        /// Where it was then.
        phase: crate::kernel::view::Phase,
    },
    /// The host is being stopped.
    #[error("failed to carry out the command: the host is being stopped")]
    Stopping,
}

impl HostError {
    /// What kind of trouble it is.
    #[must_use]
    pub fn code(&self) -> Code {
        Coded::code(self)
    }
}

impl CallError {
    /// When to try again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            CallError::BreakerOpen { retry_after, .. } => *retry_after,
            CallError::TooFast { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// What kind of trouble it is.
    #[must_use]
    pub fn code(&self) -> Code {
        Coded::code(self)
    }
}

impl ControlError {
    /// What kind of trouble it is.
    #[must_use]
    pub fn code(&self) -> Code {
        Coded::code(self)
    }
}

pub(crate) fn available(what: &str, known: &[String]) -> String {
    if known.is_empty() { "there is none".to_owned() } else { format!("{what}: {}", known.join(", ")) }
}

fn again(after: &Option<std::time::Duration>) -> String {
    after.as_ref().map_or_else(String::new, |after| format!("; try again in {} ms", millis_up(after)))
}

/// Whole milliseconds, and none too few.
fn millis_up(time: &std::time::Duration) -> u128 {
    time.as_micros().div_ceil(1000)
}

fn because(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// An error and its sources on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their source in their own words.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
