//! What becomes of a stream that does not go on.

use std::time::Duration;

use super::{CallError, Code, Coded};
use crate::bus::{End, LONGEST_ITEM, Stuck};

/// Why an item of a stream was not sent, or none received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// It could not be opened, or gone on with.
    #[error(transparent)]
    NotOpened(CallError),
    /// The plugin that handles it answered with an error.
    #[error("{text}")]
    Failed {
        /// The service.
        service: String,
        /// The plugin's words.
        text: String,
    },
    /// The plugin that handles it panicked.
    #[error("failed to go on with stream `{method}`: service `{service}` panicked: {text}")]
    Panicked {
        /// The service.
        service: String,
        /// The stream.
        method: String,
        /// Message and place.
        text: String,
    },
    /// The service is replaced or stopped, and the stream does not go on by itself.
    #[error(
        "failed to go on with stream `{method}` of service `{service}`: the service is replaced or stopped; open the stream again"
    )]
    Moved {
        /// The service.
        service: String,
        /// The stream.
        method: String,
    },
    /// The other side has gone.
    #[error("failed to go on with stream `{method}` of service `{service}`: the other side has gone")]
    Gone {
        /// The service.
        service: String,
        /// The stream.
        method: String,
    },
    /// The stream's lifetime is over.
    #[error("failed to go on with stream `{method}` of service `{service}`: its time is over")]
    Late {
        /// The service.
        service: String,
        /// The stream.
        method: String,
    },
    /// The wait was over. The stream goes on.
    #[error("failed to send or receive within {} ms on stream `{method}` of service `{service}`: the other side is slower", wait.as_millis())]
    TimedOut {
        /// The service.
        service: String,
        /// The stream.
        method: String,
        /// How long was waited.
        wait: Duration,
    },
    /// Who asked this thread for its work has given up. The stream goes on.
    #[error("failed to wait for stream `{method}` of service `{service}`: who asked has given up")]
    Cancelled {
        /// The service.
        service: String,
        /// The stream.
        method: String,
    },
    /// No more is sent on it.
    #[error("failed to send on stream `{method}` of service `{service}`: it is finished")]
    Finished {
        /// The service.
        service: String,
        /// The stream.
        method: String,
    },
    /// The item is too long.
    #[error(
        "failed to send on stream `{method}` of service `{service}`: an item has {} MiB at most; send it in pieces", LONGEST_ITEM >> 20
    )]
    TooLong {
        /// The service.
        service: String,
        /// The stream.
        method: String,
    },
}

impl StreamError {
    /// What kind of trouble it is.
    #[must_use]
    pub fn code(&self) -> Code {
        Coded::code(self)
    }

    pub(crate) fn of(stuck: Stuck, service: &str, method: &str, wait: Duration) -> Self {
        let (service, method) = (service.to_owned(), method.to_owned());
        match stuck {
            Stuck::Ended(End::Finished) => Self::Finished { service, method },
            Stuck::Ended(End::Failed(text)) => Self::Failed { service, text },
            Stuck::Ended(End::Panicked(text)) => Self::Panicked { service, method, text },
            Stuck::Ended(End::Cancelled) => Self::Gone { service, method },
            Stuck::Ended(End::Moved) => Self::Moved { service, method },
            Stuck::Ended(End::Late) => Self::Late { service, method },
            Stuck::TimedOut => Self::TimedOut { service, method, wait },
            Stuck::GivenUp => Self::Cancelled { service, method },
            Stuck::TooLong => Self::TooLong { service, method },
        }
    }
}
