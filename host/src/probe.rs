//! Probe: a throw-away process maps the library before the host does.
//!
//! dlopen of a damaged file does not fail, it kills; so do constructors that crash, hang or exit. And what they change of the process
//! (a handler of signals, the working directory, threads and files that stay) would be changed for the host. The probe is this very
//! program, started again with a marker as its first argument: [`entry`] recognises it. It is told no more than it needs, has bounds of
//! its own, and ends with all that it started.

mod behaviour;
mod child;
mod environment;
mod live;
mod output;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

pub use behaviour::{Step, StepOutcome};
pub use child::entry;
pub(crate) use child::is_entered;

use child::{Said, Verdict};
use live::Deep;
use output::Output;

use crate::config::{self, ProbeMode};
use crate::error::{Code, Trouble};
use crate::fault;
use crate::kernel::patience::look_until;
use crate::os::{self, Bounds};
use crate::stage::{Object, Staged};
use crate::verify::Digest;

/// The probe's marker, its first argument; the second is a nonce, which its verdict repeats.
const MARKER: &str = "--hotbay-probe-of-a-plugin";

/// How often a child is looked for whose output does not end.
const LOOK: Duration = Duration::from_millis(5);

/// So long what an ended child has left in the pipe is waited for.
const LEFT: Duration = Duration::from_secs(1);

/// No constructor writes more than this to a file: it has no outside effect.
const LARGEST_FILE: u64 = 64 << 20;

/// Nor does it need more files at once.
const OPEN_FILES: u64 = 256;

/// Or more processes.
const PROCESSES: u32 = 32;

/// What was mapped, created and dropped once, elsewhere.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) staged: Staged,
    /// How it came to that: `passed`, `cached` or `off`.
    pub(crate) how: &'static str,
}

/// What the probe found wrong. Everything here is the plugin's fault but the last two.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ProbeError {
    /// The plugin was refused in order.
    #[error("{why}")]
    Refused {
        why: Trouble,
        /// Each difference of the layouts, where that is why.
        report: Option<String>,
    },
    /// The process ended in the middle.
    #[error(
        "failed to probe it: while {stage}, {how}; the host is untouched, the file is not tried again until it changes"
    )]
    Died { stage: String, how: String },
    /// The process did not end.
    #[error("failed to probe it within {} ms: it hangs while {stage}; the host is untouched, the file is not tried again until it changes", deadline.as_millis())]
    Hung { stage: String, deadline: Duration },
    /// The probe could not be started.
    #[error("failed to run the probe `{}`: {text}", program.display())]
    Start { program: PathBuf, text: String },
    /// The program is no probe.
    #[error("failed to probe it: `{}` is no probe; call `hotbay::probe::entry()` first thing in its `main`", program.display())]
    NoProbe { program: PathBuf },
}

/// What passed in this run, by digest and configuration. What did not is not kept: a probe that ran out of time on a busy
/// machine may pass when somebody asks for it again.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Mutex<BTreeSet<(Digest, String)>>);

impl Verdicts {
    fn holds(&self, key: &(Digest, String)) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn add(&self, key: (Digest, String)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }
}

/// Probes what was staged, as `[probe] mode` says.
pub(crate) fn probe(
    staged: Staged,
    plugin_config: &str,
    settings: &config::Probe,
    verdicts: &Verdicts,
) -> Result<Probed, ProbeError> {
    let service = &staged.manifest.name;
    fault::point("probe", service)
        .map_err(|e| ProbeError::Start { program: this_program(), text: e.to_string() })?;
    let key = (staged.digest.clone(), plugin_config.to_owned());
    let how = match settings.mode {
        ProbeMode::Off => "off",
        ProbeMode::Cached if verdicts.holds(&key) => "cached",
        ProbeMode::Always | ProbeMode::Cached => {
            run(&staged.object, &key.1, settings)?;
            if settings.mode == ProbeMode::Cached {
                verdicts.add(key);
            }
            "passed"
        }
    };
    Ok(Probed { staged, how })
}

