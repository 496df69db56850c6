//! What the host tells systemd and is given by it, over a real socket and in a real folder, without systemd. On Linux, where
//! it is.
#![cfg(target_os = "linux")]

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, PATIENCE, example, fixture, run};

/// The service manager's end.
struct Manager(UnixDatagram);

impl Manager {
    fn new(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message, which must come.
    #[track_caller]
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("the host tells nothing");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// All messages up to one with this line, which must come.
    #[track_caller]
    fn until(&self, line: &str) -> Vec<String> {
        let mut all = vec![self.next()];
        while !all.last().unwrap().lines().any(|told| told == line) {
            all.push(self.next());
        }
        all
    }

    /// What is there by now, and no more.
    fn rest(&self) -> Vec<String> {
        self.0.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut bytes = [0; 4096];
        std::iter::from_fn(|| self.0.recv(&mut bytes).ok().map(|length| bytes[..length].to_vec()))
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .collect()
    }
}

fn has(messages: &[String], line: &str) -> bool {
    messages.iter().flat_map(|message| message.lines()).any(|told| told == line)
}

#[test]
fn systemd_is_told_when_the_plugins_serve_that_the_host_lives_and_when_it_stops() {
    let mut bay = Bay::new();
    let path = bay.path("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    bay.drop_in("echo", &example("echo"));
    bay.drop_bytes("broken", b"\x7fELF, and no more");
    bay.start_with(|host| _ = host.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000"));

    assert_eq!(manager.next(), "READY=1", "nothing is told before");
    assert_eq!(bay.row("echo").unwrap().phase, Phase::Running);
    assert_eq!(manager.next(), "WATCHDOG=1\nSTATUS=1 running, 1 rejected");
    for _ in 0..3 {
        assert_eq!(manager.next(), "WATCHDOG=1");
    }
    bay.drop_in("logger", &example("logger"));
    manager.until("STATUS=2 running, 1 rejected");

    assert_eq!(bay.stop(), Some(0));
    let last = manager.until("STOPPING=1");
    assert!(!has(&last, "READY=1"), "{last:?}");
    let after = manager.rest();
    assert!(!has(&after, "WATCHDOG=1"), "{after:?}");
}

#[test]
fn hangs_in_initializer_and_systemd_is_told_that_the_host_is_ready_and_goes_on_to_live() {
    // Nothing of the file runs before the host maps it; by READY=1 it has the system's loader.
    let mut bay = Bay::with("[swap]\ncallback_ms = 700\n[probe]\nmode = \"off\"\n");
    let path = bay.path("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    bay.drop_in("hangs_in_initializer", &fixture("hangs_in_initializer"));
    bay.start_with(|host| _ = host.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000"));

    manager.until("READY=1");
    manager.until("STATUS=1 faulted");
    for _ in 0..5 {
        manager.until("WATCHDOG=1");
    }
    let reason = bay.row("hangs_in_initializer").unwrap().reason.unwrap();
    assert!(reason.contains("keeps the system's loader for itself"), "{reason}");
    // The news of a plugin that waits for the loader are told as well.
    bay.drop_in("stateless", &fixture("stateless"));
    manager.until("STATUS=2 faulted");
    assert_eq!(bay.stop(), Some(0));
    manager.until("STOPPING=1");
}

#[test]
fn systemd_is_told_by_an_abstract_name_and_has_no_watchdog_unless_it_wants_one() {
    let mut bay = Bay::new();
    let name = format!("hotbay-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = Manager::new(UnixDatagram::bind_addr(&address).unwrap());
    // A watchdog of the process that started this one is no business of its children.
    bay.start_with(|host| {
        let host = host.env("NOTIFY_SOCKET", format!("@{name}"));
        host.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", std::process::id().to_string());
    });
    assert_eq!(manager.next(), "READY=1");
    assert_eq!(manager.next(), "STATUS=no plugins");
    assert_eq!(bay.stop(), Some(0));
    assert_eq!(manager.next(), "STOPPING=1\nSTATUS=stopping all services in order");
}

#[test]
fn a_manager_that_is_not_there_keeps_no_host_from_running() {
    let mut bay = Bay::new();
    bay.drop_in("echo", &example("echo"));
    for nobody in ["/no/such/socket", "@hotbay-nobody-listens-here", "vsock:2:1234"] {
        bay.start_with(|host| _ = host.env("NOTIFY_SOCKET", nobody));
        bay.wait_version("echo", "1.0.0");
        assert_eq!(bay.stop(), Some(0), "{nobody}");
    }
    assert!(bay.log().contains("failed to tell the service manager"), "{}", bay.log());
    assert!(bay.log().contains("failed to understand NOTIFY_SOCKET `vsock:2:1234`"), "{}", bay.log());
}

#[test]
fn notifies_in_create_as_the_host_and_not_from_the_probe() {
    let mut bay = Bay::new();
    let path = bay.path("notify");
    let manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    bay.drop_in("notifies_in_create", &fixture("notifies_in_create"));
    bay.start_with(|host| _ = host.env("NOTIFY_SOCKET", &path));
    let told = manager.until("READY=1");
    let created: Vec<&String> = told.iter().filter(|message| message.starts_with("X_CREATED_IN=")).collect();
    assert_eq!(created, [&format!("X_CREATED_IN={}", bay.pid())]);
}

#[test]
fn the_key_comes_from_a_credential() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut bay = Bay::with("[state]\nkey_credential = \"hotbay-key\"");
    let ran = run(bay.run_command().env_remove("CREDENTIALS_DIRECTORY"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("`LoadCredential=hotbay-key:"), "{ran:?}");

    let credentials = bay.path("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let ran = run(bay.run_command().env("CREDENTIALS_DIRECTORY", &credentials));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("credentials/hotbay-key"), "{ran:?}");

    // As systemd lays it down, with the mask of its access list where the group's rights stand.
    let key = credentials.join("hotbay-key");
    std::fs::write(&key, "0ff0".repeat(16)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o440)).unwrap();
    bay.drop_in("counter", &fixture("counter"));
    for count in ["1", "2"] {
        bay.start_with(|host| _ = host.env("CREDENTIALS_DIRECTORY", &credentials));
        bay.wait_version("counter", "1.0.0");
        assert_eq!(bay.call("counter.add", ""), count);
        assert_eq!(bay.stop(), Some(0));
    }
    assert!(!bay.home().join("state.key").exists(), "no other key was made");
}
