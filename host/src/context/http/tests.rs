use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::config::AllowedHost;

/// A server on this machine that answers each connection's one request by the next of these, and tells what it was asked.
fn server(answers: Vec<String>) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let asked = request(&stream);
            let _ = (&stream).write_all(answer.as_bytes());
            let _ = tell.send(asked);
        }
    });
    (port, told)
}

fn request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut all, mut body) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(length) = lower.strip_prefix("content-length:") {
            body = length.trim().parse().unwrap();
        }
        all.push_str(&lower);
    }
    let mut bytes = vec![0; body];
    reader.read_exact(&mut bytes).unwrap();
    all + &String::from_utf8(bytes).unwrap()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
}

/// Who asks, and whom it may.
struct Listed(Http, config::Http);

impl Listed {
    fn ask(&self, asked: &Asked<'_>) -> Result<Answered, HttpError> {
        self.0.ask(&self.1, asked)
    }
}

fn http(hosts: &[String]) -> Listed {
    let hosts = hosts.iter().map(|host| AllowedHost::parse(host).unwrap()).collect();
    Listed(Http::new(&"asks".into()), config::Http { hosts, private: false })
}

fn asked<'a>(method: &'a str, url: &'a str) -> Asked<'a> {
    Asked {
        method,
        url,
        headers: Vec::new(),
        body: b"",
        timeout: Duration::from_secs(20),
        max_bytes: 0,
        retries: 2,
        follows: true,
    }
}

fn here(port: u16) -> Listed {
    http(&[format!("127.0.0.1:{port}")])
}

#[test]
fn what_is_asked_arrives_and_what_is_answered_comes_back() {
    let (port, told) = server(vec![answer("404 Not Found", "X-Kind: none\r\n", "not here")]);
    let url = format!("http://127.0.0.1:{port}/v1?x=1");
    let mut asked = asked("POST", &url);
    asked.headers.push(("Authorization", "Bearer key"));
    asked.body = b"hello";
    let answered = here(port).ask(&asked).unwrap();
    assert_eq!((answered.status, answered.body.as_slice()), (404, b"not here".as_slice()));
    assert!(answered.headers.contains(&("x-kind".to_owned(), "none".to_owned())), "{answered:?}");
    let request = told.recv().unwrap();
    assert!(request.starts_with("post /v1?x=1 http/1.1\r\n") && request.ends_with("hello"), "{request}");
    assert!(request.contains("authorization: bearer key\r\n"), "{request}");
}

