//! `hotbay list`

use super::output::{Output, coded, or_dash, short_digest};
use crate::control::client::Client;
use crate::control::protocol::Request;
use crate::kernel::view::{Row, mebibytes};

pub(super) fn list(client: &Client, out: &Output) -> anyhow::Result<()> {
    let rows: Vec<Row> = client.ask(&Request::List)?;
    if out.is_json() {
        return out.json(&rows);
    }
    let header = ["NAME", "VERSION", "GENERATION", "PHASE", "DIGEST", "FILE", "PINNED", "REASON"];
    out.table(&header, &rows.iter().map(cells).collect::<Vec<_>>())
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        or_dash(Some(&row.name)),
        or_dash(row.version.as_ref()),
        or_dash(row.generation),
        row.phase.to_string(),
        short_digest(row.digest.as_deref()),
        or_dash(row.source.as_ref().map(|path| path.display())),
        match row.pinned_generations {
            0 => String::new(),
            count => format!("{count}, {}", mebibytes(row.pinned_bytes)),
        },
        row.reason.as_ref().map_or_else(String::new, |reason| coded(row.code.as_deref(), reason)),
    ]
}
