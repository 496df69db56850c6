//! What a plugin's context gives it: threads and timers, and what becomes of them when it is replaced or stopped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};

use hotbay::kernel::view::{Cause, HolderKind, Retired};
use hotbay_tests::{Bay, eventually, example, fixture, with_version};
use serde_json::Value;

fn bay(settings: &str) -> Bay {
    let bay = Bay::with(settings).up();
    bay.drop_in("given", &fixture("given"));
    bay.wait_version("given", "1.0.0");
    bay
}

fn replace(bay: &Bay) {
    bay.drop_bytes("given", &with_version(&fixture("given"), "1.0.0", "1.1.0"));
    bay.wait_version("given", "1.1.0");
}

fn counts(bay: &Bay) -> (u64, u64) {
    let counts: Value = serde_json::from_str(&bay.call("given.counts", "")).unwrap();
    (counts["ended"].as_u64().unwrap(), counts["ticks"].as_u64().unwrap())
}

fn published(bay: &Bay, topic: &str) -> u64 {
    let topics: Value = serde_json::from_str(&bay.ok(&["topics", "-o", "json"])).unwrap();
    let found = topics.as_array().unwrap().iter().find(|known| known["subject"] == topic);
    found.map_or(0, |topic| topic["published"].as_u64().unwrap())
}

#[test]
fn given_threads_end_with_their_plugin_and_it_is_unloaded() {
    let bay = bay("");
    for name in ["first", "second"] {
        bay.call("given.wait", name);
    }
    let given = bay.status("given").given.unwrap();
    assert_eq!((given.threads, given.panics), (vec!["first".to_owned(), "second".to_owned()], 0));
    let screen = bay.ok(&["status", "given"]);
    assert!(screen.contains("threads first, second"), "{screen}");
    replace(&bay);
    let receipt = bay.wait_receipt("given", 1);
    assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
    assert_eq!(bay.status("given").given.unwrap().threads, Vec::<String>::new(), "the new one has its own");
}

#[test]
fn given_thread_that_does_not_end_is_named_and_when_it_ends_its_code_goes() {
    let bay = bay("[swap]\ncallback_ms = 700");
    bay.call("given.go_on", if cfg!(windows) { "9000" } else { "2500" });
    replace(&bay);
    let receipt = bay.wait_receipt("given", 1);
    assert_eq!(receipt.retired, Retired::Pinned);
    let reason = receipt.retired_reason.unwrap();
    assert!(reason.contains("`goes-on` of it did not end within 700 ms after it was told to"), "{reason}");
    if let [pinned] = &bay.status("given").pinned[..] {
        let [holder] = &pinned.holders[..] else { panic!("{pinned:?}") };
        assert_eq!((pinned.cause, holder.kind), (Cause::Thread, HolderKind::Runs));
        assert_eq!((holder.name.as_str(), pinned.code.as_deref()), ("goes-on", Some("HB0902")));
    }
    eventually("its code is gone", || bay.status("given").pinned.is_empty().then_some(()));
    assert!(bay.log().contains("a thread did not end with its plugin"), "{}", bay.log());
}

#[test]
fn given_thread_that_panics_is_logged_and_counted_and_its_plugin_goes_on() {
    let mut bay = bay("");
    bay.call("given.panic", "");
    eventually("it is counted", || (bay.status("given").given.unwrap().panics == 1).then_some(()));
    let log = bay.log();
    assert!(log.contains("a thread of the plugin panicked") && log.contains("told to"), "{log}");
    assert_eq!(counts(&bay), (0, 0));
    bay.assert_alive();
    replace(&bay);
    assert_eq!(bay.wait_receipt("given", 1).retired, Retired::Unloaded);
}

#[test]
fn given_timer_ticks_until_its_plugin_is_replaced_and_no_longer() {
    let bay = bay("");
    bay.call("given.tick", "5");
    eventually("it ticks, and publishes", || (published(&bay, "given.ticks") >= 3).then_some(()));
    assert_eq!(bay.status("given").given.unwrap().timers, 1);
    replace(&bay);
    assert_eq!(bay.wait_receipt("given", 1).retired, Retired::Unloaded);
    let (after, given) = (published(&bay, "given.ticks"), bay.status("given").given.unwrap());
    assert_eq!((given.timers, counts(&bay)), (0, (0, 0)), "the new version sets its own");
    // As long as several of its periods.
    bay.ok(&["list"]);
    assert_eq!(published(&bay, "given.ticks"), after);
}

#[test]
fn given_timer_ticks_also_while_calls_are_limited_or_refused() {
    let bay = bay("[service.given]\nmax_rate = 1000");
    bay.call("given.tick", "5");
    eventually("it ticks", || (published(&bay, "given.ticks") >= 3).then_some(()));
    bay.ok(&["breaker", "given", "open"]);
    let before = published(&bay, "given.ticks");
    eventually("it ticks on", || (published(&bay, "given.ticks") >= before + 3).then_some(()));
}

