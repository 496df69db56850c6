//! `hotbay status NAME`

use super::output::{Output, coded, one_line, or_dash, short_digest};
use super::when::stamp_and_age;
use crate::control::client::Client;
use crate::control::protocol::Request;
use crate::kernel::view::{
    Given, Messages, Outcome, Pinned, Receipt, Retired, Status, Supervised, mebibytes,
};

pub(super) fn status(client: &Client, name: &str, out: &Output) -> anyhow::Result<()> {
    let status: Status = client.ask(&Request::Status { name: name.to_owned() })?;
    if out.is_json() { out.json(&status) } else { out.text(&screen(&status)) }
}

fn screen(status: &Status) -> String {
    let row = &status.row;
    let mut lines = vec![title(status)];
    let mut line = |what: &str, text: String| lines.push(format!("  {what:<10}  {}", one_line(&text)));
    if let Some(reason) = &row.reason {
        line("because", coded(row.code.as_deref(), reason));
    }
    line("since", stamp_and_age(status.since_unix_ms));
    line("file", or_dash(row.source.as_ref().map(|path| path.display())));
    line("digest", or_dash(row.digest.as_ref()));
    if let Some(trust) = &status.trust {
        line("trust", trust.clone());
    }
    if let Some(settings) = &status.settings {
        line("settings", settings.clone());
    }
    if let Some(manifest) = &status.manifest {
        line("methods", list(&manifest.methods));
        if !manifest.streams.is_empty() {
            line("streams", list(&manifest.streams));
        }
        line("requires", list(&manifest.requires));
        if !manifest.wants.is_empty() {
            line("wants", list(&manifest.wants));
        }
        line("built by", format!("{}, contract {}", manifest.toolchain, manifest.contract));
    }
    line("calls", format!("{}, of these {} with an error", status.calls, status.errors));
    if let Some(breaker) = &status.breaker {
        line("breaker", super::lifecycle::told(breaker));
    }
    if let Some(supervised) = &status.supervised {
        line("restarts", restarts(supervised));
    }
    if let Some(given) = status.given.as_ref().filter(|given| **given != Given::default()) {
        let Given { threads, timers, failures, panics, streams, opened } = given;
        let bad = format!("{failures} ended with an error, {panics} panicked");
        line(
            "given",
            format!(
                "threads {}; {timers} timers; {streams} streams handled, {opened} opened; {bad}",
                list(threads)
            ),
        );
    }
    if let Some(snapshot) = &status.snapshot {
        let at = stamp_and_age(snapshot.created_unix_ms);
        line("state", format!("{} bytes in schema {}, sealed {at}", snapshot.bytes, snapshot.schema));
    }
    if let Some(recovered) = &status.recovered {
        line("recovered", recovered.clone());
    }
    if let Some(receipt) = &status.last_swap {
        line("last swap", told(receipt));
    }
    for pinned in &status.pinned {
        let Pinned { generation, version, reason, code, bytes, .. } = pinned;
        let reason = coded(code.as_deref(), reason);
        let text = format!("generation {generation} ({version}), {}: {reason}", mebibytes(*bytes));
        line("pinned", text);
    }
    for rolled_back in &status.rolled_back {
        let (digest, at) = (short_digest(Some(&rolled_back.digest)), stamp_and_age(rolled_back.unix_ms));
        let reason = coded(rolled_back.code.as_deref(), &rolled_back.reason);
        line("rolled", format!("back: {} ({digest}), {at}: {reason}", rolled_back.version));
    }
    for candidate in &status.candidates {
        let version = or_dash(candidate.version.as_ref());
        let file = or_dash(candidate.source.as_ref().map(|path| path.display()));
        let reason = candidate.reason.as_ref().map(|reason| coded(candidate.code.as_deref(), reason));
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        line("also in", format!("{file}, {version}, {}{reason}", candidate.phase));
    }
    for event in &status.events {
        lines.push(format!("  {}", super::events::line(event)));
    }
    lines.join("\n")
}

/// `echo 2.0.0, generation 2: running`
pub(super) fn title(status: &Status) -> String {
    let row = &status.row;
    let version = row.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let generation =
        row.generation.map(|generation| format!(", generation {generation}")).unwrap_or_default();
    one_line(&format!("{}{version}{generation}: {}", row.name, row.phase))
}

/// `2, of these 1 lately: it panicked 5 times …`
pub(super) fn restarts(supervised: &Supervised) -> String {
    let Supervised { restarts, lately, why, unix_ms, state } = supervised;
    let at = unix_ms.map(|ms| format!(" ({})", stamp_and_age(ms))).unwrap_or_default();
    let why = why.as_ref().map(|why| format!("; last: {why}{at}")).unwrap_or_default();
    let state = state.as_ref().map(|state| format!("; {state}")).unwrap_or_default();
    format!("{restarts}, of these {lately} lately{why}{state}")
}

/// A receipt in one sentence.
pub(super) fn told(receipt: &Receipt) -> String {
    let (from, to, requests) = (&receipt.from, &receipt.to, &receipt.requests);
    let at = stamp_and_age(receipt.unix_ms);
    if receipt.outcome == Outcome::RolledBack {
        let reason = receipt.reason.as_deref().unwrap_or("the host does not say why");
        let reason = coded(receipt.code.as_deref(), reason);
        return format!("{} to {} was rolled back: {reason} ({at})", from.version, to.version);
    }
    let back = match (&receipt.reason, &receipt.state_from) {
        (Some(reason), Some(state)) if receipt.rollback => format!(" (back, {reason}; state: {state})"),
        (Some(reason), None) if receipt.rollback => format!(" (back, {reason})"),
        _ => String::new(),
    };
    let held = receipt.retired_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let retired = match receipt.retired {
        Retired::Unloaded => "unloaded",
        Retired::Pinned => "pinned",
    };
    let handled = match &receipt.messages {
        none if *none == Messages::default() => String::new(),
        Messages { old, waited, new, lost, duplicated, dropped } => format!(
            ", {old} messages handled by the old, {waited} waited, {new} by the new, {lost} lost, {duplicated} duplicated, {dropped} dropped"
        ),
    };
    let forced = receipt.forced.as_ref().map(|cost| format!(", forced: it {cost}")).unwrap_or_default();
    let rehearsal = match receipt.rehearsal.as_deref() {
        None | Some("skipped") => String::new(),
        Some(rehearsal) => format!(", rehearsal {rehearsal}"),
    };
    format!(
        "{} to {}{back}: {} requests answered by the old, {} waited at most {} us, {} by the new, {} lost, {} duplicated{handled}, \
         old code {retired}{held}{rehearsal}{forced} ({at})",
        from.version,
        to.version,
        requests.old,
        requests.waited,
        receipt.pause_us.max,
        requests.new,
        requests.lost,
        requests.duplicated,
    )
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}
