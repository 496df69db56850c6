//! The probe's side: map, create, drop, and say how far it came.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotbay_plugin_api::abi::HostHandle;
use serde::{Deserialize, Serialize};

use super::MARKER;
use crate::CallError;
use crate::bus::Bus;
use crate::ffi::{HostSide, Plugin, Services};
use crate::kernel::slot::Slot;
use crate::os;
use crate::stage::{Object, Way};

static ENTERED: AtomicBool = AtomicBool::new(false);

/// What the probe is asked, in one line on its standard input, which stays open for as long as the answer is waited for.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) service: String,
    pub(super) way: Way,
    pub(super) config: String,
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

fn run(nonce: &str) -> i32 {
    os::no_dialogs();
    let say = |line: &str| {
        // In one piece: each write wakes whoever reads.
        let line = format!("\n{nonce} {line}\n");
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    };
    say("stage reading the request");
    // From then on this process ends with the host, also while the plugin hangs.
    let request = os::asked_line().ok();
    let Some(request) = request.and_then(|line| serde_json::from_str::<Request>(&line).ok()) else {
        return 1;
    };
    let config = serde_json::from_str(&request.config).ok();

    say("stage mapping the library and running its constructor");
    let host = HostSide::new("probe", 0, config.as_ref(), Arc::new(NoServices));
    let Ok(object) = Object::come_by(&request.service, &request.way) else { return 1 };
    let mut plugin = match Plugin::create(&object, host) {
        Ok(plugin) => plugin,
        Err(e) => {
            say(&format!("refused {e}"));
            return 0;
        }
    };
    say("stage dropping the plugin");
    // A panic in it is caught by the host, too.
    let _ = plugin.destroy();
    say("stage unloading the library");
    // Whoever started this process waits no longer than its own deadline.
    let _ = plugin.close(Duration::MAX);
    say("passed");
    0
}

/// A probe has no other services.
struct NoServices;

impl Services for NoServices {
    fn bus(&self) -> Option<&Bus> {
        None
    }

    fn slot(&self, service: &str) -> Result<Arc<Slot>, Box<CallError>> {
        let text = "there is none in a probe".to_owned();
        Err(Box::new(CallError::Refused { service: service.to_owned(), text }))
    }

    // A probe calls nothing.
    fn is_inside(&self, _: HostHandle) -> bool {
        false
    }
}

/// What a probe said before it ended.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    pub(super) began: bool,
    pub(super) stage: String,
    pub(super) verdict: Option<Result<(), String>>,
}

impl Said {
    /// Only lines with the nonce are the probe's; others are the plugin's.
    pub(super) fn parse(output: &[u8], nonce: &str) -> Self {
        let text = String::from_utf8_lossy(output);
        let mut said = Self { began: false, stage: "starting".to_owned(), verdict: None };
        for line in text.lines().filter_map(|line| line.strip_prefix(nonce)?.strip_prefix(' ')) {
            said.began = true;
            match line.split_once(' ') {
                Some(("stage", stage)) => stage.clone_into(&mut said.stage),
                Some(("refused", reason)) => said.verdict = Some(Err(reason.to_owned())),
                None if line == "passed" => said.verdict = Some(Ok(())),
                _ => {}
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_prints_is_no_verdict() {
        let said = Said::parse(b"hello\npassed\n\nn1 stage mapping\nx passed\nn2 passed\n", "n1");
        assert_eq!(said, Said { began: true, stage: "mapping".to_owned(), verdict: None });
        assert_eq!(Said::parse(b"\nn1 stage a\n\nn1 passed\n", "n1").verdict, Some(Ok(())));
        assert_eq!(
            Said::parse(b"\nn1 refused no: really\n", "n1").verdict,
            Some(Err("no: really".to_owned()))
        );
    }
}
