//! The server: lets clients in, one task for each, none of which can disturb another.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONNECTION, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::connections::{Connections, Held, Listed};
use super::guard::Guard;
use super::handlers::{CLIENT, Shared};
use super::patient::Patient;
use super::room::{Room, THREADS};
use super::routes::router;
use super::token::Token;
use crate::control::answer::Answers;
use crate::control::conversation::Stage;
use crate::{Host, os};

/// The head of a request comes within this time, from the moment that it is waited for: who only holds a connection loses it.
const HEAD: Duration = Duration::from_secs(5);

/// Connections that are open at once, where the system gives so many descriptors; each that asks for nothing makes room for the next.
const CONNECTIONS: u64 = 512;

/// A quarter of the descriptors, so that plugins are still loaded and call out while every connection is taken.
const SHARE: u64 = 4;

/// An answer that is not there so long after the host has stopped does not come any more.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the last connections may take once the host has stopped. More than an answer is given to come.
const FAREWELL: Duration = Duration::from_secs(3);

/// Threads wait for the next request as good as for ever: see `hotbay run`, whose own do so, too.
const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

/// An address that is listened at, and the runtime that will serve it.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: StdListener,
    address: SocketAddr,
    runtime: Runtime,
}

/// A control plane that serves.
#[derive(Debug)]
pub(crate) struct Http {
    address: SocketAddr,
    stage: watch::Sender<Stage>,
    served: JoinHandle<()>,
    runtime: Runtime,
}

impl Listener {
    /// Listens. Not to be called within a runtime.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        // Nothing of a plugin runs here, and what blocks has threads of its own.
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(THREADS)
            .thread_name("hotbay-http")
            .on_thread_start(os::claim)
            .thread_keep_alive(KEPT)
            .enable_all()
            .build()?;
        Ok(Self { listener, address, runtime })
    }

    /// The runtime, whose threads are to begin before a plugin runs.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Serves a host from here on.
    pub(crate) fn serve(self, host: Host) -> io::Result<Http> {
        let Self { listener, address, runtime } = self;
        let guard = Guard::new(address, Token::open(&host.config().home)?);
        let (stage, stages) = watch::channel(Stage::Open);
        let listener = {
            let _within = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let served = runtime.spawn(serve(listener, guard, host, stages));
        Ok(Http { address, stage, served, runtime })
    }
}

impl Http {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nobody new is let in, and each connection ends with the answer that it is at.
    pub(crate) fn closing(&self) {
        self.stage.send_replace(Stage::Closing);
    }

    /// To be called when the host has stopped: sends the answers that are there or about to come, and takes a few seconds at most.
    pub(crate) async fn end(self) {
        self.stage.send_replace(Stage::Stopped);
        // Who takes its answer slower than that is left without.
        let _ = timeout(FAREWELL, self.served).await;
        self.runtime.shutdown_background();
    }
}

/// What each connection has.
struct Served {
    guard: Guard,
    router: Router,
    stage: watch::Receiver<Stage>,
}

async fn serve(listener: TcpListener, guard: Guard, host: Host, stage: watch::Receiver<Stage>) {
    let answers = Answers::named(host, CLIENT);
    let router = router(Shared { answers, room: Room::default(), stage: stage.clone() });
    let served = Arc::new(Served { guard, router, stage: stage.clone() });
    let (connections, places) = (Arc::<Connections>::default(), Arc::new(Semaphore::new(most())));
    let mut closing = pin!(after(stage, Stage::Closing));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let stream = tokio::select! {
            () = &mut closing => break,
            stream = accept(&listener) => stream,
        };
        let Some(place) = place(&places, &connections).await else {
            turn_away(&stream);
            continue;
        };
        let (served, listed) = (Arc::clone(&served), connections.add());
        tasks.spawn(converse(stream, served, listed, place));
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// As many as the descriptors allow, of which plugins and the host itself want most.
fn most() -> usize {
    let open = os::means(0).into_iter().find(|mean| mean.kind == os::Kind::Files);
    let most = open.map_or(CONNECTIONS, |files| (files.limit / SHARE).clamp(16, CONNECTIONS));
    usize::try_from(most).unwrap_or(usize::MAX)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                // Out of descriptors, as a rule: it passes, and trying without a pause would not help.
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "failed to accept a connection by HTTP; trying on");
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A place, which one that asks for nothing leaves where all are taken; `None` where each of them is at an answer.
async fn place(places: &Arc<Semaphore>, connections: &Connections) -> Option<OwnedSemaphorePermit> {
    match Arc::clone(places).try_acquire_owned() {
        Ok(place) => Some(place),
        Err(_) if connections.make_room() => Arc::clone(places).acquire_owned().await.ok(),
        Err(_) => None,
    }
}

/// Says so as far as that goes without waiting.
fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
}

/// One connection, from its first request to its last.
async fn converse(stream: TcpStream, served: Arc<Served>, listed: Listed, place: OwnedSemaphorePermit) {
    let (connection, stage) = (Arc::clone(&listed.connection), served.stage.clone());
    let routed = TowerToHyperService::new(served.router.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = connection.begin();
        let answer = match served.guard.check(&request) {
            Ok(()) => Ok(routed.call(request)),
            Err(problem) => Err(problem),
        };
        async move {
            let response = match answer {
                Ok(answer) => answer.await.unwrap_or_else(|never| match never {}),
                Err(problem) => problem.into_response(),
            };
            Ok::<_, std::convert::Infallible>(finished(response).map(|body| Held { body, _busy: busy }))
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
    let mut serving = pin!(server.serve_connection(TokioIo::new(Patient::new(stream)), service));
    let mut closing = pin!(after(stage.clone(), Stage::Closing));
    let mut overdue = pin!(async {
        after(stage, Stage::Stopped).await;
        sleep(LAST_WORDS).await;
    });
    let mut open = true;
    loop {
        tokio::select! {
            // How it ends is the client's to notice.
            _ = &mut serving => break,
            () = listed.connection.leaves.notified() => break,
            () = &mut closing, if open => {
                open = false;
                serving.as_mut().graceful_shutdown();
            }
            () = &mut overdue => break,
        }
    }
    drop(place);
}

async fn after(mut stage: watch::Receiver<Stage>, wanted: Stage) {
    // An error says that the server is gone.
    let _ = stage.wait_for(|stage| *stage >= wanted).await;
}

/// What each answer says beside what it is.
fn finished(mut response: Response) -> Response {
    // Then what is left of the body is not read.
    let ends = [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE].contains(&response.status());
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if ends {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
