//! HB0781 and on: streams that were not opened, or do not go on.

use super::Explanation;
use crate::error::{Blame, Code};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::NoSuchStream,
        title: "The service has no such stream",
        blame: Blame::Operator,
        meaning: "What can be opened of a service is named in its manifest, under `streams`. A method is called, and no stream.",
        causes: &[
            "a misspelt name",
            "a version of the plugin that has no such stream",
            "a method, which is called",
        ],
        unchanged: "Nothing was opened, and the plugin knows nothing of it.",
        next: &[
            "take one of those that are told; `hotbay status SERVICE` shows them, too",
            "`hotbay call NAME.METHOD` calls a method",
        ],
        example: "failed to find stream `tial` of service `greeter`; it has: tail",
    },
    Explanation {
        code: Code::TooManyStreams,
        title: "As many streams of the service are open as may be",
        blame: Blame::Operator,
        meaning: "Each stream that is open is a thread of the service. So many are allowed by its `max_streams`, or by the default.",
        causes: &["clients that open streams and do not end them", "more clients than were thought of"],
        unchanged: "Nothing was opened; the streams that are open go on.",
        next: &[
            "`hotbay status SERVICE` shows how many are open",
            "raise `max_streams` under `[service.NAME]` in hotbay.toml",
        ],
        example: "failed to open a stream of service `greeter`: 64 are open, as many as its `max_streams` says; end one, or raise it",
    },
    Explanation {
        code: Code::StreamMoved,
        title: "The service of the stream is replaced or stopped",
        blame: Blame::Operator,
        meaning: "A stream goes on in the next version of its plugin where that is declared `resumable`, by both versions, and whoever opened it \
                  wants that. This one does not: it ended behind all that was sent before.",
        causes: &[
            "a swap, a stop or a restart of the service",
            "a next version that does not declare the stream under `resumable`",
        ],
        unchanged: "What was received is complete up to there.",
        next: &["open the stream again", "declare it under `resumable` in `export_plugin!`"],
        example: "failed to go on with stream `tail` of service `greeter`: the service is replaced or stopped; open the stream again",
    },
    Explanation {
        code: Code::StreamFinished,
        title: "Something is sent on a stream that was finished",
        blame: Blame::Plugin,
        meaning: "Whoever sends has said before that it sends no more, or the handler of the stream is done and takes nothing any more.",
        causes: &["a handler that returns before it has received all", "a sender that finishes too early"],
        unchanged: "The item was not sent.",
        next: &["send before you finish; receive until there are no more"],
        example: "failed to send on stream `tail` of service `greeter`: it is finished",
    },
    Explanation {
        code: Code::ItemTooLong,
        title: "An item of a stream is too long",
        blame: Blame::Operator,
        meaning: "An item is in memory whole, on both sides. What is longer is for many items.",
        causes: &["a whole file as one item"],
        unchanged: "The item was not sent, and the stream goes on.",
        next: &["send it in pieces"],
        example: "failed to send on stream `tail` of service `greeter`: an item has 16 MiB at most; send it in pieces",
    },
    Explanation {
        code: Code::StreamGone,
        title: "The other side of a stream has gone",
        blame: Blame::Operator,
        meaning: "Who opened the stream has let go of it, or was stopped; for who opened it, its handler went without a word.",
        causes: &["a client that ended, as by Ctrl-C", "a plugin that was swapped and had opened the stream"],
        unchanged: "Items that were on their way to it are dropped.",
        next: &["nothing, where the other side wanted no more; else open the stream again"],
        example: "failed to go on with stream `tail` of service `greeter`: the other side has gone",
    },
];
