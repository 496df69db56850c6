//! What is counted, and what belongs together by a trace.

use hotbay_tests::{Bay, Exposition, eventually, example, fixture};

use crate::edited::Held;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn parent() -> String {
    format!("00-{TRACE}-b7ad6b7169203331-01")
}

#[test]
fn what_is_counted_is_told_by_service_generation_and_method_and_goes_with_its_generation() {
    let (bay, web) = Bay::new().up_with_http();
    let scrape = || Exposition::read(&web.get("/metrics"));
    bay.drop_in("echo", &example("echo"));
    bay.drop_in("logger", &example("logger"));
    bay.wait_version("echo", "1.0.0");
    bay.wait_version("logger", "1.0.0");
    for _ in 0..3 {
        bay.call("echo.echo", "x");
    }
    bay.call("echo.handle", "x");
    // Refused before it goes in: none of the service's.
    assert_eq!(bay.hotbay(&["call", "echo.none"]).code, 3);
    let of = |method| [("service", "echo"), ("generation", "1"), ("method", method)];
    let failed =
        |method, kind| [("service", "echo"), ("generation", "1"), ("method", method), ("kind", kind)];
    let seen = scrape();
    assert_eq!(seen.get("hotbay_calls_total", &of("echo")), Some(3.0));
    assert_eq!(seen.get("hotbay_request_duration_seconds_count", &of("echo")), Some(3.0));
    assert!(seen.get("hotbay_request_duration_seconds_sum", &of("echo")).unwrap() > 0.0);
    assert_eq!(seen.get("hotbay_calls_total", &of("handle")), Some(1.0));
    assert_eq!(seen.get("hotbay_calls_total", &of("count")), None, "nobody called it");
    assert_eq!(seen.get("hotbay_calls_total", &of("")), None, "no method of the manifest");
    assert_eq!(seen.get("hotbay_errors_total", &failed("echo", "plugin")), Some(0.0));
    assert_eq!(seen.get("hotbay_service_calls_total", &[("service", "echo")]), Some(4.0));
    assert_eq!(seen.get("hotbay_service_phase", &[("service", "echo"), ("phase", "running")]), Some(1.0));
    assert_eq!(seen.get("hotbay_calls_in_flight", &[("service", "echo"), ("generation", "1")]), Some(0.0));
    assert_eq!(seen.get("hotbay_pinned_bytes", &[("service", "echo")]), Some(0.0));
    eventually("the logger has the message", || {
        let handled =
            scrape().get("hotbay_messages_handled_total", &[("service", "logger"), ("generation", "1")]);
        (handled == Some(1.0)).then_some(())
    });
    assert_eq!(
        scrape().get("hotbay_mailbox_accepted_total", &[("mailbox", "logger"), ("queue", "")]),
        Some(1.0)
    );
    eventually("there is a snapshot", || {
        scrape().get("hotbay_snapshot_bytes", &[("service", "echo")]).filter(|bytes| *bytes > 0.0)
    });
    assert!(scrape().get("hotbay_snapshot_age_seconds", &[("service", "echo")]).unwrap() < 60.0);

    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    bay.call("echo.echo", "x");
    let seen = scrape();
    let echoes = seen.with("service", "echo");
    assert!(echoes.iter().all(|sample| !sample.contains("\"generation\": \"1\"")), "{echoes:#?}");
    let version = [("service", "echo"), ("generation", "2"), ("version", "2.0.0")];
    assert_eq!(seen.get("hotbay_generation", &version), Some(1.0));
    assert_eq!(seen.get("hotbay_swaps_total", &[("service", "echo"), ("outcome", "committed")]), Some(1.0));
    assert_eq!(seen.get("hotbay_service_calls_total", &[("service", "echo")]), Some(5.0), "this one goes on");
    // The same text by the control socket.
    let told = Exposition::read(&bay.ok(&["metrics"]));
    let as_json = bay.hotbay(&["metrics", "-o", "json"]);
    assert!(as_json.code == 2 && as_json.stdout.is_empty(), "{as_json:?}");
    assert_eq!(told.with("service", "echo"), seen.with("service", "echo"));
    assert!(seen.get("hotbay_breaker_state", &[("service", "echo"), ("state", "closed")]).is_none());
    bay.ok(&["breaker", "echo", "open"]);
    assert_eq!(scrape().get("hotbay_breaker_state", &[("service", "echo"), ("state", "open")]), Some(1.0));
    assert_eq!(scrape().get("hotbay_restarts_total", &[("service", "echo")]), Some(0.0));
    let refused = |why| scrape().get("hotbay_calls_refused_total", &[("service", "echo"), ("why", why)]);
    assert_eq!(bay.hotbay(&["call", "echo.echo", "-d", "x"]).code, 4);
    assert_eq!((refused("breaker"), refused("rate")), (Some(1.0), Some(0.0)));
    bay.ok(&["breaker", "echo", "auto"]);
    bay.ok(&["remove", "echo"]);
    bay.wait_gone("echo");
    let left = scrape().with("service", "echo");
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn slow_requests_whose_deadline_passed_are_counted_as_late_in_the_mailbox_and_in_a_thread() {
    let (bay, web) = Bay::new().up_with_http();
    bay.drop_in("slow", &fixture("slow"));
    bay.wait_version("slow", "1.0.0");
    let late = || {
        let seen = Exposition::read(&web.get("/metrics"));
        seen.get("hotbay_requests_late_total", &[("service", "slow"), ("generation", "1")]).unwrap()
    };
    assert!(late().abs() < 0.5);
    let _held = Held::start(&bay, &["call", "slow.until_given_up", "--timeout", "2s"]);
    eventually("two are late", || {
        bay.hotbay(&["call", "slow.until_given_up", "--timeout", "50ms"]);
        (late() > 1.5).then_some(())
    });
}

#[test]
fn a_trace_goes_from_a_client_through_a_call_to_the_message_and_the_lines_that_follow_from_it() {
    let (bay, web) = Bay::new().up_with_http();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let headers = format!("host: {}\r\nauthorization: Bearer {}\r\n", web.address, web.token);
    let mut follows = web.connect();
    follows.send("GET", "/v1/subscribe/events.%3E", &headers, b"").unwrap();
    while follows.line().unwrap() != ": begun" {}
    let traced = format!("{headers}traceparent: {}\r\ntracestate: rojo=1\r\n", parent());
    let answer = web.connect().ask_with("POST", "/v1/call/echo/handle", &traced, b"x").unwrap();
    assert_eq!(answer.status, 200);
    let message = follows.event("message");
    let header = |name: &str| {
        let all = message["headers"].as_array().unwrap();
        all.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap().to_owned())
    };
    let carried = header("traceparent").unwrap_or_else(|| panic!("{message}"));
    assert!(carried.contains(TRACE) && carried != parent(), "a step of the same trace: {carried}");
    assert_eq!(header("tracestate").as_deref(), Some("rojo=1"));
    let log = eventually("the line is in the log", || Some(bay.log()).filter(|log| log.contains("handled")));
    let line = log.lines().find(|line| line.contains("handled")).unwrap();
    assert!(line.contains(TRACE), "{line}");
    // Without one, nothing is made up.
    web.post("/v1/call/echo/handle", "x");
    assert_eq!(follows.event("message")["headers"], serde_json::json!([]));
}

#[test]
fn a_message_that_follows_from_one_with_a_trace_belongs_to_it() {
    let (bay, web) = Bay::new().up_with_http();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    let headers = format!("host: {}\r\nauthorization: Bearer {}\r\n", web.address, web.token);
    let mut answers = web.connect();
    answers.send("GET", "/v1/subscribe/heard.next", &headers, b"").unwrap();
    while answers.line().unwrap() != ": begun" {}
    let traced = format!("traceparent={}", parent());
    bay.ok(&["publish", "numbers.next", "-d", "3", "-H", "answer-to=heard.next", "-H", &traced]);
    let answer = answers.event("message");
    assert_eq!(answer["sender"], "listens");
    assert!(answer["headers"].to_string().contains(TRACE), "{answer}");
}
