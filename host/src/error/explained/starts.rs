//! HB06: the callbacks of a plugin's life, what it requires, its settings, and what has it restarted.

use super::Explanation;
use crate::error::{Blame, Code};

const CALLED_OFF: &str = "In a swap the old version goes on with all of its state; at a start the service stays down and its state on \
                          disk is as it was.";

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::CallbackFailed,
        title: "A callback of its life failed",
        blame: Blame::Plugin,
        meaning: "One of `start`, `stop`, `pause`, `resume`, `import` and `export` returned an error. Which one, and its words, are told.",
        causes: &[
            "`start` found a port, file or device taken",
            "`import` cannot read the state that it was given",
        ],
        unchanged: CALLED_OFF,
        next: &[
            "mend what it names, then `hotbay reload SERVICE` or `hotbay start SERVICE`; `hotbay why SERVICE` tells all of it",
        ],
        example: "start failed: the port is taken",
    },
    Explanation {
        code: Code::CallbackPanicked,
        title: "A callback of its life panicked",
        blame: Blame::Plugin,
        meaning: "The panic was caught at the boundary; callback, message and place are told.",
        causes: &["an `unwrap` on state that is shaped otherwise than was thought"],
        unchanged: CALLED_OFF,
        next: &["mend it at the place that is told, build, and `hotbay add FILE`"],
        example: "import panicked: no luck, at src/lib.rs:7:9",
    },
    Explanation {
        code: Code::CallbackHangs,
        title: "A callback of its life hangs",
        blame: Blame::Plugin,
        meaning: "It did not end within `swap.callback_ms` (and once more for each 256 MiB of state). The thread that it holds is left \
                  behind; a fresh one takes over, and what waited goes on without it.",
        causes: &["a lock that a call of its own holds", "a network that does not answer"],
        unchanged: CALLED_OFF,
        next: &[
            "mend it, or raise `swap.callback_ms`",
            "`hotbay reload SERVICE --force` goes on from the newest snapshot where the old version does not hand its state over",
        ],
        example: "export did not end within 5000 ms",
    },
    Explanation {
        code: Code::ExportTooLarge,
        title: "Its state is larger than the host takes",
        blame: Blame::Plugin,
        meaning: "The export was stopped at `state.max_bytes`, which keeps one plugin from filling memory or disk.",
        causes: &["state that only grows", "data in the state that belongs into a database"],
        unchanged: CALLED_OFF,
        next: &[
            "let the plugin keep less, or raise `max_bytes` under `[state]` and restart the host; then `hotbay state snapshot SERVICE`",
        ],
        example: "export wrote more than 268435456 bytes: let plugin `greeter` keep less, or raise `max_bytes` under `[state]` in hotbay.toml",
    },
    Explanation {
        code: Code::RequiresItself,
        title: "Services require each other in a circle",
        blame: Blame::Plugin,
        meaning: "Each of them would have to be started before the other. The circle is told.",
        causes: &["`requires` that names one which requires this one"],
        unchanged: "Services outside of the circle start as always.",
        next: &[
            "break the circle in one of them: find the other by its name when it is called; `hotbay list` shows who waits",
        ],
        example: "failed to start: it requires itself: greeter → echo → greeter; break the circle in one of them",
    },
    Explanation {
        code: Code::RequiredMissing,
        title: "A service that it requires is not there",
        blame: Blame::Operator,
        meaning: "No file of the plugins folder provides what its manifest names under `requires`. It starts by itself as soon as one \
                  does.",
        causes: &["the other plugin was not dropped in", "the other plugin was refused"],
        unchanged: "The version that served before serves on; every other service is untouched.",
        next: &["drop that plugin in: `hotbay add FILE`; `hotbay list` shows whether it was refused"],
        example: "failed to start: it requires service `logger`, which no file provides; drop that plugin in",
    },
    Explanation {
        code: Code::ConfigMisfit,
        title: "Its table does not fit the schema that it declares",
        blame: Blame::Operator,
        meaning: "What `[plugin.NAME]` says is held against the plugin's own schema before anything of the plugin runs, and again after each edit \
                  of the file. The line, the key and what was wanted are told.",
        causes: &[
            "a misspelt key",
            "a value of another kind, or out of its range",
            "a key that the plugin needs and that is not there",
        ],
        unchanged: "The version that served before serves on, with the table that it had.",
        next: &[
            "mend that line: it is read as soon as the file is saved; `hotbay config check` says beforehand whether it is right",
        ],
        example: "failed to configure version 1.0.0: hotbay.toml:12:1: `plugin.greeter.times` is 0, and is to be a whole number from 1 to 10; mend it there, and it is tried again by itself",
    },
    Explanation {
        code: Code::ConfigRefused,
        title: "It does not take its changed table",
        blame: Blame::Operator,
        meaning: "The table was edited and fits the schema. The plugin refused it with the words that are told, panicked over it, or did not \
                  take it in time.",
        causes: &[
            "values that do not go together, or that name something that is not there",
            "a defect of the plugin's `on_config`",
        ],
        unchanged: "The plugin goes on with the table that it had, and so does each version after it, until the file is mended.",
        next: &[
            "mend the table in the file: it is offered anew; `hotbay why SERVICE` shows whether it was taken",
        ],
        example: "its changed table of hotbay.toml is not taken: failed to reach example.org; the table that it had is in force, for the next version as well: mend it there",
    },
    Explanation {
        code: Code::ConfigAtReload,
        title: "Its changed table counts when it is loaded anew",
        blame: Blame::Operator,
        meaning: "The table was edited and fits the schema, and the plugin takes none while it runs. The host does not load it anew by itself: when \
                  is for you to say.",
        causes: &["a plugin without `on_config`, or of a contract before 1.3"],
        unchanged: "The plugin goes on with the table that it had.",
        next: &["`hotbay reload SERVICE` loads it anew with the new table, as a swap: no call is lost"],
        example: "its table of hotbay.toml changed, and it takes none while it runs: `hotbay reload greeter` brings the new one, as does its next version",
    },
    Explanation {
        code: Code::KeepsPanicking,
        title: "The service is restarted: it goes on panicking",
        blame: Blame::Plugin,
        meaning: "It panicked so often with no good answer in between (`supervision.panics`) that the instance is taken for broken, most \
                  often by a lock that the first panic poisoned. Calls, messages, requests by topic, ticks of timers, threads that the host \
                  started and handlers of streams count. It is stopped, which hands its state over where it still can, and started again \
                  from that, or else from its last snapshot.",
        causes: &["a panic while a lock was held", "state that no call can work with any more"],
        unchanged: "Its file, its last snapshot, and every other service.",
        next: &[
            "mend it at the place that its panics tell; `hotbay why SERVICE` tells restarts and state",
            "set `panics` of `[service.NAME.supervision]`, 0 for never, where panics are answers",
        ],
        example: "it panicked 5 times with no good answer in between",
    },
    Explanation {
        code: Code::CallHangs,
        title: "The service is restarted: a thread hangs in it",
        blame: Blame::Plugin,
        meaning: "A thread has been inside a call for longer than `supervision.hang_ms` after its deadline had passed, or in a message or a tick of a \
                  timer, whose deadline is `swap.callback_ms`; or so many hang that no fresh one is started for what comes. The service is \
                  stopped and started again. The thread cannot be ended: it keeps the old library mapped until it comes back.",
        causes: &["two locks that are taken in two orders", "a network or a device that does not answer"],
        unchanged: "Its file, its last snapshot, and every other service.",
        next: &[
            "mend it; `hotbay why SERVICE` tells restarts and state, and what keeps the old library",
            "raise `hang_ms` of `[service.NAME.supervision]`, 0 for never, where calls may take so long",
        ],
        example: "1 thread has hung for 30000 ms since a deadline passed",
    },
    Explanation {
        code: Code::KeepsFailing,
        title: "The service is restarted: too much of what it does fails",
        blame: Blame::Plugin,
        meaning: "A larger share of its calls and messages failed than `supervision.max_error_rate` allows. It is stopped and started again.",
        causes: &["state that no call can work with any more", "a connection that it does not make anew"],
        unchanged: "Its file, its last snapshot, and every other service.",
        next: &[
            "`hotbay why SERVICE` tells restarts and state",
            "raise or remove `max_error_rate` where errors are answers",
        ],
        example: "20 of 20 calls failed within 10000 ms",
    },
    Explanation {
        code: Code::RestartedTooOften,
        title: "The service was restarted too often and is quarantined",
        blame: Blame::Plugin,
        meaning: "It was restarted as often as `supervision.max_restarts` allows within `supervision.window_ms`, and went wrong once more. It \
                  stays down, so that it does not go on for ever.",
        causes: &["a fault that comes back with its state", "what it depends on is down for longer"],
        unchanged: "Its state on disk, and every other service.",
        next: &[
            "`hotbay start SERVICE` starts it again and counts from 0; `--fresh` with empty state",
            "replace its file: other bytes are tried as soon as they lie there",
        ],
        example: "restarted 3 times within 60000 ms, and again: it panicked 5 times with no good answer in between",
    },
    Explanation {
        code: Code::DependencyStopped,
        title: "It is stopped, since a service is that it requires",
        blame: Blame::Operator,
        meaning: "`when_dependency_stops = \"stop\"` of the service says so. It starts by itself when the other one serves again.",
        causes: &["the other one was stopped, or failed"],
        unchanged: "Its state on disk, and every other service.",
        next: &["`hotbay why OTHER` says why that one does not run, `hotbay start OTHER` starts it"],
        example: "service `logger`, which it requires, is stopped; `hotbay start logger` starts it",
    },
];