#[test]
fn given_message_is_published_later_and_not_when_its_plugin_was_stopped_before() {
    let bay = bay("");
    bay.call("given.publish_later", "20");
    eventually("it is published", || (published(&bay, "given.later") == 1).then_some(()));
    bay.call("given.publish_later", "3600000");
    assert_eq!(bay.status("given").given.unwrap().timers, 1);
    bay.ok(&["stop", "given"]);
    assert!(bay.status("given").given.is_none());
    bay.ok(&["start", "given"]);
    assert_eq!(bay.status("given").given.unwrap().timers, 0, "it was cancelled with its plugin");
}

#[test]
fn given_timer_that_is_cancelled_does_not_tick() {
    let bay = bay("");
    assert_eq!(bay.call("given.cancel", ""), "[true,false]");
    assert_eq!((counts(&bay).1, bay.status("given").given.unwrap().timers), (0, 0));
}

#[test]
fn given_tick_that_hangs_costs_its_thread_and_not_its_service() {
    let bay = bay("[swap]\ncallback_ms = 700");
    bay.call("given.hang", "");
    eventually("its thread is left behind", || {
        bay.log().contains("a tick of a timer did not end within 700 ms").then_some(())
    });
    assert_eq!(counts(&bay), (0, 0), "a fresh thread answers");
    bay.call("given.let_go", "");
    replace(&bay);
    assert_eq!(bay.wait_receipt("given", 1).retired, Retired::Unloaded);
}

/// A server on this machine that answers one request, and who it is.
pub(super) fn server() -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answered = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(|line| line.unwrap());
        let first = lines.next().unwrap();
        lines.find(String::is_empty).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").unwrap();
        first
    });
    (host, answered)
}

#[test]
fn given_plugin_asks_a_host_that_is_listed_for_it_and_no_other() {
    let (host, answered) = server();
    let bay = bay(&format!("[service.given]\nhttp.hosts = [\"{host}\", \"*.example.org\"]"));
    let answer = bay.call("given.ask", &format!("http://{host}/v1"));
    assert_eq!(answer, r#"{"status":200,"text":"hello"}"#);
    assert!(answered.join().unwrap().starts_with("GET /v1 HTTP/1.1"));
    for url in ["https://example.org/", "http://127.0.0.1:1/", "http://a.example.org:8080/"] {
        let refused = bay.hotbay(&["call", "given.ask", "-d", url]);
        assert_ne!(refused.code, 0, "{refused:?}");
        let advice = "add it to `hosts` under `[service.given.http]` in hotbay.toml";
        assert!(
            refused.stderr.contains("may not ask host") && refused.stderr.contains(advice),
            "{refused:?}"
        );
    }
}

#[test]
fn given_keys_stay_while_their_store_is_replaced_by_another_one() {
    let bay = bay("");
    let missing = bay.hotbay(&["call", "given.kept", "-d", ""]);
    assert!(missing.code != 0 && missing.stderr.contains("`kv`"), "{missing:?}");
    bay.drop_in("kv", &example("kv"));
    bay.wait_version("kv", "1.0.0");
    assert_eq!(bay.call("given.kept", ""), "null");
    bay.call("given.keep", "seven");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0_u64;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(bay.call("given.kept", ""), "\"seven\"");
                asked += 1;
            }
            asked
        });
        let swapped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            bay.drop_in("kv", &example("kv_history"));
            bay.wait_version("kv", "2.0.0");
            bay.drop_in("kv", &example("kv"));
            bay.wait_version("kv", "1.0.0");
            bay.drop_in("kv", &example("kv_history"));
            bay.wait_version("kv", "2.0.0");
        }));
        done.store(true, Ordering::Relaxed);
        assert!(asking.join().unwrap() > 0, "who uses it was answered throughout");
        swapped.unwrap();
    });
    bay.call("given.keep", "eight");
    assert_eq!(
        (bay.call("given.kept", ""), bay.call("given.keys", "")),
        ("\"eight\"".into(), "[\"given/last\"]".into())
    );
    assert_eq!(bay.call("kv.history", "given/last"), "[\"seven\"]", "it is the other store");
    let receipt = bay.wait_receipt("kv", 3);
    assert_eq!((receipt.requests.lost, receipt.retired), (0, Retired::Unloaded));
}

#[test]
fn given_store_is_the_one_that_the_settings_name() {
    let bay = bay("[service.given]\nstore = \"elsewhere\"");
    let ran = bay.hotbay(&["call", "given.kept", "-d", ""]);
    assert!(ran.code != 0 && ran.stderr.contains("elsewhere"), "{ran:?}");
}

#[test]
fn an_autoscaler_decides_by_what_the_kernel_counts() {
    let bay = Bay::with("[plugin.autoscaler]\ncalls_per_lane = 1.0").up();
    for name in ["echo", "autoscaler", "kv"] {
        bay.drop_in(name, &example(name));
        bay.wait_version(name, "1.0.0");
    }
    let decision = eventually("a decision for more lanes", || {
        bay.call("echo.handle", "");
        let decision: Value = serde_json::from_str(&bay.call("autoscaler.decision", "")).unwrap();
        (decision["lanes"].as_u64() > Some(1)).then_some(decision)
    });
    assert!(decision["calls_per_second"].as_f64() > Some(1.0), "{decision}");
    eventually("it is published, and kept", || {
        let kept = bay.call("kv.find", "autoscaler/echo");
        (published(&bay, "autoscaler.decided") > 0 && kept.contains("lanes")).then_some(())
    });
}
