//! The handlers: each makes a request of what came, has it answered where it may block, and writes the answer down.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request as Incoming, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::asked::{
    Asked, Beginning, Calling, Named, Publishing, Starting, Stopping, Subscribing, Swapping, Waiting, Whole,
    asked_for, beside, deadline, named, trace, whole, wrong,
};
use super::follow::{Following, IN_FLIGHT, told};
use super::openapi;
use super::problem::Problem;
use super::room::{At, Room};
use crate::bus::{Cancel, Pattern, Trace, within_trace};
use crate::control::answer::{Answer as _, Answered, Answers};
use crate::control::conversation::messages::Underway;
use crate::control::conversation::{self, Stage};
use crate::control::exit::Exit;
use crate::control::line::Line;
use crate::control::openmetrics;
use crate::control::protocol::Request;
use crate::error::Code;

/// What clients are called as senders, and as subscribers.
pub(super) const CLIENT: &str = "http";

/// How long the kernel's loop has to say that it goes round.
const PULSE: Duration = Duration::from_secs(2);

/// Messages that may wait for a subscriber; of more, the oldest are dropped.
const MAILBOX: usize = 10_000;

/// What every handler has.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) answers: Answers,
    pub(super) room: Room,
    pub(super) stage: watch::Receiver<Stage>,
}

pub(super) type Http = State<Arc<Shared>>;
type Done = Result<Response, Problem>;

pub(super) async fn healthz(State(http): Http) -> Done {
    // The place of a look: who hangs there is told of by this as well.
    let looked = timeout(PULSE, http.ask(At::Look, Request::List));
    match looked.await {
        Ok(done) => done.map(|_| text(StatusCode::OK, "ok\n")),
        Err(_) => {
            let message = format!("failed to hear from the kernel's loop within {} ms", PULSE.as_millis());
            Err(Problem::new(Exit::Unreachable, Code::Silent, message))
        }
    }
}

pub(super) async fn readyz(State(http): Http) -> Done {
    let place = http.room.place(At::Look, PULSE).await?;
    let answers = http.answers.clone();
    let ready = spawn_blocking(move || (answers.is_ready(), drop(place)).0);
    let is_open = *http.stage.borrow() == Stage::Open;
    Ok(match timeout(PULSE, ready).await {
        Ok(Ok(true)) if is_open => text(StatusCode::OK, "ready\n"),
        _ if is_open => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        _ => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    })
}

pub(super) async fn metrics(State(http): Http) -> Done {
    let (_, text) = http.ask(At::Look, Request::Metrics).await?;
    Ok(answer(openmetrics::KIND, text))
}

pub(super) async fn openapi() -> Response {
    answer("application/json", openapi::written())
}

pub(super) async fn list(State(http): Http) -> Done {
    http.look(Request::List).await
}

pub(super) async fn topics(State(http): Http) -> Done {
    http.look(Request::Topics).await
}

pub(super) async fn status(State(http): Http, name: Named) -> Done {
    http.look(Request::Status { name: named(name)? }).await
}

pub(super) async fn history(State(http): Http, name: Named) -> Done {
    http.look(Request::History { name: named(name)? }).await
}

pub(super) async fn swap(State(http): Http, name: Named, asked: Asked<Swapping>) -> Done {
    let (name, Swapping { force, timeout_ms }) = (named(name)?, asked_for(asked)?);
    http.change(Request::Reload { name, force, deadline_ms: deadline(timeout_ms) }).await
}

pub(super) async fn start(State(http): Http, name: Named, asked: Asked<Starting>) -> Done {
    let (name, Starting { fresh, timeout_ms }) = (named(name)?, asked_for(asked)?);
    http.change(Request::Start { name, fresh, deadline_ms: deadline(timeout_ms) }).await
}

pub(super) async fn stop(State(http): Http, name: Named, asked: Asked<Stopping>) -> Done {
    let (name, Stopping { force, timeout_ms }) = (named(name)?, asked_for(asked)?);
    http.change(Request::Stop { name, force, deadline_ms: deadline(timeout_ms) }).await
}

pub(super) async fn rollback(State(http): Http, name: Named, asked: Asked<Waiting>) -> Done {
    let deadline_ms = deadline(asked_for(asked)?.timeout_ms);
    http.change(Request::Rollback { name: named(name)?, deadline_ms }).await
}

pub(super) async fn call(
    State(http): Http,
    target: Result<Path<(String, String)>, PathRejection>,
    asked: Asked<Calling>,
    incoming: Incoming,
) -> Done {
    let Path((service, method)) = target.map_err(wrong("path"))?;
    let timeout_ms = asked_for(asked)?.timeout_ms;
    // Where nobody says, the service's settings do.
    let (deadline_ms, own_deadline) = (deadline(timeout_ms), timeout_ms.is_none());
    let trace = trace(incoming.headers());
    let body = whole(incoming, &http.room, deadline_ms).await?;
    let request = Request::Call { service, method, deadline_ms, own_deadline };
    let (_, reply) = http.wait_for_plugins(trace, request, body).await?;
    Ok(answer("application/octet-stream", reply))
}

