//! `hotbay run`: the host's process from its start to its end.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use super::args;
use super::output::narrate;
use super::signals::Signals;
use super::systemd::Systemd;
use crate::control::exit::Exit;
use crate::control::server::{Conversations, Server};
use crate::{Config, Host};

/// How long the plugins that were found at the start are waited for before it is said how things are.
const READY: Duration = Duration::from_secs(10);

/// How long threads that still answer a client who is gone are waited for at the very end.
const LAST_THREADS: Duration = Duration::from_millis(500);

pub(super) fn run(args: args::Run, home: Option<PathBuf>) -> anyhow::Result<()> {
    let mut config = Config::load(args.config.as_deref())?;
    config.plugins = args.plugins.unwrap_or(config.plugins);
    config.home = home.unwrap_or(config.home);
    super::log::start(config.log.level)?;

    // Plugins do not run here: two threads are enough to speak to clients.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("hotbay-control")
        .on_thread_start(crate::os::claim)
        .enable_all()
        .build()
        .context("failed to start the control plane")?;
    let served = runtime.block_on(serve(config));
    runtime.shutdown_timeout(LAST_THREADS);
    served?;
    // Nothing is left to be done, but by libraries that are still mapped: what those do at an end may hang.
    let _ = std::io::Write::flush(&mut std::io::stdout());
    crate::os::end_now(Exit::Ok.into())
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before anything is started: what is started must be stopped in order, also when the signal comes early.
    let mut signals = Signals::listen().context("failed to listen for signals")?;
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
    let host = started.context("failed to start the host: it panicked")??;
    let systemd = Systemd::find();
    if asked {
        systemd.stopping();
        return stop(host, None, &mut signals).await;
    }
    match Server::bind(&host.config().home) {
        Ok(server) => {
            let conversations = server.serve(host.clone(), end(&host, &systemd, &mut signals)).await;
            stop(host, Some(conversations), &mut signals).await
        }
        Err(error) => {
            stop(host, None, &mut signals).await?;
            Err(error).context("failed to listen for commands")
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
async fn stop(host: Host, conversations: Option<Conversations>, signals: &mut Signals) -> anyhow::Result<()> {
    let stopping = async {
        let stopped = spawn_blocking(move || host.shutdown()).await;
        if let Some(conversations) = conversations {
            conversations.end().await;
        }
        stopped.context("failed to stop the host: it panicked")
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
