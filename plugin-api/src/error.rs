//! What a plugin answers when it cannot do what it was asked.

use std::fmt;

use crate::abi::Status;

/// The result of everything that a plugin does for its host.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A plugin's error: one line for people, and a status that the host acts on.
///
/// Any `std::error::Error` becomes one through `?`, its sources joined by `: `. This type is deliberately not a
/// `std::error::Error` itself, for that very conversion to exist (as with `anyhow`).
pub struct Error {
    // Elsewhere, so that the result of a call is one word: an answer then travels in a register.
    content: Box<Content>,
}

struct Content {
    status: Status,
    // Of a service that the plugin called: when it passes this on, it is a failure of its own.
    is_callees: bool,
    message: String,
}

impl Error {
    /// An error with this message. Let it complete the sentence "failed to …".
    pub fn msg(message: impl fmt::Display) -> Self {
        Self::with_status(Status::FAILED, message)
    }

    /// The same error, told apart from the plugin's own failures by its status.
    pub(crate) fn with_status(status: Status, message: impl fmt::Display) -> Self {
        Self { content: Box::new(Content { status, is_callees: false, message: message.to_string() }) }
    }

    /// The error of a service that was called.
    pub(crate) fn of_callee(status: Status, message: impl fmt::Display) -> Self {
        let mut error = Self::with_status(status, message);
        error.content.is_callees = true;
        error
    }

    /// What became of it, or of the call to another service that it tells of.
    #[must_use]
    pub fn status(&self) -> Status {
        self.content.status
    }

    /// How the error crosses to the host. That a called service has no such method, or panicked, says nothing of that kind of
    /// the plugin that passes it on.
    pub(crate) fn crossing(&self) -> Status {
        if self.content.is_callees { Status::FAILED } else { self.status() }
    }

    /// The text that the caller sees.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.content.message
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::msg(message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.status(), self.message())
    }
}
