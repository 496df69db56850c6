//! Services as a whole: several at once, what a command would do before it is done, restarts, and breakers.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Changed, Host};
use crate::ControlError;
use crate::kernel::view::{Action, BreakerForce, BreakerView, Phase, Planned};
use crate::kernel::wish::Reply;
use crate::supervise::Kernel;

/// Which services a command is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// All that there are; of a restart, all that run.
    All,
    /// These.
    Named(Vec<String>),
}

/// A service, and what a command to several came to for it.
pub type Answered = (String, Result<Changed, ControlError>);

impl Which {
    fn names(&self) -> Option<&[String]> {
        match self {
            Which::All => None,
            Which::Named(names) => Some(names),
        }
    }
}

impl Host {
    /// Stops a service and starts it again, with its state: the same version, from its file. One that does not run is started.
    ///
    /// # Errors
    /// There is no such service, it was stopped, its state could not be kept (it serves on), it does not start again, or `deadline` passed.
    pub fn restart_service(&self, name: &str, deadline: Duration) -> Result<Changed, ControlError> {
        let also = self.also(Action::Restart, name);
        let wish = name.to_owned();
        let changed = self.command(name, deadline, move |kernel, reply| kernel.restart(wish, reply))?;
        Ok(Changed { also, ..changed })
    }

    /// What a command would do to which services, in which order. Nothing is done.
    ///
    /// # Errors
    /// There is no service of one of the names, or the host is being stopped.
    pub fn plan(&self, action: Action, which: &Which) -> Result<Vec<Planned>, ControlError> {
        let which = which.clone();
        self.ask(move |kernel| kernel.plan(action, which.names()))?
    }

    /// Starts, stops or restarts several services at once: what does not hang on each other at the same time, what does in its order. Answers each
    /// by its name, once all of them are done or `deadline` passed.
    ///
    /// # Errors
    /// There is no service of one of the names, so that nothing was done; or the host is being stopped.
    pub fn change_services(
        &self,
        action: Action,
        which: &Which,
        deadline: Duration,
    ) -> Result<Vec<Answered>, ControlError> {
        let (until, which) = (Instant::now() + deadline, which.clone());
        let awaited = self.ask(move |kernel| {
            let names = kernel.named(action, which.names())?;
            // In one turn of the loop: it decides when all of them are known.
            let ask = |name: String| {
                let (reply, awaited) = Reply::new();
                kernel.change(action, name.clone(), reply);
                (name, awaited)
            };
            Ok::<_, ControlError>(names.into_iter().map(ask).collect::<Vec<_>>())
        })??;
        let answered = |(name, awaited): (String, crate::kernel::wish::Awaited)| {
            let answer = match awaited.within(until.saturating_duration_since(Instant::now())) {
                Ok(answer) => answer,
                Err(mpsc::RecvTimeoutError::Disconnected) => Err(ControlError::Stopping),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    drop(awaited);
                    let phase = self.status(&name).map_or(Phase::Starting, |status| status.row.phase);
                    Err(ControlError::TimedOut { name: name.clone(), deadline, phase })
                }
            };
            (name, answer)
        };
        Ok(awaited.into_iter().map(answered).collect())
    }

    /// Holds the breaker of a service open or closed, whatever its calls come to; `None` leaves it to itself. Until the host ends.
    ///
    /// # Errors
    /// There is no such service, or the host is being stopped.
    pub fn breaker(&self, name: &str, force: Option<BreakerForce>) -> Result<BreakerView, ControlError> {
        let name = name.to_owned();
        self.ask(move |kernel| kernel.force_breaker(&name, force))?
    }

    /// What a command does to other services than the one that it names.
    pub(super) fn also(&self, action: Action, name: &str) -> Vec<Planned> {
        // Who has no such service is told so by the command itself.
        let plan = self.plan(action, &Which::Named(vec![name.to_owned()])).unwrap_or_default();
        plan.into_iter().filter(|step| step.because_of.is_some() && step.action != Action::Keep).collect()
    }
}

impl Kernel {
    fn change(&mut self, action: Action, name: String, reply: Reply) {
        match action {
            Action::Start => self.start(name, false, reply),
            Action::Stop => self.stop(name, false, reply),
            Action::Restart => self.restart(name, reply),
            // Nothing is asked for.
            Action::Keep => {}
        }
    }
}
