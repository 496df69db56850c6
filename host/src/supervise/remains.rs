//! What is left of generations that could not be unmapped: looked at again, and held to a budget.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::{Kernel, Message};
use crate::error::{Code, Trouble};
use crate::kernel::callers;
use crate::kernel::view::{MIB, mebibytes};
use crate::stage::Object;
use crate::unload::{Remains, Unloaded};
use crate::{ffi, os};

/// So many holders are named in a refusal: who looks for the rest asks for the list.
const NAMED: usize = 3;

impl Kernel {
    /// Libraries that were pinned may have gone since. A thread of its own looks, as some systems' loaders hold up who asks
    /// them, and tells the loop.
    pub(super) fn look_for_remains(&mut self) {
        self.hear_of_remains();
        let left: Vec<(u64, Object, bool)> = self
            .remains()
            .map(|(_, remains)| (remains.load, remains.object.clone(), remains.is_closed()))
            .collect();
        if left.is_empty() || is_at_it(self.looking.as_ref()) {
            return;
        }
        let sender = self.sender.clone();
        let look = move || {
            let seen = left.into_iter().filter_map(|(load, object, is_closed)| {
                let is_mapped = ffi::is_mapped(object.name()).ok()?;
                if is_closed && !is_mapped {
                    object.remove();
                }
                Some((load, is_mapped))
            });
            // The loop is gone when the host ends.
            let _ = sender.send(Message::Looked(seen.collect()));
        };
        // Should no thread be had, the next look tries again.
        self.looking = os::spawn("look", look).ok();
    }

    /// What became of those that somebody waited to unload.
    fn hear_of_remains(&mut self) {
        let alive = self.services.values_mut().map(|service| &mut service.remains);
        let past = self.gone.values_mut().map(|past| &mut past.remains);
        for left in alive.chain(past) {
            left.retain_mut(|remains| match remains.later.as_ref().map(mpsc::Receiver::try_recv) {
                Some(Ok(Unloaded::Gone)) => false,
                Some(Ok(Unloaded::Pinned(now))) => {
                    *remains = *now;
                    true
                }
                // Who waited may have broken down: then nobody has closed it, and nobody will.
                Some(Err(_)) | None => true,
            });
        }
    }

    /// Forgets those that have gone. For the others, what held them may have ended, and some systems unmap a library only when
    /// one is closed: a thread of its own sees to that, and the next look shows what came of it.
    pub(super) fn forget_remains(&mut self, seen: &BTreeMap<u64, bool>) {
        let alive = self.services.iter_mut().map(|(name, service)| (name, &mut service.remains));
        let past = self.gone.iter_mut().map(|(name, past)| (name, &mut past.remains));
        for (name, left) in alive.chain(past) {
            left.iter_mut().for_each(|remains| remains.is_seen |= seen.get(&remains.load) == Some(&true));
            for remains in left.extract_if(.., |remains| seen.get(&remains.load) == Some(&false)) {
                callers::forget(remains.load);
                if remains.later.is_none() {
                    let text = format!("generation {} is gone since", remains.pinned.generation);
                    self.shared.journal.note("unloaded", Some(name), None, text);
                }
            }
        }
        // What the system's loader is still at is left alone: whoever asks for it waits as well.
        let closed = self.remains().map(|(_, remains)| remains).filter(|remains| remains.is_closed());
        let still: Vec<Object> = closed.map(|remains| remains.object.clone()).collect();
        if still.is_empty() || is_at_it(self.releasing.as_ref()) {
            return;
        }
        let release = move || still.iter().for_each(ffi::release);
        self.releasing = os::spawn("release", release).ok();
    }

    /// Why nothing is swapped now: what is pinned is over the budget.
    pub(super) fn over_budget(&self) -> Option<Trouble> {
        over(self.shared.config.swap.max_pinned_mib, self.remains())
            .map(|text| Trouble::new(Code::OverBudget, text))
    }

