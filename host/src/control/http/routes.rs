//! The routes: the one table that the router and `/openapi.json` are made of.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request as Incoming};
use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::asked::Asked;
use super::handlers::{self as to, Http, Shared};
use crate::Changed;
use crate::bus::{Published, TopicView};
use crate::control::line::Line;
use crate::kernel::view::{Event, Receipt, Row, Status};

/// What is asked for by one method at one path.
pub(super) struct Route {
    /// In small letters, as OpenAPI has it.
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Its name, for who makes a client of the description.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) takes: Takes,
    pub(super) answer: Answer,
    handler: MethodRouter<Arc<Shared>>,
}

/// What a handler takes beside what stands in the path: read from the types of its parameters, so that no other is described.
#[derive(Default)]
pub(super) struct Takes {
    /// What stands behind the `?`.
    pub(super) query: Option<SchemaOf>,
    /// Whether the body is what the plugin is given, as it is.
    pub(super) bytes: bool,
}

/// A schema, made where definitions are gathered.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What comes back where all went well.
pub(super) enum Answer {
    Json(SchemaOf),
    /// Of this kind.
    Text(&'static str),
    /// In a word: 200 is yes, and 503 no.
    YesOrNo,
    /// As the plugin gave them.
    Bytes,
    /// One after the other, each as JSON.
    Events(SchemaOf),
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// One parameter of a handler.
trait Parameter {
    fn takes() -> Takes {
        Takes::default()
    }
}

impl Parameter for Http {}

impl<P> Parameter for Result<Path<P>, PathRejection> {}

impl<Q: JsonSchema> Parameter for Asked<Q> {
    fn takes() -> Takes {
        Takes { query: Some(of::<Q>), bytes: false }
    }
}

impl Parameter for Incoming {
    fn takes() -> Takes {
        Takes { query: None, bytes: true }
    }
}

/// All of a handler, behind a mark of axum's.
trait Parameters {
    fn takes() -> Takes;
}

macro_rules! parameters {
    ($($one:ident)*) => {
        impl<Mark, $($one: Parameter),*> Parameters for (Mark, $($one,)*) {
            fn takes() -> Takes {
                let all: &[Takes] = &[$($one::takes()),*];
                Takes {
                    query: all.iter().find_map(|one| one.query),
                    bytes: all.iter().any(|one| one.bytes),
                }
            }
        }
    };
}

parameters!();
parameters!(A);
parameters!(A B);
parameters!(A B C);
parameters!(A B C D);

fn look<T: Parameters + 'static>(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    answer: Answer,
    handler: impl Handler<T, Arc<Shared>>,
) -> Route {
    Route { method: "get", path, name, summary, takes: T::takes(), answer, handler: get(handler) }
}

fn send<T: Parameters + 'static>(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    answer: Answer,
    handler: impl Handler<T, Arc<Shared>>,
) -> Route {
    Route { method: "post", path, name, summary, takes: T::takes(), answer, handler: post(handler) }
}

fn change<T: Parameters + 'static>(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    handler: impl Handler<T, Arc<Shared>>,
) -> Route {
    send(path, name, summary, Answer::Json(of::<Changed>), handler)
}

/// All of them.
pub(super) fn routes() -> [Route; 16] {
    [
        look(
            "/healthz",
            "healthz",
            "Whether the kernel's loop goes round",
            Answer::Text("text/plain"),
            to::healthz,
        ),
        look(
            "/readyz",
            "readyz",
            "Whether everything that lay in the plugins folder at the start was tried, and the host is not being stopped",
            Answer::YesOrNo,
            to::readyz,
        ),
        look(
            "/metrics",
            "metrics",
            "What was counted, for Prometheus and its like",
            Answer::Text("application/openmetrics-text"),
            to::metrics,
        ),
        look("/openapi.json", "openapi", "This description", Answer::Text("application/json"), to::openapi),
        look(
            "/v1/plugins",
            "list",
            "What runs, and which files were not taken",
            Answer::Json(of::<Vec<Row>>),
            to::list,
        ),
        look(
            "/v1/plugins/{name}",
            "status",
            "Everything about one service",
            Answer::Json(of::<Status>),
            to::status,
        ),
        look(
            "/v1/plugins/{name}/history",
            "history",
            "The receipts of a service's swaps, newest last",
            Answer::Json(of::<Vec<Receipt>>),
            to::history,
        ),
        change(
            "/v1/plugins/{name}/swap",
            "swap",
            "Load the service's file anew, also when its bytes did not change, and wait until it is live or rolled back",
            to::swap,
        ),
        change(
            "/v1/plugins/{name}/start",
            "start",
            "Start a service that was stopped or could not be started",
            to::start,
        ),
        change(
            "/v1/plugins/{name}/stop",
            "stop",
            "Stop a service until it is started again, also over restarts of the host",
            to::stop,
        ),
        change(
            "/v1/plugins/{name}/rollback",
            "rollback",
            "Go back to the version that served before, with the state",
            to::rollback,
        ),
        send(
            "/v1/call/{service}/{method}",
            "call",
            "Call a method: the body is the request, the answer's body the reply, both as they are",
            Answer::Bytes,
            to::call,
        ),
        send(
            "/v1/publish/{topic}",
            "publish",
            "Publish a message: the body is its bytes, and headers that begin with `Hotbay-Header-` stand beside them",
            Answer::Json(of::<Published>),
            to::publish,
        ),
        look(
            "/v1/topics",
            "topics",
            "Topics that were published to, and who is subscribed",
            Answer::Json(of::<Vec<TopicView>>),
            to::topics,
        ),
        look(
            "/v1/events",
            "events",
            "What happens, until the client goes or the host has stopped",
            Answer::Events(of::<Event>),
            to::events,
        ),
        look(
            "/v1/subscribe/{pattern}",
            "subscribe",
            "Messages of a pattern as they come, until the client goes or the host has stopped",
            Answer::Events(of::<Line<'static>>),
            to::subscribe,
        ),
    ]
}

/// The router of that table, and what is said elsewhere.
pub(super) fn router(shared: Shared) -> Router {
    let router = routes().into_iter().fold(Router::new(), |all, route| all.route(route.path, route.handler));
    router.fallback(to::nowhere).method_not_allowed_fallback(to::otherwise).with_state(Arc::new(shared))
}
