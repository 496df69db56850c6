//! The control plane by HTTP: what a program does with it, also while services are swapped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hotbay::kernel::view::{Outcome, Phase, Receipt, Row, Status};
use hotbay_tests::{Answer, Bay, Web, eventually, example, fixture, rounds};
use serde_json::Value;

use super::settings::set;

fn bay_with_echo() -> (Bay, Web) {
    let (bay, web) = Bay::new().up_with_http();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    (bay, web)
}

#[test]
fn a_service_is_called_looked_at_swapped_rolled_back_stopped_and_started() {
    let (bay, web) = bay_with_echo();
    assert_eq!(web.get("/healthz"), "ok\n");
    eventually("it is ready", || (web.ask("GET", "/readyz", b"").status == 200).then_some(()));
    assert_eq!(web.post("/v1/call/echo/echo", "hello"), "hello");
    let rows: Vec<Row> = serde_json::from_str(&web.get("/v1/plugins")).unwrap();
    assert_eq!(rows, bay.rows(), "the same as the command line shows");
    let status: Status = serde_json::from_str(&web.get("/v1/plugins/echo")).unwrap();
    assert_eq!((status.row.phase, status.calls), (Phase::Running, 1));
    web.post("/v1/plugins/echo/swap", "");
    assert_eq!(bay.row("echo").unwrap().generation, Some(2));
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    web.post("/v1/plugins/echo/rollback?timeout_ms=30000", "");
    let history: Vec<Receipt> = serde_json::from_str(&web.get("/v1/plugins/echo/history")).unwrap();
    assert_eq!((history.len(), history[2].outcome), (3, Outcome::Committed));
    assert_eq!((history[2].rollback, history[2].to.version.as_str()), (true, "1.0.0"));
    web.post("/v1/plugins/echo/stop", "");
    let stopped = web.ask("POST", "/v1/call/echo/echo", b"x");
    assert_eq!((stopped.status, stopped.json()["code"].as_str()), (503, Some("HB0703")), "{stopped:?}");
    assert!(stopped.head.contains(&"retry-after: 1".to_owned()));
    web.post("/v1/plugins/echo/start", "");
    assert_eq!(web.post("/v1/call/echo/count", ""), "1", "the state went all the way");
}