#[test]
fn a_host_that_is_not_listed_is_refused_before_it_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    for hosts in [vec![], vec!["127.0.0.1".to_owned()], vec!["*.example.org".to_owned()]] {
        let error = http(&hosts).ask(&asked("GET", &url)).unwrap_err();
        assert!(matches!(&error, HttpError::NotAllowed { .. }), "{error}");
        let advice = format!(
            "may not ask host `127.0.0.1:{port}`; if it is to, add it to `hosts` under `[service.asks.http]`"
        );
        assert!(error.to_string().contains(&advice), "{error}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
}

#[test]
fn a_request_takes_the_trace_along_unless_the_plugin_says_another_one() {
    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{ID}-b7ad6b7169203331-01");
    let (port, told) = server((0..3).map(|_| answer("200 OK", "", "")).collect());
    let url = format!("http://127.0.0.1:{port}/");
    let ask = |headers: &[(&'static str, &'static str)]| {
        here(port).ask(&Asked { headers: headers.to_vec(), ..asked("GET", &url) }).unwrap();
        told.recv().unwrap()
    };
    let trace = Trace::read(&parent, Some("rojo=1"));
    let (carried, own) = bus::within_trace(trace, || (ask(&[]), ask(&[("Traceparent", "of-its-own")])));
    assert!(carried.contains(&format!("traceparent: 00-{ID}-")) && !carried.contains(&parent), "{carried}");
    assert!(carried.contains("tracestate: rojo=1\r\n"), "{carried}");
    assert!(own.contains("traceparent: of-its-own\r\n") && !own.contains(ID), "{own}");
    assert!(!ask(&[]).contains("traceparent"), "without one, nothing is made up");
}

#[test]
fn whom_the_settings_list_no_longer_is_not_asked_any_more() {
    let (port, told) = server(vec![answer("200 OK", "", "now")]);
    let url = format!("http://127.0.0.1:{port}/");
    let mut listed = here(port);
    assert_eq!(listed.ask(&asked("GET", &url)).unwrap().body, b"now");
    listed.1.hosts.clear();
    assert!(matches!(listed.ask(&asked("GET", &url)), Err(HttpError::NotAllowed { .. })));
    assert_eq!(told.iter().count(), 1);
}

#[test]
fn a_redirect_to_a_host_that_is_not_listed_is_refused() {
    let (port, _told) = server(vec![answer("302 Found", "Location: http://169.254.169.254/key\r\n", "")]);
    let url = format!("http://127.0.0.1:{port}/");
    let error = here(port).ask(&asked("GET", &url)).unwrap_err();
    assert!(matches!(&error, HttpError::NotAllowed { host, .. } if host == "169.254.169.254"), "{error}");
}

#[test]
fn a_redirect_is_followed_as_another_request_and_without_what_is_secret() {
    let (there, told_there) = server(vec![answer("200 OK", "", "there")]);
    let location = format!("Location: http://127.0.0.1:{there}/next\r\n");
    let (port, told) = server(vec![answer("303 See Other", &location, "")]);
    let url = format!("http://127.0.0.1:{port}/");
    let mut asked = asked("POST", &url);
    asked.headers.extend([("Authorization", "Bearer key"), ("X-Other", "1"), ("Content-Type", "text/plain")]);
    asked.body = b"hello";
    let http = http(&[format!("127.0.0.1:{port}"), format!("127.0.0.1:{there}")]);
    let answered = http.ask(&asked).unwrap();
    assert_eq!(answered.url, format!("http://127.0.0.1:{there}/next"));
    assert!(told.recv().unwrap().contains("authorization: bearer key"));
    let second = told_there.recv().unwrap();
    assert!(second.starts_with("get /next ") && second.contains("x-other: 1"), "{second}");
    assert!(!second.contains("authorization") && !second.contains("content-type"), "{second}");
}

#[test]
fn redirects_are_followed_only_so_often_and_not_where_nobody_wants_it() {
    let round = || answer("307 Temporary Redirect", "Location: /again\r\n", "");
    let (port, _told) = server((0..=HOPS).map(|_| round()).collect());
    let url = format!("http://127.0.0.1:{port}/");
    let error = here(port).ask(&asked("GET", &url)).unwrap_err();
    assert!(error.to_string().contains("redirects more than 5 times"), "{error}");
    let (port, _told) = server(vec![round()]);
    let url = format!("http://127.0.0.1:{port}/");
    let answered = here(port).ask(&Asked { follows: false, ..asked("GET", &url) }).unwrap();
    assert_eq!(answered.status, 307);
}

#[test]
fn only_what_does_the_same_when_it_comes_twice_is_tried_again() {
    let busy = || answer("503 Service Unavailable", "", "");
    let (port, told) = server(vec![busy(), busy(), answer("200 OK", "", "now")]);
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(here(port).ask(&asked("GET", &url)).unwrap().body, b"now");
    assert_eq!(told.iter().count(), 3);
    let (port, told) = server(vec![busy()]);
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(here(port).ask(&asked("POST", &url)).unwrap().status, 503);
    assert_eq!(told.iter().count(), 1);
}

#[test]
fn an_answer_that_is_too_long_is_not_taken() {
    let (port, _told) =
        server(vec![answer("200 OK", "", &"x".repeat(1001)), answer("200 OK", "", &"x".repeat(1000))]);
    let url = format!("http://127.0.0.1:{port}/");
    let http = here(port);
    let error = http.ask(&Asked { max_bytes: 1000, ..asked("GET", &url) }).unwrap_err();
    assert!(matches!(error, HttpError::TooLong { max_bytes: 1000, .. }), "{error}");
    assert_eq!(http.ask(&Asked { max_bytes: 1000, ..asked("GET", &url) }).unwrap().body.len(), 1000);
}

#[test]
fn who_does_not_answer_is_waited_for_no_longer_than_was_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let begun = Instant::now();
    let timeout = Duration::from_millis(150);
    let http = here(listener.local_addr().unwrap().port());
    let error = http.ask(&Asked { timeout, ..asked("GET", &url) }).unwrap_err();
    assert!(matches!(error, HttpError::TimedOut { .. }), "{error}");
    assert!(begun.elapsed() >= timeout && begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_listed_name_that_leads_to_this_machine_is_refused_unless_that_is_allowed() {
    // A name to those who read names, and an address to those who look it up.
    let kept = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ninside".to_owned();
    let (port, _told) = server(vec![kept]);
    let url = format!("http://127.1:{port}/");
    let mut listed = http(&[format!("127.1:{port}")]);
    let asked = Asked { retries: 0, ..asked("GET", &url) };
    if cfg!(windows) {
        // Whether `127.1` is an address there is the system's to say.
        return;
    }
    let refused = |listed: &Listed| {
        let error = listed.ask(&asked).unwrap_err();
        assert!(matches!(error, HttpError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("write `private = true` beside `hosts`"), "{error}");
    };
    refused(&listed);
    listed.1.private = true;
    assert_eq!(listed.ask(&asked).unwrap().body, b"inside");
    // Nor by the connection that is still open.
    listed.1.private = false;
    refused(&listed);
}

#[test]
fn headers_that_would_ask_another_host_are_refused() {
    for name in ["Host", "content-length", "Transfer-Encoding", "connection"] {
        let mut asked = asked("GET", "http://127.0.0.1:1/");
        asked.headers.push((name, "evil.com"));
        let error = here(1).ask(&asked).unwrap_err();
        assert!(error.to_string().contains("is the host's to write"), "{error}");
    }
}

#[test]
fn who_speaks_no_tls_is_not_asked_without_it() {
    let (port, _told) = server(vec![answer("200 OK", "", "plain")]);
    let url = format!("https://127.0.0.1:{port}/");
    let error = here(port).ask(&Asked { retries: 0, ..asked("GET", &url) }).unwrap_err();
    assert!(matches!(error, HttpError::Failed { .. } | HttpError::Refused { .. }), "{error}");
}

thread_local! {
    /// The authority that this thread's test knows instead of those that browsers do.
    pub(super) static ROOT: Cell<Option<&'static [u8]>> = const { Cell::new(None) };
}

/// A server that speaks TLS as `localhost`, by a certificate of an authority of its own, and answers so many.
fn secure_server(answers: usize) -> u16 {
    let certificate = include_bytes!("tls/certificate.der").to_vec();
    let key = PrivateKeyDer::try_from(&include_bytes!("tls/key.der")[..]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.into()], key).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for _ in 0..answers {
            let (stream, _) = listener.accept().unwrap();
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(tls, stream);
            let mut head = [0; 1];
            // Who does not trust it says nothing.
            if stream.read(&mut head).is_ok_and(|read| read == 1) {
                let _ = stream.write_all(answer("200 OK", "", "in confidence").as_bytes());
                let _ = stream.flush();
            }
        }
    });
    port
}

