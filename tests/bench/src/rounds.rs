//! Rows that are measured by turns, so that whatever the machine does besides falls on all of them; and what follows from
//! their times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::pin;
use crate::report::{Amount, Line, median};

/// How long a row is measured in one round. Long beside a clock's look, short beside a scheduler's slice.
const SLICE: Duration = Duration::from_millis(1);

/// Two threads that scale the control by less share a processor with somebody: nothing can be said about scaling.
const SCALES: f64 = 1.5;

/// Something that is done often and measured.
pub struct Row {
    name: &'static str,
    over: Option<&'static str>,
    goal: Option<Goal>,
    step: u64,
    /// What it does, or why it cannot be measured.
    body: Result<Body, String>,
}

/// Makes so many calls, and says how long they took.
type Body = Box<dyn FnMut(u64) -> Duration + Send>;

/// What a row is to reach.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// At most so many times its control.
    AtMost(f64),
    /// Beyond its control, at most so many times a third row.
    AddsAtMost(f64, &'static str),
    /// From one thread to two, at least so much of what another row gains over its own control.
    ScalesAtLeast(f64, &'static str),
    /// From one processor to two, at least so many times as fast, on a machine where the second row is so over the third.
    GainsAtLeast(f64, &'static str, &'static str),
}

impl Row {
    /// A row; `body` makes so many calls and says how long they took, by its own clock.
    pub fn new(name: &'static str, body: impl FnMut(u64) -> Duration + Send + 'static) -> Self {
        Self { name, over: None, goal: None, step: 1, body: Ok(Box::new(body)) }
    }

    /// A row that stands in the table all the same.
    #[must_use]
    pub(crate) fn not_measured(name: &'static str, reason: String) -> Self {
        Self { name, over: None, goal: None, step: 1, body: Err(reason) }
    }

    /// The row that it is compared with: its control.
    #[must_use]
    pub fn over(self, control: &'static str) -> Self {
        Self { over: Some(control), ..self }
    }

    /// What it is to reach.
    #[must_use]
    pub fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// It makes a multiple of so many calls.
    #[must_use]
    pub fn in_steps_of(self, step: u64) -> Self {
        Self { step, ..self }
    }
}

/// As many calls as fill a slice; they warm it up.
fn calls(body: &mut Body, step: u64) -> u64 {
    let mut calls = step;
    loop {
        let took = body(calls);
        if took >= SLICE {
            return calls;
        }
        // Each run says better how long the next one takes.
        let times = SLICE.as_secs_f64() / took.as_secs_f64().max(1e-9) * 1.1;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 2 to 100")]
        let times = times.clamp(2.0, 100.0) as u64;
        calls *= times;
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Does something so many times; how long that took.
#[inline]
pub fn timed(calls: u64, mut body: impl FnMut()) -> Duration {
    let begun = Instant::now();
    for _ in 0..calls {
        body();
    }
    begun.elapsed()
}

/// What a row took in each round, nanoseconds per call.
type Times = BTreeMap<&'static str, Vec<f64>>;

/// Measures all rows by turns on one pinned thread, and compares them round by round.
pub(crate) fn measure(mut rows: Vec<Row>, rounds: u32) -> Result<Vec<Line>> {
    let times = std::thread::scope(|scope| {
        let measured = scope.spawn(|| {
            pin::to(0);
            take(&mut rows, rounds)
        });
        measured.join().map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            anyhow::Error::msg(text.unwrap_or_else(|| "a row panicked".to_owned()))
        })
    })?;
    rows.iter().map(|row| line(row, &times)).collect()
}

#[allow(clippy::cast_precision_loss, reason = "counts of calls, far below 2^53")]
fn take(rows: &mut [Row], rounds: u32) -> Times {
    let able = rows.iter_mut().filter_map(|row| Some((row.name, row.step, row.body.as_mut().ok()?)));
    let mut able: Vec<(&str, &mut Body, u64)> = able
        .map(|(name, step, body)| {
            let calls = calls(body, step);
            (name, body, calls)
        })
        .collect();
    let mut times = Times::new();
    for round in 0..rounds.max(1) as usize {
        for at in 0..able.len() {
            // Another one begins each round: no row stands always behind the same neighbour's caches.
            let at = (at + round) % able.len();
            let (name, body, calls) = &mut able[at];
            let took = deeper(depth(round), &mut || body(*calls));
            times.entry(*name).or_default().push(took.as_secs_f64() * 1e9 / *calls as f64);
        }
    }
    times
}

/// How much stack lies above a round, in frames of [`deeper`]. A processor takes a load for one of what was just stored where the two addresses
/// have the same low twelve bits, and waits. On one stretch of stack for all rounds, that would be measured which of the rows' addresses
/// happen to agree, and not the rows. All rows of a round are at one depth; what lies elsewhere (heap, other threads' stacks) stays where it is.
fn depth(round: usize) -> usize {
    // Of no pattern that the rows' order has; some pages are gone through in all.
    round.wrapping_mul(37) % 101
}

/// Does it below so many frames.
#[inline(never)]
fn deeper(frames: usize, body: &mut dyn FnMut() -> Duration) -> Duration {
    // It takes more of the stack than a frame has to, and not a part of a page.
    let frame = std::hint::black_box([0_u64; 9]);
    let took = if frames == 0 { body() } else { deeper(frames - 1, body) };
    std::hint::black_box(frame);
    took
}

fn line(row: &Row, times: &Times) -> Result<Line> {
    if let Err(reason) = &row.body {
        return Ok(Line::not_measured(row.name, reason.clone()));
    }
    let own = times.get(row.name).context("a row was not measured")?;
    let mut line = Line::new(row.name, Amount::PerCall(median(own)));
    let Some((control, over)) = row.over.and_then(|name| Some((name, times.get(name)?))) else {
        return Ok(line);
    };
    line.compare(control, median(&by_round(own, over, |own, over| own / over)));
    match row.goal {
        None => {}
        Some(Goal::AtMost(limit)) => {
            let ratio = line.ratio;
            line.judge(format!("≤ {limit} × {control}"), ratio.map(|ratio| ratio <= limit));
        }
        Some(Goal::AddsAtMost(limit, of)) => {
            let unit = times.get(of).context("a row was not measured")?;
            let added = by_round(own, over, |own, over| own - over);
            let added = median(&by_round(&added, unit, |added, unit| added / unit));
            line.note = Some(format!("adds {added:.2} × {of}"));
            line.judge(format!("adds ≤ {limit} × {of}"), Some(added <= limit));
        }
        Some(Goal::ScalesAtLeast(limit, limit_row)) => {
            let scaled = by_round(own, over, |own, over| over / own);
            let (alone, pair) = (times.get("dyn, one thread"), times.get(limit_row));
            let (alone, pair) = alone.zip(pair).context("a row was not measured")?;
            let control = by_round(pair, alone, |pair, alone| alone / pair);
            let share = median(&by_round(&scaled, &control, |own, control| own / control));
            let (scaled, control) = (median(&scaled), median(&control));
            line.note = Some(format!("scales {scaled:.2}, its control {control:.2}: {share:.2}"));
            let measured = control >= SCALES;
            line.judge(format!("scales ≥ {limit} × {limit_row}"), measured.then_some(share >= limit));
        }
        Some(Goal::GainsAtLeast(limit, pair, alone)) => {
            let (pair, alone) = times.get(pair).zip(times.get(alone)).context("a row was not measured")?;
            let there = median(&by_round(alone, pair, |alone, pair| alone / pair));
            let gain = median(&by_round(over, own, |over, own| over / own));
            line.note = Some(format!("gains {gain:.2}, the machine {there:.2}"));
            // What a neighbour has of the other processor is not ours to gain; what was gained all the same is.
            let measured = there >= limit || gain >= limit;
            line.judge(format!("gains ≥ {limit}"), measured.then_some(gain >= limit));
        }
    }
    Ok(line)
}

fn by_round(these: &[f64], those: &[f64], with: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    these.iter().zip(those).map(|(this, that)| with(*this, *that)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str) -> Row {
        Row::new(name, |_| SLICE)
    }

    #[test]
    fn rounds_are_on_stretches_of_stack_that_differ_within_a_page() {
        let here = || {
            let local = 0_u8;
            std::ptr::from_ref(std::hint::black_box(&local)).addr() % 4096
        };
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..100 {
            deeper(depth(round), &mut || {
                seen.insert(here());
                SLICE
            });
        }
        assert!(seen.len() > 50, "{seen:?}");
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let times = Times::from([("a", vec![10.0, 100.0, 30.0]), ("b", vec![5.0, 50.0, 30.0])]);
        let line = line(&row("a").over("b").goal(Goal::AtMost(1.9)), &times).expect("both were measured");
        assert_eq!((line.ratio, line.holds), (Some(2.0), Some(false)));
    }

    #[test]
    fn a_row_that_cannot_be_measured_says_why() {
        let mut rows = vec![row("a"), Row::not_measured("b", "it is not there".to_owned())];
        let times = take(&mut rows, 3);
        let line = line(&rows[1], &times).expect("it needs no times");
        assert_eq!((times.len(), line.note.as_deref()), (1, Some("it is not there")));
        assert_eq!(serde_json::json!(line)["ns"], serde_json::Value::Null);
    }

    #[test]
    fn where_the_control_does_not_scale_nothing_is_said() {
        let names = ["dyn, one thread", "dyn, two threads", "one", "two"];
        let times =
            |pair: f64| Times::from_iter(names.into_iter().zip([10.0, pair, 10.0, 5.0].map(|ns| vec![ns])));
        let row = || row("two").over("one").goal(Goal::ScalesAtLeast(0.95, "dyn, two threads"));
        assert_eq!(line(&row(), &times(9.0)).expect("all were measured").holds, None);
        assert_eq!(line(&row(), &times(5.0)).expect("all were measured").holds, Some(true));
    }

    #[test]
    fn a_gain_counts_also_where_the_machine_gained_less_and_its_lack_only_where_the_machine_gained() {
        let holds = |machine: f64, ours: f64| {
            let times = Times::from([
                ("bare", vec![10.0]),
                ("bare, two", vec![machine]),
                ("one", vec![10.0]),
                ("two", vec![ours]),
            ]);
            let row = row("two").over("one").goal(Goal::GainsAtLeast(1.7, "bare, two", "bare"));
            line(&row, &times).expect("all were measured").holds
        };
        assert_eq!(
            [holds(5.0, 5.0), holds(5.0, 9.0), holds(9.0, 5.0), holds(9.0, 9.0)],
            [Some(true), Some(false), Some(true), None]
        );
    }
}
