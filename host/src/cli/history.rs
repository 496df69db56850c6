//! `hotbay history NAME`

use super::output::{Output, coded, one_line};
use super::when::stamp;
use crate::control::client::Client;
use crate::control::protocol::Request;
use crate::kernel::view::{Outcome, Receipt, Retired};

pub(super) fn history(client: &Client, name: &str, out: &Output) -> anyhow::Result<()> {
    let receipts: Vec<Receipt> = client.ask(&Request::History { name: name.to_owned() })?;
    if out.is_json() {
        return out.json(&receipts);
    }
    let header = [
        "WHEN",
        "OUTCOME",
        "FROM",
        "TO",
        "OLD",
        "WAITED",
        "NEW",
        "LOST",
        "TWICE",
        "PAUSE P99",
        "STATE",
        "RETIRED",
        "REASON",
    ];
    out.table(&header, &receipts.iter().map(cells).collect::<Vec<_>>())
}

fn cells(receipt: &Receipt) -> Vec<String> {
    let requests = &receipt.requests;
    let outcome = match receipt.outcome {
        Outcome::Committed if receipt.rollback => "rollback",
        Outcome::Committed => "committed",
        Outcome::RolledBack => "rolled back",
    };
    let retired = match receipt.retired {
        Retired::Unloaded => "unloaded",
        Retired::Pinned => "pinned",
    };
    let state = receipt.state_from.as_ref().map(|from| format!("state: {from}"));
    let forced = receipt.forced.as_ref().map(|cost| format!("forced: it {cost}"));
    let rehearsal = match receipt.rehearsal.as_deref() {
        // What went wrong in it is the reason of the whole.
        None | Some("skipped") => None,
        Some(_) if receipt.reason.is_some() => None,
        Some(rehearsal) => Some(format!("rehearsal {rehearsal}")),
    };
    let reason = receipt.reason.as_ref().map(|reason| coded(receipt.code.as_deref(), reason));
    let reasons = [
        reason.as_deref(),
        state.as_deref(),
        receipt.retired_reason.as_deref(),
        rehearsal.as_deref(),
        forced.as_deref(),
    ];
    vec![
        stamp(receipt.unix_ms),
        outcome.to_owned(),
        one_line(&receipt.from.version),
        one_line(&receipt.to.version),
        requests.old.to_string(),
        requests.waited.to_string(),
        requests.new.to_string(),
        requests.lost.to_string(),
        requests.duplicated.to_string(),
        format!("{} us", receipt.pause_us.p99),
        format!("{} B", receipt.state_bytes),
        retired.to_owned(),
        one_line(&reasons.into_iter().flatten().collect::<Vec<_>>().join("; ")),
    ]
}
