//! The one trait, and what a call brings and takes.

use std::io;

use crate::abi::{RawBuffer, Status};
use crate::{Context, Error, Message, Result, Stream, Table};

/// A plugin: what an author writes.
///
/// One value of this type is one *generation* of the service. Callables take `&self` and may run on several threads
/// at once. Panics are caught and become errors that carry the message and its place; a panic in one call does not
/// disturb another.
///
/// `create`, [`state`](crate::Stateful::state) and the import of state have no effect outside the value: the host
/// creates a generation to look at it, beside the one that serves, and may drop it again; it may create a second value in
/// the same library, on which it tries whether state goes there and back. What reaches outside (files, sockets, threads)
/// is taken in `start` and given back in `stop`.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// Makes the value, before it has state and before it may touch the outside.
    ///
    /// Called by: the probe, then the host, once per generation and once per rehearsal of a swap. State: none yet. Thread: a lane of the new
    /// generation, never a caller's thread. May call back: log and configuration; calls to other services are
    /// refused. Panic: the candidate is rejected, the old generation goes on.
    ///
    /// # Errors
    /// The candidate is rejected with this error; nothing else changes.
    fn create(context: Context) -> Result<Self>;

    /// Answers one request.
    ///
    /// Each method that `export_plugin!` declares gets a copy of this function, in which [`Request::method`] is a constant. Where
    /// nanoseconds count, write `#[inline(always)]` before it: of each copy the one arm is left then, and no name is compared.
    ///
    /// Called by: callers through the host. State: started. Thread: a lane, or the caller's own when an embedder
    /// calls inline; several at once. May call back: yes, also into this very plugin. Panic: this caller gets an
    /// error, the plugin stays.
    ///
    /// # Errors
    /// The caller gets this error. Answer methods you do not know with [`Request::unknown_method`].
    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()>;

    /// Takes a message of a topic that `export_plugin!` declares. One at a time, in the order in which each sender published them; in a
    /// swap those that wait go to the next generation. Other messages wait meanwhile: what takes long belongs on a thread of the
    /// plugin's own. One that was given up at its deadline may still run beside the next one. What is published from here on this thread [follows from](Message::causes) this message.
    ///
    /// Called by: the host, for the mailbox of the service. State: started. Thread: a lane; calls may run beside it. May call back:
    /// yes. Panic: as an error.
    ///
    /// # Errors
    /// Is logged and counted; the message is not brought again, and its sender does not hear of it.
    fn on_message(&self, message: &Message<'_>) -> Result<()> {
        Err(Error::msg(format_args!(
            "take a message of `{}`: the plugin declares topics and has no `on_message`",
            message.topic()
        )))
    }

    /// Answers a request of a topic that `export_plugin!` names under `answers`. They come with the plugin's messages, one at a time, in one
    /// order; in a swap those that wait go to the next generation, and its answer goes to who asked. How long that one still waits is said by
    /// [`Context::remaining`](crate::Context::remaining), on this thread.
    ///
    /// Called by: the host, for the mailbox of the service. State: started. Thread: a lane; calls may run beside it. May call back:
    /// yes; but who asks the very topic that it answers waits for itself. Panic: who asked gets it as an error.
    ///
    /// # Errors
    /// Who asked gets this error.
    fn on_request(&self, request: &Message<'_>, reply: &mut Reply<'_>) -> Result<()> {
        let _ = reply;
        Err(Error::msg(format_args!(
            "answer a request of `{}`: the plugin declares `answers` and has no `on_request`",
            request.topic()
        )))
    }

    /// Handles a stream that somebody opened, from its begin to its end: it ends when this returns. [`Request::method`] is one of those that
    /// `export_plugin!` names under `streams`, the request what it was opened with.
    ///
    /// When the service is replaced or stopped, all that is done with the stream fails with [`Status::MOVED`] from then on, and
    /// [`Context::is_cancelled`](crate::Context::is_cancelled) answers true: return then, since the swap waits for this as for a call. `?` does. Where the
    /// method is declared under `resumable`, the stream goes on in the next version, which finds in [`Stream::resumed`] how far it is and
    /// what this one [left](Stream::resume_with). Who returns without an error at that moment has said [`Stream::finish`] before, where it is done.
    ///
    /// Called by: the host. State: started. Thread: one of the plugin's own for each stream, which the host starts and waits for; calls,
    /// messages and other streams run beside it. May call back: yes. Panic: who opened it gets it as an error.
    ///
    /// # Errors
    /// Who opened it gets this error, behind all that was sent.
    fn on_stream(&self, request: Request<'_>, stream: &Stream) -> Result<()> {
        let _ = stream;
        Err(Error::msg(format_args!(
            "handle a stream of `{}`: the plugin declares `streams` and has no `on_stream`",
            request.method()
        )))
    }

    /// Takes the plugin's table of `hotbay.toml` as somebody changed it, whole or not at all: from here on [`Context::config`] reads this one, also
    /// in the next version. A plugin without this function gets the new table when it is loaded anew, by `hotbay reload`.
    ///
    /// Called by: the host, when the file was edited and the table fits the schema that the plugin declares. State: started. Thread: a
    /// lane; calls and messages may run beside it. May call back: yes. Panic: as an error.
    ///
    /// # Errors
    /// The table is refused, and whoever edits the file is told this error. The plugin goes on with the table that it had, and so does
    /// each version after it, until the file is mended.
    fn on_config(&self, table: Table<'_>) -> Result<()> {
        let _ = table;
        Err(Error::with_status(Status::NO_SUCH_METHOD, "take a changed configuration: it has no `on_config`"))
    }

    /// Takes what the plugin needs from outside: files, sockets, threads.
    ///
    /// Called by: the host, after the import of state and before the first call; again after a `stop` when a swap
    /// was given up. Thread: a lane, which in a swap may be that of the version before and end with it: what is kept per thread here may not be
    /// found again. May call back: yes. Panic: as an error.
    ///
    /// # Errors
    /// The service does not start; in a swap the old generation goes on.
    fn start(&self) -> Result<()> {
        Ok(())
    }

    /// Gives back what `start` took. Reversible: `start` may follow.
    ///
    /// Called by: the host, when no call is inside any more. Thread: a lane. May call back: yes. Panic: as an error.
    ///
    /// # Errors
    /// Is logged; the stop goes on.
    fn stop(&self) -> Result<()> {
        Ok(())
    }

    /// Holds threads of the plugin's own still, so that an export shows one moment.
    ///
    /// Called by: the host in a swap, when no call is inside, before the export. Thread: a lane. May call back: no.
    /// Panic: as an error.
    ///
    /// # Errors
    /// The swap is given up and this generation goes on.
    fn pause(&self) -> Result<()> {
        Ok(())
    }

    /// Lets the threads that `pause` held go on.
    ///
    /// Called by: the host, when a swap was given up after `pause`. Thread: a lane. May call back: no. Panic: as an
    /// error.
    ///
    /// # Errors
    /// Is logged; the generation serves on.
    fn resume(&self) -> Result<()> {
        Ok(())
    }
}

