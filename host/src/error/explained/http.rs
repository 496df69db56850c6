//! HB127: what a client of the HTTP control plane is told, beside what every client is.

use super::Explanation;
use crate::error::{Blame, Code};

const NOTHING: &str = "Nothing was done.";

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::HttpNotLocal,
        title: "HTTP is served on loopback alone",
        blame: Blame::Operator,
        meaning: "The address after `--http` is reachable from other machines. The control plane has one token for everything and no \
                  encryption, so that it listens on this machine alone.",
        causes: &["0.0.0.0 or the machine's own address"],
        unchanged: "The host did not start.",
        next: &[
            "`hotbay run --http 127.0.0.1:7070`; for other machines, put a server with TLS and users of its own before it",
        ],
        example: "failed to serve HTTP at `0.0.0.0:7070`: other machines reach that address; name one of loopback, such as 127.0.0.1:7070",
    },
    Explanation {
        code: Code::HttpNoToken,
        title: "The token is missing or another one",
        blame: Blame::Operator,
        meaning: "All under `/v1` is for who can read the file `token` in the host's home folder, and shows it.",
        causes: &[
            "no header `Authorization`",
            "the token of another home, or of a run before its file was made anew",
        ],
        unchanged: NOTHING,
        next: &["send the header `Authorization: Bearer TOKEN` with what stands in `.hotbay/token`"],
        example: "failed to let you in: send the header `Authorization: Bearer TOKEN` with what stands in the file `token` of the home folder",
    },
    Explanation {
        code: Code::HttpForeign,
        title: "The request was for another host, or a web page sent it",
        blame: Blame::Operator,
        meaning: "The header `Host` names neither this address nor `localhost`, or `Origin` names another site. So do requests that a page \
                  in a browser makes when its name is led to this machine (DNS rebinding).",
        causes: &["a proxy that keeps the name that it was asked by", "a web page that calls the host"],
        unchanged: NOTHING,
        next: &[
            "ask by the address that the host listens at; have a proxy set `Host` to it, and leave `Origin` out",
        ],
        example: "failed to let you in: the header `Host` is `evil.example`, and this host listens at 127.0.0.1:7070",
    },
    Explanation {
        code: Code::HttpNoRoute,
        title: "There is nothing at this path",
        blame: Blame::Operator,
        meaning: "The path is none of the control plane's.",
        causes: &["a slash too many, or a service's name that is not encoded", "a path of a newer Hotbay"],
        unchanged: NOTHING,
        next: &["`GET /openapi.json` tells all paths"],
        example: "failed to find `/v1/plugin`: there is nothing at this path; `/openapi.json` tells what there is",
    },
    Explanation {
        code: Code::HttpMethod,
        title: "This path is asked by another method",
        blame: Blame::Operator,
        meaning: "What looks is asked by GET, what changes something by POST.",
        causes: &["GET for a swap, or POST for a list"],
        unchanged: NOTHING,
        next: &["use the method that the header `Allow` of the answer names"],
        example: "failed to do that: this path is asked by another method; the header `Allow` names it",
    },
    Explanation {
        code: Code::HttpTooLarge,
        title: "The body is too large",
        blame: Blame::Operator,
        meaning: "A request's body is read whole before it is given to a plugin, and may have 16 MiB.",
        causes: &["a file where its path was meant"],
        unchanged: "The body was not read to its end, and no plugin saw it.",
        next: &["send less at a time"],
        example: "failed to read the body: it has more than 16777216 bytes",
    },
    Explanation {
        code: Code::HttpTooSlow,
        title: "The request comes too slowly",
        blame: Blame::Operator,
        meaning: "The body did not come within five seconds and one more per MiB, so that a client that sends a byte now and then keeps no place.",
        causes: &["a client that stopped in the middle", "a length that is larger than the body"],
        unchanged: "No plugin saw it.",
        next: &["send it again at once, as a whole"],
        example: "failed to read the body: it did not come in time",
    },
    Explanation {
        code: Code::HttpBusy,
        title: "Too many requests are being answered",
        blame: Blame::Operator,
        meaning: "As many requests as may be are with plugins, or with this one: of all places a service has no more than its share. None of \
                  them was done in time for this one to have its turn.",
        causes: &["a plugin that is slow or hangs, and many who call it"],
        unchanged: NOTHING,
        next: &[
            "ask again, by HTTP after the header `Retry-After`; `hotbay list` and `/metrics` show who is slow",
        ],
        example: "failed to begin: as many requests as may be are being answered; ask again later",
    },
    Explanation {
        code: Code::HttpWrong,
        title: "The request cannot be meant",
        blame: Blame::Operator,
        meaning: "Its query, its path or one of its headers cannot be read; which, and why, is told.",
        causes: &["a misspelt parameter", "a `%` that begins no code"],
        unchanged: NOTHING,
        next: &["`GET /openapi.json` tells what each path takes"],
        example: "failed to understand the query: unknown field `forse`, expected `force` or `timeout_ms`",
    },
];
