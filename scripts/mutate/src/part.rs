//! One host, and what it is offered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hotbay::kernel::view::Phase;
use hotbay_census::{Census, resident};

use crate::caller::Caller;
use crate::libraries::Libraries;
use crate::mutation::{Kind, STRUCTURAL as KINDS};
use crate::offer::{Offer, offer, take_away};
use crate::random::Random;
use crate::report::{Counts, Outcome, Part, Report, Span};
use crate::served::{HEALTHY, LOOK, PATIENCE, Served};

/// Quick where nothing is lost by it. A file that is in its place at once is read at once, and once more when it has stood still for
/// so long and is no library.
const SETTINGS: &str = r#"
[watch]
settle_ms = 3000
rescan_ms = 1000
grace_ms = 20
[swap]
callback_ms = 3000
drain_ms = 3000
[state]
max_bytes = 1048576
[probe]
deadline_ms = 1000
[log]
level = "error"
"#;

/// Without that many files nothing has found its size yet.
const WARM: u64 = 800;

/// What a host that does not grow may have more at the end: noise.
const MORE: Census = Census { maps: 64, threads: 8, fds: 16 };
const MORE_BYTES: u64 = 64 << 20;

/// How often it is said how far it has come.
const TELL: Duration = Duration::from_secs(30);

/// A host is started again so often.
const DEATHS: u64 = 5;

/// How libraries are changed, and what the host makes of who vouches for them.
#[derive(Debug)]
pub(crate) struct Manner {
    name: &'static str,
    unsigned: &'static str,
    signed: bool,
    /// So many files in a row are of one library, in these ways.
    row: usize,
    kinds: &'static [Kind],
}

/// Changes of structure, of files that nobody signed.
pub(crate) const STRUCTURAL: Manner =
    Manner { name: "structural", unsigned: "allow", signed: false, row: KINDS.len(), kinds: &KINDS };

/// Changes of code, where unsigned files are refused: with the signature of what they were, or without one.
pub(crate) const SIGNED: Manner = Manner {
    name: "signed",
    unsigned: "refuse",
    signed: true,
    row: 8,
    kinds: &[Kind::Whole, Kind::CodeFlipped],
};

/// What all parts share.
pub(crate) struct Run<'a> {
    pub(crate) hotbay: &'a Path,
    pub(crate) libraries: &'a Libraries,
    pub(crate) seed: u64,
    pub(crate) batch: u64,
    pub(crate) late: Duration,
}

/// What a host held, of which mappings and memory also hang on what is pinned.
#[derive(Debug, Clone, Copy)]
struct Held {
    census: Census,
    bytes: u64,
    pinned: u64,
}

