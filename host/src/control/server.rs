//! The host's side: lets clients in, one task for each, none of which can disturb another.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::{Answer, Answers};
use super::conversation::{Conversation, Places, Stage};
use super::endpoint::Endpoint;
use super::shares::Shares;
use crate::Host;

/// As many as are served at once; more wait to be accepted. Each may hold a thread and a file descriptor, of which
/// systems give a process 256 (macOS) or 1,024, and the plugins want theirs.
const CONNECTIONS: usize = 128;

/// As many may wait for plugins: who lists and stops them wants a place too.
const CALLS: usize = 80;

/// Of them, as many for one service.
const CALLS_OF_ONE: usize = 40;

/// As many may follow the events: they stay for days, and whoever has a command wants a place too.
pub(super) const FOLLOWERS: usize = 32;

/// How long the last conversations may take once the host has stopped. More than an answer is given to come.
const FAREWELL: Duration = Duration::from_secs(3);

/// A host's control endpoint, listening.
#[derive(Debug)]
pub struct Server {
    // Before the endpoint, which cleans up after it.
    listener: Listener,
    _endpoint: Endpoint,
}

impl Server {
    /// Listens at the endpoint of `home`. The caller holds the lock on `home`, so what is there is left from a host
    /// that died. To be called within a tokio runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(home: &Path) -> io::Result<Server> {
        let endpoint = Endpoint::make(home)?;
        Ok(Server { listener: endpoint.listen()?, _endpoint: endpoint })
    }

    /// Serves until `end` is ready, and answers with the conversations that are not over then. The endpoint is gone by
    /// that time: who comes later finds nobody.
    pub async fn serve(self, host: Host, end: impl Future<Output = ()>) -> Conversations {
        self.serve_with(Answers::of(host), end).await
    }

    pub(super) async fn serve_with(
        self,
        answer: impl Answer,
        end: impl Future<Output = ()>,
    ) -> Conversations {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let places = Places {
            followers: Arc::new(Semaphore::new(FOLLOWERS)),
            calls: Arc::new(Shares::new(CALLS, CALLS_OF_ONE)),
        };
        let (stage, stages) = watch::channel(Stage::Open);
        let mut tasks = JoinSet::new();
        let mut end = pin!(end);
        loop {
            while tasks.try_join_next().is_some() {}
            let (stream, place) = tokio::select! {
                () = &mut end => break,
                accepted = self.accept(&room) => accepted,
            };
            let conversation = Conversation::new(stream, stages.clone(), places.clone());
            let answer = answer.clone();
            tasks.spawn(async move {
                conversation.hold(answer).await;
                drop(place);
            });
        }
        stage.send_replace(Stage::Closing);
        Conversations { tasks, stage }
    }

    /// The next client, when there is room for it.
    async fn accept(&self, room: &Arc<Semaphore>) -> (Stream, Option<OwnedSemaphorePermit>) {
        // The semaphore is never closed, so there is a place.
        let place = Arc::clone(room).acquire_owned().await.ok();
        let mut told = false;
        loop {
            match self.listener.accept().await {
                Ok(stream) if Endpoint::is_owners(&stream) => return (stream, place),
                Ok(_) => tracing::warn!("a client of another user was turned away"),
                Err(error) => {
                    // Out of descriptors, as a rule: it passes, and trying without a pause would not help.
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "failed to accept a control connection; trying on");
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// What was begun before the endpoint was closed. Dropping it breaks all off.
#[derive(Debug)]
pub struct Conversations {
    tasks: JoinSet<()>,
    stage: watch::Sender<Stage>,
}

impl Conversations {
    /// To be called when the host has stopped: sends the answers that are there or about to come, and takes a few
    /// seconds at most.
    pub async fn end(mut self) {
        self.stage.send_replace(Stage::Stopped);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Who takes its answer slower than that is left without.
        let _ = timeout(FAREWELL, all).await;
    }
}