#[test]
fn by_tls_a_host_answers_whose_certificate_is_by_a_known_authority_and_of_its_name_and_no_other() {
    let port = secure_server(3);
    let listed = || http(&[format!("localhost:{port}"), format!("127.0.0.1:{port}")]);
    let ask = |host| listed().ask(&Asked { retries: 0, ..asked("GET", &format!("https://{host}:{port}/")) });
    let refused = |answered: Result<Answered, HttpError>| {
        assert!(
            matches!(answered, Err(HttpError::Failed { .. } | HttpError::Refused { .. })),
            "{answered:?}"
        );
    };
    refused(ask("localhost"));
    ROOT.set(Some(include_bytes!("tls/root.der")));
    assert_eq!(ask("localhost").unwrap().body, b"in confidence");
    refused(ask("127.0.0.1"));
}

#[test]
fn pauses_grow_and_are_not_the_same() {
    let first: Vec<Duration> = (0..8).map(|_| pause(0)).collect();
    assert!(first.iter().all(|pause| (PAUSE / 2..=PAUSE).contains(pause)), "{first:?}");
    assert!(first.iter().any(|pause| *pause != first[0]), "{first:?}");
    assert!(pause(3) >= PAUSE * 4 && pause(40) <= LONGEST_PAUSE);
}
