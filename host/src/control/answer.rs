//! A request becomes one call of the host.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio::task;

use super::exit::Exit;
use super::openmetrics;
use super::protocol::{FailedOne, Failure, Lifecycle, Request};
use crate::bus::{Cancel, Headers, Outgoing, RequestError, Subscribe, SubscribeError, Subscription};
use crate::config::level::spelt;
use crate::error::Code;
use crate::kernel::view::{Action, Event, Phase, Row};
use crate::{CallError, Changed, ControlError, Host, Opening, Stream, Which};

/// What the command line is called as a sender, and as a subscriber.
pub(super) const CLIENT: &str = "cli";

/// How long a host that has just begun may look for what it is asked about.
const READY: Duration = Duration::from_secs(10);

/// A value and the bytes that go beside it, or why not.
pub(super) type Answered = Result<(Value, Vec<u8>), Failure>;

/// Who answers requests; a seam, so that the server can be tested without plugins.
pub(super) trait Answer: Clone + Send + 'static {
    /// Answers, blocking, with a value and the bytes that go beside it. A call or a request is given up when the client has gone.
    fn answer(&self, request: Request, body: Vec<u8>, gone: &Cancel) -> Answered;

    /// The same to what is read behind the request.
    fn take(&self, request: Request, body: &mut dyn Read) -> Answered;

    /// What happens from now on, after up to `past` earlier events.
    fn events(&self, past: usize) -> Receiver<Event>;

    /// Opens a stream, blocking.
    fn open_stream(
        &self,
        service: &str,
        method: &str,
        request: &[u8],
        opening: Opening,
    ) -> Result<Stream, Failure>;

    /// Messages from now on.
    fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, SubscribeError>;
}

/// A host's answers.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    host: Host,
    /// What its clients are called as senders.
    name: &'static str,
    /// Whether everything that lay in the folder at the start was tried.
    begun: Arc<AtomicBool>,
}

impl Answers {
    /// To be called within a tokio runtime.
    pub(super) fn of(host: Host) -> Self {
        Self::named(host, CLIENT)
    }

    /// The same for clients that are called so as senders.
    pub(super) fn named(host: Host, name: &'static str) -> Self {
        let answers = Answers { host, name, begun: Arc::default() };
        let watcher = answers.clone();
        task::spawn_blocking(move || {
            // Whatever takes longer is waited for no more.
            let _ = watcher.host.ready(READY);
            watcher.begun.store(true, Ordering::Relaxed);
        });
        answers
    }

    /// Whether everything that lay in the folder at the start was tried, and the kernel's loop answers.
    #[cfg(feature = "http")]
    pub(super) fn is_ready(&self) -> bool {
        self.begun.load(Ordering::Relaxed) && self.host.rows().is_ok()
    }
}

impl Answer for Answers {
    fn answer(&self, request: Request, body: Vec<u8>, gone: &Cancel) -> Answered {
        let deadline = request.deadline().unwrap_or(READY);
        let carry_out = |request, body, deadline| carry_out(self, request, body, deadline, gone);
        if self.begun.load(Ordering::Relaxed) {
            return carry_out(request, body, deadline).map_err(|denied| denied.failure);
        }
        let until = Instant::now() + deadline;
        let left = || until.saturating_duration_since(Instant::now());
        match carry_out(request.clone(), body.clone(), deadline) {
            Err(denied) if denied.early => {
                let _ = self.host.ready(left().min(READY));
                carry_out(request, body, left()).map_err(|denied| denied.failure)
            }
            done => done.map_err(|denied| denied.failure),
        }
    }

    fn take(&self, request: Request, body: &mut dyn Read) -> Answered {
        match request {
            Request::Import { name, plain } => {
                let snapshot = self.host.import(&name, body, plain.as_ref())?;
                Ok((value(&snapshot)?, Vec::new()))
            }
            request => self.answer(request, Vec::new(), &Cancel::new()),
        }
    }

    fn events(&self, past: usize) -> Receiver<Event> {
        self.host.events(past)
    }

    fn open_stream(
        &self,
        service: &str,
        method: &str,
        request: &[u8],
        opening: Opening,
    ) -> Result<Stream, Failure> {
        let open = || self.host.open_stream(service, method, request, opening).map_err(Denied::from);
        let opened = match open() {
            Err(denied) if denied.early && !self.begun.load(Ordering::Relaxed) => {
                let _ = self.host.ready(READY);
                open()
            }
            opened => opened,
        };
        opened.map_err(|denied| denied.failure)
    }

    fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, SubscribeError> {
        self.host.subscribe(subscribe)
    }
}

/// A request that was not carried out.
struct Denied {
    failure: Failure,
    /// Nothing was tried, and once the host knows its folder there may be an answer.
    early: bool,
}

impl From<CallError> for Denied {
    fn from(error: CallError) -> Self {
        let early = matches!(
            error,
            CallError::NoSuchService { .. } | CallError::NotRunning { phase: Phase::Starting, .. }
        );
        Denied { failure: error.into(), early }
    }
}

impl From<RequestError> for Denied {
    fn from(error: RequestError) -> Self {
        let early = matches!(error, RequestError::NobodyAnswers { .. });
        Denied { failure: error.into(), early }
    }
}

impl From<ControlError> for Denied {
    fn from(error: ControlError) -> Self {
        let early = matches!(error, ControlError::NotFound { .. });
        Denied { failure: error.into(), early }
    }
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        Denied { failure, early: false }
    }
}

