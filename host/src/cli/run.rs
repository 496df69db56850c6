//! `hotbay run`: the host's process from its start to its end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

#[cfg(feature = "http")]
mod http;

use super::args;
use super::failed::Otherwise as _;
use super::log::Log;
use super::output::narrate;
use super::signals::Signals;
use super::systemd::Systemd;
use crate::control::exit::Exit;
use crate::control::server::{Conversations, Server};
use crate::error::Code;
use crate::kernel::patience::look_until;
use crate::kernel::settle::{settle_to_ask, settle_to_wait};
use crate::{Config, Host};

/// How long the plugins that were found at the start are waited for before it is said how things are.
const READY: Duration = Duration::from_secs(10);

/// How long threads that still answer a client who is gone are waited for at the very end.
const LAST_THREADS: Duration = Duration::from_millis(500);

/// Threads that are there from the start to answer clients, and to stop: as long as a plugin keeps the system's loader for
/// itself, on glibc no further thread begins.
const ANSWERING: usize = 6;

/// How long they are waited for at the start.
const BEGINNING: Duration = Duration::from_secs(1);

/// As good as for ever: threads that have begun are not given up.
const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) fn run(args: args::Run, home: Option<PathBuf>) -> anyhow::Result<()> {
    crate::os::limit_arenas();
    // Keys and state in the clear are in memory.
    crate::os::dump_no_core();
    if !args.debuggable {
        crate::os::keep_private();
    }
    let mut config = Config::load(args.config.as_deref())?;
    if let Some(plugins) = args.plugins {
        config.plugins = plugins;
        config.source.say_over("plugins");
    }
    if let Some(home) = home {
        config.home = home;
        config.source.say_over("home");
    }
    let log = super::log::start(config.log.level)?;
    if log.is_over() {
        config.log.is_over = true;
        config.source.say_over("log.level");
    }
    #[cfg(feature = "http")]
    let listener = args.http.map(http::listen).transpose()?;

    // Plugins do not run here: two threads are enough to speak to clients.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("hotbay-control")
        .on_thread_start(crate::os::claim)
        .thread_keep_alive(KEPT)
        .enable_all()
        .build()
        .otherwise(Code::NoControlPlane, || "failed to start the control plane")?;
    // This thread, too, speaks to the service manager and logs while a plugin keeps the loader.
    settle_to_wait();
    runtime.block_on(begin_threads());
    #[cfg(feature = "http")]
    if let Some(listener) = &listener {
        listener.runtime().block_on(begin_threads());
    }
    let served = runtime.block_on(serve(
        config,
        log,
        #[cfg(feature = "http")]
        listener,
    ));
    runtime.shutdown_timeout(LAST_THREADS);
    served?;
    // Nothing is left to be done, but by libraries that are still mapped: what those do at an end may hang.
    let _ = std::io::Write::flush(&mut std::io::stdout());
    crate::os::end_now(Exit::Ok.into())
}

/// Has the threads that answer begin: each is busy until all are there, where the system gives so many.
async fn begin_threads() {
    let all = Arc::new(AtomicUsize::new(0));
    let begin = |all: Arc<AtomicUsize>| {
        spawn_blocking(move || {
            settle_to_ask();
            all.fetch_add(1, Ordering::Relaxed);
            let pause = Duration::from_millis(1);
            look_until(BEGINNING, pause, pause, || (all.load(Ordering::Relaxed) >= ANSWERING).then_some(()))
        })
    };
    let begun: Vec<_> = (0..ANSWERING).map(|_| begin(Arc::clone(&all))).collect();
    for thread in begun {
        let _ = thread.await;
    }
}

/// The thread that stops the host. It is there from the start, and does nothing else.
struct Stopper(mpsc::Sender<(Host, oneshot::Sender<()>)>);

impl Stopper {
    fn begin() -> anyhow::Result<Self> {
        let (ask, asked) = mpsc::channel::<(Host, oneshot::Sender<()>)>();
        let stop = move || {
            settle_to_wait();
            if let Ok((host, stopped)) = asked.recv() {
                host.shutdown();
                let _ = stopped.send(());
            }
        };
        crate::os::spawn("stop", stop).otherwise(Code::NoThread, || "failed to start a thread")?;
        Ok(Self(ask))
    }

