//! One pinned thread that calls without a pause, and notes what took long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hotbay::Handle;

use crate::ours::answered;
use crate::pin;

/// Calls that are shorter are not noted.
const LONG: Duration = Duration::from_nanos(300);

/// So many are noted at once.
const NOTES: usize = 1 << 16;

/// The thread; it ends with this value.
#[derive(Debug)]
pub(crate) struct Caller {
    begin: Sender<()>,
    called: Receiver<()>,
    changed: Receiver<()>,
    end: Arc<AtomicBool>,
    seen: Receiver<Seen>,
}

/// What it saw between a begin and an end.
#[derive(Debug)]
pub(crate) struct Seen {
    /// When another version answered for the first time.
    pub(crate) changed: Option<Instant>,
    long: Vec<Call>,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    ended: Instant,
    took: Duration,
}

impl Caller {
    pub(crate) fn of(handle: Handle) -> Result<Self> {
        let (begin, begun) = mpsc::channel();
        let (first, called) = mpsc::channel();
        let (other, changed) = mpsc::channel();
        let (send, seen) = mpsc::channel();
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        std::thread::Builder::new().name("caller".to_owned()).spawn(move || {
            pin::to(0);
            // Written to before anything is measured.
            let mut notes = vec![Call { ended: Instant::now(), took: LONG }; NOTES];
            while begun.recv().is_ok() {
                notes.clear();
                let changed = call_until(&told, &handle, &first, &other, &mut notes);
                if send.send(Seen { changed, long: notes.clone() }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { begin, called, changed, end, seen })
    }

    /// Lets it call, and waits until it does.
    pub(crate) fn begin(&self) -> Result<()> {
        // Of the time before, which nobody waited for.
        self.changed.try_iter().for_each(drop);
        self.end.store(false, Ordering::Release);
        self.begin.send(()).context("the caller has ended: a call failed")?;
        self.called.recv().context("the caller has ended: a call failed")
    }

    /// Waits until another version has answered.
    pub(crate) fn until_changed(&self, deadline: Duration) -> Result<()> {
        self.changed.recv_timeout(deadline).context("waited for an answer of the other version in vain")
    }

    /// Lets it stop.
    pub(crate) fn end(&self) -> Result<Seen> {
        self.end.store(true, Ordering::Release);
        self.seen.recv().context("the caller has ended: a call failed")
    }
}

fn call_until(
    end: &AtomicBool,
    handle: &Handle,
    first: &Sender<()>,
    other: &Sender<()>,
    notes: &mut Vec<Call>,
) -> Option<Instant> {
    let (mut reply, mut version, mut changed) = (Vec::with_capacity(8), None, None);
    let mut before = Instant::now();
    loop {
        // Looked at before the call: also a caller that was not scheduled during the whole swap calls once after it.
        let last = end.load(Ordering::Acquire);
        reply.clear();
        answered(handle.call("version", b"", &mut reply));
        let ended = Instant::now();
        let took = ended - before;
        before = ended;
        if took > LONG && notes.len() < NOTES {
            notes.push(Call { ended, took });
        }
        let now = reply.first().copied();
        if version.is_none() {
            version = Some(now);
            // Whoever does not wait for it any more does not ask for what was seen, either.
            let _ = first.send(());
        } else if version != Some(now) && changed.is_none() {
            changed = Some(ended);
            let _ = other.send(());
        }
        if last {
            return changed;
        }
    }
}

impl Seen {
    /// The longest call that was under way in a window.
    pub(crate) fn worst(&self, from: Instant, until: Instant) -> Duration {
        let in_it = self.long.iter().filter(|call| call.ended >= from && call.ended - call.took <= until);
        in_it.map(|call| call.took).max().unwrap_or(LONG)
    }
}
