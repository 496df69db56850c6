//! How the system asks a host to end.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

/// What asks: SIGINT (Ctrl-C), SIGTERM (service managers), SIGHUP (the terminal was closed).
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals(Signal, Signal, Option<Signal>);

#[cfg(unix)]
impl Signals {
    /// From now on the process does not end by itself when it is asked to.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Signals(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            // Whoever starts it with `nohup` wants it to outlive the terminal.
            if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        ))
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) {
        let hangup = async {
            match &mut self.2 {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! { _ = self.0.recv() => {}, _ = self.1.recv() => {}, () = hangup => {} }
    }
}

/// Whether SIGHUP was ignored when the process began, where the system tells it in a file: on Linux.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A bit per signal; SIGHUP is the first.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// What asks: Ctrl-C, Ctrl-Break, the console being closed, the system going down.
#[cfg(windows)]
#[derive(Debug)]
pub(super) struct Signals(CtrlC, CtrlBreak, CtrlClose, CtrlShutdown);

#[cfg(windows)]
impl Signals {
    /// From now on the process does not end by itself when it is asked to.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Signals(ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?))
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}, _ = self.1.recv() => {}, _ = self.2.recv() => {}, _ = self.3.recv() => {}
        }
    }
}
