//! Following: events and messages for as long as the client stays, as server-sent events.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Interval, interval};

use super::problem::Problem;
use crate::control::conversation::Stage;
use crate::control::exit::Exit;
use crate::error::Code;

/// A client, and whatever stands between, hears something at least so often: then it knows that we are there, and we that it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// What is on its way to one client. A slow one holds up nobody: the rest waits for it elsewhere, and is counted or dropped there.
pub(super) const IN_FLIGHT: usize = 64;

/// The body of such an answer.
pub(super) struct Following<T> {
    items: mpsc::Receiver<T>,
    tell: fn(T) -> String,
    begun: bool,
    ended: bool,
    alive: Interval,
    stage: watch::Receiver<Stage>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: OwnedSemaphorePermit,
}

impl<T: Send + 'static> Following<T> {
    pub(super) fn new(
        items: mpsc::Receiver<T>,
        tell: fn(T) -> String,
        stage: watch::Receiver<Stage>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let mut until = stage.clone();
        let stopped = async move {
            // An error says that the server is gone, and then the host is too.
            let _ = until.wait_for(|stage| *stage == Stage::Stopped).await;
        };
        let alive = interval(SIGN_OF_LIFE);
        Self {
            items,
            tell,
            begun: false,
            ended: false,
            alive,
            stage,
            stopped: Box::pin(stopped),
            _place: place,
        }
    }

    pub(super) fn response(self) -> Response {
        let mut response = Response::new(Body::new(self));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response
    }

    /// What is to be told next; `None` at the end.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<String>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.begun, true) {
            // Who hears this misses nothing from here on.
            let _ = self.alive.poll_tick(context);
            return Poll::Ready(Some(": begun\n\n".to_owned()));
        }
        match self.items.poll_recv(context) {
            Poll::Ready(Some(item)) => return Poll::Ready(Some((self.tell)(item))),
            Poll::Ready(None) => {
                self.ended = true;
                // The host goes on; to end as if it had ended would hide what was missed.
                let missed = *self.stage.borrow() == Stage::Open;
                return Poll::Ready(missed.then(told_missed));
            }
            Poll::Pending => {}
        }
        if self.stopped.as_mut().poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(None);
        }
        match self.alive.poll_tick(context) {
            Poll::Ready(_) => Poll::Ready(Some(": alive\n\n".to_owned())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: Send + 'static> hyper::body::Body for Following<T> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.next(context).map(|told| told.map(|text| Ok(Frame::data(Bytes::from(text)))))
    }
}

/// One of them as it goes over the wire: JSON has no line feeds, so that one line holds it.
pub(super) fn told(kind: &str, id: impl fmt::Display, data: &impl Serialize) -> String {
    // Plain data: what cannot be written as JSON is not in it.
    let data = serde_json::to_string(data).unwrap_or_default();
    // A kind or an id that had line feeds would end the line.
    let word = |text: String| text.replace(|c: char| c.is_control(), " ");
    format!("id: {}\nevent: {}\ndata: {data}\n\n", word(id.to_string()), word(kind.to_owned()))
}

fn told_missed() -> String {
    let message = "failed to follow: they came faster than they were taken; some were missed";
    told("missed", 0, &Problem::new(Exit::Failed, Code::EventsMissed, message).told())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt as _;
    use tokio::sync::Semaphore;

    use super::*;

    async fn follow(items: &[u64], stage: watch::Receiver<Stage>) -> (mpsc::Sender<u64>, Following<u64>) {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        for item in items {
            sender.send(*item).await.unwrap();
        }
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        (sender, Following::new(receiver, |item| told("number", item, &item), stage, place))
    }

    #[tokio::test]
    async fn what_comes_is_told_in_its_order_until_the_host_has_stopped() {
        let (stages, stage) = watch::channel(Stage::Open);
        let (_sender, following) = follow(&[1, 2], stage).await;
        let body = tokio::spawn(following.collect());
        stages.send_replace(Stage::Stopped);
        let text = body.await.unwrap().unwrap().to_bytes();
        assert_eq!(text, ": begun\n\nid: 1\nevent: number\ndata: 1\n\nid: 2\nevent: number\ndata: 2\n\n");
    }

    #[tokio::test]
    async fn who_missed_some_is_told() {
        let (_stages, stage) = watch::channel(Stage::Open);
        let (sender, following) = follow(&[], stage).await;
        drop(sender);
        let text = following.collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.contains("event: missed") && text.contains("HB1216"), "{text}");
    }

    #[test]
    fn no_text_begins_another_event() {
        let told = told("a\nb", "1\r\n2", &"x\ny");
        assert_eq!(told, "id: 1  2\nevent: a b\ndata: \"x\\ny\"\n\n");
    }
}
