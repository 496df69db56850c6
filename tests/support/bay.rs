//! A host on folders of its own, driven as a person drives it: by files and by the command line.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use hotbay::kernel::view::{Phase, Receipt, Row, Status};

use crate::{PATIENCE, eventually, hotbay_binary, within};

/// Settings that make a host quick; what a test gives to [`Bay::with`] stands over them.
const QUICK: &str = r"
    [watch]
    settle_ms = 60
    rescan_ms = 250
    grace_ms = 400
    [state]
    interval_ms = 100
";

/// A folder with `plugins/`, `hotbay.toml` and a home, and the host that runs there, if it was started. Ends with the
/// value; a test that fails shows the host's log.
#[derive(Debug)]
pub struct Bay {
    folder: tempfile::TempDir,
    // In it, or it itself.
    top: PathBuf,
    host: Option<Child>,
    // Whom it is run as, and the program where that user can run it.
    #[cfg(unix)]
    user: Option<(u32, PathBuf)>,
}

impl Bay {
    /// Folders, and no host yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with("")
    }

    /// The same with more settings.
    #[must_use]
    pub fn with(settings: &str) -> Self {
        Self::below("", settings)
    }

    /// The same in a folder of this path below the temporary one.
    #[must_use]
    pub fn below(relative: &str, settings: &str) -> Self {
        let mut all: toml::Table = QUICK.parse().unwrap();
        for (name, value) in settings.parse::<toml::Table>().unwrap() {
            match (all.get_mut(&name), value) {
                (Some(toml::Value::Table(old)), toml::Value::Table(new)) => old.extend(new),
                (_, value) => drop(all.insert(name, value)),
            }
        }
        let folder = tempfile::Builder::new().prefix("hotbay-").tempdir().unwrap();
        let top = folder.path().join(relative);
        std::fs::create_dir_all(top.join("plugins")).unwrap();
        std::fs::write(top.join("hotbay.toml"), all.to_string()).unwrap();
        Self {
            folder,
            top,
            host: None,
            #[cfg(unix)]
            user: None,
        }
    }

    /// The same, given to another user, whom the host and all commands run as from here on. Only root can do that. Windows: nobody
    /// runs programs as others there without their password.
    #[cfg(unix)]
    #[must_use]
    pub fn of_user(mut self, user: u32) -> Self {
        let program = self.folder.path().join("hotbay");
        std::fs::copy(hotbay_binary(), &program).unwrap();
        crate::give(self.folder.path(), user);
        self.user = Some((user, program));
        self
    }

    /// Folders and a host that answers.
    #[must_use]
    pub fn started() -> Self {
        Self::new().up()
    }

    /// The same bay with its host started.
    #[must_use]
    pub fn up(mut self) -> Self {
        self.start();
        self
    }

    /// Starts the host and waits until it answers.
    pub fn start(&mut self) {
        // Tests look into it, whoever runs them.
        self.start_with(|command| _ = command.arg("--debuggable"));
    }

    /// The same with something else in its environment.
    pub fn start_with(&mut self, prepare: impl FnOnce(&mut Command)) {
        assert!(self.host.is_none(), "the host runs");
        let log = std::fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.run_command();
        prepare(&mut command);
        let (out, err) = (log.try_clone().unwrap(), log);
        let mut child = spawned(crate::terminable(&mut command).stdin(Stdio::null()).stdout(out).stderr(err));
        eventually("the host answers", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the host ended, {status}:\n{}", self.log());
            }
            (self.hotbay(&["list", "-o", "json"]).code == 0).then_some(())
        });
        self.host = Some(child);
    }

    /// `hotbay run` on this bay, not yet spawned.
    #[must_use]
    pub fn run_command(&self) -> Command {
        let mut command = self.command();
        command.arg("run").arg("--plugins").arg(self.plugins());
        command.arg("--config").arg(self.path("hotbay.toml")).arg("--home").arg(self.home());
        command
    }

    /// `hotbay`, as a client of this bay's host, in its folder.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(hotbay_binary());
        #[cfg(unix)]
        if let Some((user, program)) = &self.user {
            use std::os::unix::process::CommandExt as _;
            command = Command::new(program);
            command.uid(*user).gid(*user);
        }
        command.current_dir(self.folder.path()).env("HOTBAY_HOME", self.home()).env_remove("RUST_LOG");
        // The tests may run under a service manager, which is not the host's.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("CREDENTIALS_DIRECTORY");
        command
    }

    /// Asks the host to end, as a service manager does, and answers its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.host.take().expect("no host runs");
        crate::terminate(&child);
        eventually("the host ends", || child.try_wait().unwrap()).code()
    }

    /// Ends the host as a power cut does.
    pub fn kill(&mut self) {
        let mut child = self.host.take().expect("no host runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until the host has ended by itself.
    #[track_caller]
    pub fn wait_death(&mut self) {
        let mut child = self.host.take().expect("no host runs");
        eventually("the host dies", || child.try_wait().unwrap());
    }

    /// The host's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.host.as_ref().expect("no host runs").id()
    }

    /// Fails unless the host lives.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        let ended = self.host.as_mut().expect("no host runs").try_wait().unwrap();
        assert!(ended.is_none(), "the host ended: {ended:?}");
    }

    /// A path in the bay's folder.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.top.join(relative)
    }

    /// The home folder.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path(".hotbay")
    }

    /// The plugins folder.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.path("plugins")
    }

    /// The file of a plugin in the plugins folder, by its stem.
    #[must_use]
    pub fn file(&self, stem: &str) -> PathBuf {
        self.plugins().join(format!("{stem}{}", std::env::consts::DLL_SUFFIX))
    }

    /// The sealed state of a service.
    #[must_use]
    pub fn state_file(&self, service: &str) -> PathBuf {
        self.home().join("state").join(format!("{service}.state"))
    }

    /// Drops a file in, as installers do: whole, by a rename.
    pub fn drop_in(&self, stem: &str, source: &Path) {
        self.drop_bytes(stem, &std::fs::read(source).unwrap());
    }

    /// The same from bytes.
    pub fn drop_bytes(&self, stem: &str, bytes: &[u8]) {
        let whole = self.path(&format!("{stem}.whole"));
        std::fs::write(&whole, bytes).unwrap();
        crate::rename(&whole, &self.file(stem));
    }

    /// Runs the command line to its end.
    pub fn hotbay(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        run(&mut command)
    }

    /// The same, and it must succeed; answers what stood on stdout.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.hotbay(arguments);
        assert_eq!(ran.code, 0, "hotbay {arguments:?}: {ran:?}");
        ran.stdout
    }

    /// Calls `NAME.METHOD` and answers the reply.
    #[track_caller]
    pub fn call(&self, method: &str, request: &str) -> String {
        self.ok(&["call", method, "-d", request])
    }

    /// `hotbay list`.
    #[track_caller]
    pub fn rows(&self) -> Vec<Row> {
        parse(&self.ok(&["list", "-o", "json"]))
    }

    /// The row of a service: of several with this name the one that is no shadow.
    #[track_caller]
    pub fn row(&self, name: &str) -> Option<Row> {
        let mut rows: Vec<_> = self.rows().into_iter().filter(|row| row.name == name).collect();
        rows.sort_by_key(|row| row.phase == Phase::Shadowed);
        rows.into_iter().next()
    }

    /// Waits for a row of this name of which the test holds.
    #[track_caller]
    pub fn wait_for(&self, name: &str, mut test: impl FnMut(&Row) -> bool) -> Row {
        let mut last = Vec::new();
        let what = format!("a row `{name}` as wanted");
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(&what, || {
                last = self.rows();
                last.iter().find(|row| row.name == name && test(row)).cloned()
            })
        }));
        found.unwrap_or_else(|_| panic!("waited in vain for {what}; there were {last:#?}"))
    }

    /// Waits for a service, or a file, to be in this phase.
    #[track_caller]
    pub fn wait_phase(&self, name: &str, phase: Phase) -> Row {
        self.wait_for(name, |row| row.phase == phase)
    }

    /// Waits for a service to run in this version.
    #[track_caller]
    pub fn wait_version(&self, name: &str, version: &str) -> Row {
        self.wait_for(name, |row| row.phase == Phase::Running && row.version.as_deref() == Some(version))
    }

    /// Waits until there is no row of this name.
    #[track_caller]
    pub fn wait_gone(&self, name: &str) {
        eventually(&format!("no row `{name}`"), || self.row(name).is_none().then_some(()));
    }

    /// `hotbay status NAME`.
    #[track_caller]
    pub fn status(&self, name: &str) -> Status {
        parse(&self.ok(&["status", name, "-o", "json"]))
    }

    /// `hotbay history NAME`.
    #[track_caller]
    pub fn history(&self, name: &str) -> Vec<Receipt> {
        parse(&self.ok(&["history", name, "-o", "json"]))
    }

    /// Waits until a service has so many receipts, and answers the newest.
    #[track_caller]
    pub fn wait_receipt(&self, name: &str, count: usize) -> Receipt {
        eventually(&format!("{count} receipts of `{name}`"), || {
            let history = self.history(name);
            (history.len() >= count).then(|| history[count - 1].clone())
        })
    }

    /// What the host wrote.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.path("host.log")
    }
}

