//! What a process holds, seen from outside: for those of our programs that look whether a host grows.
// Windows: no file says it, nor on macOS; it is counted on Linux alone, and `null` elsewhere.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// Looks of a count at rest, and the time between two.
const LOOKS: u32 = 25;
const PAUSE: Duration = Duration::from_millis(10);

/// Counts of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Mappings.
    pub maps: usize,
    /// Threads.
    pub threads: usize,
    /// Open files and sockets.
    pub fds: usize,
}

impl Census {
    /// What it holds at rest: the least of some looks, since a swap's thread ends a moment after its receipt, and state is
    /// written now and then.
    #[must_use]
    pub fn at_rest(pid: u32) -> Option<Self> {
        let mut least = Self::now(pid)?;
        for _ in 1..LOOKS {
            std::thread::sleep(PAUSE);
            let now = Self::now(pid)?;
            least.maps = least.maps.min(now.maps);
            least.threads = least.threads.min(now.threads);
            least.fds = least.fds.min(now.fds);
        }
        Some(least)
    }

    fn now(pid: u32) -> Option<Self> {
        let entries = |of: &str| Some(fs::read_dir(format!("/proc/{pid}/{of}")).ok()?.count());
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?.lines().count();
        Some(Self { maps, threads: entries("task")?, fds: entries("fd")? })
    }
}

/// Resident memory of a process, bytes.
#[must_use]
pub fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

/// How much `values` grow from one to the next, by least squares; nothing can be said of fewer than two.
#[must_use]
pub fn slope(values: &[u64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    #[allow(clippy::cast_precision_loss, reason = "bytes of memory, far below 2^53")]
    let (count, values): (f64, Vec<f64>) =
        (values.len() as f64, values.iter().map(|&value| value as f64).collect());
    let mid = (count - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / count;
    let places = std::iter::successors(Some(-mid), |place| Some(place + 1.0));
    let (mut along, mut square) = (0.0, 0.0);
    for (place, value) in places.zip(values) {
        along += place * (value - mean);
        square += place * place;
    }
    Some(along / square)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_noise_has_none() {
        let line: Vec<u64> = (0..100).map(|at| 5_000_000 + 120 * at).collect();
        assert!((slope(&line).unwrap_or_default() - 120.0).abs() < 1e-6);
        let noise: Vec<u64> = (0..1000).map(|at| 5_000_000 + (at % 2) * 4096).collect();
        assert!(slope(&noise).unwrap_or(f64::MAX).abs() < 1.0);
        assert_eq!(slope(&[1]), None);
    }

    #[test]
    fn this_process_is_counted_on_linux() {
        let census = Census::at_rest(std::process::id());
        assert_eq!(census.is_some(), cfg!(target_os = "linux"));
        assert!(census.is_none_or(|census| census.threads > 0 && census.fds > 2 && census.maps > 5));
        assert_eq!(resident(std::process::id()).is_some(), cfg!(target_os = "linux"));
    }
}
