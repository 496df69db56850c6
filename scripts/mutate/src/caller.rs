//! Who calls the healthy plugin meanwhile, without a pause that anyone would notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use hotbay::control::client::Client;
use hotbay::control::protocol::Request;

use crate::served::HEALTHY;

/// Between two calls: the host's processors are for the files.
const REST: Duration = Duration::from_millis(2);

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) late: u64,
    pub(crate) longest: Duration,
    /// The first that went wrong, in words.
    pub(crate) complaints: Vec<String>,
}

/// The thread that calls; it ends with [`Caller::end`].
pub(crate) struct Caller {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Calls>,
}

impl Caller {
    /// Calls from now on. A call that takes longer than `limit` is late.
    pub(crate) fn begin(client: &Client, limit: Duration) -> Result<Self> {
        let (client, end) = (client.clone(), Arc::<AtomicBool>::default());
        let ended = Arc::clone(&end);
        let body = move || {
            let mut calls = Calls::default();
            while !ended.load(Ordering::Relaxed) {
                call(&client, limit, &mut calls);
                std::thread::park_timeout(REST);
            }
            calls
        };
        let thread = std::thread::Builder::new().name("caller".to_owned()).spawn(body)?;
        Ok(Self { end, thread })
    }

    pub(crate) fn end(self) -> Result<Calls> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the caller broke down"))
    }
}

fn call(client: &Client, limit: Duration, calls: &mut Calls) {
    let sent = format!("call {}", calls.answered + calls.failed);
    let request = Request::Call {
        service: HEALTHY.to_owned(),
        method: "echo".to_owned(),
        deadline_ms: 10_000,
        own_deadline: false,
    };
    let begun = Instant::now();
    let answer = client.pass(&request, sent.as_bytes());
    let took = begun.elapsed();
    calls.longest = calls.longest.max(took);
    let wrong = match answer {
        Ok(reply) if reply == sent.as_bytes() => {
            calls.answered += 1;
            if took <= limit {
                return;
            }
            calls.late += 1;
            format!("`{sent}` was answered after {} ms", took.as_millis())
        }
        Ok(reply) => {
            calls.failed += 1;
            format!("`{sent}` was answered `{}`", String::from_utf8_lossy(&reply))
        }
        Err(error) => {
            calls.failed += 1;
            format!("`{sent}` was not answered: {error}")
        }
    };
    if calls.complaints.len() < 5 {
        calls.complaints.push(wrong);
    }
}
