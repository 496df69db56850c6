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
    /// Some are let in to see: those that are out, since when each.
    HalfOpen {
        before: Sums,
        out: Vec<Instant>,
    },
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

    /// A call comes: whether it is let in to see whether the service is well again, for which `sums` is asked. So many are as have not been
    /// answered yet.
    pub(super) fn admit(&mut self, now: Instant, sums: impl FnOnce() -> Sums) -> Result<bool, Open> {
        match &mut self.state {
            State::Closed => Ok(false),
            State::Open { until } if now < *until => {
                Err(Open { why: self.why.clone(), again: until.saturating_duration_since(now) })
            }
            State::Open { .. } => {
                self.state = State::HalfOpen { before: sums(), out: vec![now] };
                Ok(true)
            }
            State::HalfOpen { before, out } => {
                if sums().since(*before).good + out.len() as u64 >= self.rules.trials {
                    return Err(Open { why: self.why.clone(), again: SOON });
                }
                out.push(now);
                Ok(true)
            }
        }
    }

    /// One that was let in to see, at that moment, came back, whatever it brought: where that was no answer, its place is another's.
    pub(super) fn come_back(&mut self, since: Instant) {
        if let State::HalfOpen { out, .. } = &mut self.state
            && let Some(at) = out.iter().position(|other| *other == since)
        {
            out.remove(at);
        }
    }

    /// Judges by the sums of now; answers the state that it goes into, and why.
    pub(super) fn judge(&mut self, now: Instant, sums: Sums) -> Option<(BreakerState, String)> {
        match &self.state {
            State::Closed => {
                let seen = self.samples.take(now, sums);
                let Sums { calls, faults, .. } = seen;
                if calls < self.rules.min_calls || seen.rate() <= self.rules.error_rate {
                    return None;
                }
                let window = self.rules.window.as_millis();
                Some(self.open(now, format!("{faults} of {calls} calls failed within {window} ms")))
            }
            State::Open { .. } => None,
            State::HalfOpen { before, out } => {
                let Sums { faults, good, .. } = sums.since(*before);
                if faults > 0 {
                    let why = format!("{faults} of the calls that were let in to see failed");
                    return Some(self.open(now, why));
                }
                // Callers of their own threads have no deadline; others must not wait for one of these.
                let open = self.rules.open;
                if out.first().is_some_and(|since| now.saturating_duration_since(*since) > open) {
                    let why =
                        format!("a call that was let in to see was not over within {} ms", open.as_millis());
                    return Some(self.open(now, why));
                }
                if good < self.rules.trials {
                    return None;
                }
                self.renew(now, sums);
                Some((BreakerState::Closed, format!("{good} calls that were let in to see were answered")))
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
        Sums { calls, faults, good: calls - faults }
    }

    /// One that has opened, and when it lets some in to see.
    fn opened() -> (Breaker, Instant) {
        let begin = Instant::now();
        let mut breaker = Breaker::new(rules(), begin, Sums::default());
        breaker.judge(begin, sums(10, 10)).unwrap();
        (breaker, begin + rules().open)
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
        let (mut breaker, later) = opened();
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        for _ in 0..2 {
            assert_eq!(breaker.admit(later, || sums(10, 10)), Ok(true));
        }
        breaker.admit(later, || sums(10, 10)).unwrap_err();
        assert_eq!(breaker.judge(later, sums(10, 10)), None, "nobody has come back");
        (0..2).for_each(|_| breaker.come_back(later));
        breaker.admit(later, || sums(12, 10)).unwrap_err();
        let (state, _) = breaker.judge(later, sums(12, 10)).unwrap();
        assert_eq!((state, breaker.opened()), (BreakerState::Closed, 1));
        assert_eq!(breaker.admit(later, Sums::default), Ok(false));
        assert_eq!(
            breaker.judge(later + SECOND, sums(22, 10)),
            None,
            "what was before is not held against it"
        );
    }

    #[test]
    fn one_that_comes_back_without_an_answer_closes_nothing_and_another_one_has_its_place() {
        let (mut breaker, later) = opened();
        // Whether it asked for nothing, or its caller was mistaken.
        let mistaken = Sums { calls: 11, ..sums(10, 10) };
        for _ in 0..20 {
            assert_eq!(breaker.admit(later, || sums(10, 10)), Ok(true));
            breaker.come_back(later);
            assert_eq!((breaker.judge(later, sums(10, 10)), breaker.judge(later, mistaken)), (None, None));
        }
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
    }

    #[test]
    fn one_failure_of_those_that_were_let_in_opens_it_again() {
        let (mut breaker, later) = opened();
        breaker.admit(later, || sums(10, 10)).unwrap();
        let (state, _) = breaker.judge(later, sums(11, 11)).unwrap();
        assert_eq!((state, breaker.opened()), (BreakerState::Open, 2));
        let again = later + rules().open;
        assert_eq!(breaker.until(), Some(again));
        // What one that hung brings is of an earlier time.
        assert_eq!(breaker.admit(again, || sums(11, 11)), Ok(true));
        breaker.come_back(later);
        breaker.admit(again, || sums(11, 11)).unwrap();
        breaker.admit(again, || sums(11, 11)).unwrap_err();
    }

    #[test]
    fn one_that_does_not_come_back_in_the_time_that_it_is_open_has_failed() {
        let (mut breaker, later) = opened();
        breaker.admit(later, || sums(10, 10)).unwrap();
        let end = later + rules().open;
        assert_eq!(breaker.judge(end, sums(10, 10)), None, "it has so long");
        let (state, why) = breaker.judge(end + SECOND, sums(10, 10)).unwrap();
        assert_eq!(
            (state, &*why),
            (BreakerState::Open, "a call that was let in to see was not over within 5000 ms")
        );
    }

    #[test]
    fn another_generation_begins_with_a_closed_one() {
        let (mut breaker, later) = opened();
        breaker.renew(later, Sums::default());
        assert_eq!(breaker.admit(later, Sums::default), Ok(false));
    }
}
