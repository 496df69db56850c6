//! The threads of this process: which are the host's own, and which began since a moment.
//!
//! Linux and Windows tell of each thread when it began. macOS tells no times, and there thread-locals keep a library mapped
//! whatever threads do (`verify::Mark`): nobody to look for.

use std::io;
use std::thread::{Builder, JoinHandle};

/// A thread, as the system shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Thread {
    pub(crate) id: u64,
    pub(crate) name: String,
}

/// A moment on the clock that threads' beginnings are told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(super) u64);

/// Starts a thread of the host's own, as all of its threads are: who looks for a plugin's must be able to tell them apart.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        claim();
        body()
    })
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::collections::BTreeSet;
    use std::io::Read as _;
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use super::{Moment, Thread, io};

    /// When that many are noted, those that ended are forgotten.
    const MANY: usize = 256;

    /// Threads of the host's own. With the moment at which they began: a system uses the ids of ended threads again.
    static OURS: Mutex<BTreeSet<(u64, Moment)>> = Mutex::new(BTreeSet::new());

    /// Notes that this thread is the host's own.
    pub(crate) fn claim() {
        // Begun on the way of every swap, so in one read: a line of numbers is shorter than this.
        let mut stat = [0; 1024];
        let read = std::fs::File::open("/proc/thread-self/stat").and_then(|mut file| file.read(&mut stat));
        let Some(began) = read.ok().and_then(|len| began(&stat[..len])) else { return };
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        if ours.len() >= MANY {
            ours.retain(|(id, _)| Path::new(&format!("/proc/self/task/{id}")).exists());
        }
        ours.insert((current_id(), began));
    }

    /// Gives this thread another name: what the system shows of it, at most 15 bytes.
    pub(crate) fn name_thread(name: &str) {
        if let Ok(name) = std::ffi::CString::new(name) {
            let _ = rustix::thread::set_name(&name);
        }
    }

    /// The system's id of this thread.
    pub(crate) fn current_id() -> u64 {
        u64::from(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs())
    }

    /// Now, in ticks since the system came up: what `/proc` tells beginnings in.
    pub(crate) fn moment() -> Moment {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
        let rate = rustix::param::clock_ticks_per_second().max(1);
        Moment(seconds * rate + nanos * rate / 1_000_000_000)
    }

    /// Threads that began since and are not the host's own. One that began in the same tick just before is among them.
    pub(crate) fn strangers_since(moment: Moment) -> io::Result<Vec<Thread>> {
        let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut strangers = Vec::new();
        for task in std::fs::read_dir("/proc/self/task")? {
            let task = task?;
            let Some(id) = task.file_name().to_str().and_then(|id| id.parse::<u64>().ok()) else { continue };
            // One that is gone by now is no stranger any more.
            let Ok(stat) = std::fs::read(task.path().join("stat")) else { continue };
            if began(&stat).is_some_and(|began| began >= moment && !ours.contains(&(id, began))) {
                let name = std::fs::read(task.path().join("comm")).unwrap_or_default();
                strangers.push(Thread { id, name: String::from_utf8_lossy(&name).trim().to_owned() });
            }
        }
        strangers.sort();
        Ok(strangers)
    }

    /// The 22nd field; the name before it, in parentheses, may hold anything.
    fn began(stat: &[u8]) -> Option<Moment> {
        let stat = String::from_utf8_lossy(stat);
        let fields = stat.rsplit_once(") ")?.1;
        fields.split(' ').nth(19)?.parse().ok().map(Moment)
    }

    /// Waits until no thread of this process is so young that it may not have come to its own code yet; false when one
    /// still is at the deadline.
    ///
    /// A thread of a plugin pins the plugin's library by itself, but only once it runs: one that was started and had no
    /// turn yet would wake up in code that is gone. Young is who is ready to run and was not yet seen running by one tick
    /// of the clock.
    pub(crate) fn threads_have_begun(deadline: std::time::Duration) -> bool {
        let is_young = |task: &std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // The name comes before, in parentheses; then the state, and as the 12th and 13th the ticks in user and
            // system mode.
            let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
            fields.next() == Some("R") && fields.nth(10) == Some("0") && fields.next() == Some("0")
        };
        let begun = std::time::Instant::now();
        let mine = current_id().to_string();
        loop {
            let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return true };
            let others = tasks.flatten().filter(|task| *task.file_name() != *mine.as_str());
            if !others.into_iter().any(|task| is_young(&task)) {
                return true;
            }
            if begun.elapsed() >= deadline {
                return false;
            }
            std::thread::park_timeout(std::time::Duration::from_micros(200));
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::{claim, current_id, moment, name_thread, strangers_since, threads_have_begun};

