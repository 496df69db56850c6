//! HB01: a host that does not start.

use super::Explanation;
use crate::error::{Blame, Code};

const NO_HOST: &str = "No host was started and no plugin ran; state, keys and plugins lie as they did.";

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::CommandLine,
        title: "The command line cannot be meant",
        blame: Blame::Operator,
        meaning: "An option, argument or name was not understood, so nothing was tried. The command ends with 2.",
        causes: &[
            "a command of another version of Hotbay",
            "a name that is no service's: they match [a-z0-9_-]{1,64}",
        ],
        unchanged: "Nothing was done.",
        next: &["`hotbay help` lists the commands, and `hotbay call --help` what one of them takes"],
        example: "unexpected argument '--now' found",
    },
    Explanation {
        code: Code::SettingsUnread,
        title: "The settings cannot be read",
        blame: Blame::Operator,
        meaning: "The file that `--config` names is missing, or may not be read. Without `--config`, a `hotbay.toml` in the working \
                  directory is read if there is one.",
        causes: &["another working directory than was meant", "a file that only root may read"],
        unchanged: "A host that runs goes on with the settings that it had; else none was started, and no plugin ran.",
        next: &["name the file by its whole path: `hotbay run --config FILE`"],
        example: "failed to read the configuration: hotbay.toml: no such file or directory",
    },
    Explanation {
        code: Code::SettingsWrong,
        title: "The settings say something that cannot be meant",
        blame: Blame::Operator,
        meaning: "A key, a value or the form of the file is wrong at the line and column that are told. Unknown keys are \
                  errors: one that is misspelt would otherwise be a setting that does nothing.",
        causes: &[
            "a misspelt key; the nearest one is told",
            "a number without its unit in the key's name, such as `settle_ms`",
        ],
        unchanged: "A host that runs goes on with the settings that it had; else none was started, and no plugin ran.",
        next: &["mend that line, then `hotbay run`; the README lists all settings with their defaults"],
        example: "failed to read the configuration: hotbay.toml:2:1: unknown key `setle_ms`, did you mean `settle_ms`?",
    },
    Explanation {
        code: Code::PluginsFolder,
        title: "The plugins folder cannot be read",
        blame: Blame::Operator,
        meaning: "The folder that plugins are dropped into is missing, is no folder, or may not be read.",
        causes: &[
            "the host was started in another working directory",
            "`plugins` in the settings is relative to their file",
        ],
        unchanged: NO_HOST,
        next: &["create it, or name another: `hotbay run --plugins DIR`"],
        example: "failed to read the plugins folder `plugins`: create it, or name another with `--plugins`: no such file or directory",
    },
    Explanation {
        code: Code::HomeFolder,
        title: "The home folder cannot be used",
        blame: Blame::Operator,
        meaning: "Everything that a run leaves behind lies in one folder, `.hotbay` by default. It cannot be made, or a file in it not be \
                  read or written.",
        causes: &["another user made it, as with `sudo`", "a disk that is full or mounted read-only"],
        unchanged: NO_HOST,
        next: &["run as the user whose folder it is, or name another: `hotbay run --home DIR`"],
        example: "failed to prepare the home folder `.hotbay`: name one that can be written with `--home`: permission denied",
    },
    Explanation {
        code: Code::HomeLocked,
        title: "Another host runs on this home folder",
        blame: Blame::Operator,
        meaning: "Two hosts on one home would write each other's state over. The lock goes with the process that has it; none is left \
                  behind by a crash.",
        causes: &["a host that runs as a service", "a command that changes state or keys without a host"],
        unchanged: "The host that has the lock runs on, undisturbed.",
        next: &[
            "`hotbay list` asks the one that runs; stop it, or start this one elsewhere: `hotbay run --home DIR`",
        ],
        example: "failed to lock `.hotbay/lock`: another host runs on this home; stop it, or name another with `--home`",
    },
    Explanation {
        code: Code::HomeExposed,
        title: "Others could exchange the home folder",
        blame: Blame::Operator,
        meaning: "The keys, the kept versions and the list of who is trusted lie there. Whoever can write to it, or to a folder above \
                  it, could put another in its place.",
        causes: &[
            "a folder above that a group or everybody can write",
            "root runs the host below a user's folder, as in some containers",
        ],
        unchanged: NO_HOST,
        next: &[
            "take the right to write from them (`chmod go-w DIR`), or name another folder: `hotbay run --home DIR`",
            "`trust.exposed_home = \"allow\"` in the settings accepts it",
        ],
        example: "failed to trust the home folder `.hotbay`, which holds keys and what is trusted: all users can write to `srv`; take that from them, name another with `--home`, or set `trust.exposed_home = \"allow\"`",
    },
    Explanation {
        code: Code::NoProbeEntry,
        title: "The program does not run the probe",
        blame: Blame::Host,
        meaning: "A host maps each file in a throw-away process first, which is its own program started again. A program that embeds the \
                  host and does not know that would run its `main` for each probe.",
        causes: &["`hotbay::probe::entry()` is not called, or not first"],
        unchanged: NO_HOST,
        next: &[
            "call `hotbay::probe::entry()` first thing in `main`, or set `probe.program` to a binary that does, such as `hotbay`",
        ],
        example: "failed to find a probe: call `hotbay::probe::entry()` first thing in `main`, or set `probe.program` to a binary that does",
    },
    Explanation {
        code: Code::NoThread,
        title: "The system gives no thread",
        blame: Blame::Operator,
        meaning: "A thread of the host, or a lane of a plugin, could not be started. While it is a service that waits for it, the host \
                  tries again.",
        causes: &[
            "a limit of processes (`ulimit -u`, `TasksMax=`)",
            "no memory",
            "a plugin that starts threads without end",
        ],
        unchanged: "What runs goes on; nothing of a plugin was left half done.",
        next: &["raise the limit; `hotbay list` shows what waits"],
        example: "failed to start the thread `hotbay-kernel`: resource temporarily unavailable",
    },
    Explanation {
        code: Code::NoControlPlane,
        title: "The host cannot listen for commands",
        blame: Blame::Operator,
        meaning: "The socket (on Windows, the pipe) by which commands reach the host could not be made, or signals not be heard. A host \
                  that nobody can stop is not started.",
        causes: &["a home folder on a file system without sockets", "a limit of open files (`ulimit -n`)"],
        unchanged: "What had been started was stopped in order, with its state kept.",
        next: &["name a home on a local disk: `hotbay run --home DIR`"],
        example: "failed to listen for commands: operation not supported",
    },
    Explanation {
        code: Code::LogFilter,
        title: "HOTBAY_LOG is not understood",
        blame: Blame::Operator,
        meaning: "The variable says what is logged, in the syntax of `tracing`: a level, or several `target=level`.",
        causes: &["a level that there is not"],
        unchanged: NO_HOST,
        next: &[
            "unset it, or write one as in `HOTBAY_LOG=info,hotbay::swap=trace`; `log.level` in the settings is simpler; then `hotbay run`",
        ],
        example: "failed to understand HOTBAY_LOG=`loud`: invalid filter directive",
    },
    Explanation {
        code: Code::HomeOfAnother,
        title: "The home folder belongs to another user",
        blame: Blame::Operator,
        meaning: "A command that changes files there would leave some that the host's user cannot read, so it is not begun.",
        causes: &["`sudo hotbay …` where the host runs as a user of its own"],
        unchanged: "No file was changed.",
        next: &["run it as that user: `sudo -u USER hotbay keys list`"],
        example: "failed to change files in `.hotbay`: it belongs to another user; run this as that user",
    },
    Explanation {
        code: Code::NeedsRestart,
        title: "A setting counts after a restart",
        blame: Blame::Operator,
        meaning: "The file of the settings was edited while the host runs. What stands under `[log]`, `[service.NAME]` and `[plugin.NAME]` is taken \
                  then; the settings that are told are read when a host starts, and only then.",
        causes: &["an edit of folders, deadlines, keys, trust or the probe"],
        unchanged: "The host goes on with these settings as they were when it started.",
        next: &["restart the host when it suits; `hotbay config show --origin` tells what is in force"],
        example: "the configuration changed where it is read at the start only: restart the host for swap.drain_ms",
    },
    Explanation {
        code: Code::NotInOrder,
        title: "The machine or a folder keeps a host from its work",
        blame: Blame::Operator,
        meaning: "`hotbay doctor` found something with which a host does not start, or does not do its work. What, is told.",
        causes: &[
            "a folder that is missing or that others can write to",
            "a key that is gone",
            "a full disk",
        ],
        unchanged: "Nothing was changed.",
        next: &["do what stands beside each line that fails, then `hotbay doctor` again"],
        example: "failed to find all in order: key, disk; what to do stands beside each",
    },
];