#[test]
fn what_cannot_be_done_is_told_with_its_status_its_code_and_what_there_is() {
    let (_bay, web) = bay_with_echo();
    let told = |method: &str, path: &str| {
        let answer = web.ask(method, path, b"");
        assert!(answer.head.contains(&"content-type: application/problem+json".to_owned()), "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["status"], answer.status);
        (
            answer.status,
            problem["code"].as_str().unwrap().to_owned(),
            problem["detail"].as_str().unwrap().to_owned(),
        )
    };
    for (method, path, status, code, detail) in [
        ("POST", "/v1/call/none/echo", 404, "HB0701", "echo"),
        ("POST", "/v1/call/echo/none", 404, "HB0702", "count, handle, echo"),
        ("GET", "/v1/plugins/none", 404, "HB1201", "echo"),
        ("GET", "/v1/plugin", 404, "HB1273", "/openapi.json"),
        ("GET", "/v1/plugins/echo/swap", 405, "HB1274", "Allow"),
        ("POST", "/v1/plugins/echo/swap?forse=true", 400, "HB1278", "forse"),
        ("POST", "/v1/call/echo/echo?timeout_ms=soon", 400, "HB1278", "invalid digit"),
        ("POST", "/v1/plugins/echo/rollback", 409, "HB0809", "echo"),
        ("POST", "/v1/publish/a..b", 400, "HB1301", "a..b"),
        ("GET", "/v1/subscribe/a.%3E.b", 400, "HB1301", "a.>.b"),
    ] {
        let (got, its_code, text) = told(method, path);
        assert_eq!((got, its_code.as_str()), (status, code), "{method} {path}: {text}");
        assert!(text.contains(detail), "{method} {path}: {text}");
    }
}

#[test]
fn events_and_messages_come_as_they_happen() {
    let (bay, web) = bay_with_echo();
    let headers = format!("host: {}\r\nauthorization: Bearer {}\r\n", web.address, web.token);
    let follow = |path: &str| {
        let mut connection = web.connect();
        connection.send("GET", path, &headers, b"").unwrap();
        let (status, head) = connection.head().unwrap();
        assert_eq!(status, 200);
        assert!(head.contains(&"content-type: text/event-stream".to_owned()), "{head:?}");
        while connection.line().unwrap() != ": begun" {}
        connection
    };
    let (mut events, mut messages) = (follow("/v1/events?past=0"), follow("/v1/subscribe/orders.%3E"));
    let headers = format!("{headers}hotbay-header-tenant: blue\r\n");
    let sent = web.connect().ask_with("POST", "/v1/publish/orders.created", &headers, b"{\"id\":7}").unwrap();
    assert_eq!((sent.status, sent.json()["taken"].as_u64()), (200, Some(1)), "{sent:?}");
    let message = messages.event("message");
    assert_eq!(
        (message["topic"].as_str(), message["sender"].as_str()),
        (Some("orders.created"), Some("http"))
    );
    assert_eq!((message["text"].as_str(), &message["id"]), (Some("{\"id\":7}"), &sent.json()["id"]));
    assert_eq!(message["headers"], serde_json::json!([["tenant", "blue"]]));
    bay.ok(&["stop", "echo"]);
    assert_eq!(events.event("stopped")["service"], "echo");
    let topics: Vec<Value> = serde_json::from_str(&web.get("/v1/topics")).unwrap();
    assert!(topics.iter().any(|topic| topic["subject"] == "orders.created"), "{topics:?}");
    // Nobody who follows holds up the end.
    let mut bay = bay;
    let began = Instant::now();
    assert_eq!(bay.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(events.is_over() && messages.is_over());
}

#[test]
fn every_answer_is_2xx_while_a_service_is_swapped_again_and_again() {
    let (bay, web) = bay_with_echo();
    let (swaps, done) = (rounds(6, 100), AtomicBool::new(false));
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (mut connection, mut took) = (web.connect(), Vec::new());
                    while !done.load(Ordering::Relaxed) {
                        let asked = Instant::now();
                        let answer = connection.ask("POST", "/v1/call/echo/echo", b"x").unwrap();
                        took.push(asked.elapsed());
                        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"x"[..]), "{answer:?}");
                    }
                    took
                })
            })
            .collect();
        let swapped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for swap in 1..=swaps {
                let (file, version) = if swap % 2 == 1 { ("echo_v2", "2.0.0") } else { ("echo", "1.0.0") };
                bay.drop_in("echo", &example(file));
                bay.wait_version("echo", version);
            }
        }));
        done.store(true, Ordering::Relaxed);
        let took = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        swapped.unwrap();
        took
    });
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 1000];
    println!(
        "{swaps} swaps, {} answers, all 2xx: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        latencies.len(),
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    assert_eq!(web.post("/v1/call/echo/count", ""), latencies.len().to_string(), "each was answered once");
    for receipt in bay.history("echo") {
        assert_eq!((receipt.requests.lost, receipt.requests.duplicated), (0, 0), "{receipt:?}");
    }
}

