//! How much memory a map takes on its way out of a plugin and into one, sealed and opened piece by piece. In fresh processes: what
//! was once taken is given back to nobody.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use hotbay_plugin_api::testkit::TestHost;
use hotbay_state::{Opener, Sealer};
use serde::{Deserialize, Serialize};

use super::map::{Holds, Pack, with_map};
use super::{STAMP, key};
use crate::bay::Place;
use crate::options::Way;
use crate::report::{Amount, Line};

/// What is sealed in one go, as in a host.
const PIECE: usize = 1 << 20;

/// Times the state, and a piece.
const LIMIT: f64 = 1.2;

/// Of one process, bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Taken {
    /// What the map takes once it is there.
    state: u64,
    /// The most that was taken on the way, the map included.
    peak: u64,
}

/// In a fresh process: writes the map into a file, or reads it from there, and prints what that took. Nothing, where the system
/// does not tell.
pub(crate) fn print_once(way: Way, file: &Path) -> Result<()> {
    let taken = match resident().is_some() {
        true => Some(match way {
            Way::Out => out(file)?,
            Way::In => into(file)?,
        }),
        false => None,
    };
    println!("{}", serde_json::to_string(&taken)?);
    Ok(())
}

fn out(file: &Path) -> Result<Taken> {
    let key = key()?;
    let export = |to: &Path, running: &hotbay_plugin_api::testkit::Running<Holds<Pack>>| -> Result<()> {
        let mut sealer = Sealer::new(&key, &STAMP, None, File::create(to)?)?;
        let exported = running.export_through(PIECE, |piece| sealer.push(piece).is_ok());
        exported.map_err(anyhow::Error::msg)?;
        sealer.finish()?;
        Ok(())
    };
    // What is needed once is there before anything is counted: pages of code, and what the cipher and the files take.
    let empty = TestHost::new().start::<Holds<Pack>>().map_err(anyhow::Error::msg)?;
    export(file, &empty)?;
    let before = resident().unwrap_or_default();
    let running = with_map::<Holds<Pack>>();
    let state = resident().unwrap_or_default().saturating_sub(before);
    forget_peak();
    export(file, &running)?;
    Ok(Taken { state, peak: peak().saturating_sub(before) })
}

fn into(file: &Path) -> Result<Taken> {
    let key = key()?;
    let import = |from: &Path| -> Result<_> {
        let mut opener = Opener::new(&key, STAMP.service, File::open(from)?)?;
        let source = |piece: &mut Vec<u8>| match opener.next_chunk() {
            Ok(chunk) => {
                piece.extend_from_slice(chunk.unwrap_or_default());
                true
            }
            Err(_) => false,
        };
        TestHost::new().resume_from::<Holds<Pack>>(1, source).map_err(anyhow::Error::msg)
    };
    let small = file.with_extension("small");
    let mut sealer = Sealer::new(&key, &STAMP, None, File::create(&small)?)?;
    sealer.push(b"\x81\xa1a\x01")?;
    sealer.finish()?;
    drop(import(&small)?);
    let before = resident().unwrap_or_default();
    forget_peak();
    let running = import(file)?;
    let (state, peak) = (resident().unwrap_or_default(), peak());
    drop(running);
    Ok(Taken { state: state.saturating_sub(before), peak: peak.saturating_sub(before) })
}

/// What of this process is in memory, where the system tells.
fn resident() -> Option<u64> {
    from_status("VmRSS:")
}

/// The most that was since [`forget_peak`].
fn peak() -> u64 {
    from_status("VmHWM:").unwrap_or_default()
}

fn from_status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Where that is not allowed, the most so far is what there is already.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

pub(super) fn measure(libraries: &Path) -> Result<Vec<Line>> {
    let folder = Place::Disk.folder()?;
    let file = folder.path().join("map");
    [(Way::Out, "memory, map out"), (Way::In, "memory, map in")]
        .into_iter()
        .map(|(way, name)| Ok(line(name, in_a_fresh_process(libraries, way, &file)?.as_ref())))
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "bytes of one process, far below 2^53")]
fn line(name: &str, taken: Option<&Taken>) -> Line {
    let Some(Taken { state, peak }) = taken else {
        return Line::not_measured(name, "this system does not tell how much memory was taken".to_owned());
    };
    let (state, peak, piece) = (*state as f64, *peak as f64, PIECE as f64);
    let mut line = Line::new(name, Amount::Bytes(peak));
    line.compare("the map", peak / state);
    line.judge(format!("≤ {LIMIT} × the map + 1 MiB"), Some(peak <= LIMIT * state + piece));
    line.note = Some(format!("the map {}", Amount::Bytes(state)));
    line
}

fn in_a_fresh_process(libraries: &Path, way: Way, file: &Path) -> Result<Option<Taken>> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let mut command = Command::new(program);
    command.arg("--libraries").arg(libraries).arg("--map").arg(way.as_str()).arg("--file").arg(file);
    let output = command.output().context("failed to start a process of this program")?;
    if !output.status.success() {
        bail!("failed to carry a map: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("failed to read what a process took")
}
