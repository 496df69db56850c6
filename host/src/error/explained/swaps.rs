//! HB08: swaps that were given up, and versions that were left.

use super::Explanation;
use crate::error::{Blame, Code};

const OLD_SERVES: &str = "The old version serves on, with all of its state; callers noticed a pause at most.";
const BEFORE_SERVES: &str = "The version before serves, with its state; every other service is untouched.";

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::NotDrained,
        title: "Calls inside the old version did not end in time",
        blame: Blame::Plugin,
        meaning: "State is handed over when nobody is inside any more. After `swap.drain_ms` somebody still was, so the swap, or the \
                  stop, was called off.",
        causes: &["a method that takes long, or hangs"],
        unchanged: OLD_SERVES,
        next: &[
            "`hotbay reload SERVICE` tries again; `swap.drain_ms` waits longer",
            "`hotbay reload SERVICE --force` goes on from the newest snapshot, and says what that cost",
        ],
        example: "calls inside it did not end within 5000 ms",
    },
    Explanation {
        code: Code::SchemaNotRead,
        title: "The new version does not read the state's schema",
        blame: Blame::Plugin,
        meaning: "The manifests say which schema versions are read and written, and the two do not meet. That is found out before \
                  anybody waits.",
        causes: &["a version that skips a migration", "a downgrade to one that is older than the state"],
        unchanged: OLD_SERVES,
        next: &[
            "declare a step from that schema in the new version, or one back in the version that wrote it; then `hotbay add FILE`",
        ],
        example: "failed to carry the state over: it has schema 3, version 1.0.0 reads 1, 2; declare a step from 3 there, or one back in the version that wrote it",
    },
    Explanation {
        code: Code::RehearsalFailed,
        title: "The rehearsal of the migration failed",
        blame: Blame::Plugin,
        meaning: "Where the schema changes, a copy of the state goes to a twin of the next version and back before callers wait. One \
                  of the steps failed there; which, is told.",
        causes: &[
            "a migration that does not take all of the real state",
            "a step back that is declared and does not work",
        ],
        unchanged: "The old version serves on, with all of its state; nobody waited at all.",
        next: &["mend the step and `hotbay add FILE`; `hotbay history SERVICE` keeps what was told"],
        example: "failed to rehearse the swap (from schema 1 to 2), no caller waited: import of its twin failed: there is no name in it",
    },
    Explanation {
        code: Code::NothingToForceFrom,
        title: "There is no snapshot to force the swap from",
        blame: Blame::Operator,
        meaning: "A forced swap goes on from a snapshot where the old version does not hand its state over. There is none, and the \
                  old version cannot write one now.",
        causes: &["the service hung before its first snapshot"],
        unchanged: OLD_SERVES,
        next: &[
            "`hotbay state show SERVICE` shows what is kept; without state, `hotbay stop SERVICE` and `hotbay start SERVICE --fresh`",
        ],
        example: "failed to force the swap: service `greeter` has no snapshot to go on from, and export did not end within 5000 ms",
    },
    Explanation {
        code: Code::OldIsDown,
        title: "The swap failed, and so did the way back",
        blame: Blame::Plugin,
        meaning: "The new version could not be started after the old one had stopped, and the old one cannot go on: its `stop` hangs, or \
                  its `start` fails now. Both reasons are told.",
        causes: &["`start` that works once only", "a port that `stop` did not give back"],
        unchanged: "The newest state is on disk, and every other service is untouched.",
        next: &[
            "`hotbay start SERVICE` tries what lies in the folder; `hotbay why SERVICE` tells both reasons",
        ],
        example: "the swap failed, and the old generation could not be started again: start failed: the port is taken",
    },
    Explanation {
        code: Code::FailsOnProbation,
        title: "The new version failed its probation",
        blame: Blame::Plugin,
        meaning: "Within its window more of its calls failed than `probation.max_error_rate` allows, and more than in the version before. \
                  The host swapped back by itself, and does not load that version again.",
        causes: &["a defect that shows with real requests only"],
        unchanged: BEFORE_SERVES,
        next: &[
            "mend it and `hotbay add FILE`: other bytes are another version",
            "`hotbay reload SERVICE` tries the same bytes again",
        ],
        example: "14 of 20 calls failed while it was on probation; of the version before, 0 in 100 did",
    },
    Explanation {
        code: Code::BringsHostDown,
        title: "The host died under the new version, twice",
        blame: Blame::Plugin,
        meaning: "While it took over or was on probation the process died, and after the restart again. It is not loaded a third time \
                  by itself.",
        causes: &[
            "an abort, a wild pointer or a stack overflow in its first calls",
            "`kill -9` and power cuts, if they meet it twice",
        ],
        unchanged: BEFORE_SERVES,
        next: &[
            "mend it and `hotbay add FILE`; if it was not its doing, `hotbay reload SERVICE` tries it again",
        ],
        example: "the host died 2 times while it was on probation",
    },
    Explanation {
        code: Code::LeftByHand,
        title: "The version was left on purpose",
        blame: Blame::Operator,
        meaning: "Somebody asked with `hotbay rollback`. What is left is not loaded again by itself, also after a restart.",
        causes: &["`hotbay rollback SERVICE`"],
        unchanged: BEFORE_SERVES,
        next: &[
            "`hotbay reload SERVICE` tries it again; so do `hotbay add FILE` and a file with other bytes",
        ],
        example: "asked for with `hotbay rollback greeter`",
    },
    Explanation {
        code: Code::NothingToGoBackTo,
        title: "There is no earlier version to go back to",
        blame: Blame::Operator,
        meaning: "One version is kept beside the one that serves: the one that served before. There is none, or it failed itself, or it \
                  is the one that serves.",
        causes: &["the service was not swapped since its file was added", "it was rolled back already"],
        unchanged: "The version that serves goes on.",
        next: &[
            "bring the version that you want: `hotbay add FILE`; `hotbay history SERVICE` shows what was swapped",
        ],
        example: "failed to roll service `greeter` back: there is no earlier version: it was not swapped since its file was added",
    },
    Explanation {
        code: Code::KeptBytesGone,
        title: "The kept bytes of the earlier version are damaged or gone",
        blame: Blame::Operator,
        meaning: "What is kept to go back to is verified like any other file before it runs, and is not what was kept.",
        causes: &["somebody changed files below `good` in the home folder", "a damaged disk"],
        unchanged: "The version that serves goes on; where none does, the service is down and its state on disk is as it was.",
        next: &["bring that version again: `hotbay add FILE`"],
        example: "the kept bytes of version 1.0.0 are damaged or gone",
    },
];