    /// All that is pinned, by service.
    fn remains(&self) -> impl Iterator<Item = (&str, &Remains)> {
        let alive = self.services.iter().map(|(name, service)| (name, &service.remains));
        let past = self.gone.iter().map(|(name, past)| (name, &past.remains));
        alive.chain(past).flat_map(|(name, left)| left.iter().map(move |remains| (name.as_str(), remains)))
    }
}

/// Whether a thread that was started earlier has not ended: one that the system's loader holds up is not joined by more.
fn is_at_it(thread: Option<&JoinHandle<()>>) -> bool {
    thread.is_some_and(|thread| !thread.is_finished())
}

/// Only what is known to be there counts: where nobody can look, each swap would count, and the budget end them all.
fn over<'a>(limit: u64, left: impl Iterator<Item = (&'a str, &'a Remains)>) -> Option<String> {
    let mut holders = BTreeMap::<&str, (u64, usize)>::new();
    for (name, remains) in left.filter(|(_, remains)| remains.is_seen) {
        let holder = holders.entry(name).or_default();
        *holder = (holder.0 + remains.pinned.bytes, holder.1 + 1);
    }
    let bytes: u64 = holders.values().map(|(bytes, _)| bytes).sum();
    (bytes > limit * MIB).then(|| refusal(bytes, limit, holders.into_iter().collect()))
}

fn refusal(bytes: u64, limit: u64, mut holders: Vec<(&str, (u64, usize))>) -> String {
    holders.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    let one = |(name, (bytes, count)): &(&str, (u64, usize))| {
        let generations = if *count == 1 { "generation" } else { "generations" };
        format!("`{name}` {} in {count} {generations}", mebibytes(*bytes))
    };
    let named: Vec<String> = holders.iter().take(NAMED).map(one).collect();
    let more = holders.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more services") } else { String::new() };
    let worst = holders.first().map_or("NAME", |(name, _)| name);
    format!(
        "old code that cannot be unmapped has {}, more than swap.max_pinned_mib = {limit} allows: {}{more}; \
         `hotbay status {worst}` says what holds it: end that, mend its `stop`, raise the limit, or restart the host",
        mebibytes(bytes),
        named.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::view::Pinned;
    use crate::linked::{Bay, Idle};
    use crate::unload::Reason;

    #[test]
    fn what_nobody_can_see_is_pinned_and_not_held_to_the_budget() {
        let generation = Bay::new().load::<Idle>(1).generation;
        let left = |reason: &Reason| match Remains::of(&generation.staged, 1, generation.load).because(reason)
        {
            Unloaded::Pinned(remains) => {
                Remains { pinned: Pinned { bytes: 1, ..remains.pinned }, ..*remains }
            }
            Unloaded::Gone => unreachable!("it was just said to stay"),
        };
        let unseen = left(&Reason::Unseen(std::io::ErrorKind::Unsupported.into()));
        let there = left(&Reason::Unexplained);
        assert_eq!(over(0, [("idle", &unseen)].into_iter()), None);
        let refused = over(0, [("idle", &unseen), ("idle", &there)].into_iter()).unwrap();
        assert!(refused.contains("in 1 generation;"), "{refused}");
    }

    #[test]
    fn a_refusal_names_the_largest_holders_and_what_to_do() {
        let holders = vec![("a", (MIB, 1)), ("b", (5 * MIB + MIB / 2, 2)), ("c", (3, 1)), ("d", (2, 1))];
        assert_eq!(
            refusal(7 * MIB, 6, holders),
            "old code that cannot be unmapped has 7.0 MiB, more than swap.max_pinned_mib = 6 allows: `b` 5.5 MiB in 2 \
             generations, `a` 1.0 MiB in 1 generation, `c` 0.0 MiB in 1 generation and 1 more services; `hotbay status \
             b` says what holds it: end that, mend its `stop`, raise the limit, or restart the host"
        );
    }
}
