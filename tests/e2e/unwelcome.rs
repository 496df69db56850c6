//! Who is not to get in by HTTP, or wants to keep others out: refused, and others are served.

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hotbay::kernel::view::Phase;
use hotbay_tests::{Answer, Bay, Web, eventually, example, peak_bytes, rounds};

const GIB: u64 = 1 << 30;

fn bay_with_echo() -> (Bay, Web) {
    let (bay, web) = Bay::new().up_with_http();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    (bay, web)
}

/// Somebody else is served, and at once.
#[track_caller]
fn others_are_served(web: &Web) {
    let began = Instant::now();
    assert_eq!(web.post("/v1/call/echo/echo", "hello"), "hello");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

fn ask(web: &Web, path: &str, headers: &str) -> Answer {
    web.connect().ask_with("GET", path, headers, b"").unwrap()
}

#[test]
fn who_brings_no_token_or_another_one_is_refused_and_others_are_served() {
    let (bay, web) = bay_with_echo();
    let host = format!("host: {}\r\n", web.address);
    let wrong = web.token.chars().rev().collect::<String>();
    for header in [
        "",
        "authorization: Bearer \r\n",
        "authorization: Basic eA==\r\n",
        &format!("authorization: Bearer {wrong}\r\n"),
    ] {
        for path in ["/v1/plugins", "/v1/plugins/echo", "/v1/events", "/v1/none"] {
            let answer = ask(&web, path, &format!("{host}{header}"));
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (401, Some("HB1271")),
                "{path} {header}"
            );
            assert!(answer.head.contains(&"www-authenticate: bearer".to_owned()), "{answer:?}");
            assert!(!answer.text().contains(&web.token));
        }
    }
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(ask(&web, path, &host).status, 200, "{path} needs none");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(bay.home().join("token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(!bay.log().contains(&web.token), "no log has it");
    others_are_served(&web);
}

#[test]
fn a_name_that_was_led_here_and_a_page_of_another_site_are_refused_and_others_are_served() {
    let (_bay, web) = bay_with_echo();
    let token = format!("authorization: Bearer {}\r\n", web.token);
    let port = web.address.rsplit_once(':').unwrap().1;
    for host in
        ["evil.example", &format!("evil.example:{port}"), &format!("127.0.0.1.nip.io:{port}"), "127.0.0.1:1"]
    {
        for path in ["/v1/plugins", "/metrics", "/healthz"] {
            let answer = ask(&web, path, &format!("host: {host}\r\n{token}"));
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (403, Some("HB1272")),
                "{host} {path}"
            );
        }
    }
    let host = format!("host: localhost:{port}\r\n");
    for page in ["origin: http://evil.example\r\n", "origin: null\r\n", "sec-fetch-site: cross-site\r\n"] {
        let answer = ask(&web, "/v1/plugins", &format!("{host}{token}{page}"));
        assert_eq!((answer.status, answer.json()["code"].as_str()), (403, Some("HB1272")), "{page}");
        assert!(!answer.head.iter().any(|line| line.starts_with("access-control")), "{answer:?}");
    }
    assert_eq!(ask(&web, "/v1/plugins", &format!("{host}{token}")).status, 200);
    others_are_served(&web);
}

#[test]
fn who_sends_head_or_body_byte_by_byte_or_stops_in_its_middle_is_cut_off_and_others_are_served() {
    let (_bay, web) = bay_with_echo();
    let head = format!("POST /v1/call/echo/echo HTTP/1.1\r\nhost: {}\r\n", web.address);
    let whole = format!("{head}authorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n", web.token);
    // Who stops in the middle of a body is told why; meanwhile, for its time passes beside that of the others. So does that of who stops
    // in the middle of a head, or of a line of it, or never begins.
    let mut stops = web.connect();
    stops.write(whole.as_bytes()).unwrap();
    let mut halves = ["", "POST /v1/ca", &head].map(|half| {
        let mut connection = web.connect();
        connection.write(half.as_bytes()).unwrap();
        (half, connection)
    });
    let began = Instant::now();
    std::thread::scope(|scope| {
        let slow = |begin: String| {
            let web = &web;
            move || {
                let mut connection = web.connect();
                connection.write(begin.as_bytes()).unwrap();
                let began = Instant::now();
                // Until it is told, or the connection is cut.
                while connection.write(b"x").is_ok() {
                    assert!(began.elapsed() < Duration::from_secs(40), "it may send on and on");
                    std::thread::park_timeout(Duration::from_millis(100));
                }
                began.elapsed()
            }
        };
        let all: Vec<_> = (0..20)
            .flat_map(|_| [scope.spawn(slow(head.clone())), scope.spawn(slow(whole.clone()))])
            .collect();
        others_are_served(&web);
        for slow in all {
            assert!(slow.join().unwrap() >= Duration::from_secs(2), "it has some time");
        }
    });
    let answer = stops.answer().unwrap();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (408, Some("HB1276")));
    assert!(stops.is_over());
    for (half, connection) in &mut halves {
        assert!(connection.is_over(), "it is waited for behind `{half}`");
        assert!(began.elapsed() < Duration::from_secs(40), "{half}: {:?}", began.elapsed());
    }
    others_are_served(&web);
}

