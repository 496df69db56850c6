//! What a thread is handling right now: a message that is published meanwhile follows from it.

use std::cell::RefCell;
use std::sync::Arc;

use super::trace::within_trace;
use super::{Message, MessageId, Trace};

/// So long may a chain of messages be, each published while the one before it was handled. Beyond it, somebody answers messages
/// with messages in a circle.
pub(super) const LONGEST_CHAIN: usize = 32;

thread_local! {
    static HANDLED: RefCell<Vec<Message>> = const { RefCell::new(Vec::new()) };
}

/// Touches what a thread keeps here, which it need not do later.
pub(super) fn settle() {
    let _ = HANDLED.try_with(|_| ());
}

/// Runs `body`, which handles a message, on this thread.
pub(crate) fn delivering<R>(message: &Message, body: impl FnOnce() -> R) -> R {
    struct Handled;
    impl Drop for Handled {
        fn drop(&mut self) {
            let _ = HANDLED.try_with(|handled| handled.borrow_mut().pop());
        }
    }
    HANDLED.with(|handled| handled.borrow_mut().push(message.clone()));
    let _handled = Handled;
    within_trace(Trace::of(message.headers()), body)
}

/// The chain of a message that this thread publishes now, of which a message may be named.
pub(super) fn causes(of: Option<&Message>) -> Option<Arc<[MessageId]>> {
    let chain = |cause: &Message| {
        Some(cause.causes().iter().copied().chain([cause.id()]).collect::<Arc<[MessageId]>>())
    };
    match of {
        Some(cause) => chain(cause),
        None => HANDLED.try_with(|handled| handled.borrow().last().and_then(chain)).ok().flatten(),
    }
}
