//! Client and server over a real endpoint, with somebody else than a host to answer.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::answer::Answer;
use super::client::{Client, ClientError};
use super::endpoint::Endpoint;
use super::exit::Exit;
use super::protocol::{Failure, Request};
use super::server::Server;
use crate::kernel::view::Event;

/// Echoes calls, fails what it is told to fail, and has as many events as it is asked for.
#[derive(Clone, Default)]
struct Fake {
    live: Arc<Mutex<Vec<mpsc::Sender<Event>>>>,
    answered: Arc<AtomicUsize>,
}

impl Answer for Fake {
    fn answer(&self, request: Request, body: Vec<u8>) -> Result<(Value, Vec<u8>), Failure> {
        self.answered.fetch_add(1, Ordering::SeqCst);
        match request {
            Request::Ping => Ok((json!(7), Vec::new())),
            Request::Call { .. } => Ok((Value::Null, body)),
            Request::Status { name } => Err(Failure::new(Exit::RolledBack, format!("failed to like {name}"))),
            Request::List => panic!("on purpose"),
            Request::Stop { .. } => {
                std::thread::sleep(Duration::from_secs(5));
                Ok((Value::Null, Vec::new()))
            }
            _ => Ok((Value::Null, Vec::new())),
        }
    }

    fn events(&self, past: usize) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel();
        (0..past as u64).for_each(|sequence| sender.send(event(sequence)).unwrap());
        self.live.lock().unwrap().push(sender);
        receiver
    }
}

fn event(sequence: u64) -> Event {
    let text = String::new();
    Event {
        sequence,
        unix_ms: 0,
        kind: "loaded".into(),
        service: None,
        version: None,
        generation: None,
        text,
    }
}

struct Bench {
    home: TempDir,
    fake: Fake,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        let bench = Bench {
            home: tempfile::tempdir().unwrap(),
            fake: Fake::default(),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        };
        let server = bench.runtime.block_on(async { Server::bind(bench.home.path()).unwrap() });
        bench.runtime.spawn(server.serve_with(bench.fake.clone()));
        bench
    }

    fn client(&self) -> Client {
        Client::new(self.home.path(), Duration::from_secs(20))
    }

    fn send_raw(&self, bytes: &[u8]) {
        self.runtime.block_on(async {
            let stream = Endpoint::find(self.home.path()).unwrap().connect().await.unwrap();
            (&stream).write_all(bytes).await.unwrap();
        });
    }
}

fn call() -> Request {
    Request::Call { service: "echo".into(), method: "echo".into(), deadline_ms: 1000 }
}

#[test]
fn answers_and_bytes_come_back() {
    let bench = Bench::new();
    assert_eq!(bench.client().ask::<u32>(&Request::Ping).unwrap(), 7);
    for body in [&b""[..], b"\0\n\xff", &vec![3; 1 << 20]] {
        assert_eq!(bench.client().pass(&call(), body).unwrap(), body);
    }
}

#[test]
fn a_failure_keeps_its_words_and_its_code() {
    let bench = Bench::new();
    let error = bench.client().ask::<Value>(&Request::Status { name: "echo".into() }).unwrap_err();
    assert_eq!((error.exit(), error.to_string().as_str()), (Exit::RolledBack, "failed to like echo"));
    // A defect in the host is this client's failure and nobody else's.
    let error = bench.client().ask::<Value>(&Request::List).unwrap_err();
    assert_eq!(error.exit(), Exit::Failed);
    assert_eq!(bench.client().ask::<u32>(&Request::Ping).unwrap(), 7);
}

#[test]
fn where_no_host_is_there_is_none() {
    let home = tempfile::tempdir().unwrap();
    for home in [home.path(), &home.path().join("missing")] {
        let error = Client::new(home, Duration::from_secs(1)).ask::<Value>(&Request::Ping).unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }));
        assert_eq!(error.exit(), Exit::Unreachable);
    }
}

#[test]
fn garbage_and_half_frames_disturb_nobody() {
    let bench = Bench::new();
    let request = serde_json::to_vec(&Request::Ping).unwrap();
    let mut frame = (request.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&request);
    for garbage in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 8], &[0xff; 4096], &frame, &frame[..3]] {
        bench.send_raw(garbage);
    }
    assert_eq!(bench.client().ask::<u32>(&Request::Ping).unwrap(), 7);
    assert_eq!(bench.fake.answered.load(Ordering::SeqCst), 1);
}

#[test]
fn a_host_that_is_busy_does_not_keep_others_waiting() {
    let bench = Bench::new();
    bench.send_raw(&{
        let request = serde_json::to_vec(&Request::Stop { name: "x".into(), deadline_ms: 1 }).unwrap();
        let mut frame = (request.len() as u32).to_le_bytes().to_vec();
        frame.extend_from_slice(&request);
        frame.extend_from_slice(&[0; 4]);
        frame
    });
    let begin = Instant::now();
    assert_eq!(bench.client().ask::<u32>(&Request::Ping).unwrap(), 7);
    assert!(begin.elapsed() < Duration::from_secs(3));
    bench.runtime.shutdown_background();
}

#[test]
fn past_events_end() {
    let bench = Bench::new();
    let mut seen = Vec::new();
    let each = |event: Event| {
        seen.push(event.sequence);
        ControlFlow::Continue(())
    };
    bench.client().events(200, false, each).unwrap();
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_follower_gets_what_comes_and_is_forgotten_when_it_goes() {
    let bench = Bench::new();
    let live = Arc::clone(&bench.fake.live);
    let each = |event: Event| {
        if event.sequence == 1 {
            // From here on it is live.
            live.lock().unwrap()[0].send(super::tests::event(2)).unwrap();
        }
        if event.sequence == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    bench.client().events(2, true, each).unwrap();

    // The thread is free when the receiver that it held is gone.
    let begin = Instant::now();
    while live.lock().unwrap()[0].send(event(3)).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(5), "the follower's thread is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_follower_ends_with_the_host() {
    let bench = Bench::new();
    let live = Arc::clone(&bench.fake.live);
    let each = |_| {
        live.lock().unwrap().clear();
        ControlFlow::Continue(())
    };
    bench.client().events(1, true, each).unwrap();
}