#[test]
fn a_body_of_a_gigabyte_is_refused_before_it_is_in_memory_and_others_are_served() {
    let (mut bay, web) = bay_with_echo();
    let head = format!(
        "POST /v1/call/echo/echo HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n",
        web.address, web.token
    );
    let mut announced = web.connect();
    announced.write(format!("{head}content-length: {GIB}\r\n\r\n").as_bytes()).unwrap();
    let answer = announced.answer().unwrap();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (413, Some("HB1275")), "{answer:?}");
    assert!(announced.is_over());

    // One that does not say how long it is gets as far as the limit.
    let mut endless = web.connect();
    endless.write(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let sent = (0..GIB >> 20).take_while(|_| endless.write(&chunk).is_ok()).count();
    assert!(sent < 200, "{sent} MiB were taken");
    assert!(endless.is_over());
    if let Some(peak) = peak_bytes(bay.pid()) {
        assert!(peak < 256 << 20, "{} MiB", peak >> 20);
    }
    bay.assert_alive();
    others_are_served(&web);
}

#[test]
fn ten_thousand_connections_keep_nobody_out() {
    let (mut bay, web) = bay_with_echo();
    let (wanted, mut held) = (rounds(2_000, 10_000), Vec::new());
    let mut first = web.connect();
    for number in 0..wanted {
        // As many as this process may have.
        let Ok(connection) = web.try_connect() else { break };
        held.push(connection);
        if number % 500 == 499 {
            others_are_served(&web);
        }
    }
    println!("{} connections were held", held.len());
    assert!(held.len() > 300, "{}", held.len());
    // With room for its own.
    held.truncate(held.len() - 20);
    others_are_served(&web);
    // The first one made room for others, or its time was up, or it still has its place; it knows which.
    match first.ask("GET", "/healthz", b"") {
        Ok(answer) => assert!([200, 408].contains(&answer.status), "{answer:?}"),
        Err(error) => assert_ne!(error.kind(), io::ErrorKind::TimedOut),
    }
    drop(held);
    bay.assert_alive();
    others_are_served(&web);
}

#[test]
fn who_calls_a_slow_service_over_and_over_keeps_nobody_from_others_by_http_or_by_the_socket() {
    let (bay, web) = bay_with_echo();
    bay.drop_in("slow", &hotbay_tests::fixture("slow"));
    bay.wait_phase("slow", Phase::Running);
    let slow = |timeout_ms: u32| format!("/v1/call/slow/until_given_up?timeout_ms={timeout_ms}");
    let token = format!("host: {}\r\nauthorization: Bearer {}\r\n", web.address, web.token);
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut connection = web.connect();
        connection.send("POST", &slow(50_000), &token, b"").unwrap();
        waiting.push(connection);
    }
    let refused = eventually("its share is taken", || {
        let answer = web.ask("POST", &slow(200), b"");
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(refused.json()["code"], "HB1277", "{refused:?}");
    others_are_served(&web);
    assert_eq!(web.ask("POST", "/v1/publish/a.topic", b"").status, 200);

    let mut clients: Vec<_> = (0..60)
        .map(|_| {
            let mut client = bay.command();
            client.args(["call", "slow.until_given_up", "--timeout", "50s"]);
            client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let refused = eventually("its share is taken here, too", || {
        let ran = bay.hotbay(&["call", "slow.ping", "--timeout", "200ms"]);
        ran.stderr.contains("HB1277").then_some(ran)
    });
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(bay.call("echo.echo", "hello"), "hello");
    assert!(bay.ok(&["list"]).contains("slow"));
    for client in &mut clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
}

#[test]
fn an_address_that_other_machines_reach_is_refused_as_usage() {
    let bay = Bay::new();
    let mut command = bay.run_command();
    let ran = hotbay_tests::run(command.args(["--http", "0.0.0.0:0"]));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("HB1270") && ran.stderr.contains("127.0.0.1:7070"), "{ran:?}");
}
