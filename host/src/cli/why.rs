//! `hotbay why NAME`: why it is as it is, what did not change, what to do next.

use std::path::Path;

use serde::Serialize;

use super::lifecycle;
use super::output::{Output, one_line, or_dash, quoted, short_digest};
use super::status::{restarts, title, told};
use super::when::stamp_and_age;
use crate::config::FILE;
use crate::control::client::Client;
use crate::control::protocol::Request;
use crate::error::{Blame, Code};
use crate::kernel::view::{BreakerState, BreakerView, Outcome, Phase, Side, Status};

#[derive(Debug, Serialize)]
struct Why<'a> {
    name: &'a str,
    phase: Phase,
    /// Of what is told first, where that is trouble.
    code: Option<String>,
    blame: Option<Blame>,
    because: Vec<String>,
    unchanged: Vec<String>,
    next: Vec<String>,
}

pub(super) fn why(client: &Client, name: &str, out: &Output) -> anyhow::Result<()> {
    let mut status: Status = client.ask(&Request::Status { name: name.to_owned() })?;
    status.configuration = status.configuration.filter(|file| is_to_be_named(file));
    let why = explain(&status);
    if out.is_json() {
        return out.json(&why);
    }
    let mut lines = vec![title(&status)];
    if let Some(code) = &why.code {
        let who = why.blame.map(|blame| format!(", for the {} to mend", whose(blame))).unwrap_or_default();
        lines.push(one_line(&format!("  {:<9}  {code}{who}", "code")));
    }
    for (what, sentences) in [("because", &why.because), ("unchanged", &why.unchanged), ("next", &why.next)] {
        lines.extend(sentences.iter().map(|sentence| format!("  {what:<9}  {}", one_line(sentence))));
    }
    out.text(&lines.join("\n"))
}

/// Whether a command in this folder would not read this file of the host's settings by itself.
fn is_to_be_named(file: &Path) -> bool {
    let read = std::fs::canonicalize(FILE).ok();
    std::fs::canonicalize(file).is_ok_and(|file| Some(file) != read)
}

