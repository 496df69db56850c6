//! Looks at each load: whether what runs is what the host says that it verified.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use hotbay::check::check;
use hotbay::kernel::view::Phase;
use hotbay::{Config, Host};

use crate::exchange::{Place, SERVICE};

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Judge {
    /// By their digests, what the versions answer that may run.
    versions: BTreeMap<String, Vec<u8>>,
    /// The last generation that was looked at.
    seen: Option<u64>,
    pub(crate) loads: u64,
    pub(crate) unverified: u64,
    pub(crate) refused: u64,
    pub(crate) complaints: Vec<String>,
}

impl Judge {
    pub(crate) fn of(config: &Config, place: &Place) -> Result<Self> {
        let mut versions = BTreeMap::new();
        for file in place.good() {
            let found = check(file, config);
            let (Some(digest), Some(manifest), true) = (found.digest, found.manifest, found.accepted) else {
                bail!("`{}` is no good: {:?}", file.display(), found.reason);
            };
            versions.insert(digest, manifest.version.into_bytes());
        }
        if versions.len() != 2 {
            bail!("the two versions are one");
        }
        Ok(Self { versions, seen: None, loads: 0, unverified: 0, refused: 0, complaints: Vec::new() })
    }

    /// Compares what answers with what the host says, of one generation: one that is replaced in between is asked again.
    pub(crate) fn look(&mut self, host: &Host) -> Result<()> {
        let serving = || {
            let row = host.status(SERVICE)?.row;
            anyhow::Ok((row.generation, row.digest.unwrap_or_default(), row.phase))
        };
        let mut before = serving()?;
        let (answer, digest) = loop {
            let mut answer = Vec::new();
            host.call(SERVICE, "version", b"", &mut answer).context("a call failed")?;
            let after = serving()?;
            // While one takes over, calls may be answered by it already, and the kernel's loop does not know yet: what does not fit
            // says something of who serves only where nobody is about to.
            let fits = self.versions.get(&after.1) == Some(&answer);
            if before == after && (fits || after.2 == Phase::Running) {
                break (answer, after.1);
            }
            before = after;
        };
        if self.seen == before.0 {
            return Ok(());
        }
        self.seen = before.0;
        self.loads += 1;
        if self.versions.get(&digest) != Some(&answer) {
            self.unverified += 1;
            let answer = String::from_utf8_lossy(&answer);
            self.complaints.push(format!("`{answer}` answers, and {digest} was verified"));
        }
        Ok(())
    }
}