fn carry_out(
    Answers { host, name, .. }: &Answers,
    request: Request,
    body: Vec<u8>,
    deadline: Duration,
    gone: &Cancel,
) -> Result<(Value, Vec<u8>), Denied> {
    let value = match request {
        Request::Ping => value(&std::process::id()),
        Request::List => value(&rows(host)?),
        Request::Status { name } => {
            let mut status = host.status(&name)?;
            std::iter::once(&mut status.row).chain(&mut status.candidates).for_each(spell);
            value(&status)
        }
        Request::History { name } => value(&host.history(&name)?),
        Request::LogLevel { name, level } => {
            let level = host.set_log_level(&name, level.map(Into::into))?;
            value(&serde_json::json!({"name": name, "level": spelt(level)}))
        }
        Request::Config => value(&host.settings()?),
        Request::Events { .. }
        | Request::Logs { .. }
        | Request::Subscribe { .. }
        | Request::Stream { .. } => Err(Failure::new(
            Exit::Failed,
            Code::NotUnderstood,
            "failed to answer once: what was asked for is many",
        )),
        Request::Publish { topic, headers, confirm, .. } => {
            let publisher = host.publisher(name);
            let outgoing = outgoing(&headers, &body);
            let published = if confirm {
                publisher.confirm(&topic, outgoing, deadline)
            } else {
                publisher.publish(&topic, outgoing)
            };
            value(&published.map_err(Failure::from)?)
        }
        Request::Metrics => return Ok((Value::Null, openmetrics::text(host.metrics()?).into_bytes())),
        Request::Ask { topic, headers, .. } => {
            let outgoing = outgoing(&headers, &body);
            let asked = host.publisher(name).request_cancellable(&topic, outgoing, deadline, gone);
            return Ok((Value::Null, asked?));
        }
        Request::Topics => value(&host.topics()),
        Request::Call { service, method, own_deadline, .. } => {
            let deadline = (!own_deadline).then_some(deadline);
            let reply = host.request_cancellable(&service, &method, &body, deadline, gone)?;
            return Ok((Value::Null, reply));
        }
        Request::Add { file, force: false, .. } => changed(host.add(&file, deadline)?),
        Request::Add { file, force: true, .. } => changed(host.add_forced(&file, deadline)?),
        Request::Reload { name, force: false, .. } => changed(host.reload(&name, deadline)?),
        Request::Reload { name, force: true, .. } => changed(host.reload_forced(&name, deadline)?),
        Request::Rollback { name, .. } => changed(host.rollback(&name, deadline)?),
        Request::Remove { name, .. } => changed(host.remove(&name, deadline)?),
        Request::Start { name, fresh, .. } => changed(host.start_service(&name, fresh, deadline)?),
        Request::Stop { name, force, .. } => changed(host.stop_service(&name, force, deadline)?),
        Request::Restart { name, .. } => changed(host.restart_service(&name, deadline)?),
        Request::Lifecycle { action, which, dry_run, .. } => {
            value(&lifecycle(host, action, &which, dry_run, deadline)?)
        }
        Request::Breaker { name, force } => value(&host.breaker(&name, force)?),
        Request::Snapshot { name, .. } => value(&host.snapshot(&name, deadline)?),
        Request::Restore { name, sequence } => value(&host.restore(&name, sequence)?),
        Request::Import { .. } => {
            let message = "failed to import what does not come in pieces";
            Err(Failure::new(Exit::Failed, Code::NotUnderstood, message))
        }
        Request::RotateKeys => value(&host.rotate_keys()?),
        Request::RetireKey { id } => value(&host.retire_key(&id)?),
    };
    Ok((value?, Vec::new()))
}

fn outgoing<'a>(headers: &[(String, String)], payload: &'a [u8]) -> Outgoing<'a> {
    let headers = Headers::new(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Outgoing { payload, headers, cause: None }
}

fn lifecycle(
    host: &Host,
    action: Action,
    which: &Which,
    dry_run: bool,
    deadline: Duration,
) -> Result<Lifecycle, ControlError> {
    let mut done = Lifecycle { plan: host.plan(action, which)?, ..Lifecycle::default() };
    if dry_run {
        return Ok(done);
    }
    for (name, answer) in host.change_services(action, which, deadline)? {
        match answer {
            Ok(mut changed) => {
                spell(&mut changed.row);
                done.changed.push(changed);
            }
            Err(error) => done.failed.push(FailedOne { name, failure: error.into() }),
        }
    }
    Ok(done)
}

/// A host that is being stopped lists nothing; that is not to be taken for a host without plugins.
fn rows(host: &Host) -> Result<Vec<Row>, ControlError> {
    let mut rows = host.list();
    if rows.is_empty()
        && let Err(stopping @ ControlError::Stopping) = host.status("")
    {
        return Err(stopping);
    }
    rows.iter_mut().for_each(spell);
    Ok(rows)
}

fn changed(mut changed: Changed) -> Result<Value, Failure> {
    spell(&mut changed.row);
    value(&changed)
}

/// JSON is Unicode and file names need not be: one odd file must not take the whole list with it.
fn spell(row: &mut Row) {
    if let Some(source) = &mut row.source
        && source.to_str().is_none()
    {
        *source = source.to_string_lossy().into_owned().into();
    }
}

fn value(answer: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer)
        .map_err(|error| format!("failed to write the answer as JSON: {error}"))
        .map_err(|message| Failure::new(Exit::Failed, Code::Defect, message))
}