fn explain(status: &Status) -> Why<'_> {
    let row = &status.row;
    let name = &row.name;
    let file = or_dash(row.source.as_ref().map(|path| path.display()));
    let since = stamp_and_age(status.since_unix_ms);
    let reason = row.reason.clone();
    let said = |otherwise: &str| vec![reason.clone().unwrap_or_else(|| otherwise.to_owned())];
    let lines = |sentences: &[&str]| sentences.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let again = format!("repair or replace {file}: the host takes it as soon as its bytes change");
    // By other settings it would be judged otherwise than the host judged it.
    let settings = status.configuration.as_ref();
    let settings =
        settings.map(|file| format!(" --config {}", quoted(&file.display().to_string()))).unwrap_or_default();
    let check =
        |file: &str| format!("see all that can be said of it with `hotbay check {}{settings}`", quoted(file));
    let state_kept = "its state on disk, and every other service";

    let (mut because, mut unchanged, mut next) = match row.phase {
        Phase::Running if is_well(status) => {
            (said(&format!("nothing is wrong: it answers since {since}")), vec![], vec![])
        }
        Phase::Running => (said(&format!("it runs since {since}")), vec![], vec![]),
        Phase::Starting => (
            said(&format!("it is being started since {since}")),
            vec![],
            vec![format!("wait, or watch it with `hotbay events -f`")],
        ),
        Phase::Swapping => (
            said(&format!("a new generation takes over since {since}")),
            lines(&["calls are answered, or wait"]),
            vec![format!("see how it ended with `hotbay history {name}`")],
        ),
        Phase::Stopped if row.code.as_deref() == Some(&*Code::DependencyStopped.to_string()) => (
            said("a service that it requires is stopped"),
            lines(&[state_kept]),
            vec!["start that service: this one follows by itself".to_owned()],
        ),
        Phase::Stopped => (
            said(&format!("it was stopped on purpose, {since}, and stays so over restarts of the host")),
            lines(&[state_kept]),
            vec![format!("`hotbay start {name}`")],
        ),
        Phase::Rejected => (
            said("the file is no plugin that can be loaded"),
            lines(&["nothing of this file was taken; every service runs as before"]),
            vec![again, check(&file)],
        ),
        Phase::Shadowed => (
            said("another file provides this service in a higher version"),
            lines(&["the service runs from the other file"]),
            vec![format!("remove the other file, and this one takes over; see them with `hotbay list`")],
        ),
        Phase::Faulted => (
            said("it could not be started"),
            lines(&[state_kept]),
            vec![format!("`hotbay start {name}` tries again"), again],
        ),
        Phase::RolledBack => (
            said("it served, and was rolled back"),
            lines(&["the version before it, with its state"]),
            vec![format!("`hotbay reload {name}` tries it again"), again],
        ),
        Phase::Quarantined if status.rolled_back.iter().any(|r| Some(&r.digest) == row.digest.as_ref()) => (
            said("it was rolled back, and nothing could take its place"),
            lines(&[state_kept]),
            vec![again, format!("`hotbay start {name}` tries what lies in the folder again")],
        ),
        Phase::Quarantined if row.code.as_deref() == Some(&*Code::RestartedTooOften.to_string()) => (
            said("it was restarted too often"),
            lines(&[state_kept]),
            vec![
                format!("`hotbay start {name}` starts it again and counts its restarts from 0"),
                format!("`hotbay start {name} --fresh` begins with empty state and keeps the old file aside"),
                again,
            ],
        ),
        Phase::Quarantined => (
            said("its state cannot be read, and it is not started with empty state in silence"),
            lines(&["the file with its state was not touched"]),
            vec![
                format!("bring back the right key or a good copy of the file, then `hotbay start {name}`"),
                format!("`hotbay start {name} --fresh` begins with empty state and keeps the old file aside"),
            ],
        ),
    };
    // Of one that does not run, what it waits for is said already.
    for missing in status.missing.iter().filter(|_| matches!(row.phase, Phase::Running | Phase::Swapping)) {
        let other = &missing.service;
        because.push(format!("service `{other}`, which it requires, does not serve"));
        next.push(match missing.phase {
            None => format!("add a file that holds service `{other}`: `hotbay add FILE`"),
            Some(Phase::Stopped) => format!("`hotbay start {other}`"),
            Some(_) => format!("see why with `hotbay why {other}`"),
        });
    }
    if let Some(supervised) = &status.supervised {
        because.push(format!("restarts by supervision: {}", restarts(supervised)));
    }
    if let Some(breaker) = status.breaker.as_ref().filter(|b| b.opened > 0 || b.forced.is_some()) {
        because.push(format!("its breaker is {}", lifecycle::told(breaker)));
        if breaker.forced.is_some() {
            next.push(format!("`hotbay breaker {name} auto` leaves the breaker to itself"));
        } else if breaker.state != BreakerState::Closed {
            next.push(format!(
                "mend why its calls fail: the breaker lets a few in to see, and closes by itself; or have all pass with `hotbay breaker {name} close`"
            ));
        }
    }
    if let Some(settings) = &status.settings {
        because.push(settings.clone());
        unchanged.push("the settings that are in force".to_owned());
        next.push(
            "mend the file; `hotbay config check` says whether it is, and then it is taken by itself"
                .to_owned(),
        );
    }
    if let Some(recovered) = &status.recovered {
        because.push(recovered.clone());
        next.push(format!("see what is kept with `hotbay state show {name}`"));
    }
    // Who stopped it on purpose does not ask for what happened before.
    if let Some(receipt) = &status.last_swap
        && receipt.outcome == Outcome::RolledBack
        && row.phase != Phase::Stopped
    {
        because.push(told(receipt));
        if serves(status, &receipt.from) {
            unchanged.push(format!("{} serves on with its state", receipt.from.version));
        }
        next.push(format!(
            "repair {} and add it again; all receipts: `hotbay history {name}`",
            receipt.to.version
        ));
    }
    for rolled_back in &status.rolled_back {
        because.push(format!(
            "version {} ({}) was rolled back at {}: {}; it is not loaded again by itself",
            rolled_back.version,
            short_digest(Some(&rolled_back.digest)),
            stamp_and_age(rolled_back.unix_ms),
            rolled_back.reason
        ));
    }
    if let Some(other) = status.candidates.iter().find(|row| row.phase == Phase::RolledBack) {
        let version = or_dash(other.version.as_ref());
        unchanged.push(format!("{} serves with its state", title(status)));
        next.push(format!(
            "to try {version} again: `hotbay reload {name}`, `hotbay add FILE`, or a file with other bytes"
        ));
    }
    for other in status.candidates.iter().filter(|row| row.phase == Phase::Rejected) {
        let (file, version) =
            (or_dash(other.source.as_ref().map(|path| path.display())), or_dash(other.version.as_ref()));
        let reason = other.reason.as_deref().unwrap_or("it is no plugin that can be loaded");
        because.push(format!("{version} in {file} was not taken: {reason}"));
        next.push(check(&file));
    }
    for pinned in &status.pinned {
        let text = format!("generation {} is retired and still mapped: {}", pinned.generation, pinned.reason);
        because.push(text);
    }
    let (code, blame) = told_first(status).map_or((None, None), |(code, blame)| (Some(code), blame));
    if let Some(code) = &code {
        if unchanged.is_empty() {
            unchanged.extend(code.parse::<Code>().map(|code| code.explanation().unchanged.to_owned()));
        }
        next.push(format!("what {code} means, and what mostly leads to it: `hotbay explain {code}`"));
    }
    Why { name, phase: row.phase, code, blame, because, unchanged, next }
}

