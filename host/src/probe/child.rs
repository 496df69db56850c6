//! The probe's side: map, create, drop, look what that changed, and say how far it came.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hotbay_plugin_api::abi::HostHandle;
use serde::{Deserialize, Serialize};

use super::MARKER;
use super::behaviour::Step;
use super::live::{Deep, is_calling, live, unload};
use crate::CallError;
use crate::bus::Bus;
use crate::config::Service;
use crate::context::Clock;
use crate::error::{Code, Trouble};
use crate::ffi::{CreateError, HostSide, LoadError, Opened, Plugin, Services};
use crate::kernel::levels::Cell;
use crate::kernel::patience::look_until;
use crate::kernel::slot::Slot;
use crate::os::{self, Bounds, Census};
use crate::stage::{Object, Way};

static ENTERED: AtomicBool = AtomicBool::new(false);

/// A thread that was told to end may need a moment for it.
pub(super) const MOMENT: Duration = Duration::from_millis(500);

/// What the probe is asked, in one line on its standard input, which stays open for as long as the answer is waited for.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) service: String,
    pub(super) way: Way,
    pub(super) config: String,
    pub(super) bounds: Bounds,
    /// The whole life is tried, not its begin and end alone.
    pub(super) deep: Option<Deep>,
}

/// Runs the probe and ends the process, when this process was started as one; otherwise it returns at once.
///
/// A host maps each new file in a process of its own first, which is its own program started again. So a program that
/// embeds Hotbay calls this first thing in `main`; without it the program would run its `main` for each probe. (Or it
/// names a program that does in [`Probe::program`](crate::config::Probe::program).)
pub fn entry() {
    ENTERED.store(true, Ordering::Release);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != MARKER) {
        return;
    }
    let nonce = arguments.next().unwrap_or_default().to_string_lossy().into_owned();
    std::process::exit(run(&nonce));
}

/// Whether this program calls [`entry`].
pub(crate) fn is_entered() -> bool {
    ENTERED.load(Ordering::Acquire)
}

/// By what the probe speaks.
#[derive(Clone)]
pub(super) struct Say(Arc<str>);

impl Say {
    /// It comes to this.
    pub(super) fn stage(&self, stage: &str) {
        self.line(&format!("stage {stage}"));
    }

    /// What came of it.
    pub(super) fn step(&self, step: &Step) {
        self.line(&format!("step {}", serde_json::to_string(step).unwrap_or_default()));
    }

    /// All that there is to say of layouts that differ.
    fn report(&self, error: &CreateError) {
        if let CreateError::Load(LoadError::Layout { report: Some(report), .. }) = error {
            self.line(&format!("report {}", serde_json::to_string(report).unwrap_or_default()));
        }
    }

    fn line(&self, line: &str) {
        // In one piece: each write wakes whoever reads. A plugin's words may have several lines.
        let line = format!("\n{} {}\n", self.0, line.replace(['\n', '\r'], " "));
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

fn run(nonce: &str) -> i32 {
    os::no_dialogs();
    os::claim();
    let say = Say(nonce.into());
    say.stage("reading the request");
    // From then on this process ends with the host, also while the plugin hangs.
    let request = os::asked_line().ok();
    let Some(request) = request.and_then(|line| serde_json::from_str::<Request>(&line).ok()) else {
        return 1;
    };
    let Ok(object) = Object::come_by(&request.service, &request.way) else { return 1 };
    os::bound(&request.bounds);
    let before = Census::take(object.path());
    match tried(object, request, &say, &before) {
        Ok(()) => say.line("passed"),
        Err(Ended::Refused(why)) => say.line(&format!("refused {} {why}", why.code)),
        Err(Ended::Unable(reason)) => say.line(&format!("unable {reason}")),
    }
    0
}

/// Why a probe did not pass.
enum Ended {
    /// The plugin's fault.
    Refused(Trouble),
    /// The machine's.
    Unable(String),
}

fn tried(object: Object, request: Request, say: &Say, before: &Census) -> Result<(), Ended> {
    let host = HostSide::new("probe", 0, request.config.as_str().into(), Arc::new(NoServices));
    let deep = Arc::new(request.deep);
    // On a thread as a lane has it: with a stack of that size, and its thread-locals end before the library is closed.
    let (on_lane, to_say, of_life) = (object.clone(), say.clone(), Arc::clone(&deep));
    let lane = os::spawn("probed", move || match &*of_life {
        Some(deep) => live(&on_lane, host, deep, &to_say).map_err(broken),
        None => once(&on_lane, host, &to_say),
    });
    let lane = lane.map_err(|error| Ended::Unable(format!("failed to start a thread: {error}")))?;
    let ended = lane.join().map_err(|_| Ended::Unable("it panicked: a defect of the host".to_owned()))?;
    let plugin = ended.map_err(Ended::Refused)?;
    let changes = || {
        let mut last = Vec::new();
        let _ = look_until(MOMENT, Duration::from_millis(1), Duration::from_millis(20), || {
            last = before.changes(&Census::take(object.path()));
            last.is_empty().then_some(())
        });
        last
    };
    if deep.is_some() {
        return unload(plugin, say, changes).map_err(|why| Ended::Refused(broken(why)));
    }
    say.stage("looking what it changed");
    let mut changed = changes();
    // A thread that has only just begun holds no library: with the code taken away under it, the probe would die before it can tell.
    if !changed.iter().any(|change| change.starts_with("left thread")) {
        say.stage("unloading the library");
        // Whoever started this process waits no longer than its own deadline.
        let _ = plugin.close(Duration::MAX);
        say.stage("looking what it changed");
        changed = changes();
    }
    let changes = changed;
    // What its file is mapped from is needed until now: the plugin may not close it.
    drop(object);
    if changes.is_empty() {
        return Ok(());
    }
    let text = format!(
        "failed to accept it: created and dropped once, it {}; leave that alone, or take it in `start` and give it back in \
         `stop`",
        changes.join("; it ")
    );
    Err(Ended::Refused(Trouble::new(Code::ChangesProcess, text)))
}

/// A step of a plugin's life that did not go as the contract has it.
fn broken(why: String) -> Trouble {
    Trouble::new(Code::BreaksContract, why)
}

/// Maps, creates and drops.
fn once(object: &Object, host: Box<HostSide>, say: &Say) -> Result<Plugin, Trouble> {
    say.stage("mapping the library");
    let opened = Opened::open(object, "probe").inspect_err(|error| say.report(error))?;
    say.stage("creating the plugin");
    let mut plugin = opened.create(host)?;
    say.stage("dropping the plugin");
    // A panic in it is caught by the host, too.
    let _ = plugin.destroy();
    Ok(plugin)
}

/// A probe has no other services.
struct NoServices;

impl Services for NoServices {
    fn bus(&self) -> Option<&Bus> {
        None
    }

    fn clock(&self) -> Option<&Clock> {
        None
    }

    fn slot(&self, service: &str) -> Result<Arc<Slot>, Box<CallError>> {
        let text = "there is none in a probe".to_owned();
        Err(Box::new(CallError::Refused { service: service.to_owned(), text }))
    }

    fn level(&self, _: &str) -> Cell {
        Arc::new(AtomicU32::new(0))
    }

    fn settings(&self, _: &str) -> Arc<Service> {
        Arc::default()
    }

    fn is_inside(&self, _: HostHandle) -> bool {
        is_calling()
    }
}

/// What a probe said before it ended.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    pub(super) began: bool,
    pub(super) stage: String,
    pub(super) steps: Vec<Step>,
    pub(super) report: Option<String>,
    pub(super) verdict: Option<Verdict>,
}

/// How a probe ended that came to its end.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Passed,
    Refused(Trouble),
    Unable(String),
}

