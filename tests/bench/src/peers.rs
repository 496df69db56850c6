//! Other hosts of plugins, which a program brings that is built beside this one.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use hotbay::config::ProbeMode;

use crate::bay::Place;
use crate::options::Options;
use crate::pin;
use crate::report::{Amount, Line, median};
use crate::rounds::Row;
use crate::swap::{nanos, series};

/// Which there are, as the table has them.
const NAMES: [&str; 4] = ["abi_stable", "hot-lib-reloader", "polyplug", "wasmtime"];

/// Reloads of each, by turns: the slowest of them takes half a second.
const RELOADS: u32 = 11;

/// How one of them is measured.
#[derive(Debug, Default)]
pub struct Peer {
    /// Calls that do the same job as `call`.
    pub rows: Vec<Row>,
    /// Replacing the library.
    pub reloads: Vec<Reload>,
}

/// Replacing the library of a peer.
pub struct Reload {
    name: &'static str,
    body: Box<dyn FnMut() -> Result<Duration> + Send>,
}

/// Prepares the one with this name, from the folder with the peers' libraries.
pub type Bring = fn(&str, &Path) -> Result<Peer>;

impl Reload {
    /// `body` replaces the file once, and says how long after the rename the new version answered.
    pub fn new(name: &'static str, body: impl FnMut() -> Result<Duration> + Send + 'static) -> Self {
        Self { name, body: Box::new(body) }
    }
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All of them. Who cannot be prepared has a row that says why.
pub(crate) fn all(bring: Option<Bring>, options: &Options) -> Peer {
    let folder = options.peers.as_deref().unwrap_or(&options.libraries);
    let mut all = Peer::default();
    for name in NAMES {
        let peer = match bring {
            Some(bring) => bring(name, folder).map_err(|error| format!("{error:#}")),
            None => Err(options.without_peers.clone()),
        };
        match peer {
            Ok(peer) => {
                all.rows.extend(peer.rows);
                all.reloads.extend(peer.reloads);
            }
            Err(reason) => all.rows.push(Row::not_measured(name, reason)),
        }
    }
    all
}

/// Replaces ours and theirs by turns.
pub(crate) fn reload(libraries: &Path, mut peers: Vec<Reload>) -> Result<Vec<Line>> {
    if peers.is_empty() {
        return Ok(Vec::new());
    }
    eprintln!("{RELOADS} reloads of each, by turns");
    let subject =
        series::Subject { plugin: "stateless", bytes: 0, probe: ProbeMode::Cached, place: Place::Temporary };
    let mut ours = series::Bench::open(libraries, &subject)?;
    for _ in 0..series::WARM {
        ours.swap()?;
    }
    let mut times = Vec::new();
    let mut theirs: Vec<Result<Vec<f64>>> = peers.iter().map(|_| Ok(Vec::new())).collect();
    for _ in 0..RELOADS {
        times.push(nanos(ours.first_answer()?));
        for (peer, theirs) in peers.iter_mut().zip(&mut theirs) {
            // Who has failed is left alone.
            let Ok(so_far) = theirs else { continue };
            match on_a_pinned_thread(&mut peer.body) {
                Ok(time) => so_far.push(nanos(time)),
                Err(error) => *theirs = Err(error),
            }
        }
    }
    let mut lines = vec![Line::new("reload", Amount::Long(median(&times)))];
    lines.extend(peers.iter().zip(theirs).map(|(peer, theirs)| match theirs {
        Ok(theirs) => {
            let mut line = Line::new(peer.name, Amount::Long(median(&theirs)));
            let ratios: Vec<f64> = theirs.iter().zip(&times).map(|(their, our)| their / our).collect();
            line.compare("reload", median(&ratios));
            line
        }
        Err(error) => Line::not_measured(peer.name, format!("{error:#}")),
    }));
    Ok(lines)
}

/// As our caller is.
fn on_a_pinned_thread(body: &mut (dyn FnMut() -> Result<Duration> + Send)) -> Result<Duration> {
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| {
            pin::to(0);
            body()
        });
        caller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
