//! The real host on folders of its own, driven as a person would: files dropped into `plugins/`, and the command line.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before it counts as failed. Far more than a loaded machine needs: a run that fails here
/// hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// A working directory with `plugins/` in it, and the host that serves it.
#[derive(Debug)]
pub(crate) struct Bay<'a> {
    hotbay: &'a Path,
    service: &'a str,
    host: Option<Child>,
    folder: TempDir,
}

impl<'a> Bay<'a> {
    /// An empty working directory; no host yet. It is to have the service `echo`.
    pub(crate) fn new(hotbay: &'a Path) -> Result<Self> {
        Self::of(hotbay, "echo")
    }

    /// The same for another service.
    pub(crate) fn of(hotbay: &'a Path, service: &'a str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hotbay-").tempdir()?;
        fs::create_dir(folder.path().join("plugins"))?;
        Ok(Self { hotbay, service, host: None, folder })
    }

    /// `hotbay run`, until it answers.
    pub(crate) fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.path().join("host.log"))?;
        let host = self.command(&["run"]).stdout(log.try_clone()?).stderr(log).spawn();
        self.host = Some(host.context("failed to start `hotbay run`")?);
        self.wait_until("the host to answer", |bay| {
            if let Some(status) = bay.host.as_mut().and_then(|host| host.try_wait().transpose()) {
                bail!("the host ended while it was started: {}", status?);
            }
            Ok(bay.run(&["list"]).is_ok().then_some(()))
        })
    }

    /// Asks the host to end, as Ctrl-C does, and waits for it.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        let mut host = self.host.take().context("no host runs")?;
        ask_to_end(&mut host)?;
        let asked = Instant::now();
        loop {
            if let Some(status) = host.try_wait()? {
                return Ok(status);
            }
            if asked.elapsed() > PATIENCE {
                host.kill()?;
                host.wait()?;
                bail!("the host did not end within {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Something in the working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a library into `plugins/` as the file of the service: written beside, then renamed over, as an installer does.
    pub(crate) fn drop_in(&self, library: &Path) -> Result<()> {
        drop_in(library, &self.path("plugins"), &library_name(self.service))
    }

    /// The same for another service.
    pub(crate) fn drop_in_as(&self, service: &str, library: &Path) -> Result<()> {
        drop_in(library, &self.path("plugins"), &library_name(service))
    }

    /// A command; what it wrote to stdout, or why not.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).output().context("failed to run hotbay")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`hotbay {}` ended with {}: {}", arguments.join(" "), output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// A command that answers in JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text)
            .with_context(|| format!("failed to read the JSON of `hotbay {}`", arguments.join(" ")))
    }

    /// Waits until the service runs in this version, and says as which generation.
    pub(crate) fn wait_for_version(&mut self, version: &str) -> Result<u64> {
        self.wait_for_service(self.service, version)
    }

    /// The same of another service.
    pub(crate) fn wait_for_service(&mut self, service: &str, version: &str) -> Result<u64> {
        self.wait_until(&format!("{service} {version} to run"), |bay| {
            let rows = bay.json(&["list"])?;
            let row = rows.as_array().into_iter().flatten().find(|row| row["name"] == service);
            let runs = row.filter(|row| row["version"] == version && row["phase"] == "running");
            Ok(runs.and_then(|row| row["generation"].as_u64()))
        })
    }

    /// Waits for the receipt of the swap that leads to this generation.
    pub(crate) fn wait_for_receipt(&mut self, generation: u64) -> Result<Value> {
        self.wait_until(&format!("the receipt of generation {generation}"), |bay| {
            let receipts = bay.json(&["history", bay.service])?;
            let newest = receipts.as_array().and_then(|receipts| receipts.last());
            Ok(newest.filter(|receipt| receipt["to"]["generation"] == generation).cloned())
        })
    }

    /// How much the service has counted.
    pub(crate) fn count(&self) -> Result<u64> {
        self.run(&["call", &format!("{}.count", self.service)])?.parse().context("failed to read the count")
    }

    /// What the host has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("host.log")).unwrap_or_default()
    }

    /// Any command of the binary, here: without flags it works on `plugins/` and `.hotbay/` of the working directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.hotbay);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("HOTBAY_HOME")
            .stdin(Stdio::null());
        command
    }

    /// Waits until a look finds something.
    pub(crate) fn wait_until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if begun.elapsed() > PATIENCE {
                bail!("waited {} s for {what}", PATIENCE.as_secs());
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Bay<'_> {
    fn drop(&mut self) {
        // Only after a failure: the host must not outlive its folder.
        if let Some(mut host) = self.host.take() {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

/// Puts a copy of `library` into `folder` under `name`, in one step for whoever looks.
pub(crate) fn drop_in(library: &Path, folder: &Path, name: &str) -> Result<()> {
    let beside = folder.join(format!(".{name}.new"));
    fs::copy(library, &beside).with_context(|| format!("failed to copy `{}`", library.display()))?;
    fs::rename(&beside, folder.join(name))
        .with_context(|| format!("failed to put `{name}` into the plugins folder"))
}

/// What the system calls the library of a crate: `libecho.so`, `libecho.dylib`, `echo.dll`.
pub(crate) fn library_name(name: &str) -> String {
    format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

#[cfg(unix)]
fn ask_to_end(host: &mut Child) -> Result<()> {
    let pid = rustix::process::Pid::from_child(host);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("failed to signal the host")
}

// Windows: a console event reaches every process of the console, us too; so the host gets time for a snapshot (it
// writes one every two seconds) and is then ended.
#[cfg(windows)]
fn ask_to_end(host: &mut Child) -> Result<()> {
    std::thread::sleep(Duration::from_secs(3));
    host.kill().context("failed to end the host")
}
