//! Callers on threads of their own beside a life, and what is held against each of their calls afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;

use super::expected::Expected;
use super::real::{Real, Receipt, ask};
use super::{Became, Step, Way};

const CALLERS: usize = 2;

/// Moments, in an order that all threads agree on.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// One call, from before it was made until after it was answered.
#[derive(Debug)]
struct Call {
    began: u64,
    ended: u64,
    way: Way,
    became: Became,
}

/// From before a version was published until after another was.
#[derive(Debug)]
struct Served {
    from: u64,
    to: u64,
}

/// Ends the callers, also where a step panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `late`: some requests have a deadline that has passed when they are made.
pub(super) fn check(steps: &[Step], late: bool) -> Result<(), TestCaseError> {
    let (clock, end) = (Arc::new(Clock::default()), AtomicBool::new(false));
    let (mut real, mut served) = (Real::new(&clock), BTreeMap::new());
    let slot = real.slot();
    let calls = std::thread::scope(|scope| {
        let hammer = |odd| {
            let (slot, clock, end) = (&slot, &clock, &end);
            scope.spawn(move || {
                let mut calls = Vec::new();
                while !end.load(Ordering::Relaxed) {
                    let turn: usize = calls.len() + odd;
                    let (way, method) = match turn % 14 {
                        // What nobody hears of must not add.
                        5 | 12 if late => (Way::LateRequest, "count"),
                        6 | 13 => (Way::Request, "fail"),
                        turn if turn % 2 == 0 => (Way::Inline, "add"),
                        _ => (Way::Request, "add"),
                    };
                    let began = clock.now();
                    let became = ask(slot, way, method);
                    calls.push(Call { began, ended: clock.now(), way, became });
                }
                calls
            })
        };
        let callers: Vec<_> = (0..CALLERS).map(hammer).collect();
        let ending = End(&end);
        let lived = live(&mut real, steps, &clock, &mut served);
        drop(ending);
        let calls = callers.into_iter().flat_map(|caller| caller.join().unwrap());
        lived.map(|own| calls.chain(own).collect::<Vec<_>>())
    })?;
    answered_once(&calls, &served, real.seen().map(|(_, count)| count))?;
    real.receipts.iter().try_for_each(|receipt| adds_up(receipt, &calls))?;
    counted_once(&real.receipts, &calls)
}

/// Takes the steps; its own calls, and who served when, come out.
fn live(
    real: &mut Real,
    steps: &[Step],
    clock: &Clock,
    served: &mut BTreeMap<u64, Served>,
) -> Result<Vec<Call>, TestCaseError> {
    let (mut expected, mut own) = (Expected::default(), Vec::new());
    for (at, step) in steps.iter().enumerate() {
        let began = clock.now();
        let became = real.take(*step);
        let ended = clock.now();
        let should = expected.take(*step);
        if let Step::Call { way, .. } = *step {
            own.push(Call { began, ended, way, became });
        } else {
            prop_assert_eq!(became, should, "step {}, {:?}", at, step);
        }
        let serves = expected.seen().map(|(load, _)| load);
        prop_assert_eq!(real.seen().map(|(load, _)| load), serves, "after step {}, {:?}", at, step);
        for (load, served) in served.iter_mut() {
            if served.to == u64::MAX && Some(*load) != serves {
                served.to = ended;
            }
        }
        if let Some(load) = serves {
            served.entry(load).or_insert(Served { from: began, to: u64::MAX });
        }
    }
    Ok(own)
}

/// Each call that added has a number of its own, none is left out, and who gave it served while the call was made.
fn answered_once(
    calls: &[Call],
    served: &BTreeMap<u64, Served>,
    end: Option<u64>,
) -> Result<(), TestCaseError> {
    let mut counts = Vec::new();
    for call in calls {
        let Became::Answered(load, count) = call.became else { continue };
        // One that was made in vain and had its answer all the same.
        if call.way == Way::LateRequest {
            continue;
        }
        counts.push(count);
        let when = served.get(&load);
        let in_time = when.is_some_and(|served| call.began < served.to && served.from < call.ended);
        prop_assert!(in_time, "{:?} was answered by load {}, which served {:?}", call, load, when);
    }
    counts.sort_unstable();
    let all: Vec<u64> = (1..=counts.len() as u64).collect();
    prop_assert!(
        counts == all,
        "a call was lost, or applied twice: {} calls, {:?}",
        all.len(),
        counts.last()
    );
    prop_assert!(end.is_none_or(|end| end == all.len() as u64), "{:?} after {} calls", end, all.len());
    Ok(())
}

/// What a receipt counts lies between the calls that were surely made in its window and those that touched it.
fn adds_up(receipt: &Receipt, calls: &[Call]) -> Result<(), TestCaseError> {
    let requests = receipt.requests;
    prop_assert_eq!((requests.lost, requests.duplicated), (0, 0));
    let answered =
        |call: &Call| matches!(call.became, Became::Answered(..) | Became::Failed | Became::Panicked);
    let within = calls
        .iter()
        .filter(|call| answered(call) && call.began > receipt.began.1 && call.ended < receipt.ended.0);
    // One that timed out inside may have ended in this window, though its caller went away before it.
    let until = |call: &Call| if call.became == Became::TimedOut { u64::MAX } else { call.ended };
    let touched = calls.iter().filter(|call| until(call) > receipt.began.0 && call.began < receipt.ended.1);
    let (least, most) = (within.count() as u64, touched.count() as u64);
    let counted = requests.old + requests.waited + requests.new;
    prop_assert!(
        (least..=most).contains(&counted),
        "{:?}: {} calls were within, {} touched it",
        receipt,
        least,
        most
    );
    Ok(())
}

/// No call is in two receipts: together they count no more calls than touched one of their windows.
fn counted_once(receipts: &[Receipt], calls: &[Call]) -> Result<(), TestCaseError> {
    let counted: u64 =
        receipts.iter().map(|Receipt { requests, .. }| requests.old + requests.waited + requests.new).sum();
    let touches = |call: &&Call| {
        // One that timed out inside goes on for a moment: it may end in the next window.
        let goes_on = call.became == Became::TimedOut;
        receipts
            .iter()
            .any(|receipt| (goes_on || call.ended > receipt.began.0) && call.began < receipt.ended.1)
    };
    let all = calls.iter().filter(touches).count() as u64;
    prop_assert!(
        counted <= all,
        "{} counted in {:?}, and only {} calls touched them",
        counted,
        receipts,
        all
    );
    Ok(())
}
