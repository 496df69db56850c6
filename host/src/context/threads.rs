//! Threads that the host starts for a plugin: it knows of each, tells them to end, and waits for them before the library goes.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Status;

use super::Ends;
use crate::ffi::Answer;
use crate::kernel::alarm::Alarm;
use crate::kernel::lane::join_all;
use crate::kernel::settle::settle;
use crate::os;

/// A plugin that starts threads without end must not eat the host's.
const MOST: usize = 64;
/// What fits into a line, and more than systems show.
const LONGEST_NAME: usize = 64;

/// The threads of one generation.
#[derive(Debug)]
pub(crate) struct Threads {
    plugin: Arc<str>,
    generation: u64,
    // Who is told of panics. A probe has none.
    alarm: OnceLock<Arc<Alarm>>,
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    // Whether more may begin.
    open: bool,
    count: u64,
    threads: BTreeMap<u64, Entry>,
    ends: Ends,
}

#[derive(Debug)]
struct Entry {
    name: String,
    // Whether it handles a stream. How many do is limited elsewhere.
    is_of_stream: bool,
    // The system's; 0 until it runs.
    id: u64,
    stopping: bool,
    // Its body is over; destructors of its thread-locals may run.
    ended: bool,
    // Those did not end in time: nobody can tell any more when they do.
    is_dying: bool,
    // None when somebody waits for them.
    handle: Option<JoinHandle<()>>,
}

impl Threads {
    pub(crate) fn new(plugin: &Arc<str>, generation: u64) -> Arc<Self> {
        let (alarm, inside, changed) = (OnceLock::new(), Mutex::default(), Condvar::new());
        Arc::new(Self { plugin: Arc::clone(plugin), generation, alarm, inside, changed })
    }

    /// Tells this alarm of panics.
    pub(crate) fn tell(&self, alarm: &Arc<Alarm>) {
        let _ = self.alarm.set(Arc::clone(alarm));
    }

    /// From here on threads may begin.
    pub(crate) fn open(&self) {
        self.inside().open = true;
    }

    /// No more begin, and those there are, are told to end.
    pub(crate) fn tell_to_end(&self) {
        let mut inside = self.inside();
        inside.open = false;
        inside.threads.values_mut().for_each(|entry| entry.stopping = true);
        let is_anybody_there = !inside.threads.is_empty();
        drop(inside);
        // Callers may wait for the stop, and to wake nobody is a call of the system as well.
        if is_anybody_there {
            self.changed.notify_all();
        }
    }

