//! `hotbay check --deep`: a plugin lives once, in a process of its own, and the step that goes wrong is named.

use hotbay_tests::{Bay, example, fixture};
use serde_json::Value;

/// Each step that was tried, with how it went and what was said; and why it was refused.
fn lived(settings: &str, file: &std::path::Path) -> (Vec<(String, String, String)>, Option<String>) {
    let bay = Bay::with(settings);
    let ran = bay.hotbay(&["check", "--deep", file.to_str().unwrap(), "-o", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(ran.code, if report["accepted"] == true { 0 } else { 4 }, "{ran:?}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = report["steps"].as_array().unwrap().iter();
    let steps =
        steps.map(|step| (text(&step["step"]), text(&step["outcome"]), text(&step["text"]))).collect();
    (steps, report["reason"].as_str().map(ToOwned::to_owned))
}

/// The last step failed, is this one, and the reason names it.
#[track_caller]
fn failed(settings: &str, name: &str, step: &str, words: &str) {
    let (steps, reason) = lived(settings, &fixture(name));
    let last = steps.last().unwrap_or_else(|| panic!("{name}: no step, {reason:?}"));
    assert_eq!((last.0.as_str(), last.1.as_str()), (step, "failed"), "{name}: {steps:?}");
    assert!(last.2.contains(words), "{name}: no `{words}` in {last:?}");
    let before = &steps[..steps.len() - 1];
    assert!(before.iter().all(|(_, outcome, _)| outcome == "ok"), "{name}: {steps:?}");
    let reason = reason.unwrap();
    assert!(
        reason.contains(&format!("failed at step `{step}`")) && reason.contains(words),
        "{name}: {reason}"
    );
}

#[test]
fn plugins_that_behave_pass_each_step_to_their_unloading() {
    for file in [example("echo"), example("echo_v2"), example("logger"), example("template"), example("kv")] {
        let (steps, reason) = lived("", &file);
        assert_eq!(reason, None, "{steps:?}");
        assert!(steps.iter().all(|(_, outcome, _)| outcome != "failed"), "{steps:?}");
        for wanted in ["map", "create", "start", "pause", "resume", "stop", "start again", "drop", "unload"] {
            assert!(steps.iter().any(|(step, ..)| step == wanted), "{wanted}: {steps:?}");
        }
        if cfg!(any(target_os = "linux", windows)) {
            let unload = steps.iter().find(|(step, ..)| step == "unload").unwrap();
            assert_eq!(unload.1, "ok", "{file:?}: {steps:?}");
        }
    }
    let (steps, _) = lived("", &fixture("counter"));
    for wanted in ["call add", "call count", "export", "import", "export again"] {
        let step =
            steps.iter().find(|(step, ..)| step == wanted).unwrap_or_else(|| panic!("{wanted}: {steps:?}"));
        assert_eq!(step.1, "ok", "{steps:?}");
    }
    let (steps, _) = lived("", &fixture("counter_steps_down"));
    assert!(steps.iter().any(|(step, outcome, _)| step == "export as 1" && outcome == "ok"), "{steps:?}");
}

#[test]
fn each_callback_that_panics_is_named() {
    for (place, step) in [
        ("start", "start"),
        ("call", "call add"),
        ("pause", "pause"),
        ("export", "export"),
        ("import", "import"),
        ("resume", "resume"),
        ("stop", "stop"),
    ] {
        let settings = format!("[plugin.panics]\nnew = \"{place}\"\n");
        failed(&settings, "panics_next", step, &format!("it panicked: no luck in {place}"));
    }
}

#[test]
fn each_callback_that_hangs_is_named_after_its_deadline() {
    for place in ["start", "pause", "export", "stop"] {
        let settings = format!("[probe]\ndeadline_ms = 1500\n[plugin.hangs]\nnew = \"{place}\"\n");
        failed(&settings, "hangs_next", place, "it hangs, for more than 1500 ms");
    }
}

#[test]
fn aborts_in_a_call_is_told_with_its_signal() {
    let (steps, reason) = lived("", &fixture("aborts_in_a_call"));
    let last = steps.last().unwrap();
    assert_eq!(last.1, "failed", "{steps:?}");
    assert!(last.0.starts_with("call "), "{steps:?}");
    let how = if cfg!(windows) { "0xc0000409" } else { "SIGABRT" };
    assert!(reason.unwrap().contains(how));
}

#[test]
fn exits_in_a_call() {
    failed("", "exits_in_a_call", "call quit", "exit code 3");
}

#[test]
fn answers_any_method() {
    failed("", "answers_any_method", "call a-method-that-nobody-has", "unknown_method()");
}

#[test]
fn declares_too_much() {
    failed("", "declares_too_much", "call pong", "its manifest declares it");
}

#[test]
fn forgets_its_state() {
    failed("", "forgets_its_state", "export again", "the state is another");
}

#[test]
fn starts_once() {
    failed("", "starts_once", "start again", "start twice");
}

#[test]
fn permits_one_instance_and_is_told_that_a_swap_has_two() {
    let (steps, reason) = lived("", &fixture("permits_one_instance"));
    // It answers whatever it is asked, which comes first.
    assert_eq!(steps.last().unwrap().0, "call a-method-that-nobody-has", "{steps:?}");
    assert!(reason.is_some());
}

#[cfg(target_os = "linux")] // Windows, macOS: see `os::census`; there the library is told to be pinned, or that nobody knows.
#[test]
fn keeps_a_thread_and_is_warned_of_being_pinned() {
    let (steps, reason) = lived("", &fixture("keeps_a_thread"));
    assert_eq!(reason, None, "{steps:?}");
    let of = |name: &str| steps.iter().find(|(step, ..)| step == name).unwrap().clone();
    assert_eq!(of("unload").1, "warning", "{steps:?}");
    assert!(of("unload").2.contains("pinned"), "{steps:?}");
    assert!(of("leave nothing").2.contains("(left-behind) running"), "{steps:?}");
}

#[test]
fn requires_missing_cannot_be_started_alone_or_starts_and_is_judged_all_the_same() {
    let (steps, reason) = lived("", &fixture("requires_missing"));
    assert_eq!(reason, None, "{steps:?}");
    assert!(steps.iter().any(|(step, ..)| step == "drop"), "{steps:?}");
}

#[test]
fn a_life_is_shown_step_by_step() {
    let bay = Bay::new();
    let text = bay.ok(&["check", "--deep", fixture("counter").to_str().unwrap()]);
    let lines: Vec<&str> = text.lines().skip_while(|line| *line != "life").collect();
    assert!(
        lines.iter().any(|line| line.starts_with("  export ") && line.contains("ok") && line.contains("ms")),
        "{text}"
    );
}
