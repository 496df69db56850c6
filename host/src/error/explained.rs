//! The one table of what is to be known of each code. `hotbay explain`, `why` and `ERRORS.md` are made of it.

mod calls;
mod commands;
mod files;
mod host;
mod http;
mod keys;
mod messages;
mod pinned;
mod runs;
mod starts;
mod state;
mod streams;
mod swaps;
mod trust;

use serde::Serialize;

use super::{Blame, Code};

/// What is to be known of a code.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The code.
    #[serde(serialize_with = "as_text")]
    pub code: Code,
    /// What happened, in a few words.
    pub title: &'static str,
    /// Who can mend it.
    pub blame: Blame,
    /// What it means.
    pub meaning: &'static str,
    /// What mostly leads to it.
    pub causes: &'static [&'static str],
    /// What is as it was before.
    pub unchanged: &'static str,
    /// What to do next, the first thing first. Commands stand between backticks.
    pub next: &'static [&'static str],
    /// A text that has this code.
    pub example: &'static str,
}

/// A stage of a plugin's life, or a part of the host, with its codes.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) title: &'static str,
    pub(super) table: &'static [Explanation],
}

/// All of them, in the order of their codes.
pub(super) const STAGES: &[Stage] = &[
    Stage { title: "The host's start: command line, settings, folders", table: host::TABLE },
    Stage { title: "A file: found, read and verified", table: files::TABLE },
    Stage { title: "Whom the host trusts", table: trust::TABLE },
    Stage { title: "Staged and probed", table: runs::PROBED },
    Stage { title: "Mapped and created", table: runs::LOADED },
    Stage { title: "The callbacks of its life, and what it requires", table: starts::TABLE },
    Stage { title: "Calls", table: calls::TABLE },
    Stage { title: "Streams", table: streams::TABLE },
    Stage { title: "From one version to the next, and back", table: swaps::TABLE },
    Stage { title: "Old code that stays mapped", table: pinned::TABLE },
    Stage { title: "State at rest", table: state::TABLE },
    Stage { title: "The keys that seal state", table: keys::TABLE },
    Stage { title: "Commands, and the way to the host", table: commands::TABLE },
    Stage { title: "The way to the host by HTTP", table: http::TABLE },
    Stage { title: "Messages", table: messages::TABLE },
    Stage { title: "The host itself", table: commands::DEFECTS },
];

// A code without an explanation does not compile.
const _: () = {
    let (mut stage, mut row, mut at) = (0, 0, 0);
    while at < Code::ALL.len() {
        while row == STAGES[stage].table.len() {
            (stage, row) = (stage + 1, 0);
        }
        assert!(
            STAGES[stage].table[row].code as u16 == Code::ALL[at] as u16,
            "each code has an explanation, in the order of the codes"
        );
        (row, at) = (row + 1, at + 1);
    }
    assert!(stage == STAGES.len() - 1 && row == STAGES[stage].table.len(), "no explanation is left over");
};

/// What is to be known of a code.
pub(super) fn of(code: Code) -> &'static Explanation {
    let mut all = STAGES.iter().flat_map(|stage| stage.table);
    all.find(|explanation| explanation.code == code).expect("the table is looked through when it is compiled")
}

/// The codes whose numbers are nearest to this one, at most `count`.
#[must_use]
pub fn nearest(number: u16, count: usize) -> Vec<Code> {
    let mut all = Code::ALL.to_vec();
    // Of the same stage first.
    all.sort_by_key(|code| (code.number() / 100 != number / 100, code.number().abs_diff(number)));
    all.truncate(count);
    all.sort_unstable();
    all
}

fn as_text<S: serde::Serializer>(code: &Code, into: S) -> Result<S::Ok, S::Error> {
    into.collect_str(code)
}
