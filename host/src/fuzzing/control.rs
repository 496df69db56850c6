//! The control protocol under any bytes: what comes over the socket is a message or an error, and takes no memory by its word.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::control::frame::{self, FrameError, MAX_BODY, MAX_JSON, MAX_PIECE};
use crate::control::protocol::{Request, Response};

/// What a client sends: the first byte says how it is read.
///
/// # Panics
/// What must hold does not.
pub fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0, wire)) => {
            if let Some(request) = framed::<Request>(wire) {
                is_bounded(&request);
            }
        }
        Some((1, wire)) => drop(framed::<Response>(wire)),
        Some((2, wire)) => pieces(wire),
        // Without a frame, whose lengths are hard to guess.
        Some((3, json)) => {
            if let Some(request) = told::<Request>(json) {
                is_bounded(&request);
            }
        }
        Some((_, json)) => drop(told::<Response>(json)),
        None => {}
    }
}

fn is_bounded(request: &Request) {
    assert!(request.deadline().is_none_or(|deadline| deadline <= Duration::from_secs(24 * 60 * 60)));
}

fn framed<T: Message>(mut wire: &[u8]) -> Option<T> {
    let whole = wire;
    match now(frame::read::<T>(&mut wire)) {
        Ok((message, body)) => {
            let taken = whole.len() - wire.len();
            assert!(body.len() + 8 <= taken, "more than was sent");
            let mut written = Vec::new();
            now(frame::write(&mut written, &message, &body)).expect("there is room");
            let (again, same) =
                now(frame::read::<T>(&mut &written[..])).expect("it was written a moment ago");
            assert!(
                (again == message || !message.is_exact()) && same == body,
                "{message:?}, and then {again:?}"
            );
            Some(message)
        }
        Err(FrameError::TooLong { len, limit }) => {
            assert!(len > limit && [MAX_JSON, MAX_BODY].contains(&limit));
            None
        }
        Err(FrameError::Ended(_) | FrameError::Json(_)) => None,
    }
}

fn told<T: Message>(json: &[u8]) -> Option<T> {
    let message: T = serde_json::from_slice(json).ok()?;
    let written = serde_json::to_vec(&message).expect("a message is JSON");
    let again: T = serde_json::from_slice(&written).expect("it was written a moment ago");
    assert!(again == message || !message.is_exact(), "{message:?}, and then {again:?}");
    Some(message)
}

fn pieces(mut wire: &[u8]) {
    let mut piece = Zeroizing::new(Vec::new());
    while now(frame::read_piece(&mut wire, &mut piece)).is_ok() && !piece.is_empty() {
        assert!(piece.len() <= MAX_PIECE);
    }
}

trait Message: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug {
    /// Whether it is the same to the letter when it is read again: fractions are read to within their last digit.
    fn is_exact(&self) -> bool;
}

impl Message for Request {
    fn is_exact(&self) -> bool {
        true
    }
}

impl Message for Response {
    fn is_exact(&self) -> bool {
        fn has_fractions(value: &Value) -> bool {
            match value {
                Value::Number(number) => number.is_f64(),
                Value::Array(values) => values.iter().any(has_fractions),
                Value::Object(entries) => entries.values().any(has_fractions),
                Value::Null | Value::Bool(_) | Value::String(_) => false,
            }
        }
        !matches!(self, Response::Done(value) if has_fractions(value))
    }
}

/// Bytes that are there are not waited for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits for what is there"),
    }
}
