//! What `[service.NAME]` says while the host runs counts: at once, or where it is about room from the next version on.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use hotbay::bus::{Mailed, TopicView, WhenFull};
use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, Ran, eventually, example, fixture};

use super::given::server;
use super::settings::set;

fn bay(names: &[&str]) -> Bay {
    let bay = Bay::started();
    for name in names {
        bay.drop_in(name, &fixture(name));
        bay.wait_version(name, "1.0.0");
    }
    bay
}

fn edit(bay: &Bay, service: &str, key: &str, value: impl Into<toml::Value>) {
    set(bay, &["service", service], key, value);
}

/// Waits until a call does not come to what it should, with this word.
#[track_caller]
fn wait_refused(bay: &Bay, method: &str, request: &str, word: &str) -> Ran {
    eventually(&format!("`{method}` says `{word}`"), || {
        let ran = bay.hotbay(&["call", method, "-d", request]);
        (ran.code != 0 && ran.stderr.contains(word)).then_some(ran)
    })
}

#[track_caller]
fn wait_answered(bay: &Bay, method: &str, request: &str) -> String {
    eventually(&format!("`{method}` answers"), || {
        let ran = bay.hotbay(&["call", method, "-d", request]);
        (ran.code == 0).then_some(ran.stdout)
    })
}

/// A command that goes on until it is dropped.
pub(super) struct Held(Child);

