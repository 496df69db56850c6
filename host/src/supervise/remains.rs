//! What is left of generations that could not be unmapped: looked at again, and held to a budget.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Kernel;
use crate::kernel::callers;
use crate::kernel::view::{MIB, mebibytes};
use crate::unload::Remains;
use crate::{ffi, os};

/// So many holders are named in a refusal: who looks for the rest asks for the list.
const NAMED: usize = 3;

impl Kernel {
    /// Libraries that were pinned may have gone since: forgets those that have. For the others, what held them may have
    /// ended, and some systems unmap a library only when one is closed: a thread of its own sees to that, and the next look
    /// shows what came of it.
    pub(super) fn forget_remains(&mut self) {
        let alive = self.services.iter_mut().map(|(name, service)| (name, &mut service.remains));
        let past = self.gone.iter_mut().map(|(name, past)| (name, &mut past.remains));
        let mut still: Vec<PathBuf> = Vec::new();
        for (name, left) in alive.chain(past) {
            left.retain(|remains| {
                let mapped = !matches!(ffi::is_mapped(&remains.path), Ok(false));
                if mapped && !remains.retires_later {
                    still.push(remains.path.clone());
                }
                if !mapped {
                    callers::forget(remains.load);
                    if !remains.retires_later {
                        let text = format!("generation {} is gone since", remains.pinned.generation);
                        self.shared.journal.note("unloaded", Some(name), None, text);
                    }
                }
                mapped
            });
        }
        if still.is_empty() || self.releasing.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        // Should no thread be had, the next look tries again.
        let release = move || still.iter().for_each(|path| ffi::release(path));
        self.releasing = os::spawn("release", release).ok();
    }

    /// Why nothing is swapped now: what is pinned is over the budget.
    pub(super) fn over_budget(&self) -> Option<String> {
        let limit = self.shared.config.swap.max_pinned_mib;
        let mut holders = BTreeMap::<&str, (u64, usize)>::new();
        for (name, remains) in self.remains() {
            let holder = holders.entry(name).or_default();
            *holder = (holder.0 + remains.pinned.bytes, holder.1 + 1);
        }
        let bytes: u64 = holders.values().map(|(bytes, _)| bytes).sum();
        (bytes > limit * MIB).then(|| refusal(bytes, limit, holders.into_iter().collect()))
    }

    /// All that is pinned, by service.
    fn remains(&self) -> impl Iterator<Item = (&str, &Remains)> {
        let alive = self.services.iter().map(|(name, service)| (name, &service.remains));
        let past = self.gone.iter().map(|(name, past)| (name, &past.remains));
        alive.chain(past).flat_map(|(name, left)| left.iter().map(move |remains| (name.as_str(), remains)))
    }
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