pub(super) async fn publish(
    State(http): Http,
    topic: Named,
    asked: Asked<Publishing>,
    incoming: Incoming,
) -> Done {
    let (topic, Publishing { confirm, timeout_ms }) = (named(topic)?, asked_for(asked)?);
    let (headers, trace) = (beside(incoming.headers())?, trace(incoming.headers()));
    let deadline_ms = deadline(timeout_ms);
    let body = whole(incoming, &http.room, deadline_ms).await?;
    let request = Request::Publish { topic, headers, confirm, deadline_ms };
    let (published, _) = http.wait_for_plugins(trace, request, body).await?;
    Ok(json(&published))
}

pub(super) async fn events(State(http): Http, asked: Asked<Beginning>) -> Done {
    let Beginning { past } = asked_for(asked)?;
    let place = http.room.follower()?;
    let (sender, events) = mpsc::channel(IN_FLIGHT);
    let answers = http.answers.clone();
    spawn_blocking(move || conversation::forward(&answers, past, true, &sender));
    let tell = |event: crate::kernel::view::Event| told(&event.kind, event.sequence, &event);
    Ok(Following::new(events, tell, http.stage.clone(), place).response())
}

pub(super) async fn subscribe(State(http): Http, pattern: Named, asked: Asked<Subscribing>) -> Done {
    let (pattern, Subscribing { queue }) = (named(pattern)?, asked_for(asked)?);
    let wrong =
        |error: crate::bus::SubjectError| Problem::new(Exit::Usage, Code::SubjectWrong, error.to_string());
    let pattern = Pattern::parse(&pattern).map_err(wrong)?;
    let place = http.room.follower()?;
    let wanted = conversation::messages::subscribe(CLIENT, vec![pattern], queue.as_deref(), MAILBOX);
    // It neither waits nor asks the loop.
    let subscription = http.answers.subscribe(wanted).map_err(|error| Problem(error.into()))?;
    let (way, messages) = conversation::messages::way();
    spawn_blocking(move || conversation::messages::forward(&subscription, &way));
    let tell = |underway: Underway| {
        let (id, message) = (underway.view.id, underway.message);
        told("message", id, &Line::new(underway.view, message.payload()))
    };
    Ok(Following::new(messages, tell, http.stage.clone(), place).response())
}

pub(super) async fn nowhere(incoming: Incoming) -> Problem {
    let path = incoming.uri().path();
    let message = format!(
        "failed to find `{path}`: there is nothing at this path; `/openapi.json` tells what there is"
    );
    Problem::new(Exit::NotFound, Code::HttpNoRoute, message)
}

pub(super) async fn otherwise() -> Problem {
    let message = "failed to do that: this path is asked by another method; the header `Allow` names it";
    Problem::new(Exit::Usage, Code::HttpMethod, message)
}

impl Shared {
    async fn look(&self, request: Request) -> Done {
        self.ask(At::Look, request).await.map(|(value, _)| json(&value))
    }

    async fn change(&self, request: Request) -> Done {
        self.ask(At::Command, request).await.map(|(value, _)| json(&value))
    }

    async fn ask(&self, at: At, request: Request) -> Result<(Value, Vec<u8>), Problem> {
        let place = self.room.place(at, request.deadline().unwrap_or(PULSE)).await?;
        self.ask_in(place, None, request, Whole::default()).await
    }

    async fn wait_for_plugins(
        &self,
        trace: Option<Trace>,
        request: Request,
        body: Whole,
    ) -> Result<(Value, Vec<u8>), Problem> {
        let service = request.waits_for().flatten();
        let place = self.room.call(service, request.deadline().unwrap_or(PULSE)).await?;
        self.ask_in(place, trace, request, body).await
    }

    /// Has a request answered on a thread that may block, within the trace of who asks. Should the client go, what it asked for is called off; a command that was
    /// begun goes on, as one from the command line does.
    async fn ask_in(
        &self,
        place: impl Send + 'static,
        trace: Option<Trace>,
        request: Request,
        body: Whole,
    ) -> Result<(Value, Vec<u8>), Problem> {
        let (answers, gone) = (self.answers.clone(), Cancel::new());
        let _gone = gone.on_drop();
        let answered = spawn_blocking(move || -> Answered {
            let _held = (place, body.room);
            within_trace(trace, || answers.answer(request, body.bytes, &gone))
        });
        match answered.await {
            Ok(answered) => Ok(answered?),
            Err(_) => Err(Problem::new(Exit::Failed, Code::Defect, "failed to answer: the host panicked")),
        }
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => answer("application/json", bytes),
        Err(error) => {
            let message = format!("failed to write the answer as JSON: {error}");
            Problem::new(Exit::Failed, Code::Defect, message).into_response()
        }
    }
}

pub(super) fn answer(kind: &'static str, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response {
    let mut response = answer("text/plain; charset=utf-8", text);
    *response.status_mut() = status;
    response
}
