//! `hotbay topics`

use super::output::{Output, one_line, or_dash};
use super::when::stamp_and_age;
use crate::bus::{Mailed, TopicView, WhenFull};
use crate::control::client::Client;
use crate::control::protocol::Request;

pub(super) fn topics(client: &Client, out: &Output) -> anyhow::Result<()> {
    let topics: Vec<TopicView> = client.ask(&Request::Topics)?;
    if out.is_json() {
        return out.json(&topics);
    }
    let header =
        ["SUBJECT", "PUBLISHED", "LAST", "MAILBOX", "QUEUE", "WAITING", "WHEN FULL", "DROPPED", "REFUSED"];
    out.table(&header, &topics.iter().flat_map(rows).collect::<Vec<_>>())
}

/// A row for each mailbox.
fn rows(topic: &TopicView) -> Vec<Vec<String>> {
    let subject = || {
        let last = or_dash(topic.last_unix_ms.map(stamp_and_age));
        vec![one_line(&topic.subject), topic.published.to_string(), last]
    };
    if topic.mailboxes.is_empty() {
        let mut row = subject();
        row.resize(9, "-".to_owned());
        return vec![row];
    }
    let row = |mailed: &Mailed| {
        let when_full = match mailed.when_full {
            WhenFull::Block => "block",
            WhenFull::Reject => "reject",
            WhenFull::DropOldest => "drop-oldest",
        };
        let mut row = subject();
        row.extend([
            one_line(&mailed.name) + if mailed.answers { " (answers)" } else { "" },
            or_dash(mailed.queue.as_ref()),
            format!("{} of {}", mailed.depth, mailed.capacity),
            when_full.to_owned(),
            mailed.dropped.to_string(),
            mailed.refused.to_string(),
        ]);
        row
    };
    topic.mailboxes.iter().map(row).collect()
}
