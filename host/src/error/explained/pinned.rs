//! HB09: libraries that could not be unmapped.

use super::Explanation;
use crate::error::{Blame, Code};

const SERVED: &str =
    "The swap or stop itself is done: the new version serves. Only memory of the old code is not free yet.";

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::StillInside,
        title: "A call or callback is still inside",
        blame: Blame::Plugin,
        meaning: "Code that somebody runs cannot be unmapped. It goes by itself when that ends; what did not end is told.",
        causes: &["a call that takes long, or hangs", "a callback that was given up after its deadline"],
        unchanged: SERVED,
        next: &[
            "`hotbay status SERVICE` shows what holds it; a hang is ended by a restart of the host alone",
        ],
        example: "calls inside it did not end within 5000 ms",
    },
    Explanation {
        code: Code::ThreadLeft,
        title: "A thread of it still runs",
        blame: Blame::Plugin,
        meaning: "A thread that the plugin started runs its code, or began while it was loaded. Its id and name are told.",
        causes: &[
            "`stop` does not join what `start` began",
            "a runtime, such as tokio's, that was not dropped",
        ],
        unchanged: SERVED,
        next: &["end and join it in `stop`; `hotbay status SERVICE` names the thread"],
        example: "thread 17 `worker` of it still runs; end and join it in `stop`",
    },
    Explanation {
        code: Code::ThreadLocalLeft,
        title: "A caller's thread holds a thread-local of it",
        blame: Blame::Host,
        meaning: "A thread of the embedding program called it inline, and a thread-local of the plugin lives there with its destructor \
                  still to run. It goes when that thread ends.",
        causes: &["`Host::call` or a `Handle` on a thread that lives long"],
        unchanged: SERVED,
        next: &["call by `Host::request`, which leaves none; `hotbay status SERVICE` names the threads"],
        example: "thread 17 `worker` called it inline and still holds a thread-local of it, whose destructor is pending; it goes when that thread ends, and `request` leaves none",
    },
    Explanation {
        code: Code::MarkedToStay,
        title: "Its file says that it stays",
        blame: Blame::Plugin,
        meaning: "The library is marked so that no system unmaps it, or it is one of macOS with thread-locals, where none ever is.",
        causes: &["linked with `-z nodelete`", "macOS"],
        unchanged: SERVED,
        next: &[
            "build it without the mark; on macOS restart the host when `hotbay list` shows much that is pinned",
        ],
        example: "its file is marked NODELETE, so the system never unmaps it; link it without `-z nodelete`",
    },
    Explanation {
        code: Code::ClosingHangs,
        title: "Closing it did not end",
        blame: Blame::Plugin,
        meaning: "A destructor of it hangs, or the loader is busy with another library. It is left alone: whoever asked for more would \
                  wait as well.",
        causes: &["a static whose destructor waits for a thread or a lock"],
        unchanged: SERVED,
        next: &[
            "mend the destructor; a restart of the host ends it; `hotbay status SERVICE` shows it until then",
        ],
        example: "the system's loader is busy: closing it did not end within 5000 ms; a destructor of it hangs, or what another library does when it is mapped or unmapped; only a restart of the host ends that",
    },
    Explanation {
        code: Code::StaysUnexplained,
        title: "It was closed and is still mapped",
        blame: Blame::Plugin,
        meaning: "The mappings of the process were looked at, and it is there; what holds it cannot be seen.",
        causes: &["a thread-local on a thread of a C library", "another library that links to it"],
        unchanged: SERVED,
        next: &["end its threads in `stop`; `hotbay status SERVICE` shows it until it goes"],
        example: "it left a thread running, or a thread-local on one: join its threads in `stop`",
    },
    Explanation {
        code: Code::CannotBeSeen,
        title: "Whether it is gone cannot be seen",
        blame: Blame::Operator,
        meaning: "It was closed, and the system does not show the host its own mappings. It is shown as pinned and counts for no \
                  limit.",
        causes: &["a sandbox without `/proc`"],
        unchanged: SERVED,
        next: &["let the host read `/proc/self/maps`; `hotbay status SERVICE` then says what there is"],
        example: "it was closed, and whether it is gone cannot be seen: permission denied",
    },
    Explanation {
        code: Code::OverBudget,
        title: "Too much old code stays mapped",
        blame: Blame::Plugin,
        meaning: "What cannot be unmapped has more than `swap.max_pinned_mib` together. Nothing is swapped until some of it has gone: a \
                  host that leaks with each swap would end for lack of memory at a time of its own.",
        causes: &["a plugin that leaves a thread behind with each swap", "many swaps on macOS"],
        unchanged: "Every service runs on as it is; it goes on by itself when something pinned has gone.",
        next: &[
            "`hotbay status SERVICE` says what holds it; mend its `stop`, raise the limit, or restart the host",
        ],
        example: "old code that cannot be unmapped has 257.0 MiB, more than swap.max_pinned_mib = 256 allows: `greeter` 257.0 MiB in 9 generations; `hotbay status greeter` says what holds it: end that, mend its `stop`, raise the limit, or restart the host",
    },
];