fn run(object: &Object, plugin_config: &str, settings: &config::Probe) -> Result<(), ProbeError> {
    let (verdict, said) = ask(object, plugin_config, settings, None)?;
    match verdict {
        Ended::Passed => Ok(()),
        Ended::Refused(why) => Err(ProbeError::Refused { why, report: said.report }),
        Ended::Died(how) => Err(ProbeError::Died { stage: said.stage, how }),
        Ended::Hung => Err(ProbeError::Hung { stage: said.stage, deadline: settings.deadline }),
    }
}

/// Has a plugin live once, in a process of its own: each step, and why not all of them went well.
pub(crate) fn behave(
    staged: &Staged,
    plugin_config: &str,
    config: &config::Config,
) -> (Vec<Step>, Result<(), Trouble>) {
    let settings = &config.probe;
    let deep = Deep { manifest: staged.manifest.clone(), max_bytes: config.state.max_bytes };
    let (verdict, mut said) = match ask(&staged.object, plugin_config, settings, Some(deep)) {
        Ok(told) => told,
        Err(error) => return (Vec::new(), Err(error.into())),
    };
    let lost = match verdict {
        Ended::Passed => return (said.steps, Ok(())),
        Ended::Refused(reason) => return (said.steps, Err(reason)),
        Ended::Died(how) => Trouble::new(Code::ProbeDied, how),
        Ended::Hung => {
            let text = format!("it hangs, for more than {} ms", settings.deadline.as_millis());
            Trouble::new(Code::ProbeHangs, text)
        }
    };
    let reason = lost.within(format_args!("failed at step `{}`", said.stage));
    said.steps.push(Step::lost(&said.stage, lost.text));
    (said.steps, Err(reason))
}

/// How a probe ended that was one.
enum Ended {
    Passed,
    Refused(Trouble),
    Died(String),
    Hung,
}

fn ask(
    object: &Object,
    plugin_config: &str,
    settings: &config::Probe,
    deep: Option<Deep>,
) -> Result<(Ended, Said), ProbeError> {
    let program = settings.program.clone().unwrap_or_else(this_program);
    let nonce = nonce();
    let failed = |e: std::io::Error| ProbeError::Start { program: program.clone(), text: e.to_string() };
    let mut command = Command::new(&program);
    command.arg(MARKER).arg(&nonce).stdin(Stdio::piped()).stdout(Stdio::piped());
    let (way, stderr) = object.hand_down().map_err(failed)?;
    command.stderr(stderr);
    environment::scrub(&mut command, &settings.env);
    os::own_group(&mut command);
    let (bounds, of_whom) =
        (bounds(settings, deep.is_some()), if deep.is_some() { Each::Step } else { Each::Probe });
    let mut child = command.spawn().map_err(failed)?;
    // Before it is asked anything: nothing of the plugin has run.
    let group = os::Group::of(&child, &bounds).map_err(|error| {
        let _ = child.kill();
        let _ = child.wait();
        failed(error)
    })?;

    let service = object.service().to_owned();
    let request = child::Request { service, way, config: plugin_config.to_owned(), bounds, deep };
    let mut request = serde_json::to_vec(&request).map_err(|e| failed(e.into()))?;
    request.push(b'\n');
    // Kept open until the verdict is there: by its end a probe hears that its host was killed, and ends as well.
    let mut asking = child.stdin.take();
    // A plugin may end the process before it has read; its verdict tells, not this error.
    let _ = asking.as_mut().map(|asking| asking.write_all(&request));
    if cfg!(windows) {
        // There the system ends it, and a plugin that reads its standard input is not to wait for us.
        asking = None;
    }
    let output = Output::new(&nonce);
    let (at_end, end) = mpsc::channel();
    let reading = child.stdout.take().map(|stdout| {
        let output = output.clone();
        os::spawn("probe", move || {
            output.read(stdout);
            drop(at_end);
        })
    });
    reading.transpose().map_err(|error| {
        group.kill(&mut child);
        let _ = child.wait();
        failed(error)
    })?;

    let status = wait(&mut child, &end, settings.deadline, of_whom, &output);
    // Also after an orderly end: what the plugin started must not outlive its probe, nor hold the pipe open.
    group.kill(&mut child);
    drop(asking);
    let ended = match status {
        Some(status) => Some(status),
        None => child.wait().ok().and(None),
    };
    // A process that the plugin started may hold the pipe open for ever: what was read by then is what the probe said.
    let _ = end.recv_timeout(LEFT);
    let Some(text) = output.text() else {
        return Err(failed(std::io::Error::other("the thread that listens to it does not begin")));
    };
    let mut said = Said::parse(&text, &nonce);
    let ended = match (said.verdict.take(), ended) {
        (Some(Verdict::Passed), Some(status)) if status.success() => Ended::Passed,
        (Some(Verdict::Refused(reason)), Some(_)) => Ended::Refused(reason),
        (Some(Verdict::Unable(text)), Some(_)) => return Err(failed(std::io::Error::other(text))),
        (_, None) => Ended::Hung,
        (None, Some(_)) if !said.began => return Err(ProbeError::NoProbe { program }),
        (_, Some(status)) => Ended::Died(os::describe(status) + &memory_of(status, settings)),
    };
    Ok((ended, said))
}

