//! What systemd is told of the host: the protocol of `Type=notify`, `sd_notify(3)`, which other service managers speak, too.
//!
//! That it is ready, when the plugins that it found serve; a line on how things are; that it stops; and, where the unit has a
//! watchdog, that the kernel's loop goes round: each sign of life is sent after the loop has answered, so that systemd ends
//! and restarts a host whose loop is stuck, and not one with a plugin that hangs. For that, whoever sends them has begun
//! before any plugin runs, and has touched what it uses (`kernel/settle` says why). A swap is no `RELOADING=1`: nothing that
//! waits for the host would have to wait for it.
//!
//! Of our own, since the crate `sd-notify` (0.5) takes an abstract name (`@…`) for a path. Windows: and macOS: there is no
//! systemd, and nothing is told.

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use crate::kernel::settle::settle_to_wait;
use crate::kernel::view::{Phase, Row};
use crate::{Host, os};

/// The line on how things are is as old as this at most.
const LATEST: Duration = Duration::from_secs(2);

/// How long the thread that tells it is waited for at the start.
const BEGINNING: Duration = Duration::from_secs(1);

/// The service manager, where there is one.
#[derive(Debug)]
pub(super) struct Systemd {
    socket: Option<socket::Socket>,
    // The thread that tells how things are waits for the host to ask.
    teller: Option<mpsc::Sender<Host>>,
}

impl Systemd {
    /// As the environment says, which stays as it is: plugins may have something to say as well. To be called before any
    /// plugin runs.
    pub(super) fn begin() -> Self {
        let socket = find();
        let teller = socket.clone().and_then(|socket| match begin_telling(socket, watchdog()) {
            Ok(teller) => Some(teller),
            Err(error) => {
                tracing::warn!(%error, "failed to start the thread that tells the service manager how things are");
                None
            }
        });
        Self { socket, teller }
    }

    /// The plugins that were found at the start serve, or have failed. From now on it is told how things are.
    pub(super) fn ready(&self, host: &Host) {
        if let Some(socket) = &self.socket {
            tell(socket, "READY=1");
        }
        if let Some(teller) = &self.teller {
            // Should it be gone, the watchdog says so.
            let _ = teller.send(host.clone());
        }
    }

    /// The host is about to stop. Its watchdog ends with that; how long a stop may take is for the unit to say.
    pub(super) fn stopping(&self) {
        if let Some(socket) = &self.socket {
            tell(socket, "STOPPING=1\nSTATUS=stopping all services in order");
        }
    }
}

fn find() -> Option<socket::Socket> {
    let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
    match socket::Socket::new(&name) {
        Ok(socket) => Some(socket),
        Err(error) => {
            let name = name.display();
            tracing::warn!(%error, "failed to understand NOTIFY_SOCKET `{name}`; the service manager is told nothing");
            None
        }
    }
}

/// Between two signs of life as much may pass.
fn watchdog() -> Option<Duration> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    // Another process may be meant, which started this one.
    let ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0).map(Duration::from_micros)
}

/// A thread that has touched all that it uses, where it did so in time.
fn begin_telling(socket: socket::Socket, watchdog: Option<Duration>) -> std::io::Result<mpsc::Sender<Host>> {
    let (give, given) = mpsc::channel::<Host>();
    let (settled, begun) = mpsc::channel();
    let body = move || {
        settle_to_wait();
        socket.settle();
        // The same calls as later, with nobody to be told.
        keep_telling(once(Vec::new()), Some(Duration::from_millis(1)), |_| ());
        let _ = settled.send(());
        if let Ok(host) = given.recv() {
            keep_telling(|| host.rows().ok(), watchdog, |text| tell(&socket, text));
        }
    };
    os::spawn("hotbay-systemd", body)?;
    let _ = begun.recv_timeout(BEGINNING);
    Ok(give)
}

fn once(rows: Vec<Row>) -> impl Fn() -> Option<Vec<Row>> {
    let rows = std::cell::Cell::new(Some(rows));
    move || rows.take()
}

fn tell(socket: &socket::Socket, text: &str) {
    if let Err(error) = socket.send(text) {
        tracing::warn!(%error, "failed to tell the service manager `{}`", text.replace('\n', " "));
    }
}

