//! A client that gives a service no rest: several threads that call it, one call after the other.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bay::Bay;

/// What the client has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// How many calls had each reply.
    pub(crate) replies: BTreeMap<String, u64>,
    /// Calls that failed, in the words of the command line.
    pub(crate) failures: Vec<String>,
    /// The longest call, from the start of the command to its end.
    pub(crate) longest: Duration,
}

impl Tally {
    /// Calls that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.replies.values().sum()
    }
}

/// Threads that call `echo.handle` until told to end.
#[derive(Debug)]
pub(crate) struct Client {
    tally: Arc<Mutex<Tally>>,
    done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Client {
    /// Begins to call.
    pub(crate) fn start(bay: &Bay<'_>, threads: usize) -> Self {
        let (tally, done) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let threads = (0..threads).map(|_| {
            let command = bay.command(&["call", "echo.handle", "-d", "\"hello\""]);
            let (tally, done) = (Arc::clone(&tally), Arc::clone(&done));
            std::thread::spawn(move || hammer(command, &tally, &done))
        });
        Self { threads: threads.collect(), tally, done }
    }

    /// Waits for `more` answers from now on; gives up at the first failed call.
    pub(crate) fn wait_for(&self, more: u64) -> Result<()> {
        let (begun, goal) = (Instant::now(), self.tally().answered() + more);
        loop {
            let tally = self.tally();
            if let Some(failure) = tally.failures.first() {
                bail!("a call failed: {failure}");
            }
            if tally.answered() >= goal {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(60) {
                bail!("the client is not answered any more");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends when the calls under way are answered.
    pub(crate) fn stop(mut self) -> Tally {
        self.join();
        self.tally()
    }

    /// What was seen so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn join(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.join();
    }
}

fn hammer(mut command: Command, tally: &Mutex<Tally>, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let output = command.output();
        let took = begun.elapsed();
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.longest = tally.longest.max(took);
        match output {
            Ok(output) if output.status.success() => {
                *tally.replies.entry(String::from_utf8_lossy(&output.stdout).into_owned()).or_default() += 1;
            }
            Ok(output) => tally.failures.push(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => tally.failures.push(error.to_string()),
        }
    }
}
