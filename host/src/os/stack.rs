//! Whether a thread runs the code of a library: then an address of that code, to which a call will return, lies on its stack.
//!
//! Linux shows where the stack of a thread that waits has its top. Windows stops the thread for a moment, see
//! `windows/frames`. macOS would have to do the same, in a process that may hold its locks: not there. (There no thread is ever
//! what holds a library: see `verify::Mark`.)

#[cfg(not(windows))]
use std::path::Path;

/// Whether thread `id` is inside the library that was opened from `path`. `None` where it cannot be told, as of a thread that
/// runs just now.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_inside(id: u64, path: &Path) -> Option<bool> {
    use std::os::unix::fs::FileExt;

    /// No frames that matter lie deeper.
    const DEEPEST: usize = 8 << 20;
    const WORD: usize = size_of::<usize>();

    let (top, at) = super::private::while_open(|| where_it_waits(id))?;
    let maps = Maps::read(path)?;
    if maps.in_library(at) {
        return Some(true);
    }
    let end = maps.end_of(top)?;
    let mut stack = vec![0; usize::try_from(end - top).ok()?.min(DEEPEST)];
    let memory = super::private::while_open(|| std::fs::File::open("/proc/self/mem"));
    memory.ok()?.read_exact_at(&mut stack, top).ok()?;
    let mut words =
        stack.chunks_exact(WORD).filter_map(|word| word.try_into().ok()).map(usize::from_ne_bytes);
    Some(words.any(|word| maps.in_library(word as u64)))
}

#[cfg(windows)]
pub(crate) use super::windows::inside::is_inside;

/// macOS, and others, see above.
#[cfg(not(any(target_os = "linux", target_os = "android", windows)))]
pub(crate) fn is_inside(_: u64, _: &Path) -> Option<bool> {
    None
}

/// The top of a waiting thread's stack, and the address that it goes on at.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn where_it_waits(id: u64) -> Option<(u64, u64)> {
    // `NUMBER ARGUMENTS… STACK PLACE`, or `running`.
    let text = std::fs::read_to_string(format!("/proc/self/task/{id}/syscall")).ok()?;
    let mut fields = text
        .split_whitespace()
        .rev()
        .map(|field| field.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()));
    let (at, top) = (fields.next()??, fields.next()??);
    Some((top, at))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
struct Maps {
    all: Vec<std::ops::Range<u64>>,
    library: Vec<std::ops::Range<u64>>,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Maps {
    fn read(library: &Path) -> Option<Self> {
        let library = library.to_str()?;
        let text = std::fs::read_to_string("/proc/self/maps").ok()?;
        let (mut all, mut of_library) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            let range = u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
            if line.strip_suffix(" (deleted)").unwrap_or(line).ends_with(library) {
                of_library.push(range.clone());
            }
            all.push(range);
        }
        Some(Self { all, library: of_library })
    }

    fn in_library(&self, address: u64) -> bool {
        self.library.iter().any(|range| range.contains(&address))
    }

    fn end_of(&self, address: u64) -> Option<u64> {
        self.all.iter().find(|range| range.contains(&address)).map(|range| range.end)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_is_inside_what_called_it() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (send, begun) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            send.send(crate::os::current_id()).unwrap();
            let _ = wait.recv();
        });
        let id = begun.recv().unwrap();
        let program = std::env::current_exe().unwrap();
        let seen = crate::kernel::patience::look_until(
            std::time::Duration::from_secs(10),
            std::time::Duration::from_micros(100),
            std::time::Duration::from_millis(5),
            || is_inside(id, &program),
        );
        assert_eq!(seen, Some(true));
        assert_ne!(is_inside(id, Path::new("/no/such/library")), Some(true));
        drop(end);
        thread.join().unwrap();
    }
}