#[test]
fn a_request_that_waits_for_its_turn_is_taken_back_when_its_client_goes() {
    let (bay, web) = Bay::new().up_with_http();
    bay.drop_in("slow", &fixture("slow"));
    bay.wait_version("slow", "1.0.0");
    let headers = format!("host: {}\r\nauthorization: Bearer {}\r\n", web.address, web.token);
    let waiting = || {
        let text = web.get("/metrics");
        let line =
            text.lines().find(|line| line.starts_with("hotbay_requests_waiting{service=\"slow\"")).unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    let in_flight =
        || web.get("/metrics").contains("hotbay_calls_in_flight{service=\"slow\",generation=\"1\"} 1\n");
    let mut holds = web.connect();
    holds.send("POST", "/v1/call/slow/hold", &headers, b"").unwrap();
    eventually("one is inside", || in_flight().then_some(()));
    let mut gone = web.connect();
    gone.send("POST", "/v1/call/slow/ping", &headers, b"").unwrap();
    eventually("one waits", || (waiting() == 1).then_some(()));
    drop(gone);
    eventually("it was taken back", || (waiting() == 0).then_some(()));
    assert!(in_flight(), "the first one is still inside");
}

/// Windows: what it has as `curl` in its shell is another program.
#[cfg(unix)]
#[test]
fn the_lines_of_the_readme_do_what_they_say() {
    use std::process::Command;
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let (bay, web) = bay_with_echo();
    let page = include_str!("../../README.md");
    let (_, section) = page.split_once("\n## By HTTP\n").unwrap();
    let block = section.split("```sh\n").find(|block| block.starts_with("auth=")).unwrap();
    let lines: Vec<&str> = block.lines().take_while(|line| *line != "```").collect();
    assert!(lines.len() > 8, "{lines:?}");
    for line in &lines[1..] {
        let line = line.replace("127.0.0.1:7070", &web.address).replace("curl ", "curl --fail ");
        let mut shell = Command::new("sh");
        let ran =
            hotbay_tests::run(shell.arg("-c").arg(format!("{}\n{line}", lines[0])).current_dir(bay.path("")));
        // What never ends was told to end after a second.
        let wanted = if line.contains("-m 1") { 28 } else { 0 };
        assert_eq!(ran.code, wanted, "{line}: {ran:?}");
        assert!(!ran.stdout.is_empty(), "{line}: {ran:?}");
        if line.contains("/v1/call/") {
            assert_eq!(ran.stdout, "hello");
        }
    }
}

#[test]
fn each_path_that_is_described_is_there_and_answers_as_described() {
    let (bay, web) = bay_with_echo();
    bay.ok(&["call", "echo.handle"]);
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    let document: Value = serde_json::from_str(&web.get("/openapi.json")).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let (mut answered, host) = (0, format!("host: {}\r\n", web.address));
    for (template, operations) in document["paths"].as_object().unwrap() {
        let path = template
            .replace("{name}", "echo")
            .replace("{service}", "echo")
            .replace("{method}", "echo")
            .replace("{topic}", "orders.created")
            .replace("{pattern}", "orders.created");
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase();
            // Whoever describes what stands behind the `?` takes nothing else.
            let parameters = operation["parameters"].as_array().unwrap();
            let strict = web.ask(&method, &format!("{path}?nobody=1"), b"").status == 400;
            assert_eq!(parameters.iter().any(|one| one["in"] == "query"), strict, "{method} {path}");
            if operation.get("security").is_some() {
                let problem = web.connect().ask_with(&method, &path, &host, b"").unwrap();
                assert_eq!(problem.status, 401, "{method} {path}");
                check_problem(&document, operation, &problem);
            }
            let content = &operation["responses"]["200"]["content"];
            if content.get("text/event-stream").is_some() {
                continue;
            }
            let answer = web.ask(&method, &path, b"");
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
            let (kind, described) = content.as_object().unwrap().iter().next().unwrap();
            assert!(
                answer.head.iter().any(|line| line.starts_with(&format!("content-type: {kind}"))),
                "{answer:?}"
            );
            if let Some(schema) = described.get("schema") {
                let mut wrong = Vec::new();
                check(&document, schema, &answer.json(), &path, &mut wrong);
                assert!(wrong.is_empty(), "{method} {path}: {wrong:?}");
                answered += 1;
            }
            if path.ends_with("/stop") {
                web.post("/v1/plugins/echo/start", "");
            }
        }
    }
    assert!(answered >= 9, "{answered}");
    // Such as a service refuses, with the time to ask again.
    set(&bay, &["service", "echo"], "max_rate", 1);
    let call = &document["paths"]["/v1/call/{service}/{method}"]["post"];
    let refused = eventually("a call comes too soon", || {
        Some(web.ask("POST", "/v1/call/echo/echo", b"x")).filter(|answer| answer.status == 429)
    });
    check_problem(&document, call, &refused);
    assert!(refused.json()["retry_after_ms"].as_u64().is_some_and(|ms| ms <= 1000), "{refused:?}");
}