/// Whether one that runs has all that it requires, and lets callers in.
fn is_well(status: &Status) -> bool {
    let is_closed = |breaker: &BreakerView| breaker.state == BreakerState::Closed;
    status.missing.is_empty() && status.breaker.as_ref().is_none_or(is_closed)
}

/// The code of what matters most: why it does not run; else why another version does not; else what holds old code.
fn told_first(status: &Status) -> Option<(String, Option<Blame>)> {
    let receipt = status.last_swap.as_ref().filter(|receipt| receipt.outcome == Outcome::RolledBack);
    let receipt = receipt.filter(|_| status.row.phase != Phase::Stopped);
    let others = status.candidates.iter().filter(|row| row.phase != Phase::Shadowed);
    let mut all = std::iter::once((&status.row.code, status.row.blame))
        .chain(receipt.map(|receipt| (&receipt.code, receipt.blame)))
        .chain(others.map(|row| (&row.code, row.blame)))
        .chain(status.pinned.iter().map(|pinned| (&pinned.code, None)));
    let (code, blame) = all.find_map(|(code, blame)| Some((code.clone()?, blame)))?;
    let known = code.parse::<Code>().ok().map(Code::blame);
    Some((code, blame.or(known)))
}

fn whose(blame: Blame) -> &'static str {
    match blame {
        Blame::Plugin => "plugin's author",
        Blame::Host => "host's author",
        Blame::Operator => "operator",
    }
}

