//! The circuit breaker: closed, calls pass; open, they are refused at once; half-open, a few are let in to see.

use std::time::{Duration, Instant};

use super::samples::{Samples, Sums};
use crate::config;
use crate::kernel::view::BreakerState;

/// While those that were let in to see are out, others are told to come again so soon.
const SOON: Duration = Duration::from_millis(100);

/// The breaker of one service. It knows times and sums, and not whose they are.
#[derive(Debug)]
pub(super) struct Breaker {
    rules: config::Breaker,
    samples: Samples,
    state: State,
    /// Why it opened last.
    why: String,
    /// How often it opened.
    opened: u64,
}

#[derive(Debug)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    /// So many were let in since, and of them so many have not come back.
    HalfOpen {
        before: Sums,
        let_in: u64,
        out: u64,
    },
}

/// How a call is let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Plain,
    /// It is one of those that show whether the service is well again.
    Trial,
}

/// Why a call is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) why: String,
    pub(super) again: Duration,
}

impl Breaker {
    pub(super) fn new(rules: config::Breaker, now: Instant, sums: Sums) -> Self {
        let samples = Samples::new(rules.window, now, sums);
        Self { rules, samples, state: State::Closed, why: String::new(), opened: 0 }
    }

    /// Another generation serves: what was held against the one before is not held against it.
    pub(super) fn renew(&mut self, now: Instant, sums: Sums) {
        (self.samples, self.state) = (Samples::new(self.rules.window, now, sums), State::Closed);
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match &self.state {
            State::Closed => BreakerState::Closed,
            State::Open { until } if now < *until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    pub(super) fn why(&self) -> Option<&str> {
        (self.opened > 0).then_some(&*self.why)
    }

    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// When it lets the first in to see.
    pub(super) fn until(&self) -> Option<Instant> {
        if let State::Open { until } = self.state { Some(until) } else { None }
    }

    /// How often its samples are to be taken.
    pub(super) fn step(&self) -> Duration {
        self.samples.step()
    }

    /// A call comes. `sums` is asked where it is the first that is let in to see.
    pub(super) fn admit(&mut self, now: Instant, sums: impl FnOnce() -> Sums) -> Result<Pass, Open> {
        match &mut self.state {
            State::Closed => Ok(Pass::Plain),
            State::Open { until } if now < *until => {
                Err(Open { why: self.why.clone(), again: until.saturating_duration_since(now) })
            }
            State::Open { .. } => {
                self.state = State::HalfOpen { before: sums(), let_in: 1, out: 1 };
                Ok(Pass::Trial)
            }
            State::HalfOpen { let_in, out, .. } if *let_in < self.rules.trials => {
                *let_in += 1;
                *out += 1;
                Ok(Pass::Trial)
            }
            State::HalfOpen { .. } => Err(Open { why: self.why.clone(), again: SOON }),
        }
    }

    /// One that was let in to see came back, whatever it brought.
    pub(super) fn come_back(&mut self) {
        if let State::HalfOpen { out, .. } = &mut self.state {
            *out = out.saturating_sub(1);
        }
    }

    /// One that was let in to see did not go in after all.
    pub(super) fn turn_back(&mut self) {
        if let State::HalfOpen { let_in, out, .. } = &mut self.state {
            (*let_in, *out) = (let_in.saturating_sub(1), out.saturating_sub(1));
        }
    }

    /// Judges by the sums of now; answers the state that it goes into, and why.
    pub(super) fn judge(&mut self, now: Instant, sums: Sums) -> Option<(BreakerState, String)> {
        match self.state {
            State::Closed => {
                let seen = self.samples.take(now, sums);
                let Sums { calls, faults } = seen;
                if calls < self.rules.min_calls || seen.rate() <= self.rules.error_rate {
                    return None;
                }
                let window = self.rules.window.as_millis();
                Some(self.open(now, format!("{faults} of {calls} calls failed within {window} ms")))
            }
            State::Open { .. } => None,
            State::HalfOpen { before, let_in, out } => {
                let Sums { faults, .. } = sums.since(before);
                if faults > 0 {
                    return Some(
                        self.open(now, format!("{faults} of the calls that were let in to see failed")),
                    );
                }
                if let_in < self.rules.trials || out > 0 {
                    return None;
                }
                self.renew(now, sums);
                Some((BreakerState::Closed, format!("{let_in} calls that were let in to see were answered")))
            }
        }
    }

    fn open(&mut self, now: Instant, why: String) -> (BreakerState, String) {
        self.state = State::Open { until: now + self.rules.open };
        self.opened += 1;
        self.why.clone_from(&why);
        (BreakerState::Open, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rules() -> config::Breaker {
        config::Breaker { error_rate: 0.5, min_calls: 10, window: 10 * SECOND, open: 5 * SECOND, trials: 2 }
    }

    fn sums(calls: u64, faults: u64) -> Sums {
        Sums { calls, faults }
    }

    #[test]
    fn it_opens_by_the_rate_over_a_window_once_there_are_enough_calls() {
        let begin = Instant::now();
        let mut breaker = Breaker::new(rules(), begin, Sums::default());
        assert_eq!(breaker.judge(begin + SECOND, sums(9, 9)), None);
        assert_eq!(breaker.judge(begin + 2 * SECOND, sums(20, 10)), None);
        let (state, why) = breaker.judge(begin + 3 * SECOND, sums(23, 13)).unwrap();
        assert_eq!((state, &*why), (BreakerState::Open, "13 of 23 calls failed within 10000 ms"));
        let open = breaker.admit(begin + 4 * SECOND, Sums::default).unwrap_err();
        assert_eq!((open.again, open.why), (4 * SECOND, why));
    }

    #[test]
    fn half_open_lets_a_few_in_and_closes_when_they_are_answered() {
        let begin = Instant::now();
        let mut breaker = Breaker::new(rules(), begin, Sums::default());
        breaker.judge(begin, sums(10, 10)).unwrap();
        let later = begin + 5 * SECOND;
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        for _ in 0..2 {
            assert_eq!(breaker.admit(later, || sums(10, 10)), Ok(Pass::Trial));
        }
        breaker.admit(later, Sums::default).unwrap_err();
        assert_eq!(breaker.judge(later, sums(10, 10)), None, "nobody has come back");
        (0..2).for_each(|_| breaker.come_back());
        let (state, _) = breaker.judge(later, sums(12, 10)).unwrap();
        assert_eq!((state, breaker.opened()), (BreakerState::Closed, 1));
        assert_eq!(breaker.admit(later, Sums::default), Ok(Pass::Plain));
        assert_eq!(
            breaker.judge(later + SECOND, sums(22, 10)),
            None,
            "what was before is not held against it"
        );
    }

    #[test]
    fn one_failure_of_those_that_were_let_in_opens_it_again() {
        let begin = Instant::now();
        let mut breaker = Breaker::new(rules(), begin, Sums::default());
        breaker.judge(begin, sums(10, 10)).unwrap();
        let later = begin + 6 * SECOND;
        breaker.admit(later, || sums(10, 10)).unwrap();
        let (state, _) = breaker.judge(later, sums(11, 11)).unwrap();
        assert_eq!((state, breaker.opened()), (BreakerState::Open, 2));
        assert_eq!(breaker.until(), Some(later + 5 * SECOND));
        // One that hangs holds nothing up: what it brings is of an earlier time.
        breaker.come_back();
        assert_eq!(breaker.state(later + SECOND), BreakerState::Open);
    }

    #[test]
    fn another_generation_begins_with_a_closed_one() {
        let begin = Instant::now();
        let mut breaker = Breaker::new(rules(), begin, Sums::default());
        breaker.judge(begin, sums(10, 10)).unwrap();
        breaker.renew(begin, Sums::default());
        assert_eq!(breaker.admit(begin, Sums::default), Ok(Pass::Plain));
    }
}
