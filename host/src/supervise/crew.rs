//! The crew: threads for operations, of which some have always begun already.
//!
//! Where a plugin keeps the system's loader for itself, on glibc no thread begins any more (`kernel/settle` says why). What
//! needs no loader (a snapshot, a stop) goes on, on those that have begun.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::kernel::settle::settle_to_wait;
use crate::os;

/// So many wait for work at any time.
const READY: usize = 2;

/// So many may: while one of them works there are enough, and nobody's operation waits until a thread was started.
const KEPT: usize = READY + 1;

type Work = Box<dyn FnOnce() + Send>;

/// Ends its threads when it is dropped, each after its work.
#[derive(Debug)]
pub(super) struct Crew(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    work: VecDeque<Work>,
    // Started, and not seen to run.
    unborn: usize,
    idle: usize,
    busy: usize,
    closed: bool,
}

impl Crew {
    /// Threads that cannot be had now are tried for with each work.
    pub(super) fn gather() -> Self {
        let crew = Self(Arc::default());
        let _ = crew.fill_up(crew.0.lock(), KEPT);
        crew
    }

    /// Has a thread do it: one that has begun, when there is one that is free; else the first that is. The error is that there
    /// are none, and none to be had; nothing is done then.
    pub(super) fn run(&self, work: Work) -> io::Result<()> {
        let mut queue = self.0.lock();
        queue.work.push_back(work);
        self.0.changed.notify_one();
        let filled = self.fill_up(queue, READY);
        let mut queue = self.0.lock();
        if filled.is_err() && queue.unborn + queue.idle + queue.busy == 0 {
            queue.work.pop_back();
            return filled;
        }
        Ok(())
    }

    /// Starts threads until so many are free when all work is taken.
    fn fill_up<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, wanted: usize) -> io::Result<()> {
        while queue.unborn + queue.idle < queue.work.len() + wanted {
            let shared = Arc::clone(&self.0);
            os::spawn("operation", move || shared.serve())?;
            queue.unborn += 1;
        }
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn serve(&self) {
        settle_to_wait();
        let mut queue = self.lock();
        queue.unborn = queue.unborn.saturating_sub(1);
        loop {
            if let Some(work) = queue.work.pop_front() {
                queue.busy += 1;
                drop(queue);
                // It catches its own panics: its report has to come.
                work();
                queue = self.lock();
                queue.busy -= 1;
            } else if queue.closed || queue.idle >= KEPT {
                return;
            } else {
                queue.idle += 1;
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::linked::LONG;

    #[test]
    fn work_is_done_beside_work_that_hangs() {
        let crew = Crew::gather();
        let (send, done) = mpsc::channel();
        let hung: Vec<_> = (0..5)
            .map(|_| {
                let (release, wait) = mpsc::channel::<()>();
                crew.run(Box::new(move || _ = wait.recv())).unwrap();
                release
            })
            .collect();
        crew.run(Box::new(move || send.send(()).unwrap())).unwrap();
        done.recv_timeout(LONG).unwrap();
        drop(hung);
    }

    #[test]
    fn few_wait_when_much_was_done() {
        let crew = Crew::gather();
        let (send, done) = mpsc::channel();
        for _ in 0..50 {
            let send = send.clone();
            crew.run(Box::new(move || send.send(()).unwrap())).unwrap();
        }
        (0..50).for_each(|_| done.recv_timeout(LONG).unwrap());
        crate::kernel::patience::look_until(
            LONG,
            std::time::Duration::from_millis(1),
            std::time::Duration::from_millis(10),
            || {
                let queue = crew.0.lock();
                (queue.unborn + queue.busy == 0 && (READY..=KEPT).contains(&queue.idle)).then_some(())
            },
        )
        .unwrap();
    }
}
