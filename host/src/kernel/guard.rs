//! The guard: what stands at the door of a service whose calls are limited, or whose breaker is not closed.
//!
//! Where nothing of that is so, the slot publishes its generation plainly and nobody asks the guard. Else it publishes another
//! kind of state, which the ways of most calls do not take for one that serves: they go on to the slow way, and ask here. So a
//! call of a service without limits, and with a closed breaker, gains no instruction.

mod breaker;
mod rate;
mod samples;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use breaker::Breaker;
use rate::Rate;
pub(crate) use samples::{Samples, Sums};

use super::alarm::Alarm;
use super::generation::Generation;
use super::view::{BreakerForce, BreakerState, BreakerView};
use crate::config;

/// The guard of one slot.
#[derive(Debug, Default)]
pub(crate) struct Guard(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    rules: Arc<config::Service>,
    rate: Option<Rate>,
    breaker: Option<Breaker>,
    force: Option<BreakerForce>,
    // Calls that were let in and are not over.
    inside: u64,
    refused: Refused,
    // The load that it was renewed for, and the methods that it declares to be idempotent.
    load: u64,
    idempotent: Vec<String>,
}

/// What a guard wants of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// That each asks it.
    ToBeAsked,
    /// Nothing; with `retries`, what is not answered may be asked again.
    Nothing { retries: bool },
}

/// Why a call was not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The breaker is open; without a time where somebody opened it.
    Open { why: String, again: Option<Duration> },
    /// As many are inside as may be.
    Crowded { limit: u32 },
    /// There were too many lately.
    TooFast { per_second: u32, again: Duration },
}

/// How many calls were not let in, since the slot is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// By a breaker that was open, or one that somebody opened.
    pub breaker: u64,
    /// Since as many were inside as may be.
    pub concurrency: u64,
    /// Since there were too many lately.
    pub rate: u64,
}

impl Refused {
    fn count(&mut self, refusal: &Refusal) {
        *match refusal {
            Refusal::Open { .. } => &mut self.breaker,
            Refusal::Crowded { .. } => &mut self.concurrency,
            Refusal::TooFast { .. } => &mut self.rate,
        } += 1;
    }
}

/// The right of a call to be inside. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    guard: Arc<Guard>,
    // Of one that shows whether the service is well again: since when, and the loop is told when it is over.
    trial: Option<(Instant, Arc<Alarm>)>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inside = self.guard.lock();
        inside.inside = inside.inside.saturating_sub(1);
        if let (Some(breaker), Some((since, _))) = (&mut inside.breaker, &self.trial) {
            breaker.come_back(*since);
        }
        drop(inside);
        if let Some((_, alarm)) = &self.trial {
            alarm.raise();
        }
    }
}

/// What a generation's calls came to so far.
pub(crate) fn sums_of(generation: &Generation) -> Sums {
    let ((late_good, late_faults), overdue) = (generation.alarm.late(), generation.alarm.overdue());
    let counts = generation.tally.counts();
    // A call that was given up is no answer, and counts once: though its thread may bring one later, which the tally has.
    Sums {
        calls: (counts.answered + overdue).saturating_sub(late_good + late_faults),
        faults: (counts.faults() + overdue).saturating_sub(late_faults),
        good: counts.answered.saturating_sub(counts.failed + late_good),
    }
}

impl Inside {
    /// Lets a call in, unless something is against it; whether it is one that shows whether the service is well again.
    fn admit(&mut self, now: Instant, generation: &Generation) -> Result<bool, Refusal> {
        let Self { rules, rate, breaker, force, inside: count, .. } = self;
        // First what takes nothing from those who come later.
        if let Some(limit) = rules.max_concurrent.filter(|limit| *count >= u64::from(*limit)) {
            return Err(Refusal::Crowded { limit });
        }
        let is_trial = match (force, &mut *breaker) {
            (Some(BreakerForce::Open), _) => {
                let why = "somebody opened it with `hotbay breaker`".to_owned();
                return Err(Refusal::Open { why, again: None });
            }
            (Some(BreakerForce::Close), _) | (None, None) => false,
            (None, Some(breaker)) => {
                let admitted = breaker.admit(now, || sums_of(generation));
                admitted.map_err(|open| Refusal::Open { why: open.why, again: Some(open.again) })?
            }
        };
        if let Some(rate) = rate
            && let Err(again) = rate.take(now)
        {
            if let (true, Some(breaker)) = (is_trial, breaker) {
                breaker.come_back(now);
            }
            return Err(Refusal::TooFast { per_second: rules.max_rate.unwrap_or_default(), again });
        }
        *count += 1;
        Ok(is_trial)
    }
}

