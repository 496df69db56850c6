//! A stream between one client and a service, from its opening to its end.
//!
//! What the client does not take stays on the stream, whose window it fills; and it sends no more than the service has taken, for each of
//! which it gets a [`Response::Credit`]. So the host can always read, and hears at once when the client has gone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task;

use super::Conversation;
use crate::call::{Opening, Stream};
use crate::control::answer::Answer;
use crate::control::exit::Exit;
use crate::control::frame;
use crate::control::protocol::{Failure, Request, Response, STREAM_CREDIT, Upward};
use crate::error::Code;

/// Items on their way to one client, beside those of the stream.
const IN_FLIGHT: usize = 4;

type Down = mpsc::Sender<(Response, Vec<u8>)>;

/// Ends the stream with the conversation.
struct Ends(Arc<Stream>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Conversation {
    /// Brings items both ways until the stream ends or the client has gone.
    pub(super) async fn stream(
        &self,
        answer: impl Answer,
        request: Request,
        body: Vec<u8>,
    ) -> io::Result<()> {
        let Request::Stream { service, method, lifetime_ms, once } = request else { return Ok(()) };
        let opening = Opening { lifetime: lifetime_ms.map(Duration::from_millis), resumes: !once };
        let open = task::spawn_blocking(move || answer.open_stream(&service, &method, &body, opening));
        let opened = open.await.unwrap_or_else(|_| {
            Err(Failure::new(Exit::Failed, Code::Defect, "failed to open the stream: the host panicked"))
        });
        let stream = match opened {
            Ok(stream) => Arc::new(stream),
            Err(failure) => return self.respond(Err(failure)).await,
        };
        let _ends = Ends(Arc::clone(&stream));
        self.respond(Ok((Value::Null, Vec::new()))).await?;
        let (down, mut responses) = mpsc::channel(IN_FLIGHT);
        // One more, for the end.
        let (up, items) = mpsc::channel(STREAM_CREDIT + 1);
        let (receives, credits) = (Arc::clone(&stream), down.clone());
        task::spawn_blocking(move || receive(&receives, &down));
        task::spawn_blocking(move || send(&stream, items, &credits));
        let (mut from, mut into) = (&self.stream, &self.stream);
        let reading = async {
            // A frame that is none, one too many, and the client's end are the same to who serves it.
            while let Ok((upward, item)) = frame::read::<Upward>(&mut from).await {
                let item = match upward {
                    Upward::Item => Some(item),
                    Upward::Finish => None,
                };
                if up.try_send(item).is_err() {
                    break;
                }
            }
        };
        let writing = async {
            while let Some((response, item)) = responses.recv().await {
                let is_last = matches!(response, Response::End | Response::Failed(_));
                // For as long as it takes: a terminal may stand still.
                frame::write(&mut into, &response, &item).await?;
                if is_last {
                    break;
                }
            }
            Ok(())
        };
        tokio::select! {
            written = writing => written,
            () = reading => Ok(()),
            () = self.overdue() => Ok(()),
        }
    }
}

/// Takes what the service sends, on a thread of its own.
fn receive(stream: &Stream, down: &Down) {
    let ended = loop {
        match stream.receive(Duration::MAX) {
            Ok(Some(item)) => {
                if down.blocking_send((Response::Item, item)).is_err() {
                    return;
                }
            }
            Ok(None) => break stream.ended(Duration::MAX),
            Err(error) => break Err(error),
        }
    };
    let last = ended.map_or_else(|error| Response::Failed(error.into()), |()| Response::End);
    let _ = down.blocking_send((last, Vec::new()));
}

/// Sends what the client does, on a thread of its own. Where that fails, the other way says why.
fn send(stream: &Stream, mut items: mpsc::Receiver<Option<Vec<u8>>>, down: &Down) {
    while let Some(item) = items.blocking_recv() {
        let Some(item) = item else { return stream.finish() };
        if stream.send(&item, Duration::MAX).is_err()
            || down.blocking_send((Response::Credit, Vec::new())).is_err()
        {
            return;
        }
    }
}
