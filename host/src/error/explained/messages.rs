//! HB13: messages that were not published, or not brought.

use super::Explanation;
use crate::error::{Blame, Code};

const NOT_PUBLISHED: &str = "The message was not published: no mailbox has it.";

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::SubjectWrong,
        title: "A topic, pattern or queue group cannot be meant",
        blame: Blame::Operator,
        meaning: "Topics are words with dots between them, such as `orders.created`. In a pattern a `*` stands for one word, and a `>` at \
                  its end for one or more. A queue group is a name of one character at least, without blanks.",
        causes: &["a wildcard in a topic that is published to", "an empty word, or a blank in one"],
        unchanged: "Nothing was published, and nobody subscribed.",
        next: &["`hotbay topics` lists those that there are"],
        example: "failed to read the pattern `orders..created`: a word is missing: no dot stands at an end or beside another one",
    },
    Explanation {
        code: Code::MessageCircle,
        title: "Messages answer each other in a circle",
        blame: Blame::Plugin,
        meaning: "A message led to a message, and so on, further than the limit. Without one they would never end.",
        causes: &["two services that publish to each other's topics for each message that comes"],
        unchanged: NOT_PUBLISHED,
        next: &["break the circle in one of them; `hotbay topics` shows who subscribes to what"],
        example: "failed to publish to `orders.created`: 32 messages led to this one, each published while the one before was handled; they answer each other in a circle",
    },
    Explanation {
        code: Code::NotTakenByAll,
        title: "Not every mailbox took the message",
        blame: Blame::Operator,
        meaning: "It was to be confirmed, and some mailbox did not take it. Where one was full until the deadline, that is a time-out (7); where \
                  nobody was waited for, as of a service that is stopped, or is set to reject what it has no room for, a refusal (4). Which, is \
                  told; the others have it, so that to publish it again is to have it twice there.",
        causes: &[
            "a subscriber that is slower than the publisher",
            "a service that is stopped and whose messages are rejected",
            "`when_full = \"reject\"`, and no room",
        ],
        unchanged: "Those that took it keep it; the others have nothing of it.",
        next: &[
            "`hotbay topics` shows how many wait in each mailbox; give its service more room or lanes, or publish slower",
        ],
        example: "failed to have the message taken by all: the mailbox of `logger` is full; 2 took it",
    },
    Explanation {
        code: Code::PublishRefused,
        title: "Nobody may publish now",
        blame: Blame::Operator,
        meaning: "The host is being stopped, or the plugin may not publish at this moment of its life; which, is told.",
        causes: &[
            "a plugin that publishes in `create` or `export`",
            "a message that comes while the host ends",
        ],
        unchanged: NOT_PUBLISHED,
        next: &["publish in `start` or later; where the host was stopped, start it: `hotbay run`"],
        example: "failed to publish to `orders.created`: the host is being stopped",
    },
    Explanation {
        code: Code::TopicReserved,
        title: "That topic is the kernel's own",
        blame: Blame::Operator,
        meaning: "What begins with `hotbay.` the kernel alone publishes, so that who subscribes to it can believe it. Nobody else may, whenever it \
                  is tried. Everybody may subscribe to it.",
        causes: &["a topic of one's own that begins with `hotbay.`"],
        unchanged: NOT_PUBLISHED,
        next: &["begin the topic with another word"],
        example: "failed to publish to `hotbay.service.shop`: what begins with `hotbay.` is told by the kernel alone; begin with another word",
    },
    Explanation {
        code: Code::NobodyAnswers,
        title: "Nobody answers that topic",
        blame: Blame::Operator,
        meaning: "A request by topic goes to one of those whose `answers` take it, and there is none. What is answered is told, the nearest \
                  first. Who only subscribes to a topic answers nothing.",
        causes: &[
            "a misspelt topic",
            "the service that answers it is not there, or was started with another version",
        ],
        unchanged: "The request was not made: nobody got it.",
        next: &["`hotbay topics -o json` says of each mailbox whether it answers"],
        example: "failed to ask `orders.prise`: nobody answers it; answered are: orders.price, stock.*",
    },
    Explanation {
        code: Code::RequestNotTaken,
        title: "Nobody who answers takes a request now",
        blame: Blame::Operator,
        meaning: "All mailboxes of those who answer the topic are full, or their services are stopped; of one of them the reason is told.",
        causes: &["more requests than are answered", "a service that was stopped"],
        unchanged: "The request was not made: nobody got it.",
        next: &["`hotbay topics` shows how many wait; `hotbay why SERVICE` says why it does not run"],
        example: "failed to ask `orders.created`: the mailbox of `shop` is full",
    },
    Explanation {
        code: Code::RequestDropped,
        title: "Who was asked let go of the request",
        blame: Blame::Operator,
        meaning: "It had taken the request, and nothing of it was answered: its service was stopped while the request waited, its mailbox \
                  dropped the oldest to make room, or a program that embeds the host dropped it.",
        causes: &["`hotbay stop SERVICE`, while requests wait", "`when_full = \"drop-oldest\"` under flood"],
        unchanged: "No plugin saw the request.",
        next: &["ask again; `service.NAME.when_full = \"block\"` drops nothing to make room"],
        example: "failed to get an answer of `orders.created`: `shop` dropped the request; it was stopped, or had no room for it",
    },
];
