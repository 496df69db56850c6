//! Many swaps of one plugin, each watched.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hotbay::config::ProbeMode;
use hotbay::kernel::view::{Event, Receipt};

use super::caller::Caller;
use crate::bay::{Bay, Place, library};

/// How long a swap may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The caller calls for so long before the file is replaced, and again before the window without a swap begins: what a swap
/// leaves to be done is done by then.
const REST: Duration = Duration::from_millis(20);

/// Until each version's verdict is known, and caches and heap have found their size.
pub(crate) const WARM: u32 = 6;

/// What is swapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    /// Its next version is the library `NAME_next`.
    pub(crate) plugin: &'static str,
    /// So much state, where the plugin has state; so much memory in its constructor, where it has none.
    pub(crate) bytes: usize,
    pub(crate) probe: ProbeMode,
    /// Where its host's folders are.
    pub(crate) place: Place,
}

/// One swap.
#[derive(Debug)]
pub(crate) struct Swap {
    /// From the rename. In a series it is that of another swap right before, whose events nobody takes: with two processors whoever is
    /// woken by each takes some of the time.
    pub(crate) first_answer: Duration,
    /// The longest call from load to retire.
    pub(crate) worst: Duration,
    /// The longest call in an equally long window without a swap.
    pub(crate) quiet: Duration,
    /// When each event came, from the rename.
    pub(crate) events: Vec<(String, Duration)>,
    pub(crate) receipt: Option<Receipt>,
}

/// Swaps to and fro, and leaves out the first ones.
pub(crate) fn series(libraries: &Path, subject: &Subject, swaps: u32) -> Result<Vec<Swap>> {
    let mut bench = Bench::open(libraries, subject)?;
    for _ in 0..WARM {
        bench.swap()?;
    }
    let both = (0..swaps).map(|_| {
        let first_answer = bench.first_answer()?;
        Ok(Swap { first_answer, ..bench.swap()? })
    });
    let mut swaps = both.collect::<Result<Vec<Swap>>>()?;
    bench.add_receipts(&mut swaps, 2)?;
    Ok(swaps)
}

/// A host with one plugin, its caller, and both versions.
pub(crate) struct Bench {
    bay: Bay,
    plugin: &'static str,
    versions: [Vec<u8>; 2],
    // Which is next.
    next: usize,
    caller: Caller,
    events: Receiver<Event>,
}

impl Bench {
    pub(crate) fn open(libraries: &Path, subject: &Subject) -> Result<Self> {
        let plugin = subject.plugin;
        let read = |name: &str| std::fs::read(library(libraries, name)).context("failed to read a version");
        let versions = [read(plugin)?, read(&format!("{plugin}_next"))?];
        let bay = Bay::open(subject.place, libraries, &[plugin], |config| {
            config.probe.mode = subject.probe;
            if subject.bytes > 0 {
                let table = serde_json::json!({ "bytes": subject.bytes });
                config.plugin.insert(plugin.to_owned(), table);
            }
        })?;
        let caller = Caller::of(bay.host.handle(plugin)?)?;
        let events = bay.host.events(0);
        Ok(Self { bay, plugin, versions, next: 1, caller, events })
    }

    /// Replaces the file by the other version, under the caller. When that was.
    fn replace(&mut self) -> Result<Instant> {
        let ready = self.bay.prepare(&self.versions[self.next], self.plugin)?;
        self.next = 1 - self.next;
        self.caller.begin()?;
        self.pass(REST);
        let renamed = Instant::now();
        ready.rename()?;
        Ok(renamed)
    }

    /// How long it takes from the rename to the first answer of the other version, while nobody takes events.
    pub(crate) fn first_answer(&mut self) -> Result<Duration> {
        let renamed = self.replace()?;
        self.caller.until_changed(PATIENCE)?;
        self.until_retired(renamed)?;
        self.pass(REST);
        let changed = self.caller.end()?.changed.context("the caller saw no other version")?;
        Ok(changed - renamed)
    }

    /// A swap, and what is seen of it.
    pub(crate) fn swap(&mut self) -> Result<Swap> {
        let renamed = self.replace()?;
        let events = self.until_retired(renamed)?;
        let at = |kind: &str| events.iter().position(|(event, _)| event == kind);
        let (Some(loaded), Some((_, retired))) = (at("loaded"), events.last()) else {
            bail!("a swap without load or retire: {events:?}");
        };
        // Loading begins when the step before it has ended.
        let begun = loaded.checked_sub(1).map_or(Duration::ZERO, |before| events[before].1);
        let (from, until) = (renamed + begun, renamed + *retired);
        self.pass(REST);
        let quiet_from = Instant::now();
        self.pass(until - from);
        let quiet_until = Instant::now();
        let seen = self.caller.end()?;
        let changed = seen.changed.context("the caller saw no other version")?;
        Ok(Swap {
            first_answer: changed - renamed,
            worst: seen.worst(from, until),
            quiet: seen.worst(quiet_from, quiet_until),
            events,
            receipt: None,
        })
    }

    /// Takes events, and the time at which each came, until the old version is gone.
    fn until_retired(&self, renamed: Instant) -> Result<Vec<(String, Duration)>> {
        let (mut events, mut fresh) = (Vec::new(), None);
        loop {
            let left = PATIENCE.saturating_sub(renamed.elapsed());
            let event = self.events.recv_timeout(left).context("waited for a swap in vain")?;
            let came = renamed.elapsed();
            match event.kind.as_str() {
                "rolled_back" | "faulted" | "rejected" | "quarantined" => {
                    bail!("{}: {}", event.kind, event.text)
                }
                "loaded" => fresh = event.generation,
                // Of the swap before: its snapshot is written when it is through, and what was pinned may go at any time.
                "snapshot" | "passed" => continue,
                "unloaded" | "pinned" if fresh.is_none() || event.generation >= fresh => continue,
                _ => {}
            }
            let retired = ["unloaded", "pinned"].contains(&event.kind.as_str())
                && event.generation.zip(fresh).is_some_and(|(old, new)| old + 1 == new);
            events.push((event.kind, came));
            if retired {
                return Ok(events);
            }
        }
    }

    /// Lets time pass; what happens meanwhile belongs to no swap.
    fn pass(&self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let _ = self.events.recv_timeout(left);
        }
    }

    /// The host keeps the receipts of the last swaps: of each, of each second one, and so on.
    pub(crate) fn add_receipts(&self, swaps: &mut [Swap], each: usize) -> Result<()> {
        let receipts = self.bay.host.history(self.plugin)?;
        for (swap, receipt) in swaps.iter_mut().rev().zip(receipts.into_iter().rev().step_by(each)) {
            swap.receipt = Some(receipt);
        }
        Ok(())
    }
}
