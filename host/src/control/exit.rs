//! What a command's exit code says. The numbers are a contract.

use serde::{Deserialize, Serialize};

use crate::bus::{PublishError, RequestError};
use crate::{CallError, ControlError, HostError, StreamError};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", from = "u8")]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Ok = 0,
    /// It was tried and failed.
    Failed = 1,
    /// The command line or the configuration cannot be meant.
    Usage = 2,
    /// There is no such service, method or file.
    NotFound = 3,
    /// It was not tried: a file that is no good, a service that does not run, a name that is taken.
    Refused = 4,
    /// The swap failed; the old generation serves on.
    RolledBack = 5,
    /// There is no host.
    Unreachable = 6,
    /// It was not done in time; it may still come.
    TimedOut = 7,
}

impl Exit {
    const ALL: [Exit; 8] = [
        Exit::Ok,
        Exit::Failed,
        Exit::Usage,
        Exit::NotFound,
        Exit::Refused,
        Exit::RolledBack,
        Exit::Unreachable,
        Exit::TimedOut,
    ];
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> u8 {
        exit as u8
    }
}

impl From<u8> for Exit {
    /// A code that only another version of the host knows is a failure all the same.
    fn from(code: u8) -> Self {
        Exit::ALL.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Exit::Failed)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        (exit as u8).into()
    }
}

impl From<&CallError> for Exit {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::NoSuchService { .. }
            | CallError::NoSuchMethod { .. }
            | CallError::NoSuchStream { .. } => Exit::NotFound,
            CallError::NotRunning { .. }
            | CallError::Refused { .. }
            | CallError::BreakerOpen { .. }
            | CallError::TooManyInside { .. }
            | CallError::TooManyStreams { .. }
            | CallError::TooFast { .. } => Exit::Refused,
            CallError::Failed { .. } | CallError::Panicked { .. } | CallError::TooManyHops { .. } => {
                Exit::Failed
            }
            CallError::TimedOut { .. } | CallError::Cancelled { .. } => Exit::TimedOut,
        }
    }
}

impl From<&StreamError> for Exit {
    fn from(error: &StreamError) -> Self {
        match error {
            StreamError::NotOpened(error) => error.into(),
            StreamError::Failed { .. }
            | StreamError::Panicked { .. }
            | StreamError::Moved { .. }
            | StreamError::Gone { .. } => Exit::Failed,
            StreamError::Finished { .. } | StreamError::TooLong { .. } => Exit::Refused,
            StreamError::Late { .. } | StreamError::TimedOut { .. } | StreamError::Cancelled { .. } => {
                Exit::TimedOut
            }
        }
    }
}

impl From<&PublishError> for Exit {
    fn from(error: &PublishError) -> Self {
        match error {
            PublishError::Topic(_) | PublishError::Reserved { .. } => Exit::Usage,
            // One that was waited for may have room later; who refuses it now has said so.
            PublishError::NotTaken { refused, .. } if refused.iter().any(|one| one.waited) => Exit::TimedOut,
            PublishError::NotTaken { .. } => Exit::Refused,
            PublishError::TooManyHops { .. } | PublishError::Refused { .. } => Exit::Refused,
        }
    }
}

impl From<&RequestError> for Exit {
    fn from(error: &RequestError) -> Self {
        match error {
            RequestError::Topic(_) => Exit::Usage,
            RequestError::Refused(error) => error.into(),
            RequestError::NobodyAnswers { .. } => Exit::NotFound,
            RequestError::NotTaken { .. } | RequestError::Dropped { .. } => Exit::Refused,
            RequestError::Failed { .. } | RequestError::Panicked { .. } => Exit::Failed,
            RequestError::TimedOut { .. } | RequestError::Cancelled { .. } => Exit::TimedOut,
        }
    }
}

impl From<&ControlError> for Exit {
    fn from(error: &ControlError) -> Self {
        match error {
            ControlError::NotFound { .. } | ControlError::NoFile { .. } => Exit::NotFound,
            ControlError::Refused { .. }
            | ControlError::Superseded { .. }
            | ControlError::Busy { .. }
            | ControlError::Stopping => Exit::Refused,
            ControlError::RolledBack { .. } => Exit::RolledBack,
            ControlError::Failed { .. } => Exit::Failed,
            ControlError::TimedOut { .. } => Exit::TimedOut,
        }
    }
}

impl From<&HostError> for Exit {
    fn from(error: &HostError) -> Self {
        match error {
            // Nothing is wrong with it: there is one already, or it is not to be used.
            HostError::Locked { .. } | HostError::Exposed { .. } => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::bus::{Bus, Manner, Pattern, Subscribe, WhenFull};

    #[test]
    fn a_message_that_is_refused_at_once_is_no_time_out() {
        let (bus, pattern) = (Arc::new(Bus::default()), Pattern::parse("orders").unwrap());
        let publish = |manner| bus.publish(&"test".into(), "orders", b""[..].into(), manner);
        let full = |name, when_full| {
            let subscribe = Subscribe::new(name, vec![pattern.clone()]).capacity(1).when_full(when_full);
            let subscription = bus.subscribe(subscribe);
            publish(Manner::Forget).unwrap();
            subscription
        };
        let confirmed = || Exit::from(&publish(Manner::Confirm(Duration::from_millis(1))).unwrap_err());
        let _rejects = full("rejects", WhenFull::Reject);
        assert_eq!(confirmed(), Exit::Refused);
        let _blocks = full("blocks", WhenFull::Block);
        assert_eq!(confirmed(), Exit::TimedOut, "one of them was waited for");
    }

    #[test]
    fn codes_are_the_contract() {
        for (code, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(u8::from(exit)), code);
            assert_eq!(Exit::from(code as u8), exit);
        }
        assert_eq!(Exit::from(99), Exit::Failed);
    }
}