/// Until `look` shows nothing any more. Where it does not come back, nothing is told.
fn keep_telling(look: impl Fn() -> Option<Vec<Row>>, watchdog: Option<Duration>, tell: impl Fn(&str)) {
    // In time also when one is late.
    let pause = watchdog.map_or(LATEST, |longest| (longest / 3).min(LATEST));
    let mut told = String::new();
    while let Some(rows) = look() {
        let (status, mut lines) = (summary(&rows), Vec::new());
        if watchdog.is_some() {
            lines.push("WATCHDOG=1".to_owned());
        }
        if status != told {
            lines.push(format!("STATUS={status}"));
        }
        if !lines.is_empty() {
            tell(&lines.join("\n"));
        }
        told = status;
        std::thread::park_timeout(pause);
    }
}

/// How many rows are in which phase: what runs first.
fn summary(rows: &[Row]) -> String {
    let phases = [
        Phase::Running,
        Phase::Swapping,
        Phase::Starting,
        Phase::Stopped,
        Phase::Faulted,
        Phase::Quarantined,
        Phase::RolledBack,
        Phase::Rejected,
    ];
    let mut text = String::new();
    for phase in phases {
        let count = rows.iter().filter(|row| row.phase == phase).count();
        if count > 0 {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}{count} {phase}");
        }
    }
    if text.is_empty() { "no plugins".to_owned() } else { text }
}

#[cfg(target_os = "linux")]
mod socket {
    use std::ffi::OsStr;
    use std::io;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::time::Duration;

    /// A manager that takes nothing for so long is not waited for.
    const PATIENCE: Duration = Duration::from_secs(5);

    #[derive(Debug, Clone)]
    pub(super) struct Socket(SocketAddr);

    impl Socket {
        /// By a path, or by an abstract name after `@`.
        pub(super) fn new(name: &OsStr) -> io::Result<Self> {
            match name.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                [b'/', ..] => SocketAddr::from_pathname(name),
                _ => Err(io::Error::other("it is neither a path nor an abstract name")),
            }
            .map(Self)
        }

        pub(super) fn send(&self, text: &str) -> io::Result<()> {
            open()?.send_to_addr(text.as_bytes(), &self.0).map(drop)
        }

        /// Touches what [`send`](Self::send) and its errors use.
        pub(super) fn settle(&self) {
            let _ = open().and_then(|socket| socket.peer_addr()).map_err(|error| error.to_string());
        }
    }

    fn open() -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket)
    }
}

#[cfg(not(target_os = "linux"))]
mod socket {
    use std::ffi::OsStr;
    use std::io;

    #[derive(Debug, Clone)]
    pub(super) enum Socket {}

    impl Socket {
        pub(super) fn new(_: &OsStr) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn send(&self, _: &str) -> io::Result<()> {
            match *self {}
        }

        pub(super) fn settle(&self) {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    fn row(phase: Phase) -> Row {
        let name = "echo".to_owned();
        let (version, generation, digest, source, reason) = (None, None, None, None, None);
        let (code, blame, pinned_generations, pinned_bytes) = (None, None, 0, 0);
        Row {
            name,
            version,
            generation,
            phase,
            digest,
            source,
            reason,
            code,
            blame,
            pinned_generations,
            pinned_bytes,
        }
    }

    #[test]
    fn no_sign_of_life_is_sent_for_a_loop_that_does_not_answer() {
        let (answer, answers) = mpsc::channel();
        let (send, told) = mpsc::channel();
        let look = move || answers.recv().ok();
        let tell = move |text: &str| send.send(text.to_owned()).unwrap();
        let thread = std::thread::spawn(move || keep_telling(look, Some(Duration::from_millis(3)), tell));
        let patience = Duration::from_secs(10);
        answer.send(vec![row(Phase::Running)]).unwrap();
        assert_eq!(told.recv_timeout(patience).unwrap(), "WATCHDOG=1\nSTATUS=1 running");
        answer.send(vec![row(Phase::Running)]).unwrap();
        assert_eq!(told.recv_timeout(patience).unwrap(), "WATCHDOG=1", "nothing new to say");
        // Many times the pause.
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "the loop was not heard of");
        answer.send(Vec::new()).unwrap();
        assert_eq!(told.recv_timeout(patience).unwrap(), "WATCHDOG=1\nSTATUS=no plugins");
        drop(answer);
        thread.join().unwrap();
    }

    #[test]
    fn without_a_watchdog_only_news_are_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let rows = [Phase::Rejected, Phase::Running, Phase::Shadowed, Phase::Running].map(row).to_vec();
        let left = Mutex::new(vec![rows]);
        keep_telling(|| left.lock().unwrap().pop(), None, |text| told.lock().unwrap().push(text.to_owned()));
        assert_eq!(*told.lock().unwrap(), ["STATUS=2 running, 1 rejected"]);
    }
}
