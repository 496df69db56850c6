//! Whether the tables of the settings fit the plugins that lie in the folder, without a host.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Config;
use crate::discover::{discover, scan};
use crate::error::Trouble;
use crate::kernel::tables::{Table, fits};
use crate::verify::{Verified, verify};

/// A plugin of the folder, and whether its table fits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Configured {
    /// Its service.
    pub service: String,
    /// Its version: of several files the highest, which would serve.
    pub version: String,
    /// Its file.
    pub file: PathBuf,
    /// Whether it says what its table may hold.
    pub has_schema: bool,
    /// Where its table does not fit, and what was wanted.
    pub problem: Option<String>,
    /// The code of that.
    pub code: Option<String>,
}

/// Looks at the plugins of the folder that `config` names, and holds their tables against what they declare. Nothing of them runs. What
/// is no plugin is passed over: `check` tells of files.
#[must_use]
pub fn configured(config: &Config) -> Vec<Configured> {
    let mut best: BTreeMap<String, Verified> = BTreeMap::new();
    for path in scan(&config.plugins).unwrap_or_default() {
        let Some(verified) = discover(&path).ok().and_then(|found| verify(found).ok()) else { continue };
        let name = verified.manifest.name.clone();
        if best.get(&name).is_none_or(|other| other.version < verified.version) {
            best.insert(name, verified);
        }
    }
    best.into_iter().map(|(name, verified)| of(&name, &verified, config)).collect()
}

fn of(name: &str, verified: &Verified, config: &Config) -> Configured {
    let table = Table::new(config.plugin.get(name));
    let problem = fits(name, &table, &verified.manifest, &config.source).err();
    let (problem, code) = match problem {
        Some(Trouble { code, text }) => (Some(text), Some(code.to_string())),
        None => (None, None),
    };
    Configured {
        service: name.to_owned(),
        version: verified.manifest.version.clone(),
        file: verified.path.clone(),
        has_schema: verified.manifest.config.is_some(),
        problem,
        code,
    }
}