impl Default for Bay {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bay {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the host's log ---\n{}", self.log());
        }
        if let Some(mut host) = self.host.take() {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

/// A program that ran to its end.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Its data.
    pub stdout: String,
    /// Its narration.
    pub stderr: String,
}

/// Runs a program to its end, which must come.
pub fn run(command: &mut Command) -> Ran {
    run_within(PATIENCE, command)
}

/// The same for a compiler, which takes its time on a cold cache.
pub fn run_long(command: &mut Command) -> Ran {
    run_within(10 * PATIENCE, command)
}

/// Starts a program, which may have been copied a moment ago: a child of another test's that has not yet become its own program
/// holds the copy open for writing as well, and what is open so is not run.
#[track_caller]
fn spawned(command: &mut Command) -> Child {
    eventually("the program can be run", || match command.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
        child => Some(child.unwrap()),
    })
}

fn run_within(deadline: Duration, command: &mut Command) -> Ran {
    let mut child = spawned(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let what = format!("the end of {command:?}");
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        within(deadline, &what, || child.try_wait().unwrap())
    }));
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    match ended {
        Ok(status) => Ran { code: status.code().unwrap_or(-1), stdout, stderr },
        Err(_) => panic!("waited in vain for {what}; stdout: {stdout}; stderr: {stderr}"),
    }
}

/// Reads beside the program, which would stop at a full pipe otherwise.
fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.expect("a pipe").read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[track_caller]
fn parse<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))
}