    async fn stop(&self, host: Host) -> anyhow::Result<()> {
        let (stopped, told) = oneshot::channel();
        // Should it be gone, the answer says so.
        let _ = self.0.send((host, stopped));
        told.await.otherwise(Code::Defect, || "failed to stop the host: it panicked")
    }
}

async fn serve(
    config: Config,
    log: Log,
    #[cfg(feature = "http")] listener: Option<crate::control::http::Listener>,
) -> anyhow::Result<()> {
    // Before anything is started: what is started must be stopped in order, also when the signal comes early.
    let mut signals = Signals::listen().otherwise(Code::NoControlPlane, || "failed to listen for signals")?;
    let stopper = Stopper::begin()?;
    let systemd = Systemd::begin();
    let mut starting = spawn_blocking(move || Host::start(config));
    let (started, asked) = tokio::select! {
        started = &mut starting => (started, false),
        () = signals.next() => {
            narrate("stopping as soon as what is being started has started; once more ends at once");
            tokio::select! {
                started = starting => (started, true),
                () = signals.next() => end_at_once(),
            }
        }
    };
    let host = started.otherwise(Code::Defect, || "failed to start the host: it panicked")??;
    host.on_log_level(move |level| log.set_level(level));
    if asked {
        systemd.stopping();
        return stop(&stopper, host, Listeners::default(), &mut signals).await;
    }
    let mut listeners = Listeners::default();
    #[cfg(feature = "http")]
    if let Some(listener) = listener {
        match http::serve(listener, &host) {
            Ok(http) => listeners.http = Some(http),
            Err(error) => {
                stop(&stopper, host, listeners, &mut signals).await?;
                return Err(error);
            }
        }
    }
    match Server::bind(&host.config().home) {
        Ok(server) => {
            let conversations = server.serve(host.clone(), end(&host, &systemd, &mut signals)).await;
            listeners.conversations = Some(conversations);
            stop(&stopper, host, listeners, &mut signals).await
        }
        Err(error) => {
            stop(&stopper, host, listeners, &mut signals).await?;
            Err(error).otherwise(Code::NoControlPlane, || "failed to listen for commands")
        }
    }
}

/// What clients were let in by.
#[derive(Default)]
struct Listeners {
    conversations: Option<Conversations>,
    #[cfg(feature = "http")]
    http: Option<crate::control::http::Http>,
}

impl Listeners {
    /// Nobody new is let in. Of the conversations that is so already.
    fn close(&self) {
        #[cfg(feature = "http")]
        if let Some(http) = &self.http {
            http.closing();
        }
    }

    /// The host has stopped: who waits for an answer has it, or goes without.
    async fn end(self) {
        #[cfg(feature = "http")]
        if let Some(http) = self.http {
            http.end().await;
        }
        if let Some(conversations) = self.conversations {
            conversations.end().await;
        }
    }
}

/// Waits for the signal; meanwhile says when the plugins that were found are there.
async fn end(host: &Host, systemd: &Systemd, signals: &mut Signals) {
    let starting = host.clone();
    tokio::select! {
        all = spawn_blocking(move || starting.ready(READY)) => {
            announce(host.config(), all.unwrap_or(false));
            systemd.ready(host);
            signals.next().await;
        }
        () = signals.next() => {}
    }
    systemd.stopping();
    narrate("stopping all services in order; once more ends at once");
}

/// Stops all services, then lets those who wait for an answer have it. Nobody new comes: the endpoint is gone, since
/// after the lock it may be the next host's.
async fn stop(
    stopper: &Stopper,
    host: Host,
    listeners: Listeners,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    listeners.close();
    let stopping = async {
        let stopped = stopper.stop(host).await;
        listeners.end().await;
        stopped
    };
    tokio::select! {
        stopped = stopping => stopped,
        () = signals.next() => end_at_once(),
    }
}

fn announce(config: &Config, all: bool) {
    if !all {
        narrate("some plugins are still being started: `hotbay list` tells which");
    }
    let (plugins, home) = (config.plugins.display(), config.home.display());
    narrate(&format!(
        "ready: plugins from `{plugins}`, home `{home}`; drop a plugin in, or try `hotbay list`"
    ));
}

fn end_at_once() -> ! {
    narrate("ended without stopping all services; what they did not save since the last snapshot is lost");
    crate::os::end_now(Exit::Failed.into())
}
