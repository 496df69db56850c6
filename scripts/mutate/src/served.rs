//! The host that is served with them: `hotbay run` in a process of its own, seen from outside alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hotbay::control::client::Client;
use hotbay::control::protocol::Request;
use hotbay::kernel::view::Row;

/// How long anything may take before it counts as hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// The service that is called all the time.
pub(crate) const HEALTHY: &str = "echo";

/// How far services came, by what the host tells of them.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The furthest stage that each has reached since [`Told::forget`].
    stages: BTreeMap<String, Stage>,
    /// How many libraries of each service were not unmapped at once, and have not gone since.
    pinned: BTreeMap<String, u64>,
    last: u64,
}

/// Stages that the host tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Its bytes are a plugin's, and may run.
    Verified,
    /// A probe has mapped it, and lived.
    Probed,
    /// It ran in the host.
    Started,
}

impl Told {
    pub(crate) fn of(&self, service: &str) -> Option<Stage> {
        self.stages.get(service).copied()
    }

    fn note(&mut self, kind: &str, service: Option<String>) {
        let Some(service) = service else { return };
        let stage = match kind {
            "verified" => Stage::Verified,
            "probed" => Stage::Probed,
            "started" | "swapped" => Stage::Started,
            // Most of these have gone a moment later, when a thread that had begun beside it has been looked at.
            "pinned" => return *self.pinned.entry(service).or_default() += 1,
            "unloaded" => {
                let pinned = self.pinned.entry(service).or_default();
                *pinned = pinned.saturating_sub(1);
                return;
            }
            _ => return,
        };
        let furthest = self.stages.entry(service).or_insert(stage);
        *furthest = stage.max(*furthest);
    }

    /// Libraries that could not be unmapped so far.
    pub(crate) fn pinned(&self) -> u64 {
        self.pinned.values().sum()
    }

    pub(crate) fn forget(&mut self) {
        self.stages.clear();
    }
}

/// A host on a folder of its own. It does not outlive this value.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    pid: u32,
    client: Client,
    told: Arc<Mutex<Told>>,
    folder: tempfile::TempDir,
}

impl Served {
    /// Starts `hotbay run` with these settings, and waits until it answers.
    pub(crate) fn start(hotbay: &Path, settings: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hotbay-mutate-").tempdir()?;
        let top = folder.path();
        fs::create_dir(top.join("plugins"))?;
        fs::write(top.join("hotbay.toml"), settings)?;
        // What a fixture waits for before its thread ends.
        fs::write(top.join("let-go"), "")?;
        let log = File::create(top.join("host.log"))?;
        let mut command = Command::new(hotbay);
        command
            .args(["run", "--debuggable"])
            .current_dir(top)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        for name in ["HOTBAY_HOME", "RUST_LOG", "NOTIFY_SOCKET", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY"] {
            command.env_remove(name);
        }
        let child = command.spawn().with_context(|| format!("failed to start `{}`", hotbay.display()))?;
        let client = Client::new(&top.join(".hotbay"), Duration::from_secs(10));
        let mut served = Self { pid: child.id(), child, client, told: Arc::default(), folder };
        let begun = Instant::now();
        while served.client.ask::<u32>(&Request::Ping).is_err() {
            if let Some(status) = served.child.try_wait()? {
                bail!("the host ended while it was started, {status}: {}", served.log());
            }
            if begun.elapsed() > PATIENCE {
                bail!("the host does not answer: {}", served.log());
            }
            std::thread::sleep(LOOK);
        }
        served.listen();
        Ok(served)
    }

    /// Hears what happens, until the host ends.
    fn listen(&self) {
        let (client, told) = (self.client.clone(), Arc::clone(&self.told));
        std::thread::spawn(move || {
            // A listener that was too slow is let go: it comes again, and is told what it missed.
            while client
                .events(500, true, |event| {
                    let mut told = lock(&told);
                    if event.sequence <= told.last {
                        return ControlFlow::Continue(());
                    }
                    told.last = event.sequence;
                    told.note(&event.kind, event.service);
                    ControlFlow::Continue(())
                })
                .is_err()
            {
                if client.ask::<u32>(&Request::Ping).is_err() {
                    return;
                }
            }
        });
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Where a library of this service lies.
    pub(crate) fn place(&self, service: &str) -> PathBuf {
        let name = format!("{}{service}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        self.folder.path().join("plugins").join(name)
    }

    /// What the host knows of, or that it is dead.
    pub(crate) fn rows(&mut self) -> Result<Vec<Row>> {
        match self.client.ask(&Request::List) {
            Ok(rows) => Ok(rows),
            Err(error) => {
                self.lives()?;
                Err(error).context("the host does not answer")
            }
        }
    }

    /// Fails where the process has ended, or another has taken its place.
    pub(crate) fn lives(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("THE HOST DIED, {status}: {}", self.log());
        }
        let answers: u32 = self.client.ask(&Request::Ping)?;
        if answers != self.pid {
            bail!("process {answers} answers in place of the host, which was {}", self.pid);
        }
        Ok(())
    }

    /// The end of what the host has said.
    fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("host.log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned()
    }

    /// Asks the host to end, and waits for it.
    pub(crate) fn end(mut self) -> Result<ExitStatus> {
        ask_to_end(&mut self.child)?;
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if asked.elapsed() > PATIENCE {
                bail!("the host did not end within {} s: {}", PATIENCE.as_secs(), self.log());
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // After an orderly end it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn ask_to_end(host: &mut Child) -> Result<()> {
    let pid = rustix::process::Pid::from_child(host);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("failed to signal the host")
}

// Windows: a console event reaches every process of the console, us too; so it is ended, and how it would have ended is not seen there.
#[cfg(windows)]
fn ask_to_end(host: &mut Child) -> Result<()> {
    host.kill().context("failed to end the host")
}