/// One request: a method and its bytes, lent for the length of the call.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    method: &'a str,
    bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// A request as the host makes it. Tests of a plugin may make their own.
    #[inline]
    #[must_use]
    pub fn new(method: &'a str, bytes: &'a [u8]) -> Self {
        Self { method, bytes }
    }

    /// The method, `echo` in `call echo.echo`.
    #[inline]
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The request's bytes as they came.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes as text.
    ///
    /// # Errors
    /// They are not UTF-8.
    pub fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes).map_err(|e| Error::msg(format_args!("read the request as text: {e}")))
    }

    /// The bytes as JSON.
    ///
    /// # Errors
    /// They are not JSON, or not of this shape.
    pub fn json<T: serde::Deserialize<'a>>(&self) -> Result<T> {
        serde_json::from_slice(self.bytes)
            .map_err(|e| Error::msg(format_args!("read the request as JSON: {e}")))
    }

    /// The answer to a method that the plugin does not have: the host tells the caller which exist.
    #[inline]
    #[must_use]
    pub fn unknown_method(&self) -> Error {
        unknown(self.method)
    }
}

/// Apart, so that a request stays in registers for those who never ask for this.
#[cold]
fn unknown(method: &str) -> Error {
    Error::with_status(Status::NO_SUCH_METHOD, format_args!("find method `{method}`"))
}

/// The reply's buffer, lent by the caller: what is written here needs no allocation of the plugin's.
///
/// When the call fails, what was written is dropped.
#[derive(Debug)]
pub struct Reply<'a> {
    buffer: &'a mut RawBuffer,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(buffer: &'a mut RawBuffer) -> Self {
        Self { buffer }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The caller lends no more memory.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.write(bytes) { Ok(()) } else { Err(no_more()) }
    }

    /// Appends a value as JSON.
    ///
    /// # Errors
    /// The value cannot be written as JSON, or the caller lends no more memory.
    pub fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        serde_json::to_writer(self, value)
            .map_err(|e| Error::msg(format_args!("write the reply as JSON: {e}")))
    }
}

#[cold]
fn no_more() -> Error {
    Error::msg("write the reply: no more memory is lent")
}

impl io::Write for Reply<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.write(bytes) { Ok(bytes.len()) } else { Err(io::ErrorKind::OutOfMemory.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
