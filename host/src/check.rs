//! What `hotbay check FILE` finds, without a host.

mod configured;

use std::path::{Path, PathBuf};

use hotbay_plugin_api::manifest::Manifest;
use serde::{Deserialize, Serialize};

use crate::config::{Config, ProbeMode};
use crate::discover::discover;
use crate::error::{Blame, Code, Trouble, shown};
use crate::kernel::tables::{self, Table};
use crate::os;
pub use configured::{Configured, configured};

use crate::probe::{ProbeError, Verdicts, behave, probe};
pub use crate::probe::{Step, StepOutcome};
use crate::stage::Stage;
use crate::trust::{Distrust, Standing, Trust, signature};
pub use crate::verify::{Anatomy, Needed, Place, ThreadLocals};
use crate::verify::{Verified, format_of, verify};

/// Everything that can be said of a file without a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Whether a host would take it.
    pub accepted: bool,
    /// Why not, and what to do.
    pub reason: Option<String>,
    /// The code of the reason.
    #[serde(default)]
    pub code: Option<String>,
    /// Who can mend it.
    #[serde(default, deserialize_with = "Blame::if_known")]
    pub blame: Option<Blame>,
    /// `elf`, `pe` or `mach-o`.
    pub format: Option<String>,
    /// BLAKE3 of its bytes, hex.
    pub digest: Option<String>,
    /// Its size.
    pub bytes: Option<u64>,
    /// What it says of itself; also where it is refused later.
    pub manifest: Option<Manifest>,
    /// What its bytes say beside that; absent where they cannot be read so far.
    #[serde(default)]
    pub anatomy: Option<Anatomy>,
    /// Who vouches for it, where it may run.
    #[serde(default)]
    pub trust: Option<String>,
    /// Whether it was mapped, created and dropped in a process of its own, and passed.
    #[serde(default)]
    pub probed: bool,
    /// Each difference between its layouts and the contract's, where that is why; pages.
    #[serde(default)]
    pub layout: Option<String>,
    /// The steps of its life that were tried, of [`check_deep`].
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// Looks at `file` as a host would: reads it, parses it, and maps it in a probe process, with the plugin's table of
/// `config`. This program must call [`crate::probe::entry`].
#[must_use]
pub fn check(file: &Path, config: &Config) -> Report {
    looked(file, config, false)
}

/// The same, and then has the plugin live once, in a process of its own: started, each method called with nothing and with `{}`, paused, its
/// state taken to a second instance and compared, stopped, started again, dropped, and unloaded. What a method does outside of the
/// plugin it does.
#[must_use]
pub fn check_deep(file: &Path, config: &Config) -> Report {
    looked(file, config, true)
}

/// The contract that this host speaks, `major.minor`.
#[must_use]
pub fn contract() -> String {
    use hotbay_plugin_api::abi::{CONTRACT_MAJOR, CONTRACT_MINOR};
    format!("{CONTRACT_MAJOR}.{CONTRACT_MINOR}")
}

fn looked(file: &Path, config: &Config, deep: bool) -> Report {
    let mut report = Report {
        file: file.to_owned(),
        accepted: false,
        reason: None,
        code: None,
        blame: None,
        format: None,
        digest: None,
        bytes: None,
        manifest: None,
        anatomy: None,
        trust: None,
        probed: false,
        layout: None,
        steps: Vec::new(),
    };
    let refused = look(file, config, deep, &mut report).err();
    report.accepted = refused.is_none();
    (report.code, report.blame) = shown(refused.as_ref().map(|why| why.code));
    report.reason = refused.map(|why| why.text);
    report
}

fn look(file: &Path, config: &Config, deep: bool, report: &mut Report) -> Result<(), Trouble> {
    let (real, lies_there) = place_of(file, config)?;
    let discovered = discover(&real)?;
    report.format = discovered.file.try_clone().ok().and_then(|mut copy| {
        use std::io::{Read as _, Seek as _};
        let mut head = Vec::new();
        // The header of a PE file stands behind a program for another system.
        copy.by_ref().take(4096).read_to_end(&mut head).ok()?;
        // Both handles share one position.
        copy.rewind().ok()?;
        format_of(&head).map(ToOwned::to_owned)
    });
    let mut verified = verify(discovered).map_err(|refused| {
        report.digest = refused.digest.map(|digest| digest.as_str().to_owned());
        report.bytes = refused.bytes;
        report.manifest = refused.manifest.map(|manifest| *manifest);
        report.anatomy = refused.anatomy.map(|mut anatomy| {
            anatomy.look_for_needs();
            *anatomy
        });
        refused.error
    })?;
    let needs = verified.require_needs();
    report.digest = Some(verified.digest.as_str().to_owned());
    report.bytes = Some(verified.bytes.len() as u64);
    report.manifest = Some(verified.manifest.clone());
    report.anatomy = Some(verified.anatomy.clone());
    needs?;

    report.trust = Some(trusted(&verified, lies_there, config)?.to_string());
    let not_staged = |what: &str, e: std::io::Error| Trouble::new(Code::NotStaged, format!("{what}: {e}"));
    let folder = Scratch::new().map_err(|e| not_staged("failed to make a folder for the probe", e))?;
    let name = &verified.manifest.name;
    let table = Table::new(config.plugin.get(name));
    tables::fits(name, &table, &verified.manifest, &config.source)?;
    let stage = Stage::open(&folder.0).map_err(|e| not_staged("failed to stage it", e))?;
    let staged = stage.stage(verified).map_err(|e| not_staged("failed to stage it", e))?;
    let settings = crate::config::Probe { mode: ProbeMode::Always, ..config.probe.clone() };
    let probed = probe(staged, &table.json, &settings, &Verdicts::default());
    let probed = probed.inspect_err(|error| {
        if let ProbeError::Refused { report: differences, .. } = error {
            report.layout.clone_from(differences);
        }
    })?;
    report.probed = true;
    if !deep {
        return Ok(());
    }
    let (steps, lived) = behave(&probed.staged, &table.json, config);
    report.steps = steps;
    lived
}

/// The file itself, and whether it lies in the plugins folder. There a link is none that a host would take; elsewhere it stands
/// for the file that `hotbay add` would copy.
fn place_of(file: &Path, config: &Config) -> Result<(PathBuf, bool), Trouble> {
    let failed = |e: std::io::Error| Trouble::new(Code::FileUnread, format!("failed to open it: {e}"));
    let folder = std::path::absolute(file).map_err(failed)?;
    let folder = folder.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
    match (folder, std::fs::canonicalize(&config.plugins)) {
        (Some(folder), Ok(plugins)) if folder == plugins => {
            Ok((folder.join(file.file_name().unwrap_or_default()), true))
        }
        _ => Ok((std::fs::canonicalize(file).map_err(failed)?, false)),
    }
}

/// As a host judges it where it lies, or as it judges what is added.
fn trusted(verified: &Verified, lies_there: bool, config: &Config) -> Result<Standing, Distrust> {
    let trust = Trust::new(config);
    if lies_there {
        return trust.judge(verified);
    }
    let path = signature::path_of(&verified.path);
    let signature =
        signature::read(&path).map_err(|error| Distrust::Signature { path, why: error.to_string() })?;
    // Whoever makes a folder that is not there yet will be its owner.
    trust.judge_for(verified, signature.as_ref(), Some(&*config.plugins).filter(|folder| folder.exists()))
}

/// A private folder that is removed again.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let name = format!("hotbay-check-{}-{}", std::process::id(), crate::kernel::clock::unix_ms());
        let folder = std::env::temp_dir().join(name);
        os::private_folder(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