/// Whether this is what answers now: since it was spared by a swap, it may have failed or been stopped.
fn serves(status: &Status, side: &Side) -> bool {
    let row = &status.row;
    matches!(row.phase, Phase::Running | Phase::Swapping)
        && row.generation == Some(side.generation)
        && row.version.as_ref() == Some(&side.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::view::Missing;

    /// Version 1.0.0 in this phase, after a swap to 2.0.0 that was rolled back.
    fn after_a_failed_swap(phase: Phase, generation: Option<u64>) -> Status {
        serde_json::from_value(serde_json::json!({
            "name": "echo", "version": "1.0.0", "generation": generation, "phase": phase,
            "digest": null, "source": "plugins/my echo.so", "reason": null, "manifest": null,
            "since_unix_ms": 0, "calls": 0, "errors": 0, "snapshot": null, "pinned": [],
            "candidates": [], "events": [],
            "last_swap": {
                "outcome": "rolled_back", "reason": "no luck", "unix_ms": 0,
                "from": { "version": "1.0.0", "generation": 1, "digest": "" },
                "to": { "version": "2.0.0", "generation": 2, "digest": "" },
                "requests": { "old": 0, "waited": 0, "new": 0, "lost": 0, "duplicated": 0 },
                "pause_us": { "p50": 0, "p99": 0, "max": 0 },
                "stages_us": {}, "state_bytes": 0, "retired": "unloaded", "retired_reason": null,
            },
        }))
        .unwrap()
    }

    #[test]
    fn only_what_serves_is_said_to_serve_on() {
        let said = |phase, generation| explain(&after_a_failed_swap(phase, generation)).unchanged.join("\n");
        assert!(said(Phase::Running, Some(1)).contains("1.0.0 serves on"));
        for (phase, generation) in [
            (Phase::Faulted, None),
            (Phase::Quarantined, None),
            (Phase::Starting, None),
            (Phase::Stopped, None),
            // It was started anew since.
            (Phase::Running, Some(3)),
        ] {
            assert!(!said(phase, generation).contains("serves on"), "{phase} {generation:?}");
        }
    }

    #[test]
    fn the_code_of_what_keeps_it_down_is_told_before_that_of_an_earlier_swap() {
        let mut status = after_a_failed_swap(Phase::Running, Some(1));
        assert_eq!(explain(&status).code, None);
        status.last_swap.as_mut().unwrap().code = Some("HB0507".to_owned());
        let why = explain(&status);
        assert_eq!((why.code.as_deref(), why.blame), (Some("HB0507"), Some(Blame::Plugin)));
        assert!(why.next.last().unwrap().contains("`hotbay explain HB0507`"));
        assert_eq!(why.unchanged, ["1.0.0 serves on with its state"]);
        // A code of a newer host: it is told as it is.
        (status.row.phase, status.row.code) = (Phase::Faulted, Some("HB7777".to_owned()));
        let why = explain(&status);
        assert_eq!((why.code.as_deref(), why.blame), (Some("HB7777"), None));
        status.row.phase = Phase::Stopped;
        status.row.code = None;
        assert_eq!(explain(&status).code, None);
    }

    #[test]
    fn why_says_restarts_and_breaker_and_how_a_quarantine_is_lifted() {
        let mut status = after_a_failed_swap(Phase::Quarantined, None);
        status.row.code = Some("HB0663".to_owned());
        status.row.reason = Some("restarted 3 times within 60000 ms, and again: a call panicked".to_owned());
        status.supervised = serde_json::from_value(serde_json::json!({
            "restarts": 3, "lately": 3, "why": "a call panicked", "unix_ms": 0, "state": "its state is kept",
        }))
        .unwrap();
        status.breaker = serde_json::from_value(serde_json::json!({
            "state": "half-open", "forced": null, "why": "9 of 9 calls failed", "opened": 2, "again_in_ms": 0,
        }))
        .unwrap();
        let why = explain(&status);
        let because = why.because.join("\n");
        assert!(
            because.contains("restarts by supervision: 3, of these 3 lately; last: a call panicked"),
            "{because}"
        );
        assert!(
            because.contains("its breaker is half-open") && because.contains("9 of 9 calls failed"),
            "{because}"
        );
        assert!(because.contains("its state is kept"), "{because}");
        let next = why.next.join("\n");
        assert!(next.contains("`hotbay start echo` starts it again"), "{next}");
        assert!(!next.contains("right key"), "{next}");
    }

    #[test]
    fn nothing_is_said_to_be_right_while_what_it_requires_is_down_or_its_breaker_refuses() {
        let mut status = after_a_failed_swap(Phase::Running, Some(1));
        status.last_swap = None;
        let said = |status: &Status| {
            let why = explain(status);
            (why.because.join("\n"), why.next.join("\n"))
        };
        assert!(said(&status).0.contains("nothing is wrong"));
        let (stopped, faulted) = (Some(Phase::Stopped), Some(Phase::Faulted));
        for (phase, step) in
            [(stopped, "`hotbay start base`"), (faulted, "`hotbay why base`"), (None, "`hotbay add FILE`")]
        {
            status.missing = vec![Missing { service: "base".to_owned(), phase }];
            let (because, next) = said(&status);
            assert!(!because.contains("nothing is wrong"), "{because}");
            assert!(because.contains("service `base`, which it requires, does not serve"), "{because}");
            assert!(next.contains(step), "{next}");
        }
        status.missing.clear();
        for (state, forced, step) in
            [("open", Some("open"), "breaker echo auto"), ("open", None, "breaker echo close")]
        {
            status.breaker = serde_json::from_value(serde_json::json!({
                "state": state, "forced": forced, "why": null, "opened": 1, "again_in_ms": null,
            }))
            .unwrap();
            let (because, next) = said(&status);
            assert!(!because.contains("nothing is wrong") && next.contains(step), "{because} {next}");
        }
        status.breaker.as_mut().unwrap().state = BreakerState::Closed;
        assert!(said(&status).0.contains("nothing is wrong"));
    }

    #[test]
    fn what_to_do_next_can_be_copied_into_a_shell() {
        let next = |phase| explain(&after_a_failed_swap(phase, None)).next.join("\n");
        assert!(next(Phase::Quarantined).contains("`hotbay start echo --fresh`"));
        assert!(next(Phase::Rejected).contains(&format!("`hotbay check {}`", quoted("plugins/my echo.so"))));
        let mut status = after_a_failed_swap(Phase::Rejected, None);
        status.configuration = Some("etc/my bay.toml".into());
        let told = explain(&status).next.join("\n");
        assert!(told.contains(&format!(" --config {}`", quoted("etc/my bay.toml"))), "{told}");
    }
}
