//! `hotbay run`: the host's process from its start to its end.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use super::args;
use super::output::narrate;
use super::signals::Signals;
use crate::control::exit::Exit;
use crate::control::server::Server;
use crate::{Config, Host};

/// How long threads that still answer a client are waited for when all services have stopped.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(super) fn run(args: args::Run, home: Option<PathBuf>) -> anyhow::Result<()> {
    let mut config = Config::load(args.config.as_deref())?;
    config.plugins = args.plugins.unwrap_or(config.plugins);
    config.home = home.unwrap_or(config.home);
    super::log::start(config.log.level)?;

    // Plugins do not run here: two threads are enough to speak to clients.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("hotbay-control")
        .enable_all()
        .build()
        .context("failed to start the control plane")?;
    let served = runtime.block_on(serve(config));
    runtime.shutdown_timeout(LAST_WORDS);
    served
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

    let bound = Server::bind(&host.config().home);
    let failed = match bound {
        Ok(server) => {
            let control = tokio::spawn(server.serve(host.clone()));
            if !asked {
                announce(host.config());
                signals.next().await;
                narrate("stopping all services in order; once more ends at once");
            }
            // The endpoint goes before the lock does: after that it may be the next host's.
            control.abort();
            let _ = control.await;
            None
        }
        Err(error) => Some(error),
    };

    let stopping = spawn_blocking(move || host.shutdown());
    tokio::select! {
        stopped = stopping => stopped.context("failed to stop the host: it panicked")?,
        () = signals.next() => end_at_once(),
    }
    failed.map_or(Ok(()), |error| Err(error).context("failed to listen for commands"))
}

fn announce(config: &Config) {
    let (plugins, home) = (config.plugins.display(), config.home.display());
    narrate(&format!(
        "ready: plugins from `{plugins}`, home `{home}`; drop a plugin in, or try `hotbay list`"
    ));
}

fn end_at_once() -> ! {
    narrate("ended without stopping all services; what they did not save since the last snapshot is lost");
    std::process::exit(u8::from(Exit::Failed).into())
}