/// What a probe may take. The deadline ends the rest; of its processors' time it has more, since threads may share it.
fn bounds(settings: &config::Probe, deep: bool) -> Bounds {
    let seconds = settings.deadline.as_secs().saturating_add(1).saturating_mul(if deep { 40 } else { 4 });
    Bounds {
        cpu: Some(seconds),
        memory: settings.memory,
        file: Some(LARGEST_FILE),
        files: Some(OPEN_FILES),
        processes: Some(PROCESSES),
    }
}

/// Who has no memory left ends itself like this, and so does who finds anything else wrong: what there was is said.
fn memory_of(status: ExitStatus, settings: &config::Probe) -> String {
    match settings.memory.filter(|_| os::is_abort(status)) {
        Some(memory) => format!(" (a probe has {} MiB of memory: `probe.memory_mib`)", memory >> 20),
        None => String::new(),
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Each {
    Probe,
    Step,
}

/// Waits for the child, and for what it said, if that came first. Its output ends when it does, unless a process that the
/// plugin started holds it open: so the child itself is looked for as well. That needs no handler of signals, which belong to
/// the embedding program.
fn wait(
    child: &mut Child,
    end: &mpsc::Receiver<()>,
    deadline: Duration,
    each: Each,
    output: &Output,
) -> Option<ExitStatus> {
    let begun = Instant::now();
    let until = || if each == Each::Step { output.since() } else { begun } + deadline;
    let ended = loop {
        let left = until().saturating_duration_since(Instant::now());
        let is_read = end.recv_timeout(LOOK.min(left)) == Err(mpsc::RecvTimeoutError::Disconnected);
        let ended = child.try_wait();
        if is_read || left.is_zero() || !matches!(ended, Ok(None)) {
            break ended;
        }
    };
    let ended = match ended {
        // It closed its output, as it does when it ends.
        Ok(None) => {
            let left = until().saturating_duration_since(Instant::now());
            look_until(left, Duration::from_micros(10), LOOK, || child.try_wait().transpose())
        }
        ended => ended.transpose(),
    };
    ended.and_then(Result::ok)
}

/// This program, also after its file was replaced by an upgrade.
fn this_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    // Windows and macOS: the path that the system remembers. After an upgrade on disk it is the new program that probes.
    std::env::current_exe().unwrap_or_else(|_| "hotbay".into())
}

/// Tells the verdict from what a plugin prints by mistake; it need not be secret.
fn nonce() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}-{:x}", std::process::id(), now.as_nanos(), COUNT.fetch_add(1, Ordering::Relaxed))
}
