//! What client and host say to each other.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exit::Exit;
use crate::bus::{MessageView, Pattern, PublishError, RequestError};
use crate::config::level::Spell;
use crate::error::{Blame, Code, Coded as _, Trouble, shown};
use crate::kernel::lines::Line;
use crate::kernel::view::{Action, BreakerForce, Event, Planned};
use crate::{CallError, Changed, ControlError, StreamError, Which};

/// A deadline beyond this is none, and would overflow the clocks of some systems.
const MAX_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// Items of a stream that a client may send before the service has taken one.
pub const STREAM_CREDIT: usize = 16;

/// What a client asks for. The host waits for what a command changes, up to its deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// Whether there is a host. Answered with its process id.
    Ping,
    /// All services, and files that were not taken.
    List,
    /// One service.
    Status {
        /// The service.
        name: String,
    },
    /// The receipts of a service.
    History {
        /// The service.
        name: String,
    },
    /// What happened, and with `follow` what happens until the client goes away or the host stops.
    Events {
        /// So many of the past, at most.
        past: usize,
        /// Whether to stay for those to come.
        follow: bool,
    },
    /// Lines of the log, and with `follow` those to come until the client goes away or the host stops.
    Logs {
        /// So many of the past, at most.
        past: usize,
        /// Whether to stay for those to come.
        follow: bool,
        /// Of this service alone.
        service: Option<String>,
    },
    /// Sets how much of a service is logged.
    LogLevel {
        /// The service.
        name: String,
        /// The level; `None` for what the file says.
        level: Option<Spell>,
    },
    /// The settings that are in force.
    Config,
    /// A call; the frame's body is the request, the answer's body the reply.
    Call {
        /// The service.
        service: String,
        /// Its method.
        method: String,
        /// How long to wait.
        deadline_ms: u64,
        /// Whether nobody said so, and the service's own deadline holds where it has one.
        #[serde(default)]
        own_deadline: bool,
    },
    /// Publishes a message; the frame's body is its bytes.
    Publish {
        /// The topic.
        topic: String,
        /// What stands beside the bytes.
        headers: Vec<(String, String)>,
        /// Whether every mailbox is to have taken it.
        confirm: bool,
        /// How long to wait for that.
        deadline_ms: u64,
    },
    /// A request by topic; the frame's body is its bytes, the answer's body the reply.
    Ask {
        /// The topic.
        topic: String,
        /// What stands beside the bytes.
        headers: Vec<(String, String)>,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Messages of these patterns, until the client goes away or the host stops. Answered by `Done` when it is subscribed.
    Subscribe {
        /// The patterns.
        patterns: Vec<Pattern>,
        /// The queue group.
        queue: Option<String>,
        /// Messages that may wait; of more, the oldest are dropped.
        capacity: usize,
    },
    /// Opens a stream; the frame's body is what it is opened with. Answered by `Done`; then items come as [`Response::Item`], and the client sends
    /// [`Upward`]s, no more than [`STREAM_CREDIT`] items before a [`Response::Credit`] for each.
    Stream {
        /// The service.
        service: String,
        /// Which of its streams.
        method: String,
        /// It ends after so long, whatever comes.
        #[serde(default)]
        lifetime_ms: Option<u64>,
        /// Whether it ends when the service is replaced, where it could go on.
        #[serde(default)]
        once: bool,
    },
    /// What was counted: the answer's body is OpenMetrics text.
    Metrics,
    /// Topics, and who is subscribed.
    Topics,
    /// Copies a file into the plugins folder and waits until it is live.
    Add {
        /// The file, absolute: host and client may work in different folders.
        file: PathBuf,
        /// Whether to go on from the newest snapshot where the old version does not hand its state over.
        #[serde(default)]
        force: bool,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Loads a service's file anew.
    Reload {
        /// The service.
        name: String,
        /// Whether to go on from the newest snapshot where the old version does not hand its state over.
        #[serde(default)]
        force: bool,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Goes back to the last good version of a service.
    Rollback {
        /// The service.
        name: String,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Deletes a service's file and stops it.
    Remove {
        /// The service.
        name: String,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Starts a service that was stopped or could not be started.
    Start {
        /// The service.
        name: String,
        /// With empty state; the old file is kept aside.
        fresh: bool,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Stops a service until it is started again.
    Stop {
        /// The service.
        name: String,
        /// Whether also where its state cannot be kept.
        #[serde(default)]
        force: bool,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Stops a service and starts it again.
    Restart {
        /// The service.
        name: String,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Starts, stops or restarts several services, or says what that would be.
    Lifecycle {
        /// What is done to them.
        action: Action,
        /// Which.
        which: Which,
        /// Whether it is only said.
        dry_run: bool,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Holds the breaker of a service open or closed, or leaves it to itself.
    Breaker {
        /// The service.
        name: String,
        /// Where it is held; `None` for nowhere.
        force: Option<BreakerForce>,
    },
    /// Writes a service's state down; answered when it is durable.
    Snapshot {
        /// The service.
        name: String,
        /// How long to wait.
        deadline_ms: u64,
    },
    /// Makes an earlier snapshot of a service that does not run the newest.
    Restore {
        /// The service.
        name: String,
        /// The number of the snapshot.
        sequence: u64,
    },
    /// Makes what follows the frame in pieces the newest snapshot of a service that does not run.
    #[serde(rename = "import_in_pieces")]
    Import {
        /// The service.
        name: String,
        /// What it is, where it is in the clear and no capsule.
        plain: Option<crate::PlainState>,
    },
    /// Makes a new key that seals from now on, and begins to seal anew what the ones before sealed.
    RotateKeys,
    /// Forgets a key that nothing needs any more.
    RetireKey {
        /// Its id.
        id: String,
    },
}

impl Request {
    /// How long the host is given, where that is for the client to say.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self {
            Request::Call { deadline_ms, .. }
            | Request::Publish { deadline_ms, .. }
            | Request::Ask { deadline_ms, .. }
            | Request::Add { deadline_ms, .. }
            | Request::Reload { deadline_ms, .. }
            | Request::Rollback { deadline_ms, .. }
            | Request::Remove { deadline_ms, .. }
            | Request::Start { deadline_ms, .. }
            | Request::Stop { deadline_ms, .. }
            | Request::Restart { deadline_ms, .. }
            | Request::Lifecycle { deadline_ms, .. }
            | Request::Snapshot { deadline_ms, .. } => {
                Some(Duration::from_millis(*deadline_ms).min(MAX_DEADLINE))
            }
            Request::Ping
            | Request::List
            | Request::Status { .. }
            | Request::History { .. }
            | Request::Events { .. }
            | Request::Logs { .. }
            | Request::LogLevel { .. }
            | Request::Config
            | Request::Subscribe { .. }
            | Request::Stream { .. }
            | Request::Metrics
            | Request::Topics
            | Request::Breaker { .. }
            | Request::Restore { .. }
            | Request::Import { .. }
            | Request::RotateKeys
            | Request::RetireKey { .. } => None,
        }
    }
}

/// What the host answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// It was done, and this is what was asked for.
    Done(serde_json::Value),
    /// It was not done.
    Failed(Failure),
    /// Something that happened; more responses follow.
    Event(Event),
    /// A line of the log; more responses follow.
    Line(Line),
    /// So many lines are gone; more responses follow.
    Missed(u64),
    /// A message; the frame's body is its bytes. More responses follow.
    Message(MessageView),
    /// An item of a stream; it is the frame's body. More responses follow.
    Item,
    /// The service has taken an item of the client's. More responses follow.
    Credit,
    /// There are no more events, messages, or items.
    End,
}

/// What a client says on a stream that it has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upward {
    /// An item; it is the frame's body.
    Item,
    /// There are no more.
    Finish,
}

/// Why it was not done, and how the command that asked is to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Completes the sentence "failed to …", save where it is a plugin's own text.
    pub message: String,
    /// What kind of trouble it is: `HB0204`. `None` from a host that tells no codes.
    #[serde(default)]
    pub code: Option<String>,
    /// Who can mend it.
    #[serde(default, deserialize_with = "Blame::if_known")]
    pub blame: Option<Blame>,
    /// When to try again, milliseconds; `None` where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What became of several services.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Lifecycle {
    /// What was to be done, in its order; of a dry run all of the answer.
    pub plan: Vec<Planned>,
    /// Those that are as was asked for.
    pub changed: Vec<Changed>,
    /// Those that are not.
    pub failed: Vec<FailedOne>,
}

/// A service that is not as was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedOne {
    /// The service.
    pub name: String,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
}

impl Failure {
    /// A failure of this kind with this message.
    pub fn new(exit: Exit, code: Code, message: impl Into<String>) -> Self {
        let (code, blame) = shown(Some(code));
        Self { exit, message: message.into(), code, blame, retry_after_ms: None }
    }

    /// A failure by this trouble.
    pub fn of(exit: Exit, trouble: impl Into<Trouble>) -> Self {
        let Trouble { code, text } = trouble.into();
        Self::new(exit, code, text)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let again = error
            .retry_after()
            .map(|after| u64::try_from(after.as_micros().div_ceil(1000)).unwrap_or(u64::MAX));
        let mut failure = Self::new(Exit::from(&error), error.code(), error.to_string());
        // Somebody holds it open: that is not the plugin's doing.
        if matches!(error, CallError::BreakerOpen { retry_after: None, .. }) {
            failure.blame = Some(Blame::Operator);
        }
        Self { retry_after_ms: again, ..failure }
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::NotOpened(error) => error.into(),
            error => Self::new(Exit::from(&error), error.code(), error.to_string()),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::new(Exit::from(&error), error.code(), error.to_string())
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::new(Exit::from(&error), error.code(), error.to_string())
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        Self::new(Exit::from(&error), error.code(), error.to_string())
    }
}
