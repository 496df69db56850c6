//! HB04 and HB05: from a file that may run to a plugin.

use super::Explanation;
use crate::error::{Blame, Code};

const ELSEWHERE: &str =
    "The host itself is untouched: this was a process of its own. The version that served before serves on.";
const AS_BEFORE: &str = "The version that served before serves on with its state; without one, the service is down and its state on \
                         disk is as it was.";

pub(super) const PROBED: &[Explanation] = &[
    Explanation {
        code: Code::NotStaged,
        title: "No copy of it could be made",
        blame: Blame::Operator,
        meaning: "The dropped file is never mapped itself; the bytes that were verified are staged in the home folder, or in a sealed \
                  file in memory. That failed, and is tried again by itself.",
        causes: &["the disk of the home folder is full or read-only"],
        unchanged: AS_BEFORE,
        next: &["make room on that disk; `hotbay why SERVICE` shows when it goes on"],
        example: "failed to stage it, is the disk of the home folder full?: no space left on device",
    },
    Explanation {
        code: Code::ProbeNotStarted,
        title: "The probe could not be started",
        blame: Blame::Operator,
        meaning: "Each new file is mapped in a throw-away process first. The system did not start that process, or not listen to it. \
                  That says nothing of the file, so it is tried again by itself.",
        causes: &[
            "a limit of processes or open files",
            "`probe.program` names a file that is missing or may not be run",
        ],
        unchanged: AS_BEFORE,
        next: &["raise the limit, or mend `probe.program`; then `hotbay reload SERVICE`"],
        example: "failed to run the probe `/usr/local/bin/hotbay`: too many open files",
    },
    Explanation {
        code: Code::ProbeIsNone,
        title: "The program that was started is no probe",
        blame: Blame::Host,
        meaning: "It ended without the words of a probe. A program that embeds the host is its own probe, if it says so first thing.",
        causes: &[
            "`probe.program` names another program",
            "`hotbay::probe::entry()` comes after something that ends the process",
        ],
        unchanged: AS_BEFORE,
        next: &[
            "call `hotbay::probe::entry()` first thing in its `main`, or set `probe.program` to the `hotbay` binary",
        ],
        example: "failed to probe it: `/usr/local/bin/hotbay` is no probe; call `hotbay::probe::entry()` first thing in its `main`",
    },
    Explanation {
        code: Code::ProbeDied,
        title: "It brought the probe down",
        blame: Blame::Plugin,
        meaning: "While the throw-away process mapped, created or dropped the plugin, it crashed or ended. In the host the same \
                  would have ended everything. It is not tried again until its bytes change.",
        causes: &[
            "an initialiser, `create` or `Drop` that crashes or calls `exit`",
            "a file that is damaged in a way that only shows when it is mapped",
            "a dependency in C that aborts",
        ],
        unchanged: ELSEWHERE,
        next: &[
            "`hotbay check FILE` runs the probe again, beside no host; mend it, and the host takes it as soon as its bytes change",
        ],
        example: "failed to probe it: while mapping the library and running its constructor, it was ended by signal 11 (SIGSEGV); the host is untouched, the file is not tried again until it changes",
    },
    Explanation {
        code: Code::ProbeHangs,
        title: "It hangs in the probe",
        blame: Blame::Plugin,
        meaning: "The throw-away process did not come to its end within `probe.deadline_ms`, and was ended. The file is not tried \
                  again until its bytes change.",
        causes: &[
            "`create` waits for a network or another process",
            "an endless loop in an initialiser",
            "a machine that is very busy",
        ],
        unchanged: ELSEWHERE,
        next: &[
            "move what takes long from `create` to `start`; on a busy machine raise `probe.deadline_ms` and `hotbay reload SERVICE`",
        ],
        example: "failed to probe it within 5000 ms: it hangs while mapping the library and running its constructor; the host is untouched, the file is not tried again until it changes",
    },
    Explanation {
        code: Code::ChangesProcess,
        title: "It changes the process that it is created in",
        blame: Blame::Plugin,
        meaning: "Mapped, created and dropped once in the probe, it left something of the process as it was not before: a handler of \
                  signals, the working directory, the environment, a thread, an open file. In a host that would be everybody's.",
        causes: &[
            "`create` starts a thread or opens a file: that belongs into `start`, and its end into `stop`",
            "a dependency that installs a handler of signals in its initialiser",
        ],
        unchanged: ELSEWHERE,
        next: &[
            "leave that alone, or take it in `start` and give it back in `stop`; then `hotbay check FILE`",
        ],
        example: "failed to accept it: created and dropped once, it changed the handler of SIGTERM; leave that alone, or take it in `start` and give it back in `stop`",
    },
    Explanation {
        code: Code::BreaksContract,
        title: "A step of its life went against the contract",
        blame: Blame::Plugin,
        meaning: "`hotbay check --deep FILE` had it live once in a process of its own, and the step that is named did not go as the contract \
                  has it. No host does this by itself.",
        causes: &["a callback that panics", "state that is another one after it was exported and imported"],
        unchanged: ELSEWHERE,
        next: &["mend that step; `hotbay check --deep FILE` tries all of them again"],
        example: "failed at step `export again`: the state is another after it was imported (9 bytes, and 11 before)",
    },
];

