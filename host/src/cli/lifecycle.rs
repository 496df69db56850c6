//! `hotbay start|stop|restart NAME…|--all [--dry-run]`, and `hotbay breaker NAME open|close|auto`

use std::time::Duration;

use super::args::{BreakerWanted, Services, millis};
use super::change::change;
use super::output::{Output, narrate, one_line, or_dash};
use crate::control::client::Client;
use crate::control::exit::Exit;
use crate::control::protocol::{FailedOne, Failure, Lifecycle, Request};
use crate::error::Code;
use crate::kernel::view::{Action, BreakerView, Planned};

/// `alone` is what only one service can be asked: `--fresh` of a start, `--force` of a stop.
pub(super) fn lifecycle(
    client: &Client,
    action: Action,
    services: Services,
    alone: bool,
    deadline: Duration,
    out: &Output,
) -> anyhow::Result<()> {
    let deadline_ms = millis(deadline);
    if let Some(name) = services.one() {
        let name = name.to_owned();
        let request = match action {
            Action::Start => Request::Start { name, fresh: alone, deadline_ms },
            Action::Restart => Request::Restart { name, deadline_ms },
            Action::Stop | Action::Keep => Request::Stop { name, force: alone, deadline_ms },
        };
        return change(client, &request, out);
    }
    if alone {
        let message = match action {
            Action::Start => {
                "failed to start several services afresh: name one, whose state is to be kept aside"
            }
            _ => "failed to stop several services by force: name one, whose newest state may be lost",
        };
        return Err(Failure::new(Exit::Usage, Code::CommandLine, message).into());
    }
    let dry_run = services.dry_run;
    let request = Request::Lifecycle { action, which: services.which(), dry_run, deadline_ms };
    let done: Lifecycle = client.ask(&request)?;
    if out.is_json() {
        out.json(&done)?;
    } else if dry_run {
        let rows: Vec<_> = done.plan.iter().map(cells).collect();
        out.table(&["LEVEL", "ACTION", "SERVICE", "BECAUSE OF", "NOTE"], &rows)?;
    } else {
        for changed in &done.changed {
            narrate(&one_line(&format!("{} is {}", changed.row.name, changed.row.phase)));
        }
        tell(done.plan.iter().filter(|step| step.because_of.is_some()));
    }
    // Each is told; the first says how the command ends.
    let mut failed = done.failed.into_iter();
    let Some(FailedOne { failure: first, .. }) = failed.next() else { return Ok(()) };
    for FailedOne { name, failure } in failed {
        narrate(&one_line(&format!("{name}: {failure}")));
    }
    Err(first.into())
}

/// Says what was done to services that were not named.
pub(super) fn tell<'a>(steps: impl Iterator<Item = &'a Planned>) {
    for Planned { service, action, because_of, note, .. } in steps {
        let because_of = or_dash(because_of.as_ref());
        let note = note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        narrate(&one_line(&format!("{action} {service}, because of {because_of}{note}")));
    }
}

fn cells(step: &Planned) -> Vec<String> {
    let Planned { level, service, action, because_of, note } = step;
    vec![
        level.to_string(),
        action.to_string(),
        service.clone(),
        or_dash(because_of.as_ref()),
        or_dash(note.as_ref()),
    ]
}

pub(super) fn breaker(
    client: &Client,
    name: String,
    wanted: BreakerWanted,
    out: &Output,
) -> anyhow::Result<()> {
    let view: BreakerView = client.ask(&Request::Breaker { name: name.clone(), force: wanted.force() })?;
    if out.is_json() {
        return out.json(&view);
    }
    narrate(&one_line(&format!("the breaker of {name} is {}", told(&view))));
    Ok(())
}

/// A breaker in a few words.
pub(super) fn told(view: &BreakerView) -> String {
    let forced = if view.forced.is_some() { ", held there" } else { "" };
    let why = view.why.as_ref().filter(|_| view.opened > 0);
    let why = why.map(|why| format!("; opened {} times, last: {why}", view.opened)).unwrap_or_default();
    let again =
        view.again_in_ms.map(|ms| format!("; calls are let in to see in {ms} ms")).unwrap_or_default();
    let state = match view.state {
        crate::kernel::view::BreakerState::Closed => "closed",
        crate::kernel::view::BreakerState::Open => "open",
        crate::kernel::view::BreakerState::HalfOpen => "half-open",
    };
    format!("{state}{forced}{again}{why}")
}
