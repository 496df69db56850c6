//! Client and server over a real endpoint, with somebody else than a host to answer.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::answer::Answer;
use super::client::{Client, ClientError};
use super::endpoint::Endpoint;
use super::exit::Exit;
use super::frame::MAX_BODY;
use super::protocol::{Failure, Request};
use super::server::{Conversations, FOLLOWERS, Server};
use crate::bus::{Cancel, Subscribe, SubscribeError, Subscription};
use crate::error::Code;
use crate::kernel::view::Event;
use crate::{Opening, Stream};

/// Echoes calls, fails what it is told to fail, and has as many events as it is asked for.
#[derive(Clone, Default)]
struct Fake {
    live: Arc<Mutex<Vec<mpsc::Sender<Event>>>>,
    answered: Arc<AtomicUsize>,
    given_up: Arc<AtomicBool>,
}

impl Answer for Fake {
    fn answer(&self, request: Request, body: Vec<u8>, gone: &Cancel) -> Result<(Value, Vec<u8>), Failure> {
        self.answered.fetch_add(1, Ordering::SeqCst);
        match request {
            Request::Ping => Ok((json!(7), Vec::new())),
            Request::Call { .. } => Ok((Value::Null, body)),
            Request::Status { name } => {
                Err(Failure::new(Exit::RolledBack, Code::Damaged, format!("failed to like {name}")))
            }
            Request::List => panic!("on purpose"),
            Request::History { .. } => Ok((Value::Null, vec![0; MAX_BODY + 1])),
            Request::Stop { deadline_ms, .. } => {
                thread::sleep(Duration::from_millis(deadline_ms));
                Ok((Value::Null, Vec::new()))
            }
            Request::Ask { .. } => {
                let begun = Instant::now();
                while !gone.is_cancelled() && begun.elapsed() < Duration::from_secs(20) {
                    thread::sleep(Duration::from_millis(5));
                }
                self.given_up.store(gone.is_cancelled(), Ordering::SeqCst);
                Ok((Value::Null, Vec::new()))
            }
            _ => Ok((Value::Null, Vec::new())),
        }
    }

    fn take(&self, _: Request, body: &mut dyn Read) -> Result<(Value, Vec<u8>), Failure> {
        let mut first = [0; 1];
        let _ = body.read(&mut first);
        if first == *b"!" {
            return Err(Failure::new(Exit::Refused, Code::Damaged, "failed to like it"));
        }
        let rest = std::io::copy(body, &mut std::io::sink());
        rest.map(|rest| (json!(rest + 1), Vec::new()))
            .map_err(|e| Failure::new(Exit::Failed, Code::StateUnread, e.to_string()))
    }

    fn open_stream(&self, _: &str, _: &str, _: &[u8], _: Opening) -> Result<Stream, Failure> {
        Err(Failure::new(Exit::NotFound, Code::NoSuchStream, "failed to open what a fake has not"))
    }

    fn events(&self, past: usize) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel();
        (0..past as u64).for_each(|sequence| sender.send(event(sequence)).unwrap());
        self.live.lock().unwrap().push(sender);
        receiver
    }

    fn subscribe(&self, _: Subscribe) -> Result<Subscription, SubscribeError> {
        Err(SubscribeError::Stopping)
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
        code: None,
        blame: None,
    }
}

struct Bench {
    home: TempDir,
    fake: Fake,
    runtime: tokio::runtime::Runtime,
    end: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<Conversations>>,
}

impl Bench {
    fn new() -> Self {
        let (home, fake) = (tempfile::tempdir().unwrap(), Fake::default());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(async { Server::bind(home.path()).unwrap() });
        let (end, ended) = oneshot::channel();
        let serving = runtime.spawn(server.serve_with(fake.clone(), async { drop(ended.await) }));
        Bench { home, fake, runtime, end: Some(end), serving: Some(serving) }
    }

    /// Lets nobody in any more.
    fn close(&mut self) -> Conversations {
        self.end.take().unwrap().send(()).unwrap();
        self.runtime.block_on(self.serving.take().unwrap()).unwrap()
    }

    /// Says that the host has stopped; answers how long the conversations took to their end.
    fn finish(&self, conversations: Conversations) -> Duration {
        let begin = Instant::now();
        self.runtime.block_on(conversations.end());
        begin.elapsed()
    }

    /// Asks on a thread of its own for what takes so long, and returns when the answer is being made.
    fn ask_slowly(&self, takes: Duration) -> thread::JoinHandle<Result<Value, ClientError>> {
        let client = self.client();
        let deadline_ms = takes.as_millis() as u64;
        let asking =
            thread::spawn(move || client.ask(&Request::Stop { name: "x".into(), force: false, deadline_ms }));
        self.wait(|| self.fake.answered.load(Ordering::SeqCst) == 1);
        asking
    }

    /// Follows the events on a thread of its own, and returns when the host knows.
    fn follow(&self) -> thread::JoinHandle<(Vec<u64>, Result<(), ClientError>)> {
        let (client, known) = (self.client(), self.fake.live.lock().unwrap().len());
        let following = thread::spawn(move || {
            let mut seen = Vec::new();
            let each = |event: Event| {
                seen.push(event.sequence);
                ControlFlow::Continue(())
            };
            let done = client.events(0, true, each);
            (seen, done)
        });
        self.wait(|| self.fake.live.lock().unwrap().len() > known || following.is_finished());
        following
    }

