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
pub(super) struct Signals(Signal, Signal, Signal);

#[cfg(unix)]
impl Signals {
    /// From now on the process does not end by itself when it is asked to.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Signals(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ))
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) {
        tokio::select! { _ = self.0.recv() => {}, _ = self.1.recv() => {}, _ = self.2.recv() => {} }
    }
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
