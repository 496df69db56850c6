//! One run of a program that tests: what it says is passed on while it is read, and it ends in time or is ended.

use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};

use super::output::Said;

/// How often it is looked whether the program has ended: another that it started may hold its output open.
const LOOK: Duration = Duration::from_millis(100);

/// So long the rest of an ended program's output is waited for.
const LEFT: Duration = Duration::from_secs(2);

/// More of its last words is not kept.
const KEPT: usize = 300;

/// How long a program may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// By then it has ended, whatever it does.
    pub(super) until: SystemTime,
    /// It says something at least so often. A test that hangs is told by that, since each that ends is a line.
    pub(super) silence: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) said: Said,
    pub(super) ended: Ended,
    /// Its last lines.
    pub(super) last: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Itself(ExitStatus),
    /// It said nothing for too long.
    Silent,
    /// There was no time left.
    Late,
}

impl Attempt {
    /// Runs a command to its end; `end` ends what `Child::kill` does not reach.
    pub(super) fn run(mut command: Command, limits: Limits, end: impl Fn()) -> Result<Self> {
        let (lines, mut child) = start(&mut command)?;
        // The command holds the pipe's other end.
        drop(command);
        let mut attempt = Self { said: Said::default(), ended: Ended::Late, last: Vec::new() };
        let (mut heard, mut gone) = (Instant::now(), None);
        loop {
            let line = lines.recv_timeout(LOOK);
            let is_closed = matches!(line, Err(RecvTimeoutError::Disconnected));
            if let Ok(line) = line {
                heard = Instant::now();
                attempt.pass_on(&line);
            }
            if let Some(status) = child.try_wait().context("failed to wait for the tests")? {
                if is_closed || gone.get_or_insert_with(Instant::now).elapsed() > LEFT {
                    attempt.ended = Ended::Itself(status);
                    return Ok(attempt);
                }
                continue;
            }
            let is_late = SystemTime::now() > limits.until;
            if is_late || heard.elapsed() > limits.silence {
                attempt.ended = if is_late { Ended::Late } else { Ended::Silent };
                let _ = child.kill();
                end();
                let _ = child.wait();
                while let Ok(line) = lines.recv_timeout(LOOK) {
                    attempt.pass_on(&line);
                }
                return Ok(attempt);
            }
            if is_closed {
                std::thread::sleep(LOOK / 10);
            }
        }
    }

    fn pass_on(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        print!("{text}");
        let _ = std::io::stdout().flush();
        let text = text.trim_end();
        self.said.read(text);
        if self.last.len() == KEPT {
            self.last.remove(0);
        }
        self.last.push(text.to_owned());
    }
}

/// Starts it with both of its outputs in one pipe, so that lines stand in their order, and reads that.
fn start(command: &mut Command) -> Result<(Receiver<Vec<u8>>, Child)> {
    let (reader, writer) = std::io::pipe().context("failed to make a pipe")?;
    let child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("failed to make a pipe")?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("failed to run {}", command.get_program().display()))?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || read(reader, &sender));
    Ok((lines, child))
}

fn read(from: PipeReader, to: &mpsc::Sender<Vec<u8>>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        if to.send(std::mem::take(&mut line)).is_err() {
            return;
        }
    }
}
