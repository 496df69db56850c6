//! A host inside the test's own process, as an embedding program has it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hotbay::kernel::view::{Phase, Receipt, Row};
use hotbay::{Config, Host};

use crate::{PATIENCE, eventually, hotbay_binary};

/// A host in this process on folders of its own. Is shut down with the value.
#[derive(Debug)]
pub struct Hosted {
    // `None` between two hosts only: a home is free when the last handle to its host is gone.
    host: Option<Host>,
    folder: tempfile::TempDir,
}

impl Hosted {
    /// A host with quick settings.
    #[must_use]
    pub fn start() -> Self {
        Self::with(|_| ())
    }

    /// The same with other settings.
    #[must_use]
    pub fn with(set: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::Builder::new().prefix("hotbay-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        let mut config = quick(folder.path());
        set(&mut config);
        Self { host: Some(Host::start(config).unwrap()), folder }
    }

    /// Shuts the host down and starts another on the same folders.
    #[must_use]
    pub fn restarted(mut self) -> Self {
        self.host().shutdown();
        self.host = None;
        self.host = Some(Host::start(quick(self.folder.path())).unwrap());
        self
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    /// Calls inline, on this thread.
    ///
    /// # Errors
    /// The host's.
    pub fn call(&self, service: &str, method: &str, request: &str) -> Result<String, hotbay::CallError> {
        let mut reply = Vec::new();
        self.host().call(service, method, request.as_bytes(), &mut reply)?;
        Ok(String::from_utf8(reply).unwrap())
    }

    /// Calls through a lane.
    ///
    /// # Errors
    /// The host's.
    pub fn request(&self, service: &str, method: &str, request: &str) -> Result<String, hotbay::CallError> {
        let reply = self.host().request(service, method, request.as_bytes().to_vec(), PATIENCE)?;
        Ok(String::from_utf8(reply).unwrap())
    }

    /// The file of a plugin in the plugins folder, by its stem.
    #[must_use]
    pub fn file(&self, stem: &str) -> PathBuf {
        self.folder.path().join("plugins").join(format!("{stem}{}", std::env::consts::DLL_SUFFIX))
    }

    /// Drops a file in, by a rename.
    pub fn drop_in(&self, stem: &str, source: &Path) {
        self.drop_bytes(stem, &std::fs::read(source).unwrap());
    }

    /// The same from bytes.
    pub fn drop_bytes(&self, stem: &str, bytes: &[u8]) {
        let whole = self.folder.path().join(format!("{stem}.whole"));
        std::fs::write(&whole, bytes).unwrap();
        crate::rename(&whole, &self.file(stem));
    }

    /// Waits until a service runs in this version.
    #[track_caller]
    pub fn wait_version(&self, name: &str, version: &str) -> Row {
        let what = format!("`{name}` {version} runs");
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(&what, || {
                self.host().list().into_iter().find(|row| {
                    row.name == name && row.phase == Phase::Running && row.version.as_deref() == Some(version)
                })
            })
        }));
        found.unwrap_or_else(|_| {
            let (rows, status) = (self.host().list(), self.host().status(name));
            panic!("waited in vain: {what}; there were {rows:#?}; {status:#?}")
        })
    }

    /// Drops a file in and waits until its version runs.
    #[track_caller]
    pub fn live(&self, name: &str, source: &Path, version: &str) -> Row {
        self.drop_in(name, source);
        self.wait_version(name, version)
    }

    /// Waits until a service has so many receipts, and answers them.
    #[track_caller]
    pub fn wait_receipts(&self, name: &str, count: usize) -> Vec<Receipt> {
        eventually(&format!("{count} receipts of `{name}`"), || {
            self.host().history(name).ok().filter(|history| history.len() >= count)
        })
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.host().shutdown();
    }
}

fn quick(folder: &Path) -> Config {
    let mut config = Config::default();
    config.plugins = folder.join("plugins");
    config.home = folder.join(".hotbay");
    config.watch.settle = Duration::from_millis(60);
    config.watch.rescan = Duration::from_millis(250);
    config.watch.grace = Duration::from_millis(400);
    config.state.interval = Duration::from_millis(100);
    // A machine under load takes its time, and what failed once is not tried again. What is to hang has deadlines of its own.
    config.probe.deadline = PATIENCE;
    (config.swap.callback, config.swap.drain) = (PATIENCE / 2, PATIENCE / 2);
    // This process is a test: started once more it would run tests.
    config.probe.program = Some(hotbay_binary());
    config
}
