//! The routes: the one table that the router and `/openapi.json` are made of.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use schemars::{Schema, SchemaGenerator};

use super::asked;
use super::handlers::{self as to, Shared};
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
    /// What stands behind the `?`.
    pub(super) query: Option<SchemaOf>,
    /// Whether the body is what the plugin is given, as it is.
    pub(super) takes_bytes: bool,
    pub(super) answer: Answer,
    handler: fn() -> MethodRouter<Arc<Shared>>,
}

/// A schema, made where definitions are gathered.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What comes back where all went well.
pub(super) enum Answer {
    Json(SchemaOf),
    /// Of this kind.
    Text(&'static str),
    /// As the plugin gave them.
    Bytes,
    /// One after the other, each as JSON.
    Events(SchemaOf),
}

fn of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn look(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    answer: Answer,
    handler: fn() -> MethodRouter<Arc<Shared>>,
) -> Route {
    Route { method: "get", path, name, summary, query: None, takes_bytes: false, answer, handler }
}

const fn change(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    query: SchemaOf,
    handler: fn() -> MethodRouter<Arc<Shared>>,
) -> Route {
    let answer = Answer::Json(of::<Changed>);
    Route { method: "post", path, name, summary, query: Some(query), takes_bytes: false, answer, handler }
}

/// All of them.
pub(super) const ROUTES: &[Route] = &[
    look("/healthz", "healthz", "Whether the kernel's loop goes round", Answer::Text("text/plain"), || {
        get(to::healthz)
    }),
    look(
        "/readyz",
        "readyz",
        "Whether everything that lay in the plugins folder at the start was tried, and the host is not being stopped",
        Answer::Text("text/plain"),
        || get(to::readyz),
    ),
    look(
        "/metrics",
        "metrics",
        "What was counted, for Prometheus and its like",
        Answer::Text("application/openmetrics-text"),
        || get(to::metrics),
    ),
    look("/openapi.json", "openapi", "This description", Answer::Text("application/json"), || {
        get(to::openapi)
    }),
    look(
        "/v1/plugins",
        "list",
        "What runs, and which files were not taken",
        Answer::Json(of::<Vec<Row>>),
        || get(to::list),
    ),
    look("/v1/plugins/{name}", "status", "Everything about one service", Answer::Json(of::<Status>), || {
        get(to::status)
    }),
    look(
        "/v1/plugins/{name}/history",
        "history",
        "The receipts of a service's swaps, newest last",
        Answer::Json(of::<Vec<Receipt>>),
        || get(to::history),
    ),
    change(
        "/v1/plugins/{name}/swap",
        "swap",
        "Load the service's file anew, also when its bytes did not change, and wait until it is live or rolled back",
        of::<asked::Swapping>,
        || post(to::swap),
    ),
    change(
        "/v1/plugins/{name}/start",
        "start",
        "Start a service that was stopped or could not be started",
        of::<asked::Starting>,
        || post(to::start),
    ),
    change(
        "/v1/plugins/{name}/stop",
        "stop",
        "Stop a service until it is started again, also over restarts of the host",
        of::<asked::Stopping>,
        || post(to::stop),
    ),
    change(
        "/v1/plugins/{name}/rollback",
        "rollback",
        "Go back to the version that served before, with the state",
        of::<asked::Waiting>,
        || post(to::rollback),
    ),
    Route {
        method: "post",
        path: "/v1/call/{service}/{method}",
        name: "call",
        summary: "Call a method: the body is the request, the answer's body the reply, both as they are",
        query: Some(of::<asked::Waiting>),
        takes_bytes: true,
        answer: Answer::Bytes,
        handler: || post(to::call),
    },
    Route {
        method: "post",
        path: "/v1/publish/{topic}",
        name: "publish",
        summary: "Publish a message: the body is its bytes, and headers that begin with `Hotbay-Header-` stand beside them",
        query: Some(of::<asked::Publishing>),
        takes_bytes: true,
        answer: Answer::Json(of::<Published>),
        handler: || post(to::publish),
    },
    look(
        "/v1/topics",
        "topics",
        "Topics that were published to, and who is subscribed",
        Answer::Json(of::<Vec<TopicView>>),
        || get(to::topics),
    ),
    Route {
        query: Some(of::<asked::Beginning>),
        ..look(
            "/v1/events",
            "events",
            "What happens, until the client goes or the host has stopped",
            Answer::Events(of::<Event>),
            || get(to::events),
        )
    },
    Route {
        query: Some(of::<asked::Subscribing>),
        ..look(
            "/v1/subscribe/{pattern}",
            "subscribe",
            "Messages of a pattern as they come, until the client goes or the host has stopped",
            Answer::Events(of::<Line<'static>>),
            || get(to::subscribe),
        )
    },
];

/// The router of that table, and what is said elsewhere.
pub(super) fn router(shared: Shared) -> Router {
    let all = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    all.fallback(to::nowhere).method_not_allowed_fallback(to::otherwise).with_state(Arc::new(shared))
}