impl Held {
    pub(super) fn start(bay: &Bay, arguments: &[&str]) -> Self {
        let mut command = bay.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Returns when it has said something.
    fn begun(mut self) -> Self {
        let mut said = String::new();
        BufReader::new(self.0.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("opened "), "{said}");
        self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn given_plugin_asks_by_http_whom_the_settings_list_by_now_and_keeps_its_keys_where_they_say() {
    let bay = bay(&["given"]);
    let (host, answered) = server();
    let url = format!("http://{host}/v1");
    wait_refused(&bay, "given.ask", &url, "may not ask host");
    let hosts = |hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| toml::Value::from(*host)).collect::<Vec<_>>();
        set(&bay, &["service", "given", "http"], "hosts", hosts);
    };
    hosts(&[host.as_str()]);
    assert_eq!(wait_answered(&bay, "given.ask", &url), r#"{"status":200,"text":"hello"}"#);
    assert!(answered.join().unwrap().starts_with("GET /v1 HTTP/1.1"));
    hosts(&[]);
    wait_refused(&bay, "given.ask", &url, "may not ask host");
    if cfg!(unix) {
        // A name to those who read names, and an address of this machine to those who look it up.
        let (host, answered) = server();
        let named = host.replace("127.0.0.1", "127.1");
        hosts(&[named.as_str()]);
        wait_refused(&bay, "given.ask", &format!("http://{named}/v1"), "private = true");
        set(&bay, &["service", "given", "http"], "private", true);
        wait_answered(&bay, "given.ask", &format!("http://{named}/v1"));
        answered.join().unwrap();
    }
    wait_refused(&bay, "given.kept", "", "`kv`");
    edit(&bay, "given", "store", "elsewhere");
    wait_refused(&bay, "given.kept", "", "`elsewhere`");
    assert_eq!(bay.row("given").unwrap().generation, Some(1), "all of this is one and the same version");
}

#[test]
fn how_calls_are_limited_is_edited_while_they_come() {
    let bay = bay(&["slow", "streams"]);
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    set(&bay, &["service", "echo"], "max_rate", 1);
    wait_refused(&bay, "echo.echo", "x", "HB0762");
    edit(&bay, "echo", "max_burst", 1000);
    eventually("several come at once", || {
        (0..3).all(|_| bay.hotbay(&["call", "echo.echo", "-d", "x"]).code == 0).then_some(())
    });

    edit(&bay, "slow", "deadline_ms", 60);
    wait_refused(&bay, "slow.wait", "2000", "within 60 ms");
    edit(&bay, "slow", "deadline_ms", 60_000);
    wait_answered(&bay, "slow.ping", "");
    edit(&bay, "slow", "max_concurrent", 1);
    eventually("one more is refused", || {
        // One that came in before there was a limit does not count: another one with each look, for as long as who asks waits.
        let _held = Held::start(&bay, &["call", "slow.until_given_up", "--timeout", "50s"]);
        let ran = bay.hotbay(&["call", "slow.ping", "--timeout", "1s"]);
        ran.stderr.contains("HB0761").then_some(())
    });
    wait_answered(&bay, "slow.ping", "");

    let held = Held::start(&bay, &["stream", "streams.wait"]).begun();
    edit(&bay, "streams", "max_streams", 1);
    eventually("one more stream is refused", || {
        let ran = bay.hotbay(&["stream", "streams.numbers", "-d", "1"]);
        (ran.code != 0 && ran.stderr.contains("HB0782")).then_some(())
    });
    drop(held);
}

#[test]
fn fails_and_panics_are_judged_by_the_breaker_and_the_supervision_that_the_settings_have_by_now() {
    let bay = Bay::with("[plugin.fails]\nold = \"call\"\n[plugin.panics]\nold = \"call\"").up();
    for name in ["fails", "panics"] {
        bay.drop_in(name, &fixture(name));
        bay.wait_version(name, "1.0.0");
    }
    set(&bay, &["service", "fails", "breaker"], "min_calls", 2);
    wait_refused(&bay, "fails.add", "", "HB0760");
    set(&bay, &["service", "panics", "supervision"], "panics", 1);
    eventually("it is restarted for one panic", || {
        let _ = bay.hotbay(&["call", "panics.add"]);
        bay.status("panics").supervised
    });
}

#[test]
fn top_leaves_with_base_or_stays_as_the_settings_say_by_now() {
    let bay = bay(&["base", "top"]);
    let plan = || bay.ok(&["stop", "base", "--dry-run"]);
    assert!(plan().contains("keep"), "{}", plan());
    edit(&bay, "top", "when_dependency_stops", "stop");
    eventually("the plan says so", || plan().contains("when_dependency_stops = \"stop\"").then_some(()));
    bay.ok(&["stop", "base"]);
    assert_eq!(bay.row("top").unwrap().phase, Phase::Stopped);
}

#[test]
fn listens_and_slow_have_the_lanes_and_the_room_of_the_settings_from_their_next_version_on() {
    let bay = bay(&["listens", "slow"]);
    let mailed = || -> Mailed {
        let topics: Vec<TopicView> = serde_json::from_str(&bay.ok(&["topics", "-o", "json"])).unwrap();
        let mut all = topics.into_iter().flat_map(|topic| topic.mailboxes);
        all.find(|mailbox| mailbox.name == "listens").unwrap()
    };
    bay.ok(&["publish", "numbers.next", "-d", "1"]);
    assert_eq!((mailed().capacity, mailed().when_full), (1024, WhenFull::Block));
    edit(&bay, "listens", "messages", 3);
    edit(&bay, "listens", "message_bytes", 5000);
    edit(&bay, "listens", "when_full", "drop-oldest");
    eventually("it has its new room after a reload", || {
        bay.ok(&["reload", "listens"]);
        let now = mailed();
        (now.capacity == 3 && now.max_bytes == 5000 && now.when_full == WhenFull::DropOldest).then_some(())
    });
    edit(&bay, "listens", "messages", 7);
    eventually("and after a restart", || {
        bay.ok(&["restart", "listens"]);
        (mailed().capacity == 7).then_some(())
    });
    edit(&bay, "listens", "when_stopped", "keep");
    eventually("what comes while it is stopped waits", || {
        bay.ok(&["stop", "listens"]);
        let waits = bay.hotbay(&["publish", "numbers.next", "-d", "2", "--confirm"]).code == 0;
        bay.ok(&["start", "listens"]);
        waits.then_some(())
    });

    edit(&bay, "slow", "lanes", 2);
    edit(&bay, "slow", "mailbox", 17);
    let metric = |name: &str, value: &str| {
        let wanted = format!("{name}{{service=\"slow\"");
        bay.ok(&["metrics"])
            .lines()
            .any(|line| line.starts_with(&wanted) && line.ends_with(value))
            .then_some(())
    };
    eventually("it has its new lanes after a reload", || {
        bay.ok(&["reload", "slow"]);
        metric("hotbay_requests_room", " 17")
    });
    let held = Held::start(&bay, &["call", "slow.hold", "--timeout", "50s"]);
    eventually("one is inside", || metric("hotbay_calls_in_flight", " 1"));
    assert_eq!(bay.ok(&["call", "slow.ping", "--timeout", "20s"]), "pong");
    bay.ok(&["call", "slow.release"]);
    drop(held);
}
