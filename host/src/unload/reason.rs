//! Why a library is still mapped: as much as can be told, so that a person knows what to do.

use std::fmt;
use std::time::Duration;

use crate::kernel::view::{Cause, Holder, HolderKind};
use crate::os::Thread;
use crate::verify::Mark;

/// So many threads are named in a reason; all are in the data.
const NAMED: usize = 4;

/// What holds a library.
#[derive(Debug)]
pub(crate) enum Reason {
    /// Its `create` did not come back.
    CreateHangs { deadline: Duration },
    /// Calls that were inside when it was replaced have not ended.
    Calls { deadline: Duration },
    /// A callback that was given up has not come back.
    Callback,
    /// Dropping its value did not end.
    Destroy,
    /// Threads of its lane are inside.
    Lane { threads: usize },
    /// Threads that the host started for it have not ended, though they were told to. At least one.
    Told { threads: Vec<Thread>, deadline: Duration },
    /// A thread that was just started has had no turn yet.
    Unborn,
    /// A thread of another lane that went into it has not ended.
    OtherService,
    /// Its file says that it stays.
    Marked(Mark),
    /// Threads that hold it: those that run its code; where that cannot be seen, those that began while it was loaded and
    /// are not the host's; and those that called it inline. At least one.
    Threads { runs: Vec<Thread>, began: Vec<Thread>, called: Vec<Thread> },
    /// Closing it did not end: one of its destructors hangs, or another library's initialiser or destructor.
    Busy { deadline: Duration },
    /// It was closed, and is there.
    Unexplained,
    /// It was closed, and nobody can look.
    Unseen(std::io::Error),
}

impl Reason {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::CreateHangs { .. }
            | Self::Calls { .. }
            | Self::Callback
            | Self::Destroy
            | Self::Lane { .. }
            | Self::OtherService
            | Self::Busy { .. } => Cause::Inside,
            Self::Marked(_) => Cause::Marked,
            Self::Threads { runs, began, .. } if runs.is_empty() && began.is_empty() => Cause::ThreadLocal,
            Self::Threads { .. } | Self::Told { .. } | Self::Unborn => Cause::Thread,
            Self::Unexplained | Self::Unseen(_) => Cause::Unknown,
        }
    }

    pub(crate) fn holders(&self) -> Vec<Holder> {
        let (runs, began, called) = match self {
            Self::Threads { runs, began, called } => (&runs[..], &began[..], &called[..]),
            Self::Told { threads, .. } => (&threads[..], [].as_slice(), [].as_slice()),
            _ => return Vec::new(),
        };
        let kinds = [(runs, HolderKind::Runs), (began, HolderKind::Began), (called, HolderKind::Called)];
        let holder = |thread: &Thread, kind| Holder { id: thread.id, name: thread.name.clone(), kind };
        kinds.iter().flat_map(|(threads, kind)| threads.iter().map(|thread| holder(thread, *kind))).collect()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateHangs { deadline } => {
                write!(f, "its constructor did not end within {} ms", deadline.as_millis())
            }
            Self::Calls { deadline } => {
                write!(f, "calls inside it did not end within {} ms", deadline.as_millis())
            }
            Self::Callback => f.write_str("one of its callbacks has not returned"),
            Self::Destroy => f.write_str("dropping its value did not end"),
            Self::Lane { threads } => {
                write!(f, "{threads} of its threads is still inside: a callback or call hangs")
            }
            Self::Told { threads, deadline } => write!(
                f,
                "{} of it did not end within {} ms after it was told to; have it ask its stop token",
                named(threads),
                deadline.as_millis()
            ),
            Self::Unborn => {
                f.write_str("a thread that was just started has had no turn yet; it could be the plugin's")
            }
            Self::OtherService => {
                f.write_str("a thread of another service, or of another version, that went into it has not ended; it goes when that does")
            }
            Self::Busy { deadline } => write!(
                f,
                "the system's loader is busy: closing it did not end within {} ms; a destructor of it hangs, or what \
                 another library does when it is mapped or unmapped; only a restart of the host ends that",
                deadline.as_millis()
            ),
            Self::Marked(mark) => mark.fmt(f),
            Self::Threads { runs, began, called } => {
                let parts = [(runs, Part::Runs), (began, Part::Began), (called, Part::Called)];
                let parts = parts.iter().filter(|(threads, _)| !threads.is_empty());
                let parts: Vec<String> = parts.map(|(threads, part)| part.of(threads)).collect();
                f.write_str(&parts.join("; or "))
            }
            Self::Unexplained => {
                f.write_str("it left a thread running, or a thread-local on one: join its threads in `stop`")
            }
            Self::Unseen(error) => write!(f, "it was closed, and whether it is gone cannot be seen: {error}"),
        }
    }
}

