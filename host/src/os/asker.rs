//! Who started this process to ask it something, as a host does a probe, and may be gone before it has the answer.

use std::io;

#[cfg(unix)]
unsafe extern "C" {
    fn dup2(from: std::ffi::c_int, to: std::ffi::c_int) -> std::ffi::c_int;
}

/// The line that stands on the standard input. From then on this process ends, with what it started, as soon as whoever asked
/// has gone or has heard enough, which is when the input ends: a plugin that hangs would stay for ever when its host was killed.
/// What reads the standard input afterwards finds nothing there.
///
/// By a thread, which has begun and read when this returns: while a plugin keeps the system's loader, none begins.
#[cfg(unix)]
pub(crate) fn asked_line() -> io::Result<String> {
    use std::fs::File;
    use std::io::{BufRead as _, BufReader};
    use std::os::fd::{AsFd as _, AsRawFd as _};

    let mut asker = BufReader::new(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    let nothing = File::open("/dev/null")?;
    // SAFETY: O18: both numbers are of open files, and the standard input stays open: it is another file from then on.
    if unsafe { dup2(nothing.as_raw_fd(), io::stdin().as_raw_fd()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let (sender, line) = std::sync::mpsc::channel();
    super::spawn("asker", move || {
        let mut line = String::new();
        let read = asker.read_line(&mut line);
        let _ = sender.send(read.map(|_| line));
        let _ = io::copy(&mut asker, &mut io::sink());
        // A probe heads its group; whoever was started by hand ends alone.
        let _ = rustix::process::kill_process_group(rustix::process::getpid(), rustix::process::Signal::KILL);
        super::end_now(1)
    })?;
    line.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
}

/// The line that stands on the standard input. Windows itself ends the process with whoever started it, see
/// [`Group`](super::Group); a thread that reads there would hold up each library that looks at the input as it is loaded.
#[cfg(windows)]
pub(crate) fn asked_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map(|_| line)
}
