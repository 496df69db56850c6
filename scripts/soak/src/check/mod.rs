//! The process that judges: reads the history as it is made, and knows nothing else.

mod judge;
mod key;
mod mail;
mod pauses;
mod spread;
#[cfg(test)]
mod tests;

use std::io::{BufRead as _, Write as _};

use anyhow::{Context, Result};

use crate::record::{Record, Said};
use judge::Judge;

/// Reads stdin to its end, and says what it sees on stdout.
pub(crate) fn run() -> Result<()> {
    let (mut judge, mut begun) = (Judge::default(), false);
    for line in std::io::stdin().lock().lines() {
        let line = line.context("failed to read the history")?;
        // A host that was killed leaves half a line.
        let Ok(record) = serde_json::from_str::<Record>(&line) else {
            judge.complain(format!("the history holds `{line}`"));
            continue;
        };
        match &record {
            Record::Answered(..) if !begun => {
                begun = true;
                say(&Said::Begun)?;
            }
            Record::Swapped(_, receipt) => say(&Said::Swapped(receipt.clone()))?,
            _ => {}
        }
        judge.take(record);
    }
    say(&Said::Verdict(Box::new(judge.verdict())))
}

fn say(said: &Said) -> Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).context("failed to tell the driver")
}
