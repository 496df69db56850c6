//! What a request is measured against: a tokio actor on a thread of its own, asked from outside of its runtime.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, oneshot};

use crate::limits::REQUEST;
use crate::rounds::{Row, timed};

/// As many as wait in a mailbox of ours.
const MAILBOX: usize = 1024;

struct Ask {
    request: Vec<u8>,
    reply: oneshot::Sender<Vec<u8>>,
}

/// Starts the actor. Its thread ends with the process.
pub(crate) fn row() -> Result<Row> {
    let (send, mut asked) = mpsc::channel::<Ask>(MAILBOX);
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().context("failed to make a runtime")?;
    std::thread::Builder::new().name("actor".to_owned()).spawn(move || {
        let count = AtomicU64::new(0);
        runtime.block_on(async {
            while let Some(Ask { request, reply }) = asked.recv().await {
                black_box(&request);
                // Whoever asked waits.
                let _ = reply.send(count.fetch_add(1, Ordering::Relaxed).to_le_bytes().to_vec());
            }
        });
    })?;
    Ok(Row::new("actor", move |calls| {
        timed(calls, || {
            let (reply, answer) = oneshot::channel();
            let ask = Ask { request: black_box(REQUEST).to_vec(), reply };
            let answered = send.blocking_send(ask).is_ok().then(|| answer.blocking_recv());
            let Some(Ok(answer)) = answered else { unreachable!("the actor lives as long as the process") };
            black_box(answer);
        })
    }))
}