    fn wait(&self, until: impl Fn() -> bool) {
        let begin = Instant::now();
        while !until() {
            assert!(begin.elapsed() < Duration::from_secs(10), "waited in vain");
            thread::sleep(Duration::from_millis(5));
        }
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
    Request::Call { service: "echo".into(), method: "echo".into(), deadline_ms: 1000, own_deadline: false }
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
    assert_eq!(error.code(), Some(Code::Damaged.to_string()));
    // A defect in the host is this client's failure and nobody else's.
    let error = bench.client().ask::<Value>(&Request::List).unwrap_err();
    assert_eq!((error.exit(), error.code()), (Exit::Failed, Some(Code::Defect.to_string())));
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
        let request =
            serde_json::to_vec(&Request::Stop { name: "x".into(), force: false, deadline_ms: 5000 }).unwrap();
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
fn what_a_client_asked_is_given_up_when_it_goes_away() {
    let bench = Bench::new();
    let ask = Request::Ask { topic: "a".into(), headers: Vec::new(), deadline_ms: 20_000 };
    let request = serde_json::to_vec(&ask).unwrap();
    let mut frame = (request.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&request);
    frame.extend_from_slice(&[0; 4]);
    bench.send_raw(&frame);
    bench.wait(|| bench.fake.given_up.load(Ordering::SeqCst));
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
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_follower_ends_with_the_host_and_sees_the_last_events() {
    let mut bench = Bench::new();
    let following = bench.follow();
    let conversations = bench.close();
    bench.fake.live.lock().unwrap()[0].send(event(1)).unwrap();
    bench.fake.live.lock().unwrap().clear();
    bench.finish(conversations);
    let (seen, done) = following.join().unwrap();
    done.unwrap();
    assert_eq!(seen, [1]);
}

#[test]
fn a_follower_that_does_not_keep_up_is_told_that_it_missed_something() {
    let bench = Bench::new();
    let following = bench.follow();
    // The host lets it go, and goes on.
    bench.fake.live.lock().unwrap().clear();
    let error = following.join().unwrap().1.unwrap_err();
    assert_eq!(error.exit(), Exit::Failed);
    assert!(error.to_string().contains("missed"), "{error}");
}

#[test]
fn followers_leave_room_for_commands() {
    let bench = Bench::new();
    let following: Vec<_> = (0..FOLLOWERS).map(|_| bench.follow()).collect();
    let error = bench.follow().join().unwrap().1.unwrap_err();
    assert_eq!(error.exit(), Exit::Refused);
    assert_eq!(bench.client().ask::<u32>(&Request::Ping).unwrap(), 7);
    drop(bench);
    following.into_iter().for_each(|following| drop(following.join()));
}

#[test]
fn an_answer_that_is_too_long_is_a_failure_and_no_broken_connection() {
    let error = Bench::new().client().ask::<Value>(&Request::History { name: "x".into() }).unwrap_err();
    assert_eq!(error.exit(), Exit::Failed);
    assert!(error.to_string().contains("longer than the limit"), "{error}");
}

#[test]
fn who_asked_before_the_end_is_answered_and_who_comes_later_finds_nobody() {
    let mut bench = Bench::new();
    let asking = bench.ask_slowly(Duration::from_millis(800));
    let conversations = bench.close();
    let error = bench.client().ask::<Value>(&Request::Ping).unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable, "{error}");
    bench.finish(conversations);
    asking.join().unwrap().unwrap();
}

#[test]
fn an_answer_that_does_not_come_is_said_not_to_come() {
    let mut bench = Bench::new();
    let asking = bench.ask_slowly(Duration::from_secs(20));
    let conversations = bench.close();
    assert!(bench.finish(conversations) < Duration::from_secs(5));
    let error = asking.join().unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Failed(_)), "{error}");
    assert_eq!(error.exit(), Exit::TimedOut);
    bench.runtime.shutdown_background();
}

#[test]
fn who_asks_nothing_does_not_hold_up_the_end() {
    let mut bench = Bench::new();
    let idle = bench.runtime.block_on(Endpoint::find(bench.home.path()).unwrap().connect()).unwrap();
    // It was let in when one who came later was.
    assert_eq!(bench.client().ask::<u32>(&Request::Ping).unwrap(), 7);
    let conversations = bench.close();
    assert!(bench.finish(conversations) < Duration::from_secs(1));
    drop(idle);
}

#[test]
fn what_is_longer_than_any_message_is_passed_in_pieces() {
    let bench = Bench::new();
    let import = Request::Import { name: "x".into(), plain: None };
    let len = MAX_BODY as u64 + 1;
    let sent: u64 = bench.client().stream(&import, &mut std::io::repeat(b'.').take(len)).unwrap();
    assert_eq!(sent, len);
    // What is refused early is told early, and not sent to its end.
    let endless = bench.client().stream::<u64>(&import, &mut std::io::repeat(b'!'));
    assert!(
        matches!(&endless, Err(ClientError::Failed(failure)) if failure.exit == Exit::Refused),
        "{endless:?}"
    );
}