pub(super) const LOADED: &[Explanation] = &[
    Explanation {
        code: Code::NotMapped,
        title: "The system's loader refuses it",
        blame: Blame::Plugin,
        meaning: "It parses and is for this machine, and yet `dlopen` (on Windows `LoadLibrary`) says no; its words are told.",
        causes: &[
            "a library that it links to is not installed",
            "the home folder lies on a disk that is mounted noexec",
            "the process has no room for further mappings (`vm.max_map_count`)",
        ],
        unchanged: AS_BEFORE,
        next: &[
            "`hotbay check FILE` shows the loader's words; install what is missing, then `hotbay reload SERVICE`",
        ],
        example: "failed to map the library: libssl.so.3: cannot open shared object file; is something that it links to missing, or the home folder mounted noexec?",
    },
    Explanation {
        code: Code::NoThreadLocalSlots,
        title: "Windows has no thread-local slots left",
        blame: Blame::Operator,
        meaning: "A process has 1,088 of them. Each load of a plugin that was built for windows-gnu takes two and gives none back, so \
                  after some 500 loads the host refuses further ones; the standard library would end the process instead.",
        causes: &["many swaps of plugins that were built for windows-gnu"],
        unchanged: AS_BEFORE,
        next: &["restart the host (`hotbay run`), or build plugins for windows-msvc, which take none"],
        example: "failed to map the library: this process has used up the thread-local slots that Windows gives it, of which each plugin built for windows-gnu keeps some; restart the host, or build plugins for windows-msvc",
    },
    Explanation {
        code: Code::NoHeader,
        title: "The plugin's functions are not found",
        blame: Blame::Plugin,
        meaning: "The symbol of the library header is in the file, and not among what the loader found.",
        causes: &["a linker script or a tool that hides or strips exported symbols"],
        unchanged: AS_BEFORE,
        next: &["export it with `export_plugin!` and without a version script; then `hotbay check FILE`"],
        example: "failed to find the plugin's functions: export it with `export_plugin!`",
    },
    Explanation {
        code: Code::OtherHeader,
        title: "It was built with another abi_stable",
        blame: Blame::Plugin,
        meaning: "The header by which host and plugin find each other is of another version.",
        causes: &["a hotbay-plugin-api that is not this host's"],
        unchanged: AS_BEFORE,
        next: &["rebuild it with this host's hotbay-plugin-api; then `hotbay check FILE`"],
        example: "failed to read the plugin's header: it was built with another abi_stable (0.10); rebuild it with this host's hotbay-plugin-api",
    },
    Explanation {
        code: Code::OtherLayout,
        title: "The contract's layout differs",
        blame: Blame::Plugin,
        meaning: "The types that cross the boundary are compared, field by field, before anything is called. The first difference is \
                  told; `hotbay check FILE` tells them all.",
        causes: &[
            "a changed hotbay-plugin-api",
            "a plugin of a newer major version whose manifest claims this one",
        ],
        unchanged: AS_BEFORE,
        next: &["rebuild it with this host's hotbay-plugin-api; then `hotbay check FILE`"],
        example: "failed to match the contract's layout: error: unexpected field; rebuild it with this host's hotbay-plugin-api",
    },
    Explanation {
        code: Code::MappedBefore,
        title: "The loader returned a library that is open already",
        blame: Blame::Plugin,
        meaning: "A loader may know libraries by a name that they say of themselves; then new bytes would run old code in silence. It \
                  is looked at, and refused.",
        causes: &["an install name or soname that another open library has, on a system that goes by those"],
        unchanged: AS_BEFORE,
        next: &["build it without a soname of its own; `hotbay status SERVICE` shows what is still mapped"],
        example: "failed to map the library anew: the loader returned one that is already open",
    },
    Explanation {
        code: Code::CreateFailed,
        title: "The plugin's constructor says no",
        blame: Blame::Plugin,
        meaning: "`create` returned an error; its words are told. It is called with the plugin's table of the settings, in the probe and \
                  then in the host.",
        causes: &["a value of `[plugin.NAME]` that it does not take, or one that is missing"],
        unchanged: AS_BEFORE,
        next: &[
            "mend `[plugin.NAME]` in the settings and restart the host, or mend the plugin; `hotbay check FILE` tries it",
        ],
        example: "failed to create the plugin: the port is taken",
    },
    Explanation {
        code: Code::CreatePanicked,
        title: "The plugin's constructor panicked",
        blame: Blame::Plugin,
        meaning: "The panic was caught at the boundary; its message and place are told.",
        causes: &[
            "an `unwrap` on something that is not there",
            "two of it in one process, where it allows one",
        ],
        unchanged: AS_BEFORE,
        next: &["mend it at the place that is told; `hotbay check FILE` tries it without a host"],
        example: "failed to create the plugin: it panicked: no luck, at src/lib.rs:7:9",
    },
    Explanation {
        code: Code::CreateHangs,
        title: "The plugin's constructor hangs",
        blame: Blame::Plugin,
        meaning: "It passed the probe and did not end in the host within `swap.callback_ms`. The thread that it holds is lost until the \
                  host ends, and its library stays mapped.",
        causes: &["`create` waits for something that another process, or this one, has"],
        unchanged: AS_BEFORE,
        next: &[
            "move what takes long from `create` to `start`; `hotbay status SERVICE` shows what stays mapped",
        ],
        example: "failed to create the plugin within 5000 ms: its constructor hangs; the thread that it holds is lost",
    },
    Explanation {
        code: Code::LoaderKept,
        title: "A plugin keeps the system's loader for itself",
        blame: Blame::Plugin,
        meaning: "An initialiser or destructor of a library hangs, and the loader serves one at a time. Nothing can be loaded or unloaded \
                  until the host is restarted; who is named is the one that hangs.",
        causes: &["a static's initialiser or destructor that waits for a thread, a lock or a network"],
        unchanged: "What runs goes on: calls are answered, state is kept, and the host ends in time when it is told to.",
        next: &["take its file away (`hotbay remove NAME`) and restart the host"],
        example: "plugin `greeter` keeps the system's loader for itself; take its file away and restart the host",
    },
    Explanation {
        code: Code::NoRoom,
        title: "A limit of the process or the machine is near",
        blame: Blame::Operator,
        meaning: "A load takes mappings, open files, threads and memory. Where one of them would run out in the middle, the system's loader \
                  fails in its own words, or crashes: so the load is not begun. It is no fault of the file, and is tried again by itself.",
        causes: &[
            "a limit that is set low: `ulimit`, `LimitNOFILE=`, `MemoryMax=`, `TasksMax=`",
            "a plugin that runs and takes more and more",
        ],
        unchanged: "What runs goes on.",
        next: &["raise the limit that is named, or take plugins away; `hotbay why NAME` tells the numbers"],
        example: "failed to load it now: of 64 open files (RLIMIT_NOFILE) 49 are taken, and a load is begun with 16 left; raise it, by `ulimit -n` or `LimitNOFILE=`, or take plugins away; it is tried again by itself",
    },
    Explanation {
        code: Code::CopyChanged,
        title: "The copy is not what was verified any more",
        blame: Blame::Operator,
        meaning: "Where the system has no sealed files in memory, verified bytes are mapped from a private copy in the home folder. It is \
                  read once more just before that, and something wrote to it, or put another file in its place.",
        causes: &[
            "a program that runs as the host's user and writes to `.hotbay/staged`: a cleaner, a scanner, an attacker",
        ],
        unchanged: AS_BEFORE,
        next: &["find out what writes there; then drop the file in again, or `hotbay reload SERVICE`"],
        example: "failed to map the library: its copy `staged/greeter-911e28954828bc9c-3.so` is not what was verified any more: something writes to the home folder; find out what, and drop the file in again",
    },
];
