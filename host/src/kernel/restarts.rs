//! Restarts by supervision: how long to wait before the next one, and how many are too many (Erlang's intensity).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::clock;
use super::view::Supervised;
use crate::config;
use crate::error::Trouble;

/// A restart that is on its way: the service is to stop, and to start again.
#[derive(Debug, Clone)]
pub(crate) struct Restart {
    pub(crate) why: Trouble,
    pub(crate) by: By,
}

/// Whose restart it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Somebody asked for it: where its state cannot be kept, it serves on.
    Command,
    /// What it requires is there again. As if somebody had asked.
    Dependency,
    /// Something is wrong with it: it is counted, and goes on whatever fails.
    Supervision,
}

/// What comes after a restart that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is started after so long.
    After(Duration),
    /// It was restarted so often within the window: no more.
    Enough(u64),
}

/// The restarts of one service.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    lately: VecDeque<Instant>,
    shown: Option<Supervised>,
}

impl Restarts {
    /// Counts one more. `chance` is from 0 to 1: services that failed together are not to start together.
    pub(crate) fn count(&mut self, rules: &config::Supervision, now: Instant, chance: f64) -> Next {
        self.forget(rules, now);
        let before = u32::try_from(self.lately.len()).unwrap_or(u32::MAX);
        if u64::from(before) >= rules.max_restarts {
            return Next::Enough(rules.max_restarts);
        }
        self.lately.push_back(now);
        Next::After(pause(rules.backoff, rules.max_backoff, before, chance))
    }

    /// Notes what came of it, for those who look.
    pub(crate) fn note(&mut self, next: Next, why: &Trouble, state: Option<String>) {
        let restarts = self.total() + u64::from(matches!(next, Next::After(_)));
        let (why, unix_ms) = (Some(why.text.clone()), Some(clock::unix_ms()));
        self.shown = Some(Supervised { restarts, lately: 0, why, unix_ms, state });
    }

    /// How many there were.
    pub(crate) fn total(&self) -> u64 {
        self.shown.as_ref().map_or(0, |shown| shown.restarts)
    }

    /// Whether it was restarted lately: what fails now may be by that.
    pub(crate) fn is_recovering(&self) -> bool {
        !self.lately.is_empty()
    }

    /// Somebody wants it to run: it begins anew.
    pub(crate) fn lift(&mut self) {
        self.lately.clear();
    }

    pub(crate) fn view(&self, rules: &config::Supervision, now: Instant) -> Option<Supervised> {
        let is_recent = |at: &&Instant| now.saturating_duration_since(**at) < rules.window;
        let lately = self.lately.iter().filter(is_recent).count() as u64;
        self.shown.clone().map(|shown| Supervised { lately, ..shown })
    }

    /// Those before the window do not count.
    pub(crate) fn forget(&mut self, rules: &config::Supervision, now: Instant) {
        while self.lately.front().is_some_and(|at| now.saturating_duration_since(*at) >= rules.window) {
            self.lately.pop_front();
        }
    }
}

/// `first`, twice that, four times; a quarter more or less, by chance, and never more than `longest`.
pub(crate) fn pause(first: Duration, longest: Duration, before: u32, chance: f64) -> Duration {
    let doubled = first.saturating_mul(2u32.saturating_pow(before.min(30)));
    // So that the quarter fits below the longest: cut off at it, half of those that wait for so long would start together.
    let middle = doubled.min(longest.div_f64(1.25));
    middle.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0).min(longest)
}

/// From 0 to 1, for jitter. Nothing hangs on how well it is spread.
pub(crate) fn chance() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    // A hasher's keys differ with each one that is made.
    let random = RandomState::new().hash_one(0u8);
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_intensity_ends_in_enough_and_a_quiet_window_begins_anew() {
        let rules = config::Supervision { max_restarts: 3, ..config::Supervision::default() };
        let (mut restarts, begin) = (Restarts::default(), Instant::now());
        for number in 0..3 {
            assert!(matches!(
                restarts.count(&rules, begin + number * Duration::from_secs(1), 0.5),
                Next::After(_)
            ));
        }
        assert_eq!(restarts.count(&rules, begin + Duration::from_secs(4), 0.5), Next::Enough(3));
        let later = begin + rules.window + Duration::from_secs(1);
        assert!(matches!(restarts.count(&rules, later, 0.5), Next::After(_)));
        assert_eq!(
            restarts.count(&config::Supervision { max_restarts: 0, ..rules }, begin, 0.5),
            Next::Enough(0)
        );
    }

    #[test]
    fn pauses_double_with_a_quarter_of_jitter_and_none_is_longer_than_the_longest() {
        let ms = Duration::from_millis;
        let of = |before, chance| pause(ms(100), ms(1000), before, chance);
        assert_eq!((of(0, 0.5), of(1, 0.5), of(3, 0.5)), (ms(100), ms(200), ms(800)));
        assert_eq!((of(0, 0.0), of(0, 1.0)), (ms(75), ms(125)));
        assert_eq!((of(9, 0.5), of(u32::MAX, 0.5)), (ms(800), ms(800)));
        assert_eq!((of(9, 0.0), of(9, 1.0)), (ms(600), ms(1000)), "they are spread there too");
        let chances: Vec<f64> = (0..50).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(chances.iter().any(|chance| (chance - chances[0]).abs() > 1e-3));
    }
}
