//! Exchanges the file: in bursts, so that the host finds it standing still at times and moving at any step of a load.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::Options;

/// The service of both versions.
pub(crate) const SERVICE: &str = "stateless";

/// Exchanges in a burst, at least and at most.
const BURST: (u64, u64) = (20, 90);

/// Between two bursts, at most: some time more than a load takes.
const REST: Duration = Duration::from_millis(12);

/// The file, and beside its folder what takes its place by turns: two that are good, two that are not.
#[derive(Debug)]
pub(crate) struct Place {
    file: PathBuf,
    beside: [PathBuf; 4],
}

impl Place {
    pub(crate) fn make(folder: &Path, options: &Options) -> Result<Self> {
        let name = format!("{}{SERVICE}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let place = folder.join("plugins").join(name);
        fs::create_dir(folder.join("plugins"))?;
        let read =
            |file: &Path| fs::read(file).with_context(|| format!("failed to read `{}`", file.display()));
        let marking = read(&options.hostile)?;
        let hostile = with_another_contract(marking.clone())?;
        let cut = hostile[..hostile.len() * 3 / 5].to_vec();
        let contents = [read(&options.old)?, read(&options.new)?, hostile, cut];
        let beside = ["old", "new", "hostile", "cut"].map(|name| folder.join(name));
        for (file, bytes) in beside.iter().zip(&contents) {
            fs::write(file, bytes)?;
        }
        fs::write(folder.join("marking"), marking)?;
        fs::write(&place, &contents[0])?;
        Ok(Self { file: place, beside })
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.file.parent().map(Path::to_owned).unwrap_or_default()
    }

    /// The two versions.
    pub(crate) fn good(&self) -> &[PathBuf] {
        &self.beside[..2]
    }

    /// The library that leaves a mark, as it was built.
    pub(crate) fn marking(&self) -> PathBuf {
        self.beside[0].with_file_name("marking")
    }
}

/// The same library for a host of another age, which refuses it before anything of it runs.
fn with_another_contract(mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let (from, to) = (br#""contract":"1."#, br#""contract":"9."#);
    let all: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from)
        .map(|(at, _)| at)
        .collect();
    if all.is_empty() {
        bail!("the fixture names no contract");
    }
    all.iter().for_each(|at| bytes[*at..*at + to.len()].copy_from_slice(to));
    Ok(bytes)
}

/// The thread that exchanges; it ends with this value's [`Exchanger::end`], or with the program.
pub(crate) struct Exchanger {
    count: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

impl Exchanger {
    pub(crate) fn begin(place: Place) -> Result<Self> {
        let (count, end) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, ended) = (Arc::clone(&count), Arc::clone(&end));
        let body = move || exchange_until(&ended, &counted, &place);
        let thread = std::thread::Builder::new().name("exchange".to_owned()).spawn(body)?;
        Ok(Self { count, end, thread })
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Lets it end; so often it has exchanged the file.
    pub(crate) fn end(self) -> Result<u64> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the thread broke down"))?.context("failed to exchange")?;
        Ok(self.count.load(Ordering::Relaxed))
    }
}

fn exchange_until(end: &AtomicBool, count: &AtomicU64, place: &Place) -> io::Result<()> {
    // Which content lies at the place, and which beside it at each name: at first the first one twice.
    let (mut here, mut beside) = (0, [0, 1, 2, 3]);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    while !end.load(Ordering::Relaxed) {
        let before = here;
        let size = random.between(BURST.0, BURST.1);
        for at in 1..=size {
            // The last one stays for a while: mostly a good one, and another than was there, so that it is loaded.
            let to_stay = at == size && random.between(0, 9) < 8;
            let wanted =
                |content: usize| if to_stay { content < 2 && content != before } else { content != here };
            let start = usize::try_from(random.between(0, 3)).unwrap_or_default();
            let Some(slot) = (0..4).map(|step| (start + step) % 4).find(|slot| wanted(beside[*slot])) else {
                continue;
            };
            exchange(&place.file, &place.beside[slot])?;
            std::mem::swap(&mut here, &mut beside[slot]);
            count.fetch_add(1, Ordering::Relaxed);
        }
        let until = Instant::now() + REST.mul_f64(random.fraction());
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
    }
    Ok(())
}

/// Two files change their names, in one step.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Windows, and others: in three.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let spare = other.with_extension("spare");
    rename(one, &spare)?;
    rename(other, one)?;
    rename(&spare, other)
}

/// What the host reads just now may have to be waited for.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && Instant::now() < patience => {
                std::thread::yield_now();
            }
            done => return done,
        }
    }
}

/// The same numbers in each run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}
