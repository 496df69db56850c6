//! Streams: items both ways, between who opens one and the plugin that handles it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::{Status, StreamEnd};
use crate::thread::micros;
use crate::{Context, Error, Result};

/// An end of a stream. Items go both ways, each way in its order; no more than a window of them, 64 items or 1 MiB, is on its way: who sends
/// more waits until the other side has received. So a slow receiver slows its sender, and nothing grows.
///
/// Of who opened it: dropping it ends the stream. Of who handles it ([`Plugin::on_stream`](crate::Plugin::on_stream)): it ends
/// when the function returns. Both ends can be used by several threads at once, such as one that sends and one that receives.
///
/// All waits end when the stream does, and with who asked for the work of this thread, see [`Context::remaining`]. The error's
/// [status](Error::status) says why: [`Status::MOVED`], where the handler's service is replaced or stopped; [`Status::CANCELLED`], where the other
/// side has gone; [`Status::TIMED_OUT`]; or the other side's own error.
pub struct Stream {
    end: StreamEnd,
    is_opener: bool,
    resumed: Option<Resumed>,
}

/// What an earlier version left of a stream to the one that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// What it [left](Stream::resume_with) last; empty where it left nothing.
    pub token: Vec<u8>,
    /// So many items were sent to who opened the stream, by all versions before: it has received each of them, or will.
    pub sent: u64,
    /// So many items of who opened it were received. The next one is the one behind these.
    pub received: u64,
}

/// What is opened, for [`Context::open`].
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Whose stream.
    pub service: &'a str,
    /// Which.
    pub method: &'a str,
    /// What the handler gets with it.
    pub request: &'a [u8],
    /// It ends after so long, whatever comes. By default it lasts until one side ends it, or with who asked for the work of this thread.
    pub lifetime: Option<Duration>,
    /// Whether it goes on by itself with the next version, when the service is replaced and declares the method under `resumable`. So it does
    /// by default. Else it ends with [`Status::MOVED`].
    pub resumes: bool,
}

impl<'a> Opening<'a> {
    /// A stream of this method.
    #[must_use]
    pub fn new(service: &'a str, method: &'a str, request: &'a [u8]) -> Self {
        Self { service, method, request, lifetime: None, resumes: true }
    }

    /// It ends after so long, whatever comes.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: Some(lifetime), ..self }
    }

    /// It ends when the service is replaced, and says so.
    #[must_use]
    pub fn once(self) -> Self {
        Self { resumes: false, ..self }
    }
}

impl Context {
    /// Opens a stream of another service: one of those that it declares under `streams`. It is handled there on a thread of its own.
    ///
    /// Called: between `start` and the begin of `stop`, on any thread. What is open when the plugin stops is ended.
    ///
    /// # Errors
    /// There is no such service or stream, it has too many open, or the host is older and carries none.
    pub fn open_stream(&self, service: &str, method: &str, request: &[u8]) -> Result<Stream> {
        self.open(&Opening::new(service, method, request))
    }

    /// The same, in more words.
    ///
    /// # Errors
    /// As [`open_stream`](Context::open_stream).
    pub fn open(&self, opening: &Opening<'_>) -> Result<Stream> {
        match self.link().open(opening) {
            Ok(Some(end)) => Ok(Stream { end, is_opener: true, resumed: None }),
            Ok(None) => Err(Error::with_status(
                Status::REFUSED,
                format_args!(
                    "open stream `{}` of service `{}`: this host is older, and carries none",
                    opening.method, opening.service
                ),
            )),
            Err((status, text)) => Err(Error::of_callee(status, text)),
        }
    }
}

impl Stream {
    pub(crate) fn handled(end: StreamEnd, resumed: Option<Resumed>) -> Self {
        Self { end, is_opener: false, resumed }
    }

    /// Sends an item, and waits for room where there is none.
    ///
    /// # Errors
    /// The stream has ended, or this way was [finished](Stream::finish); the item was not sent.
    pub fn send(&self, item: &[u8]) -> Result<()> {
        self.end.send(item, None).map_err(failed)
    }

    /// The same, waiting so long at most.
    ///
    /// # Errors
    /// As [`Stream::send`]; or there was no room in time ([`Status::TIMED_OUT`]), and the stream goes on.
    pub fn send_within(&self, item: &[u8], wait: Duration) -> Result<()> {
        self.end.send(item, Some(micros(wait))).map_err(failed)
    }

