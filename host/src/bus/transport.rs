//! The seam for what carries messages to buses of other hosts.

use super::Message;

/// A way to other buses. It gets each message that is published here, and hands in those that come from there as they are, by
/// `Bus::take_in`: what comes from there goes to no transport again.
pub trait Transport: Send + Sync {
    /// Takes a message along. Called on the sender's thread, after the mailboxes here got it: it must not wait.
    fn carry(&self, message: &Message);
}