#[cfg(windows)]
pub(crate) use super::windows::inside::is_inhabited;
#[cfg(windows)]
pub(crate) use super::windows::threads::{claim, current_id, moment, name_thread, strangers_since};

/// Whether a thread runs the code of the library that has something at this address, and would go on in nothing if that was
/// closed. Windows alone is asked: elsewhere a thread of Rust's keeps its library mapped.
#[cfg(not(windows))]
pub(crate) fn is_inhabited(_: usize) -> bool {
    false
}

/// Windows: a thread has its first address from its beginning, also while it waits for its first turn. macOS: whether one
/// has begun cannot be seen from outside.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn threads_have_begun(_: std::time::Duration) -> bool {
    true
}

#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
mod elsewhere {
    use super::{Moment, Thread, io};

    /// Nobody asks whose a thread is where threads tell no beginning.
    pub(crate) fn claim() {}

    pub(crate) fn moment() -> Moment {
        Moment(0)
    }

    /// Gives this thread another name. What macOS takes is 63 bytes; elsewhere it keeps the one that it began with.
    pub(crate) fn name_thread(name: &str) {
        #[cfg(target_vendor = "apple")]
        if let Ok(name) = std::ffi::CString::new(&name.as_bytes()[..name.len().min(63)]) {
            // SAFETY: O25: the string ends in zero, and lives over the call, which copies it.
            let _ = unsafe { libc::pthread_setname_np(name.as_ptr()) };
        }
        let _ = name;
    }

    pub(crate) fn strangers_since(_: Moment) -> io::Result<Vec<Thread>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The system's id of this thread.
    #[cfg(target_vendor = "apple")]
    pub(crate) fn current_id() -> u64 {
        unsafe extern "C" {
            fn pthread_threadid_np(thread: *mut std::ffi::c_void, id: *mut u64) -> i32;
        }
        let mut id = 0;
        // SAFETY: O5: null means this thread, and `id` lives over the call, which writes to it.
        let _ = unsafe { pthread_threadid_np(std::ptr::null_mut(), &raw mut id) };
        id
    }

    /// Elsewhere there is no id that is known outside: threads are numbered as they are met.
    #[cfg(not(target_vendor = "apple"))]
    pub(crate) fn current_id() -> u64 {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        thread_local! {
            static MINE: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        MINE.with(|mine| *mine)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
pub(crate) use elsewhere::{claim, current_id, moment, name_thread, strangers_since};

#[cfg(all(test, any(target_os = "linux", target_os = "android", windows)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_began_since_is_seen_unless_it_is_ours() {
        let before = moment();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (send, began) = std::sync::mpsc::channel();
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        let body = |wait: std::sync::Arc<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>,
                    send: std::sync::mpsc::Sender<u64>| {
            move || {
                send.send(current_id()).unwrap();
                let _ = wait.lock().unwrap().recv();
            }
        };
        let stranger = std::thread::Builder::new().name("stranger".to_owned());
        let stranger = stranger.spawn(body(std::sync::Arc::clone(&wait), send.clone())).unwrap();
        let stranger_id = began.recv().unwrap();
        let ours = spawn("ours", body(wait, send)).unwrap();
        let ours_id = began.recv().unwrap();

        let seen = strangers_since(before).unwrap();
        assert!(seen.contains(&Thread { id: stranger_id, name: "stranger".to_owned() }), "{seen:?}");
        assert!(!seen.iter().any(|thread| thread.id == ours_id), "{seen:?}");
        drop(end);
        stranger.join().unwrap();
        ours.join().unwrap();
    }
}