    /// Sends a value as JSON.
    ///
    /// # Errors
    /// As [`Stream::send`]; or the value cannot be written as JSON.
    pub fn send_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        let item = serde_json::to_vec(value);
        self.send(&item.map_err(|e| Error::msg(format_args!("write an item as JSON: {e}")))?)
    }

    /// Waits for the next item; `None` when the other side sends no more.
    ///
    /// # Errors
    /// The stream has ended, with what. Who opened it gets all that was sent before.
    pub fn next(&self) -> Result<Option<Vec<u8>>> {
        self.received(None)
    }

    /// The same, waiting so long at most.
    ///
    /// # Errors
    /// As [`Stream::next`]; or none came in time ([`Status::TIMED_OUT`]), and the stream goes on.
    pub fn next_within(&self, wait: Duration) -> Result<Option<Vec<u8>>> {
        self.received(Some(micros(wait)))
    }

    /// Waits for the next item, and reads it as JSON.
    ///
    /// # Errors
    /// As [`Stream::next`]; or the item is not JSON of this shape.
    pub fn next_json<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(item) = self.next()? else { return Ok(None) };
        serde_json::from_slice(&item)
            .map_err(|e| Error::msg(format_args!("read an item as JSON: {e}")))
            .map(Some)
    }

    /// Waits for the next item and appends it to a buffer of the caller's; false when the other side sends no more.
    ///
    /// # Errors
    /// As [`Stream::next`]; `item` is then as it was.
    pub fn next_into(&self, item: &mut Vec<u8>) -> Result<bool> {
        self.end.receive(None, item).map_err(failed)
    }

    fn received(&self, wait_us: Option<u64>) -> Result<Option<Vec<u8>>> {
        let mut item = Vec::new();
        Ok(self.end.receive(wait_us, &mut item).map_err(failed)?.then_some(item))
    }

    /// Says that no more items come from this side. The other side gets those on their way, then `None`; and may go on sending.
    pub fn finish(&self) {
        self.end.finish();
    }

    /// Leaves a word to the version that goes on with this stream after a swap, in place of the one before: where it is in what it sends, what
    /// it has of who opened it. That one finds it in [`Stream::resumed`]. Only of a method that is declared under `resumable`; also after
    /// [`Status::MOVED`], until [`Plugin::on_stream`](crate::Plugin::on_stream) returns. Of a stream that this plugin opened there is nothing to leave.
    ///
    /// # Errors
    /// The stream has ended.
    pub fn resume_with(&self, token: &[u8]) -> Result<()> {
        self.end.leave(token).map_err(failed)
    }

    /// Waits until somebody calls [`Notifier::notify`], `time` at most; whether somebody did, since this was asked last. For who handles a stream and
    /// sends what comes from elsewhere: unlike a wait of its own, this one ends with the stream as well, so that no swap waits for it.
    ///
    /// # Errors
    /// The stream has ended, with what.
    pub fn wait(&self, time: Duration) -> Result<bool> {
        match self.end.wait(micros(time)) {
            Ok(()) => Ok(true),
            Err((Status::TIMED_OUT, _)) => Ok(false),
            Err(ended) => Err(failed(ended)),
        }
    }

    /// What ends a [wait](Stream::wait): for other threads of the plugin, to keep as long as they like. Only of a stream that this plugin handles.
    #[must_use]
    pub fn notifier(&self) -> Notifier {
        Notifier { end: self.end }
    }

    /// What an earlier version left, where this one goes on with its stream; `None` for a new one.
    #[must_use]
    pub fn resumed(&self) -> Option<&Resumed> {
        self.resumed.as_ref()
    }
}

/// Ends the [wait](Stream::wait) of who handles a stream; after the stream it does nothing.
#[derive(Clone, Copy)]
pub struct Notifier {
    end: StreamEnd,
}

impl Notifier {
    /// There is something to look at.
    pub fn notify(&self) {
        self.end.notify();
    }
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.is_opener {
            self.end.close();
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("is_opener", &self.is_opener).finish_non_exhaustive()
    }
}

#[cold]
fn failed((status, text): (Status, String)) -> Error {
    Error::of_callee(status, text)
}
