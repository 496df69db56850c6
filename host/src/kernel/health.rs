//! Health: what the loop makes of what who serves does: calls and messages, what panics beside them, and what hangs.

use std::time::{Duration, Instant};

use super::generation::Generation;
use super::guard::{Samples, Sums, sums_of};
use crate::config::Supervision;
use crate::error::{Code, Trouble};

/// However fast calls fail, the loop looks no more often.
const LOOK: Duration = Duration::from_millis(20);

/// One generation as it was seen last.
#[derive(Debug, Default)]
pub(crate) struct Health {
    // When it is looked at next though nothing is told; `None` while nothing has to be.
    pub(crate) look_at: Option<Instant>,
    seen_at: Option<Instant>,
    seen: Sums,
    panicked: u64,
    // Panics with no good answer between them.
    in_a_row: u64,
    errors: Option<Samples>,
}

impl Health {
    pub(crate) fn of(generation: &Generation) -> Self {
        // One that served before, and was not stopped after all.
        let (seen, panicked) = (done_by(generation), generation.alarm.panicked());
        Self { look_at: Some(Instant::now()), seen, panicked, ..Self::default() }
    }

    /// Whether it is to be looked at now. An alarm that came too soon after the last look is looked at when it is time.
    pub(crate) fn is_due(&mut self, is_raised: bool, now: Instant) -> bool {
        if !is_raised {
            return self.look_at.is_some_and(|at| at <= now);
        }
        let soon = self.seen_at.map(|at| at + LOOK).filter(|soon| *soon > now);
        if let Some(soon) = soon {
            self.look_at = Some(self.look_at.map_or(soon, |at| at.min(soon)));
        }
        soon.is_none()
    }

    /// Looks at it: what is wrong, if it is so wrong that it has to be restarted. `step` is how often somebody else wants it looked at.
    pub(crate) fn look(
        &mut self,
        generation: &Generation,
        rules: &Supervision,
        step: Option<Duration>,
        now: Instant,
    ) -> Option<Trouble> {
        let (sums, panicked) = (done_by(generation), generation.alarm.panicked());
        let (new, panics) = (sums.since(self.seen), panicked.saturating_sub(self.panicked));
        (self.seen, self.panicked, self.seen_at) = (sums, panicked, Some(now));
        let mut next = step;
        let burst = rules.max_error_rate.and_then(|most| {
            let samples = self.errors.get_or_insert_with(|| Samples::new(rules.error_window, now, sums));
            next = Some(next.map_or(samples.step(), |step| step.min(samples.step())));
            let seen = samples.take(now, sums);
            let Sums { calls, faults, .. } = seen;
            let is_wrong = calls >= rules.min_calls && seen.rate() > most;
            let what = if generation.handled.counts().done > 0 { "calls and messages" } else { "calls" };
            let window = rules.error_window.as_millis();
            let text = || format!("{faults} of {calls} {what} failed within {window} ms");
            is_wrong.then(|| Trouble::new(Code::KeepsFailing, text()))
        });
        self.look_at = next.map(|step| now + step);
        let panicking = self.panics_in_a_row(new, panics, rules.panics);
        let hanging = self.hangs(generation, rules.hang, now);
        panicking.or(hanging).or(burst)
    }

    fn panics_in_a_row(&mut self, new: Sums, panics: u64, most: u64) -> Option<Trouble> {
        // What is well says so, whichever came first of what came since the last look.
        self.in_a_row = if new.good > 0 { 0 } else { self.in_a_row + panics };
        let text = match most {
            0 => return None,
            1 if panics > 0 => "it panicked".to_owned(),
            1 => return None,
            most if self.in_a_row < most => return None,
            _ => format!("it panicked {} times with no good answer in between", self.in_a_row),
        };
        Some(Trouble::new(Code::KeepsPanicking, text))
    }

    fn hangs(&mut self, generation: &Generation, long: Duration, now: Instant) -> Option<Trouble> {
        let since = generation.alarm.hangs_since().filter(|_| !long.is_zero())?;
        let count = generation.alarm.hung_for(long);
        if count > 0 {
            let (threads, ms) = (if count == 1 { "thread has" } else { "threads have" }, long.as_millis());
            let text = format!("{count} {threads} hung for {ms} ms since a deadline passed");
            return Some(Trouble::new(Code::CallHangs, text));
        }
        // What comes would be brought by nobody, however long that is waited for.
        if generation.alarm.is_stuck() {
            let text = "so many of its threads hang that no fresh one is started";
            return Some(Trouble::new(Code::CallHangs, text));
        }
        let at = (since + long).max(now + LOOK);
        self.look_at = Some(self.look_at.map_or(at, |known| known.min(at)));
        None
    }
}

/// What it came to so far: its calls, and the messages that it was brought.
fn done_by(generation: &Generation) -> Sums {
    let (calls, messages) = (sums_of(generation), generation.handled.counts());
    Sums {
        calls: calls.calls + messages.done,
        faults: calls.faults + messages.failed,
        good: (calls.good + messages.done).saturating_sub(messages.failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panics(health: &mut Health, calls: u64, faults: u64, panics: u64, most: u64) -> Option<String> {
        health.panics_in_a_row(Sums { calls, faults, good: calls - faults }, panics, most).map(|why| why.text)
    }

    #[test]
    fn panics_count_while_nobody_gets_a_good_answer() {
        let mut health = Health::default();
        assert_eq!(panics(&mut health, 3, 3, 3, 5), None);
        assert_eq!(panics(&mut health, 2, 1, 1, 5), None, "somebody was answered");
        assert_eq!(panics(&mut health, 4, 4, 4, 5), None);
        // An error is no good answer, and no panic.
        assert_eq!(panics(&mut health, 1, 1, 0, 5), None);
        let why = panics(&mut health, 1, 1, 1, 5).unwrap();
        assert_eq!(why, "it panicked 5 times with no good answer in between");
    }

    #[test]
    fn each_panic_counts_where_one_is_too_many_and_none_where_it_is_turned_off() {
        assert!(panics(&mut Health::default(), 9, 1, 1, 1).is_some());
        assert_eq!(panics(&mut Health::default(), 9, 0, 0, 1), None);
        assert_eq!(panics(&mut Health::default(), 99, 99, 99, 0), None);
    }

    #[test]
    fn alarms_that_follow_each_other_are_looked_at_together() {
        let now = Instant::now();
        let mut health = Health { seen_at: Some(now), ..Health::default() };
        assert!(!health.is_due(true, now));
        let at = health.look_at.unwrap();
        assert!(at > now && health.is_due(true, at));
        assert!(!Health::default().is_due(false, now));
    }
}
