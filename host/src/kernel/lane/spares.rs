//! Spare threads: begun before a lane wants one, so that nobody's first answer waits until a thread was started.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use crate::kernel::settle::settle_to_wait;
use crate::os;

/// So many wait. One service is replaced at a time, as a rule.
const KEPT: usize = 1;

type Body = Box<dyn FnOnce() + Send>;

/// Threads that have begun and wait for their work. They end with this value.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<Vec<Spare>>);

#[derive(Debug)]
struct Spare {
    /// Its name from then on, and what it does until it ends.
    work: mpsc::Sender<(String, Body)>,
    thread: JoinHandle<()>,
}

impl Spares {
    /// Begins those that are missing. Such as cannot be had now are tried for the next time.
    pub(crate) fn fill(&self) {
        while self.lock().len() < KEPT {
            let Ok(spare) = Spare::begin() else { return };
            self.lock().push(spare);
        }
    }

    /// Has a thread that has begun do it, where one waits, or starts one.
    pub(super) fn spawn(
        &self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let waits = self.lock().pop();
        let Some(Spare { work, thread }) = waits else { return os::spawn(name, body) };
        match work.send((name.to_owned(), Box::new(body))) {
            Ok(()) => Ok(thread),
            Err(mpsc::SendError((name, body))) => os::spawn(&name, body),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Spare>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spare {
    fn begin() -> io::Result<Self> {
        let (work, given) = mpsc::channel::<(String, Body)>();
        let thread = os::spawn("spare", move || {
            settle_to_wait();
            // Else the host has ended.
            if let Ok((name, body)) = given.recv() {
                os::name_thread(&name);
                body();
            }
        })?;
        Ok(Self { work, thread })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::linked::LONG;

    /// As the system shows it. Elsewhere than on Linux nobody can ask by a file.
    fn name_of_this() -> String {
        std::fs::read_to_string("/proc/thread-self/comm").unwrap_or_default().trim().to_owned()
    }

    #[test]
    fn a_thread_that_waits_is_taken_once_and_bears_its_new_name() {
        let spares = Spares::default();
        spares.fill();
        let waiting = spares.lock()[0].thread.thread().id();
        let (send, came) = mpsc::channel();
        let run = |name: &str| {
            let send = send.clone();
            let body = move || send.send((thread::current().id(), name_of_this())).unwrap();
            spares.spawn(name, body).unwrap().join().unwrap();
            came.recv_timeout(LONG).unwrap()
        };
        let (first, second) = (run("lane-one"), run("lane-two"));
        assert!(first.0 == waiting && second.0 != waiting && spares.lock().is_empty());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!((&*first.1, &*second.1), ("lane-one", "lane-two"));
        spares.fill();
        assert_eq!(spares.lock().len(), KEPT);
    }
}
