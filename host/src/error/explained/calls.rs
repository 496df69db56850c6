//! HB07: calls that were not answered as asked.

use super::Explanation;
use crate::error::{Blame, Code};

const NOT_BEGUN: &str = "The call was not begun: nothing of the plugin ran for it.";

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::NoSuchService,
        title: "There is no such service",
        blame: Blame::Operator,
        meaning: "Nobody has registered that name. Those that run are told.",
        causes: &["a misspelt name", "its file was refused, so that nothing has the name"],
        unchanged: NOT_BEGUN,
        next: &["`hotbay list` shows services, and files that were refused"],
        example: "failed to find service `greter`; running: echo, greeter",
    },
    Explanation {
        code: Code::NoSuchMethod,
        title: "The service has no such method",
        blame: Blame::Operator,
        meaning: "Its manifest names its methods, and this is none of them. Those that it has are told.",
        causes: &["a misspelt name", "another version than was thought serves"],
        unchanged: NOT_BEGUN,
        next: &["`hotbay status SERVICE` shows its version and methods"],
        example: "failed to find method `great` of service `greeter`; it has: greet",
    },
    Explanation {
        code: Code::NotRunning,
        title: "The service does not run",
        blame: Blame::Operator,
        meaning: "There is such a service, and nobody serves it now. Its phase and the reason are told.",
        causes: &["it was stopped", "it could not be started, or waits for what it requires"],
        unchanged: NOT_BEGUN,
        next: &["`hotbay why SERVICE` says why, and what to do"],
        example: "failed to call service `greeter`: it is stopped",
    },
    Explanation {
        code: Code::CallFailed,
        title: "The plugin answered with an error",
        blame: Blame::Plugin,
        meaning: "The text is the plugin's own. Its state is what the plugin made of it: the host undoes nothing of a call.",
        causes: &["a request that it does not take"],
        unchanged: "The service runs on, and so does every other one.",
        next: &["read its words; `hotbay status SERVICE` counts calls and errors"],
        example: "there is no name to greet",
    },
    Explanation {
        code: Code::CallPanicked,
        title: "The plugin panicked in a call",
        blame: Blame::Plugin,
        meaning: "The panic was caught at the boundary and became this error; message and place are told. While a version is on \
                  probation, panics count against it.",
        causes: &["an `unwrap`, an index or an arithmetic that fails for this request"],
        unchanged: "The service runs on, and so does every other one.",
        next: &[
            "mend it at the place that is told; `hotbay rollback SERVICE` goes back to the version before",
        ],
        example: "failed to answer: service `greeter` panicked: no luck, at src/lib.rs:7:9",
    },
    Explanation {
        code: Code::CallTimedOut,
        title: "The call was not answered in time",
        blame: Blame::Plugin,
        meaning: "The deadline passed while it waited in the mailbox, at the gate of a swap, or was inside the plugin: which, is told. A \
                  call that was inside may still take effect.",
        causes: &[
            "a method that takes long, or hangs",
            "more requests than its lanes answer",
            "a deadline that is short",
        ],
        unchanged: "The service runs on. A call that hangs costs it a thread; a fresh one takes over.",
        next: &[
            "`hotbay call NAME.METHOD --timeout 60s` waits longer; `service.NAME.lanes` gives it more threads",
        ],
        example: "failed to answer within 5000 ms: service `greeter` is still at it",
    },
    Explanation {
        code: Code::TooManyHops,
        title: "Services call each other in a circle",
        blame: Blame::Plugin,
        meaning: "A call led to a call, and so on, further than the limit. Without one the stack would run out, which ends the process.",
        causes: &["A calls B, which calls A"],
        unchanged: "Each of the services runs on.",
        next: &["break the circle in one of them; `hotbay status SERVICE` shows what each requires"],
        example: "failed to call service `greeter`: the chain of calls is longer than 32; services call each other in a circle",
    },
    Explanation {
        code: Code::CallRefused,
        title: "The call was turned away",
        blame: Blame::Operator,
        meaning: "Its mailbox is full, the caller may not call at this moment, or the host is being stopped; which, is told. Who is \
                  turned away at once can try again, or elsewhere.",
        causes: &["more requests than it answers", "a plugin that calls others in `create` or `export`"],
        unchanged: NOT_BEGUN,
        next: &[
            "try again; `service.NAME.mailbox` lets more wait, `service.NAME.lanes` answers more; `hotbay status SERVICE`",
        ],
        example: "failed to call service `greeter`: 1024 requests wait already",
    },
    Explanation {
        code: Code::BreakerOpen,
        title: "The service's breaker is open",
        blame: Blame::Plugin,
        meaning: "So many of the calls lately failed, or were not over in time, that calls are refused at once for a while: callers need not \
                  wait for what fails, and the service gets air. Then a few are let in to see.",
        causes: &[
            "a fault of the plugin",
            "what it depends on is down",
            "somebody opened it with `hotbay breaker NAME open`",
        ],
        unchanged: NOT_BEGUN,
        next: &[
            "wait as long as is told; `hotbay why SERVICE` says why it opened",
            "`hotbay breaker SERVICE close` lets all calls pass, `auto` leaves it to itself",
        ],
        example: "failed to call service `greeter`: its breaker is open, 13 of 20 calls failed within 10000 ms; try again in 5000 ms",
    },
    Explanation {
        code: Code::TooManyInside,
        title: "Too many calls are inside of the service",
        blame: Blame::Operator,
        meaning: "`max_concurrent` of the service's settings bounds how many calls and requests are inside of it, or wait for a lane, at once.",
        causes: &["callers that are more than was thought", "calls that take longer than they did"],
        unchanged: NOT_BEGUN,
        next: &["try again later", "raise `max_concurrent` of `[service.NAME]` where it can take more"],
        example: "failed to call service `greeter`: 8 calls are inside, as many as its `max_concurrent` says; try again later",
    },
    Explanation {
        code: Code::TooFast,
        title: "Too many calls per second",
        blame: Blame::Operator,
        meaning: "`max_rate` of the service's settings bounds its calls per second, `max_burst` how many may come at once. It is told \
                  when there is room for the next one.",
        causes: &["a caller that asks more often than was thought"],
        unchanged: NOT_BEGUN,
        next: &[
            "try again after the time that is told",
            "raise `max_rate` of `[service.NAME]` where it can take more",
        ],
        example: "failed to call service `greeter`: there were more than 10 calls per second, its `max_rate`; try again in 100 ms",
    },
    Explanation {
        code: Code::CallCancelled,
        title: "Who asked has given up",
        blame: Blame::Operator,
        meaning: "The client of the control socket has gone, or the program that embeds the host cancelled. A request that waited was taken out; one that runs is told, and may end early.",
        causes: &[
            "a client that was ended, by Ctrl-C for instance",
            "a program that cancels what it does not need any more",
        ],
        unchanged: "The service runs on. What a call did before it heard of it is done.",
        next: &["ask again, where the answer is still wanted"],
        example: "failed to answer: who asked service `greeter` has given up",
    },
];