    /// Starts a thread. Where this fails, `body` was not called. It does not panic once the thread has begun: what `body` has is then
    /// the thread's.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        name: &str,
        body: impl FnOnce(u64) -> Answer + Send + 'static,
    ) -> Result<u64, (Status, String)> {
        self.reap();
        self.begin(name, false, body)
    }

    /// The same for a thread that handles a stream. Who opened that waits for no destructor of the plugin's: such as have ended are
    /// waited for by the thread itself.
    pub(crate) fn spawn_for_stream(
        self: &Arc<Self>,
        name: &str,
        body: impl FnOnce(u64) -> Answer + Send + 'static,
    ) -> Result<u64, (Status, String)> {
        let threads = Arc::clone(self);
        self.begin(name, true, move |number| {
            threads.reap();
            body(number)
        })
    }

    fn begin(
        self: &Arc<Self>,
        name: &str,
        is_of_stream: bool,
        body: impl FnOnce(u64) -> Answer + Send + 'static,
    ) -> Result<u64, (Status, String)> {
        let refused = |why: &str| Err((Status::REFUSED, format!("start thread `{name}`: {why}")));
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
            return refused("a name is of 1 to 64 bytes, none of them 0");
        }
        let mut inside = self.inside();
        if !inside.open {
            return refused("the plugin is not started, or is being stopped");
        }
        if !is_of_stream && inside.threads.values().filter(|entry| !entry.is_of_stream).count() >= MOST {
            return refused(&format!("the plugin has {MOST} threads, which is the most"));
        }
        inside.count += 1;
        let (number, threads) = (inside.count, Arc::clone(self));
        // It waits for what is noted here.
        let handle = os::spawn(name, move || threads.run(number, body));
        let handle = handle.map_err(|e| (Status::FAILED, format!("start thread `{name}`: {e}")))?;
        let (name, handle) = (name.to_owned(), Some(handle));
        let entry =
            Entry { name, is_of_stream, id: 0, stopping: false, ended: false, is_dying: false, handle };
        inside.threads.insert(number, entry);
        Ok(number)
    }

    fn run(&self, number: u64, body: impl FnOnce(u64) -> Answer) {
        settle();
        let mut name = String::new();
        if let Some(entry) = self.inside().threads.get_mut(&number) {
            entry.id = os::current_id();
            name.clone_from(&entry.name);
        }
        let answer = body(number);
        let (plugin, generation) = (&self.plugin, self.generation);
        match &answer {
            Ok(()) => {}
            Err((Status::PANICKED, error)) => {
                tracing::error!(%plugin, generation, thread = name, error, "a thread of the plugin panicked");
            }
            Err((_, error)) => {
                tracing::warn!(%plugin, generation, thread = name, error, "a thread of the plugin failed");
            }
        }
        let mut inside = self.inside();
        inside.ends.note(&answer);
        if let Some(entry) = inside.threads.get_mut(&number) {
            entry.ended = true;
        }
        drop(inside);
        if let (Err((Status::PANICKED, _)), Some(alarm)) = (&answer, self.alarm.get()) {
            alarm.fault(true);
        }
        self.changed.notify_all();
    }

    /// Whether a thread is to end. One that is not known has.
    pub(crate) fn is_stopping(&self, number: u64) -> bool {
        self.inside().is_stopping(number)
    }

    /// Waits until a thread is to end, `time` at most; whether it is.
    pub(crate) fn wait(&self, number: u64, time: Duration) -> bool {
        self.wait_for(time, |inside| inside.is_stopping(number))
    }

    /// Tells one thread to end.
    pub(crate) fn stop(&self, number: u64) {
        if let Some(entry) = self.inside().threads.get_mut(&number) {
            entry.stopping = true;
        }
        self.changed.notify_all();
    }

    /// Waits until the body of a thread has ended, `time` at most; whether it has.
    pub(crate) fn join(&self, number: u64, time: Duration) -> bool {
        self.wait_for(time, |inside| inside.threads.get(&number).is_none_or(|entry| entry.ended))
    }

    /// Waits until all have ended, destructors of their thread-locals included. Those that have not by then.
    pub(crate) fn join_all(&self, deadline: Duration) -> Vec<os::Thread> {
        let begun = Instant::now();
        self.wait_for(deadline, |inside| inside.threads.values().all(|entry| entry.ended));
        let handles = {
            let mut inside = self.inside();
            let ended = inside.threads.values_mut().filter(|entry| entry.ended);
            ended.filter_map(|entry| entry.handle.take()).collect()
        };
        let left = join_all(handles, deadline.saturating_sub(begun.elapsed()));
        let mut inside = self.inside();
        let all = left.count == 0;
        for entry in inside.threads.values_mut().filter(|entry| entry.ended && entry.handle.is_none()) {
            entry.is_dying |= !all;
        }
        inside.threads.retain(|_, entry| !entry.ended || entry.is_dying || entry.handle.is_some());
        inside.threads.values().map(|entry| os::Thread { id: entry.id, name: entry.name.clone() }).collect()
    }

    /// Whether there are any, or something of them is left.
    pub(crate) fn are_any(&self) -> bool {
        !self.inside().threads.is_empty()
    }

    /// The names of those there are, and how others ended.
    pub(crate) fn view(&self) -> (Vec<String>, Ends) {
        let inside = self.inside();
        let running = inside.threads.values().filter(|entry| !entry.ended);
        (running.map(|entry| entry.name.clone()).collect(), inside.ends)
    }

    /// Forgets such as have ended. Their destructors are waited for: by the plugin, whose they are.
    fn reap(&self) {
        let ended: Vec<Entry> = {
            let mut inside = self.inside();
            let is_over = |entry: &Entry| entry.ended && entry.handle.is_some();
            let over: Vec<u64> = inside
                .threads
                .iter()
                .filter(|(_, entry)| is_over(entry))
                .map(|(number, _)| *number)
                .collect();
            over.iter().filter_map(|number| inside.threads.remove(number)).collect()
        };
        for handle in ended.into_iter().filter_map(|entry| entry.handle) {
            let _ = handle.join();
        }
    }

    fn wait_for(&self, time: Duration, done: impl Fn(&Inside) -> bool) -> bool {
        // A time that no clock can hold is for ever.
        let until = Instant::now().checked_add(time);
        let mut inside = self.inside();
        while !done(&inside) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            let left = left.unwrap_or(Duration::from_secs(3600));
            inside = self.changed.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn is_stopping(&self, number: u64) -> bool {
        self.threads.get(&number).is_none_or(|entry| entry.stopping)
    }
}