impl Guard {
    /// Says what holds for the service from now on. Where its own rules stay, a rate or a breaker goes on as it is; another breaker begins with
    /// what the calls of who serves came to, or anew with who is published next.
    pub(crate) fn set(&self, rules: config::Service, sums: Option<Sums>) {
        let mut inside = self.lock();
        let now = Instant::now();
        if (rules.max_rate, rules.max_burst) != (inside.rules.max_rate, inside.rules.max_burst) {
            let burst = |rate: u32| rules.max_burst.unwrap_or(rate);
            inside.rate = rules.max_rate.map(|rate| Rate::new(rate, burst(rate), now));
        }
        if rules.breaker != inside.rules.breaker {
            let begin = |rules| Breaker::new(rules, now, sums.unwrap_or_default());
            inside.breaker = rules.breaker.clone().map(begin);
            if sums.is_none() {
                inside.load = 0;
            }
        }
        inside.rules = Arc::new(rules);
    }

    /// How who serves is to be published.
    pub(crate) fn wants(&self) -> Wants {
        let inside = self.lock();
        let is_open = match inside.force {
            Some(BreakerForce::Open) => true,
            Some(BreakerForce::Close) => false,
            None => inside.breaker.as_ref().is_some_and(|b| b.state(Instant::now()) != BreakerState::Closed),
        };
        match is_open || inside.rules.max_concurrent.is_some() || inside.rate.is_some() {
            true => Wants::ToBeAsked,
            false => Wants::Nothing { retries: inside.rules.retries > 0 },
        }
    }

    /// A generation is about to be published: where it is another than before, its breaker is closed.
    pub(crate) fn renew(&self, generation: &Generation) {
        let mut inside = self.lock();
        if std::mem::replace(&mut inside.load, generation.load) == generation.load {
            return;
        }
        inside.idempotent.clone_from(&generation.manifest().idempotent);
        if let Some(breaker) = &mut inside.breaker {
            breaker.renew(Instant::now(), sums_of(generation));
        }
    }

    /// A call comes.
    pub(crate) fn admit(self: &Arc<Self>, generation: &Generation) -> Result<Permit, Refusal> {
        let (mut inside, now) = (self.lock(), Instant::now());
        let is_trial = inside.admit(now, generation).inspect_err(|refusal| inside.refused.count(refusal))?;
        let trial = is_trial.then(|| (now, Arc::clone(&generation.alarm)));
        drop(inside);
        Ok(Permit { guard: Arc::clone(self), trial })
    }

    /// How many calls were not let in.
    pub(crate) fn refused(&self) -> Refused {
        self.lock().refused
    }

    /// Looks at what the calls came to: the state that the breaker goes into by that, and why.
    pub(crate) fn judge(&self, now: Instant, sums: Sums) -> Option<(BreakerState, String)> {
        let mut inside = self.lock();
        let is_forced = inside.force.is_some();
        let judged = inside.breaker.as_mut()?.judge(now, sums);
        // It goes on counting, so that it is right when it is left to itself again.
        judged.filter(|_| !is_forced)
    }

    /// How often the loop is to look, where it is to look at all.
    pub(crate) fn step(&self) -> Option<Duration> {
        self.lock().breaker.as_ref().map(Breaker::step)
    }

    /// Opens or closes the breaker whatever the calls come to; `None` leaves it to itself.
    pub(crate) fn force(&self, force: Option<BreakerForce>) {
        self.lock().force = force;
    }

    /// How often what was not answered is tried again, and how long after.
    pub(crate) fn retries(&self) -> (u32, Duration) {
        let inside = self.lock();
        (inside.rules.retries, inside.rules.retry_pause)
    }

    /// Whether a method of who serves, or served last, may be asked twice.
    pub(crate) fn is_idempotent(&self, method: &str) -> bool {
        self.lock().idempotent.iter().any(|known| known == method)
    }

    /// The rules of the service.
    pub(crate) fn rules(&self) -> Arc<config::Service> {
        Arc::clone(&self.lock().rules)
    }

    /// The breaker, as it is shown; `None` where there is none and nobody forces one.
    pub(crate) fn view(&self) -> Option<BreakerView> {
        let (inside, now) = (self.lock(), Instant::now());
        if inside.breaker.is_none() && inside.force.is_none() {
            return None;
        }
        let own = inside.breaker.as_ref();
        let state = match inside.force {
            Some(BreakerForce::Open) => BreakerState::Open,
            Some(BreakerForce::Close) => BreakerState::Closed,
            None => own.map_or(BreakerState::Closed, |breaker| breaker.state(now)),
        };
        let until = own.and_then(Breaker::until).filter(|_| inside.force.is_none());
        Some(BreakerView {
            state,
            forced: inside.force,
            why: own.and_then(Breaker::why).map(ToOwned::to_owned),
            opened: own.map_or(0, Breaker::opened),
            again_in_ms: until.map(|until| {
                u64::try_from(until.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX)
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
