//! A request becomes one call of the host.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::exit::Exit;
use super::protocol::{Failure, Request};
use crate::Host;
use crate::kernel::view::Event;

/// A deadline beyond this is none, and would overflow the clocks of some systems.
const MAX_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// Who answers requests; a seam, so that the server can be tested without plugins.
pub(super) trait Answer: Clone + Send + 'static {
    /// Answers, blocking, with a value and the bytes that go beside it.
    fn answer(&self, request: Request, body: Vec<u8>) -> Result<(Value, Vec<u8>), Failure>;

    /// What happens from now on, after up to `past` earlier events.
    fn events(&self, past: usize) -> Receiver<Event>;
}

impl Answer for Host {
    fn answer(&self, request: Request, body: Vec<u8>) -> Result<(Value, Vec<u8>), Failure> {
        let value = match request {
            Request::Ping => value(&std::process::id()),
            Request::List => value(&self.list()),
            Request::Status { name } => value(&self.status(&name)?),
            Request::History { name } => value(&self.history(&name)?),
            Request::Events { .. } => {
                Err(Failure::new(Exit::Failed, "failed to answer once: events are many"))
            }
            Request::Call { service, method, deadline_ms } => {
                let reply = self.request(&service, &method, body, deadline(deadline_ms))?;
                return Ok((Value::Null, reply));
            }
            Request::Add { file, deadline_ms } => value(&self.add(&file, deadline(deadline_ms))?),
            Request::Reload { name, deadline_ms } => value(&self.reload(&name, deadline(deadline_ms))?),
            Request::Remove { name, deadline_ms } => value(&self.remove(&name, deadline(deadline_ms))?),
            Request::Start { name, fresh, deadline_ms } => {
                value(&self.start_service(&name, fresh, deadline(deadline_ms))?)
            }
            Request::Stop { name, deadline_ms } => value(&self.stop_service(&name, deadline(deadline_ms))?),
        };
        Ok((value?, Vec::new()))
    }

    fn events(&self, past: usize) -> Receiver<Event> {
        Host::events(self, past)
    }
}

fn deadline(ms: u64) -> Duration {
    Duration::from_millis(ms).min(MAX_DEADLINE)
}

fn value(answer: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer)
        .map_err(|error| Failure::new(Exit::Failed, format!("failed to write the answer as JSON: {error}")))
}