impl Said {
    /// Only lines with the nonce are the probe's; others are the plugin's.
    pub(super) fn parse(output: &[u8], nonce: &str) -> Self {
        let text = String::from_utf8_lossy(output);
        let mut said = Self {
            began: false,
            stage: "starting".to_owned(),
            steps: Vec::new(),
            report: None,
            verdict: None,
        };
        for line in text.lines().filter_map(|line| line.strip_prefix(nonce)?.strip_prefix(' ')) {
            said.began = true;
            match line.split_once(' ') {
                Some(("stage", stage)) => stage.clone_into(&mut said.stage),
                Some(("step", step)) => said.steps.extend(serde_json::from_str::<Step>(step)),
                Some(("report", report)) => said.report = serde_json::from_str(report).ok(),
                Some(("refused", reason)) => said.verdict = Some(Verdict::Refused(refused(reason))),
                Some(("unable", reason)) => said.verdict = Some(Verdict::Unable(reason.to_owned())),
                None if line == "passed" => said.verdict = Some(Verdict::Passed),
                _ => {}
            }
        }
        said
    }
}

/// A code and a reason. Another program that runs the probe may be of a host that tells no codes, or others.
fn refused(told: &str) -> Trouble {
    let code = told.split_once(' ').and_then(|(code, reason)| Some((code.parse().ok()?, reason)));
    let (code, reason) = code.unwrap_or((Code::CreateFailed, told));
    Trouble::new(code, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_prints_is_no_verdict() {
        let said = Said::parse(b"hello\npassed\n\nn1 stage mapping\nx passed\nn2 passed\n", "n1");
        let (stage, steps) = ("mapping".to_owned(), Vec::new());
        assert_eq!(said, Said { began: true, stage, steps, report: None, verdict: None });
        assert_eq!(Said::parse(b"\nn1 stage a\n\nn1 passed\n", "n1").verdict, Some(Verdict::Passed));
        let refused = |line: &[u8]| Said::parse(line, "n1").verdict;
        assert_eq!(
            refused(b"\nn1 refused HB0505 no: really\n"),
            Some(Verdict::Refused(Trouble::new(Code::OtherLayout, "no: really")))
        );
        assert_eq!(
            refused(b"\nn1 refused no: really\n"),
            Some(Verdict::Refused(Trouble::new(Code::CreateFailed, "no: really")))
        );
    }

    #[test]
    fn steps_are_told_with_what_came_of_them() {
        let step = r#"{"step":"create","outcome":"ok","micros":7,"text":null}"#;
        let said =
            Said::parse(format!("\nn1 stage create\n\nn1 step {step}\n\nn1 step {{\n").as_bytes(), "n1");
        assert_eq!(said.steps, [serde_json::from_str(step).unwrap()]);
    }
}