impl Run<'_> {
    /// Offers the files of these numbers to a host of its own.
    pub(crate) fn part(&self, manner: &Manner, from: u64, files: u64, report: &mut Report) -> Result<()> {
        let mut part = Part {
            part: manner.name,
            files: 0,
            calls: 0,
            failed_calls: 0,
            late_calls: 0,
            longest_call_ms: 0,
            pinned: 0,
            maps: None,
            threads: None,
            fds: None,
            rss: None,
            outcomes: Counts::new(),
            met: BTreeSet::new(),
        };
        let mut left = from..from + files;
        while !left.is_empty() {
            let lived = self.host(manner, &mut left, &mut part, &mut report.complaints)?;
            if !lived {
                report.host_deaths += 1;
                if report.host_deaths >= DEATHS {
                    break;
                }
            }
        }
        report.failed_calls += part.failed_calls;
        self.judge(manner, &part, files, &mut report.complaints);
        report.parts.push(part);
        Ok(())
    }

    /// One host, to the end of the files or its own; whether it lived.
    fn host(
        &self,
        manner: &Manner,
        left: &mut Range<u64>,
        part: &mut Part,
        complaints: &mut Vec<String>,
    ) -> Result<bool> {
        let trust = format!(
            "[trust]\nunsigned = \"{}\"\nkeys.ours = \"{}\"\n",
            manner.unsigned,
            self.libraries.public()
        );
        let mut served = Served::start(self.hotbay, &format!("{SETTINGS}{trust}"))?;
        self.healthy(&mut served)?;
        let caller = Caller::begin(served.client(), self.late)?;
        let offered = self.offer_all(manner, left, &mut served, part, complaints);
        let calls = caller.end()?;
        part.calls += calls.answered + calls.failed;
        part.late_calls += calls.late;
        part.longest_call_ms =
            part.longest_call_ms.max(u64::try_from(calls.longest.as_millis()).unwrap_or(u64::MAX));
        part.pinned += served.told().pinned();
        part.failed_calls += calls.failed;
        complaints.extend(calls.complaints);
        match offered {
            Ok(()) => {
                let ended = served.end()?;
                if !ended.success() && cfg!(unix) {
                    complaints.push(format!("the host ended with {ended}"));
                }
                Ok(true)
            }
            Err(error) => {
                complaints.push(format!("{error:#}"));
                // Of anything but its death no other host would know more.
                if served.lives().is_ok() { bail!("gave up: {complaints:?}") } else { Ok(false) }
            }
        }
    }

    /// Drops the healthy plugin in, with its signature, and waits until it serves.
    fn healthy(&self, served: &mut Served) -> Result<()> {
        let place = served.place(HEALTHY);
        let mut signature = place.clone().into_os_string();
        signature.push(".minisig");
        fs::write(signature, self.libraries.sign(&self.libraries.healthy)?)?;
        let beside = place.with_file_name(".healthy");
        fs::write(&beside, &self.libraries.healthy)?;
        fs::rename(beside, place)?;
        let begun = Instant::now();
        while !served.rows()?.iter().any(|row| row.name == HEALTHY && row.phase == Phase::Running) {
            if begun.elapsed() > PATIENCE {
                bail!("the healthy plugin does not start: {:?}", served.rows()?);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn offer_all(
        &self,
        manner: &Manner,
        left: &mut Range<u64>,
        served: &mut Served,
        part: &mut Part,
        complaints: &mut Vec<String>,
    ) -> Result<()> {
        let (mut warm, begun, mut told) = (None, Instant::now(), Instant::now());
        let mut next = self.prepare(manner, left.clone(), served)?;
        while !left.is_empty() {
            let batch = std::mem::take(&mut next);
            let behind = left.start + u64::try_from(batch.len())?;
            let offered = offer(served, &batch, |served| self.prepare(manner, behind..left.end, served));
            // Whatever comes of it is not tried again.
            left.start = behind;
            let (outcomes, prepared) = offered.with_context(|| {
                let told = served.told();
                let ran = batch.iter().filter(|offer| told.of(&offer.service).is_some());
                let ran: Vec<String> = ran.map(|offer| offer.what()).collect();
                format!("of these one may be why: {}", ran.join(", "))
            })?;
            next = prepared;
            for (offer, (outcome, reason)) in batch.iter().zip(outcomes) {
                part.files += 1;
                if outcome != Outcome::NotSeen {
                    part.met.insert((offer.library.clone(), offer.kind));
                }
                *part.outcomes.entry(offer.kind).or_default().entry(outcome).or_default() += 1;
                // Nothing of it may have run; the fixture that is no plugin is not even read so far.
                let refused = [Outcome::Distrusted, Outcome::Unread].contains(&outcome);
                let wrong = outcome == Outcome::NotSeen || offer.kind == Kind::CodeFlipped && !refused;
                if wrong && complaints.len() < 10 {
                    let what = offer.what();
                    complaints.push(format!("{what} is {outcome:?}, which is not to be: {reason}"));
                }
            }
            take_away(served, &batch)?;
            served.lives()?;
            if warm.is_none() && (part.files >= WARM || left.is_empty()) {
                warm = held(served);
            }
            if told.elapsed() > TELL {
                told = Instant::now();
                eprintln!("{} {} files in {} s", part.files, manner.name, begun.elapsed().as_secs());
            }
        }
        if let (Some(start), Some(end)) = (warm, held(served)) {
            grown(part, start, end, complaints);
        }
        Ok(())
    }

    /// Writes the next batch where no host looks.
    fn prepare(&self, manner: &Manner, numbers: Range<u64>, served: &Served) -> Result<Vec<Offer>> {
        let mut of_library: BTreeMap<&str, u64> = BTreeMap::new();
        let mut batch = Vec::new();
        for number in numbers.start..numbers.end.min(numbers.start + self.batch) {
            let mut random = Random::of(self.seed, number);
            let at = usize::try_from(number)?;
            // With a signature, one of each library's files is as it was built: that it starts is seen there, too.
            let kind = manner.kinds[(at % manner.row).min(manner.kinds.len() - 1)];
            let library = &self.libraries.all[at / manner.row % self.libraries.all.len()];
            let count = of_library.entry(&library.name).or_default();
            let service = format!("{}-{count}", library.name);
            *count += 1;
            let original = self.libraries.named(library, &service)?;
            let mut bytes = original.0.clone();
            kind.apply(&mut bytes, &library.layout, &mut random);
            let signature =
                (manner.signed && (kind == Kind::Whole || random.below(3) > 0)).then_some(&*original.1);
            let of = (kind, number, library.name.clone());
            batch.push(Offer::write(served, of, service, &bytes, signature)?);
        }
        Ok(batch)
    }

    /// What the counts of a part must say, of which so many files were asked for.
    fn judge(&self, manner: &Manner, part: &Part, files: u64, complaints: &mut Vec<String>) {
        let of = |kind: Kind, outcome: Outcome| {
            part.outcomes.get(&kind).and_then(|of| of.get(&outcome)).copied().unwrap_or_default()
        };
        if of(Kind::Whole, Outcome::Started) == 0 {
            complaints
                .push(format!("{}: nothing started as it was built, so nothing was tried", manner.name));
        }
        let all = self.libraries.all.iter();
        let pairs = all.flat_map(|library| manner.kinds.iter().map(|kind| (library.name.clone(), *kind)));
        let never: Vec<String> = pairs
            .filter(|pair| !part.met.contains(pair))
            .map(|(library, kind)| format!("{} ({library})", kind.name()))
            .collect();
        // Fewer files than that leave some out; so many, from whatever number on, do not.
        let asked_for_all = files >= (manner.row * self.libraries.all.len()) as u64;
        if asked_for_all && !never.is_empty() {
            let some = never[..never.len().min(5)].join(", ");
            complaints.push(format!("{}: never met were {}, {some} among them", manner.name, never.len()));
        }
        if part.late_calls > 0 {
            complaints.push(format!(
                "{}: {} calls took longer than {} ms",
                manner.name,
                part.late_calls,
                self.late.as_millis()
            ));
        }
    }
}

fn held(served: &Served) -> Option<Held> {
    let census = Census::at_rest(served.pid())?;
    Some(Held { census, bytes: resident(served.pid())?, pinned: served.told().pinned() })
}

/// Notes what the host held at first and at last, and where that is more than it should be.
fn grown(part: &mut Part, start: Held, end: Held, complaints: &mut Vec<String>) {
    // A library that stays has some mappings, and its size.
    let pinned = end.pinned.saturating_sub(start.pinned);
    let mut look = |what: &str, start: u64, end: u64, more: u64| {
        if end > start + more {
            complaints.push(format!(
                "{what} of the host grew from {start} to {end}, with {pinned} libraries pinned"
            ));
        }
        Some(Span { start, end })
    };
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    part.maps =
        look("mappings", count(start.census.maps), count(end.census.maps), count(MORE.maps) + 8 * pinned);
    part.threads =
        look("threads", count(start.census.threads), count(end.census.threads), count(MORE.threads));
    part.fds = look("descriptors", count(start.census.fds), count(end.census.fds), count(MORE.fds) + pinned);
    part.rss = look("memory", start.bytes, end.bytes, MORE_BYTES + (4 << 20) * pinned);
}
