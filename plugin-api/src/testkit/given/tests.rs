use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::abi::Status;
use crate::prelude::*;
use crate::testkit::TestHost;

/// Ended threads and ticks, of a thread that outlives the plugin's value.
#[derive(Default)]
struct Counts {
    ended: AtomicU64,
    ticks: AtomicU64,
}

struct Given {
    context: Context,
    counts: Arc<Counts>,
}

impl Plugin for Given {
    fn create(context: Context) -> Result<Self> {
        Ok(Self { context, counts: Arc::default() })
    }

    fn start(&self) -> Result<()> {
        let counts = Arc::clone(&self.counts);
        self.context.spawn("waits", move |stop| {
            while !stop.wait(Duration::from_secs(60)) {}
            counts.ended.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })?;
        let counts = Arc::clone(&self.counts);
        self.context.every(Duration::from_secs(3600), move || {
            counts.ticks.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })?;
        let later = Outgoing::new("given.later", b"now");
        self.context.publish_after(Duration::from_secs(3600), &later)?;
        Ok(())
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "ticks" => reply.json(&self.counts.ticks.load(Ordering::SeqCst)),
            "fail" => {
                self.context.after(Duration::ZERO, || Err(Error::msg("tick as told")))?;
                Ok(())
            }
            "cancel" => {
                let held = Arc::clone(&self.counts);
                let timer = self.context.after(Duration::ZERO, move || {
                    held.ticks.fetch_add(100, Ordering::SeqCst);
                    Ok(())
                })?;
                reply.json(&[timer.cancel(), timer.cancel()])?;
                assert_eq!(Arc::strong_count(&self.counts), 3, "what it held was given back");
                Ok(())
            }
            "join" => {
                let thread = self.context.spawn("joined", |stop| {
                    assert!(stop.wait(Duration::from_secs(60)));
                    panic!("as told");
                })?;
                assert!(!thread.join(Duration::ZERO));
                thread.stop();
                reply.json(&thread.join(Duration::from_secs(60)))
            }
            "ask" => {
                let answer = self.context.http().post(request.text()?).body("hello").send()?;
                reply.json(&(answer.status, answer.text()?))
            }
            _ => Err(request.unknown_method()),
        }
    }
}

crate::export_plugin!(Given { name: "given", methods: &["ticks", "fail", "cancel", "join", "ask"] });

#[test]
fn timers_tick_when_the_test_says_and_threads_end_with_the_plugin() {
    let given = TestHost::new().start::<Given>().unwrap();
    assert_eq!(given.timers(), 2);
    given.tick().unwrap();
    assert_eq!((given.timers(), given.published().len()), (1, 1), "what is to be done once is done once");
    given.tick().unwrap();
    assert_eq!(given.call("ticks", b"").unwrap(), b"2");
    given.call("fail", b"").unwrap();
    assert_eq!(given.tick().unwrap_err().message(), "tick as told");
    assert_eq!(given.call("cancel", b"").unwrap(), b"[true,false]");
    // Its thread holds the test up until it is told to end.
    drop(given);
}

#[test]
fn a_thread_is_told_to_end_and_its_panic_is_in_the_log() {
    let given = TestHost::new().start::<Given>().unwrap();
    assert_eq!(given.call("join", b"").unwrap(), b"true");
    assert!(given.log().iter().any(|line| line.contains("as told")), "{:?}", given.log());
}

#[test]
fn the_test_answers_for_the_outside() {
    let host = TestHost::new().with_http(|method, url, body| {
        assert_eq!((method, url, body), ("POST", "https://a.b/c", b"hello".as_slice()));
        Ok((201, b"made".to_vec()))
    });
    let given = host.start::<Given>().unwrap();
    assert_eq!(given.call("ask", b"https://a.b/c").unwrap(), br#"[201,"made"]"#);
    let error = TestHost::new().start::<Given>().unwrap().call("ask", b"https://a.b/c").unwrap_err();
    // What a plugin passes on of its host's is a status of its own.
    assert_eq!(
        (error.status(), error.message()),
        (Status::REFUSED, "ask https://a.b/c: give the test host `with_http`")
    );
}
