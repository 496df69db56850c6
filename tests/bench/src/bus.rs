//! Fan-out: one sender, four receivers on threads of their own, 64 bytes in an envelope, nothing lost.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use hotbay::Host;
use hotbay::bus::{Pattern, Subscribe};
use tokio::sync::broadcast;

use crate::rounds::{Goal, Row};

const RECEIVERS: usize = 4;
/// Messages that are sent before the sender looks whether all of them came. Each mailbox, and the ring, has room for them: nobody
/// waits for room, and the ring, which overwrites what is not read, loses nothing.
const BURST: u64 = 8192;
const PAYLOAD: [u8; 64] = [7; 64];
const TOPIC: &str = "bench.fan";
/// What does not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// As the bus has it: an id, the time, who and what about, and the bytes in the envelope itself.
struct Envelope {
    id: (u64, u64),
    time: SystemTime,
    sender: Arc<str>,
    topic: Arc<str>,
    headers: Option<Arc<[(String, String)]>>,
    causes: Option<Arc<[(u64, u64)]>>,
    payload: [u8; 64],
}

/// tokio's broadcast, and the bus.
pub(crate) fn rows(host: &Host) -> Result<Vec<Row>> {
    Ok(vec![control()?, ours(host)?.over("broadcast 1:4").goal(Goal::AtMost(1.0))])
}

/// Sends bursts until there were so many messages, each of which is waited for at each receiver.
fn bursts(messages: u64, done: &mpsc::Receiver<()>, mut send: impl FnMut()) -> Duration {
    let begun = Instant::now();
    for _ in 0..messages / BURST {
        (0..BURST).for_each(|_| send());
        for _ in 0..RECEIVERS {
            assert!(done.recv_timeout(PATIENCE).is_ok(), "a receiver lost messages");
        }
    }
    begun.elapsed()
}

/// Says so at the end of each burst.
fn count(received: &mut u64, done: &mpsc::Sender<()>) {
    *received += 1;
    if received.is_multiple_of(BURST) {
        // The bench is over when nobody listens any more.
        let _ = done.send(());
    }
}

fn control() -> Result<Row> {
    let (send, _) = broadcast::channel::<Arc<Envelope>>(usize::try_from(BURST).context("it is small")?);
    let (tell, done) = mpsc::channel();
    for _ in 0..RECEIVERS {
        let (mut receive, tell) = (send.subscribe(), tell.clone());
        thread(move || {
            let mut received = 0;
            while let Ok(envelope) = receive.blocking_recv() {
                black_box((
                    &envelope.id,
                    &envelope.time,
                    &envelope.headers,
                    &envelope.causes,
                    &envelope.payload,
                ));
                black_box((&envelope.sender, &envelope.topic));
                count(&mut received, &tell);
            }
        })?;
    }
    let (sender, topic): (Arc<str>, Arc<str>) = ("bench".into(), TOPIC.into());
    let numbers = AtomicU64::new(0);
    let row = Row::new("broadcast 1:4", move |messages| {
        bursts(messages, &done, || {
            let envelope = Envelope {
                id: (1, numbers.fetch_add(1, Ordering::Relaxed)),
                time: SystemTime::now(),
                sender: Arc::clone(&sender),
                topic: Arc::clone(&topic),
                headers: None,
                causes: None,
                payload: *black_box(&PAYLOAD),
            };
            assert!(send.send(Arc::new(envelope)).is_ok(), "the receivers are gone");
        })
    });
    Ok(row.in_steps_of(BURST))
}

fn ours(host: &Host) -> Result<Row> {
    let (tell, done) = mpsc::channel();
    for _ in 0..RECEIVERS {
        let room = usize::try_from(BURST).context("it is small")?;
        let subscribe = Subscribe::new("bench", vec![Pattern::parse(TOPIC)?]).capacity(room);
        let (subscription, tell) = (host.subscribe(subscribe)?, tell.clone());
        thread(move || {
            let (mut received, mut messages) = (0, VecDeque::new());
            while subscription.receive_all(&mut messages, Duration::MAX).is_ok() {
                for message in messages.drain(..) {
                    black_box((message.id(), message.payload(), message.topic()));
                    count(&mut received, &tell);
                }
            }
        })?;
    }
    let publisher = host.publisher("bench");
    let row = Row::new("bus 1:4", move |messages| {
        bursts(messages, &done, || {
            let published = publisher.publish(TOPIC, &black_box(&PAYLOAD)[..]);
            assert!(
                published.is_ok_and(|published| published.taken == RECEIVERS),
                "a mailbox did not take it"
            );
        })
    });
    Ok(row.in_steps_of(BURST))
}

/// They end with the process.
fn thread(body: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name("receiver".to_owned()).spawn(body)?;
    Ok(())
}