#[test]
fn a_host_that_still_starts_is_alive_and_not_ready_as_is_described() {
    let mut bay = Bay::new();
    bay.drop_in("echo", &example("echo"));
    bay.start_with(|command| {
        command.args(["--http", "127.0.0.1:0"]).env("FAILPOINTS", "load@echo=sleep(4000)");
    });
    let web = bay.web();
    let document: Value = serde_json::from_str(&web.get("/openapi.json")).unwrap();
    let answer = web.ask("GET", "/readyz", b"");
    assert_eq!((answer.status, answer.text().as_str()), (503, "starting\n"));
    let described = &document["paths"]["/readyz"]["get"]["responses"]["503"]["content"];
    let (kind, _) = described.as_object().unwrap().iter().next().unwrap();
    assert!(answer.head.iter().any(|line| line.starts_with(&format!("content-type: {kind}"))), "{answer:?}");
    assert_eq!(web.get("/healthz"), "ok\n");
    eventually("it is ready", || (web.ask("GET", "/readyz", b"").status == 200).then_some(()));
    assert_eq!(web.post("/v1/call/echo/echo", "hello"), "hello");
}

/// A problem is described for each operation, and is as that says.
fn check_problem(document: &Value, operation: &Value, problem: &Answer) {
    let schema = &operation["responses"]["default"]["content"]["application/problem+json"]["schema"];
    assert!(problem.head.contains(&"content-type: application/problem+json".to_owned()), "{problem:?}");
    let mut wrong = Vec::new();
    check(document, schema, &problem.json(), "problem", &mut wrong);
    assert!(wrong.is_empty(), "{problem:?}: {wrong:?}");
}

/// What of a value is not as its schema says: types, what must be there, and what may be there.
fn check(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return check(document, document.pointer(&reference[1..]).unwrap(), value, at, wrong);
    }
    if let Some(any) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        let fits = |one: &&Value| {
            let mut wrong = Vec::new();
            check(document, one, value, at, &mut wrong);
            wrong.is_empty()
        };
        if !any.iter().any(|one| fits(&one)) {
            wrong.push(format!("{at}: {value} is none of {any:?}"));
        }
        return;
    }
    if let Some(constant) = schema.get("const")
        && constant != value
    {
        wrong.push(format!("{at}: {value} is not {constant}"));
    }
    if let Some(all) = schema.get("enum").and_then(Value::as_array)
        && !all.contains(value)
    {
        wrong.push(format!("{at}: {value} is not in {all:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is = |told: &Value| told == kind || told == "integer" && value.is_number();
    let fits = match schema.get("type") {
        Some(Value::Array(all)) => all.iter().any(is),
        Some(one) => is(one),
        None => true,
    };
    if !fits {
        wrong.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    if let (Some(items), Some(all)) = (schema.get("items"), value.as_array()) {
        all.iter().enumerate().for_each(|(n, one)| check(document, items, one, &format!("{at}[{n}]"), wrong));
    }
    if let (Some(properties), Some(all)) =
        (schema.get("properties").and_then(Value::as_object), value.as_object())
    {
        for (name, one) in all {
            match properties.get(name) {
                Some(schema) => check(document, schema, one, &format!("{at}.{name}"), wrong),
                None => wrong.push(format!("{at}: `{name}` is not described")),
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if !all.contains_key(name.as_str().unwrap()) {
                wrong.push(format!("{at}: {name} is missing"));
            }
        }
    }
}