/// What threads have to do with it.
enum Part {
    Runs,
    Began,
    Called,
}

impl Part {
    fn of(&self, threads: &[Thread]) -> String {
        let (named, one) = (named(threads), threads.len() == 1);
        match self {
            Self::Runs if one => format!("{named} of it still runs; end and join it in `stop`"),
            Self::Runs => format!("{named} of it still run; end and join them in `stop`"),
            Self::Began if one => {
                format!(
                    "{named} began while it was loaded and still runs; if it is the plugin's, join it in `stop`"
                )
            }
            Self::Began => {
                format!(
                    "{named} began while it was loaded and still run; if they are the plugin's, join them in `stop`"
                )
            }
            Self::Called => {
                let (holds, end) =
                    if one { ("holds", "that thread ends") } else { ("hold", "those threads end") };
                format!(
                    "{named} called it inline and still {holds} a thread-local of it, whose destructor is pending; it goes \
                     when {end}, and `request` leaves none"
                )
            }
        }
    }
}

/// ``thread 17 `worker` ``, ``threads 17 `a`, 18 `b` and 3 more``
fn named(threads: &[Thread]) -> String {
    let one = |thread: &Thread| match thread.name.as_str() {
        "" => thread.id.to_string(),
        // On Linux, a thread that gets no name keeps that of the thread which started it.
        name if name.starts_with("lane-") => format!("{} `{name}` (without a name of its own)", thread.id),
        name => format!("{} `{name}`", thread.id),
    };
    let list: Vec<String> = threads.iter().take(NAMED).map(one).collect();
    let more = threads.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("thread{} {}{more}", if threads.len() == 1 { "" } else { "s" }, list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(count: u64) -> Vec<Thread> {
        (1..=count).map(|id| Thread { id, name: format!("worker-{id}") }).collect()
    }

    #[test]
    fn threads_are_told_by_id_and_name_and_what_to_do() {
        let one = Reason::Threads { runs: threads(1), began: Vec::new(), called: Vec::new() };
        assert_eq!(one.to_string(), "thread 1 `worker-1` of it still runs; end and join it in `stop`");
        assert_eq!((one.cause(), one.holders().len()), (Cause::Thread, 1));
        let told = Reason::Told { threads: threads(1), deadline: Duration::from_secs(2) };
        assert_eq!(
            told.to_string(),
            "thread 1 `worker-1` of it did not end within 2000 ms after it was told to; have it ask its stop token"
        );
        assert_eq!((told.cause(), told.holders().len()), (Cause::Thread, 1));
        let unnamed = Thread { id: 9, name: String::new() };
        let many = Reason::Threads { runs: Vec::new(), began: threads(6), called: vec![unnamed] };
        assert_eq!(
            many.to_string(),
            "threads 1 `worker-1`, 2 `worker-2`, 3 `worker-3`, 4 `worker-4` and 2 more began while it was loaded and \
             still run; if they are the plugin's, join them in `stop`; or thread 9 called it inline and still holds a thread-local of it, \
             whose destructor is pending; it goes when that thread ends, and `request` leaves none"
        );
        assert_eq!(many.holders().len(), 7);
        let called = Reason::Threads { runs: Vec::new(), began: Vec::new(), called: threads(2) };
        assert_eq!(called.cause(), Cause::ThreadLocal);
    }
}
