//! Panics stop here: inside the plugin's own library, where its own runtime can catch them.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::thread;

use super::{RawBuffer, Status};
use crate::{Result, logging};

/// Room for one message and its place. A fixed array, because a thread-local with a destructor would pin the library
/// to every thread that it panicked on.
const NOTE: usize = 1024;

thread_local! {
    // Whether a function of the table other than `call` is on this thread's stack: then somebody asks for the note.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
    static LAST: Cell<(usize, [u8; NOTE])> = const { Cell::new((0, [0; NOTE])) };
}

/// Makes this library's panics silent and noted: message and place only. The default hook would print to the host's
/// stderr, and under `RUST_BACKTRACE` its symbols would keep one mapping of the library per swap.
pub(super) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let message = text(info.payload());
            let mut note = Note { len: 0, bytes: [0; NOTE] };
            let _ = match info.location() {
                Some(place) => std::fmt::write(&mut note, format_args!("{message}, at {place}")),
                None => std::fmt::write(&mut note, format_args!("{message}")),
            };
            // `call` counts nothing: in a library that is opened at run time a look at a thread-local is a function call,
            // which would be a third of the cheapest call. Its host knows who is inside.
            if INSIDE.try_with(Cell::get).unwrap_or(0) > 0 || logging::is_inside() {
                let _ = LAST.try_with(|last| last.set((note.len, note.bytes)));
            } else {
                // A thread of the plugin's own ends by this: nobody else would tell.
                logging::panicked(&String::from_utf8_lossy(&note.bytes[..note.len]));
            }
        }));
    });
}

/// Runs `body` and turns its error or panic into a status and a text in `error`.
pub(super) fn guard(error: &mut RawBuffer, body: impl FnOnce() -> Result<()>) -> Status {
    INSIDE.with(|inside| inside.set(inside.get() + 1));
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    INSIDE.with(|inside| inside.set(inside.get() - 1));
    match outcome {
        Ok(Ok(())) => Status::OK,
        other => told(error, other),
    }
}

/// The same for a call: its error or panic takes the place of what it has written into `reply`.
#[inline(always)]
pub(super) fn guard_call(reply: &mut RawBuffer, body: impl FnOnce(&mut RawBuffer) -> Result<()>) -> Status {
    let before = reply.len();
    match panic::catch_unwind(AssertUnwindSafe(|| body(&mut *reply))) {
        Ok(Ok(())) => Status::OK,
        other => {
            reply.truncate(before);
            told(reply, other)
        }
    }
}

/// Writes the words of what went wrong.
#[cold]
fn told(error: &mut RawBuffer, outcome: thread::Result<Result<()>>) -> Status {
    match outcome {
        Ok(Ok(())) => Status::OK,
        Ok(Err(failure)) => {
            let _ = error.write(failure.message().as_bytes());
            failure.crossing()
        }
        Err(payload) => {
            let _ = error.write(taken_note(&*payload).as_bytes());
            // A payload may panic when it is dropped (`panic_any` of such a value): that would unwind into the host.
            if let Err(next) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                // So may the payload of that panic, and so on: it is let be.
                std::mem::forget(next);
            }
            Status::PANICKED
        }
    }
}

/// What the hook noted, or, where no hook is installed (in a plugin's own tests), the payload.
#[cold]
fn taken_note(payload: &(dyn std::any::Any + Send)) -> String {
    match LAST.try_with(|last| last.replace((0, [0; NOTE]))) {
        Ok((len, bytes)) if len > 0 => String::from_utf8_lossy(&bytes[..len]).into_owned(),
        _ => text(payload).to_owned(),
    }
}

fn text(payload: &(dyn std::any::Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "a value that is no text",
    }
}

struct Note {
    len: usize,
    bytes: [u8; NOTE],
}

impl std::fmt::Write for Note {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let fits = text.len().min(NOTE - self.len);
        self.bytes[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}
